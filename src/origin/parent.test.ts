import { describe, expect, it } from "vitest";
import { parentOf, wrongParent } from "./parent.ts";

const basic = (credentials: string): string => `Basic ${Buffer.from(credentials).toString("base64")}`;

describe("parentOf", () => {
  it.each([
    ["http://proxy:3128", null],
    ["http://proxy:3128/", null],
    ["http://me:secret@proxy", basic("me:secret")],
    ["http://me@proxy", basic("me:")],
    ["http://:token@proxy", basic(":token")],
    ["http://m%40e:s%3Ac%C3%A9@proxy", basic("m@e:s:cé")],
  ])("of %s sends what stands before the host, an empty user too", (url, authorization) => {
    expect(parentOf(url, []).authorization).toBe(authorization);
  });

  it.each([
    "http://proxy/path",
    "http://proxy/?x",
    "http://%ff:secret@proxy",
    "http://a:secret%@proxy",
    "https://proxy",
  ])("refuses %s with a sentence that holds no credentials", (url) => {
    expect(wrongParent(url)).not.toBeNull();
    expect(wrongParent(url)).not.toContain("secret");
    expect(() => parentOf(url, [])).toThrow(/^parent: /);
  });
});
