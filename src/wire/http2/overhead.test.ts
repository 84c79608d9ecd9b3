import { expect, it } from "vitest";
import { Overhead } from "./overhead.ts";

it("bears pings, settings and windows in measure", () => {
  const overhead = new Overhead(0);
  for (let turn = 0; turn < 500; turn++) expect(overhead.counted("ping")).toBe(false);
  expect(overhead.counted("ping")).toBe(true);
  for (let turn = 0; turn < 50; turn++) expect(overhead.counted("settings")).toBe(false);
  expect(overhead.counted("settings")).toBe(true);
  // A new window.
  expect(overhead.isTooMuch(10_000, 0, 0)).toBe(false);
  expect(overhead.counted("ping")).toBe(false);
});

it("holds bytes against requests and content", () => {
  const overhead = new Overhead(0);
  expect(overhead.isTooMuch(500, 60_000, 0)).toBe(false);
  expect(overhead.isTooMuch(1000, 70_000, 0)).toBe(true);
  // A download of a gigabyte needs a megabyte of windows; an upload of one is content.
  expect(overhead.isTooMuch(2000, 70_000 + 2 ** 20, 2 ** 30)).toBe(false);
  overhead.content(2 ** 30);
  expect(overhead.isTooMuch(3000, 70_000 + 2 ** 20 + 2 ** 30 + 2 ** 20, 2 ** 30)).toBe(false);
  // Many requests with long heads.
  for (let request = 0; request < 100; request++) overhead.asked();
  expect(overhead.isTooMuch(4000, 70_000 + 2 ** 20 + 2 ** 30 + 2 ** 20 + 3_000_000, 2 ** 30)).toBe(false);
});
