import { expect, it } from "vitest";
import { concealed } from "./concealed.ts";

it.each([
  ["http://me:secret@proxy:3128", "http://me:***@proxy:3128"],
  ["http://me:sec:r@et@proxy/", "http://me:***@proxy/"],
  ["http://:token@proxy", "http://:***@proxy"],
  ["http://token@proxy", "http://***@proxy"],
  ["https://proxy:3128/a@b?c=d@e", "https://proxy:3128/a@b?c=d@e"],
  ["zookeeper://a:2181,b:2181/gyre", "zookeeper://a:2181,b:2181/gyre"],
  ["operator@example.com", "operator@example.com"],
])("concealed shows %s as %s", (text, shown) => {
  expect(concealed(text)).toBe(shown);
});
