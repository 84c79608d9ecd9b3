import { describe, expect, it } from "vitest";
import { sendsCookieOf } from "./cookies.ts";

describe("sendsCookieOf", () => {
  const names = ["session", "PHPSESSID", "wordpress_logged_in_*"];
  it.each([
    ["session=1", true],
    ["a=1; session=1", true],
    ["a=1;session=1", true],
    ["a=1;  session  =1", true],
    ["session", true],
    ["session=", true],
    ["wordpress_logged_in_0af3=x", true],
    ["sessions=1", false],
    ["my_session=1", false],
    ["a=session", false],
    ["a=session=1", false],
    ["wordpress_test=1", false],
    ["", false],
    ["; ;=", false],
  ])("finds it in %j: %s (RFC 6265 §4.2)", (line, found) => {
    expect(sendsCookieOf(["host", "h", "cookie", line], names)).toBe(found);
  });

  it.each([
    "Session=1",
    "phpsessid=1",
    "sess%69on=1",
    "session[a]=1",
    "a=1,session=1",
    "%zz=1",
    "wordpress.logged.in.x=1",
  ])("takes %j for it, since some origin may", (line) => {
    expect(sendsCookieOf(["cookie", line], names)).toBe(true);
  });

  it("looks at every field, and finds all cookies by *, none by no name", () => {
    expect(sendsCookieOf(["cookie", "a=1", "x-cookie", "session=1", "cookie", "session=1"], names)).toBe(true);
    expect(sendsCookieOf(["x-cookie", "session=1"], names)).toBe(false);
    expect(sendsCookieOf(["cookie", "whatever=1"], ["*"])).toBe(true);
    expect(sendsCookieOf(["cookie", ""], ["*"])).toBe(false);
    expect(sendsCookieOf(["cookie", "session=1"], [])).toBe(false);
  });
});
