import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { matches, requestFilter } from "./request-filter.ts";
import type { SeenRequest } from "./seen-request.ts";

const request: SeenRequest = {
  time: "2026-11-26T12:00:00.000Z",
  member: "m1",
  client: "10.0.0.9",
  method: "GET",
  uri: "http://example.com/Api/things?x=1",
  status: 503,
  outcome: "uri-miss",
  reason: null,
  owner: "m1",
  owned: null,
  route: "example.com/api",
  origin: null,
  requestId: null,
  bytes: 1200,
  durationMs: 12.5,
  complete: true,
  userAgent: "curl/8",
  referer: null,
};

function holds(text: string): boolean {
  const filter = requestFilter(text);
  if ("wrong" in filter) throw new Error(filter.wrong);
  return filter(request);
}

describe("a filter of requests", () => {
  it.each([
    ["", true],
    ["status=503", true],
    ["status>=500 outcome=uri-miss", true],
    ["status>=500 outcome=hit", false],
    ["uri=*/api/*", true],
    ["uri=/api", false],
    ["uri~THINGS", true],
    ["uri!~things", false],
    ["route=example.com/*", true],
    ["route!=example.com/*", false],
    ["ms>12 ms<13 bytes<=1200", true],
    ["referer=", true],
    ["origin!=*x*", true],
    ["user-agent~curl", true],
  ])("%s: %s", (text, expected) => expect(holds(text)).toBe(expected));

  it.each([
    ["colour=red", /"colour" is not known: member, client/],
    ["__proto__=x", /no term/],
    ["constructor=x", /not known/],
    ["status>=many", /no number/],
    ["500", /"500" is no term: write name=value/],
    ["status=1 ".repeat(21), /20 terms at most/],
    ["x".repeat(2000), /1000 characters at most/],
  ])("refuses %s", (text, wrong) => {
    const filter = requestFilter(text);
    expect("wrong" in filter ? filter.wrong : "").toMatch(wrong);
  });

  it("matches stars as a regular expression would, without its worst cases", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("a", "b", "*") }),
        fc.string({ unit: fc.constantFrom("a", "b") }),
        (pattern, text) => {
          const expression = new RegExp(`^${pattern.replaceAll("*", ".*")}$`);
          expect(matches(pattern, text)).toBe(expression.test(text));
        },
      ),
    );
    expect(matches("*a".repeat(400), "a".repeat(100_000).concat("b"))).toBe(false);
  });
});
