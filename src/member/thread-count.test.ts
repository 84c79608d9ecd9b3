import { expect, it } from "vitest";
import { threadCount } from "./thread-count.ts";

const machine = { platform: "linux", nodeVersion: "24.21.0", processors: 16 } as const;

it("is one for each processor, eight at most, where they can share a port", () => {
  expect(threadCount(undefined, machine)).toEqual({ threads: 8, why: "" });
  expect(threadCount(undefined, { ...machine, processors: 3 })).toEqual({ threads: 3, why: "" });
  expect(threadCount(undefined, { ...machine, nodeVersion: "23.1.0" }).threads).toBe(8);
});

it("is one elsewhere, and says why where there are more processors", () => {
  expect(threadCount(undefined, { ...machine, nodeVersion: "20.20.0" })).toEqual({
    threads: 1,
    why: "Node 23.1 or newer can share a port between threads; this is 20.20.0",
  });
  expect(threadCount(undefined, { ...machine, platform: "darwin" }).why).toContain("Linux alone");
  expect(threadCount(undefined, { ...machine, nodeVersion: "20.20.0", processors: 1 }).why).toBe("");
});

it("is what was asked for, or nothing", () => {
  expect(threadCount(12, machine)).toEqual({ threads: 12, why: "" });
  expect(threadCount(1, { ...machine, nodeVersion: "20.20.0" })).toEqual({ threads: 1, why: "" });
  expect(() => threadCount(2, { ...machine, nodeVersion: "23.0.9" })).toThrow(/^threads: 2 cannot be had: Node 23\.1/);
});
