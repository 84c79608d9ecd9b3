import { describe, expect, it } from "vitest";
import { isFollowed, traceOf, withTrace, type Tracing } from "./trace.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const parentId = "00f067aa0ba902b7";
const sampled = ["traceparent", `00-${traceId}-${parentId}-01`, "tracestate", "vendor=1"];
const chosen = { chance: () => 0, hex: (digits: number) => "a".repeat(digits) };
const passed = { chance: () => 0.99, hex: chosen.hex };
const exporting: Tracing = { exports: true, sample: 0 };
const sampling: Tracing = { exports: false, sample: 10 };

describe("a trace", () => {
  it("that a believed client follows goes on with a part of its own, where somebody is told", () => {
    const trace = traceOf(sampled, exporting, true, passed)!;
    expect(trace).toEqual({ traceId, parentId, spanId: "a".repeat(16) });
    expect(withTrace(["host", "h", ...sampled], trace)).toEqual([
      "host",
      "h",
      "tracestate",
      "vendor=1",
      "traceparent",
      `00-${traceId}-${"a".repeat(16)}-01`,
    ]);
    expect(isFollowed(sampled, exporting, true)).toBe(true);
    expect(isFollowed(sampled, exporting, false)).toBe(false);
    expect(traceOf(sampled, sampling, true, chosen), "nobody is told").toBeNull();
    expect(
      traceOf(["traceparent", `00-${traceId}-${parentId}-00`], exporting, true, chosen),
      "not followed",
    ).toBeNull();
  });

  it("begins where sampling says so, for who brings none, and leaves state behind that belongs to none", () => {
    expect(traceOf([], sampling, false, passed)).toBeNull();
    const begun = traceOf([], sampling, false, chosen)!;
    expect(begun).toEqual({ traceId: "a".repeat(32), parentId: null, spanId: "a".repeat(16) });
    expect(withTrace(["tracestate", "vendor=1"], begun)).toEqual([
      "traceparent",
      `00-${"a".repeat(32)}-${"a".repeat(16)}-01`,
    ]);
    const both: Tracing = { exports: true, sample: 1 };
    expect(traceOf(sampled, both, false, passed), "who is not believed is left alone").toBeNull();
  });

  it.each([
    `ff-${traceId}-${parentId}-01`,
    `00-${"0".repeat(32)}-${parentId}-01`,
    `00-${traceId}-${"0".repeat(16)}-01`,
    `00-${traceId.toUpperCase()}-${parentId}-01`,
    `00-${traceId}-${parentId}-01-more`,
    `00-${traceId}-${parentId}`,
    "",
  ])("is none where it is written so: %s", (line) => {
    expect(isFollowed(["traceparent", line], exporting, true)).toBe(false);
  });

  it("of a later version counts as far as it is known, and two are none", () => {
    expect(isFollowed(["traceparent", `01-${traceId}-${parentId}-01-more`], exporting, true)).toBe(true);
    expect(isFollowed([...sampled, ...sampled], exporting, true)).toBe(false);
    expect(withTrace(sampled, null)).toBe(sampled);
  });
});
