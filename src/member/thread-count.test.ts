import { expect, it } from "vitest";
import { threadCount } from "./thread-count.ts";

const machine = { platform: "linux", nodeVersion: "24.21.0", processors: 16 } as const;

const plenty = 4 * 2 ** 30;

it("is one for each processor, eight at most, where they can share a port", () => {
  expect(threadCount(undefined, plenty, machine)).toEqual({ threads: 8, why: "" });
  expect(threadCount(undefined, plenty, { ...machine, processors: 3 })).toEqual({ threads: 3, why: "" });
  expect(threadCount(undefined, plenty, { ...machine, nodeVersion: "23.1.0" }).threads).toBe(8);
});

it("is one elsewhere, and says why where there are more processors", () => {
  expect(threadCount(undefined, plenty, { ...machine, nodeVersion: "20.20.0" })).toEqual({
    threads: 1,
    why: "Node 23.1 or newer can share a port; this is 20.20.0",
  });
  expect(threadCount(undefined, plenty, { ...machine, platform: "darwin" }).why).toContain("Linux alone");
  expect(threadCount(undefined, plenty, { ...machine, nodeVersion: "20.20.0", processors: 1 }).why).toBe("");
});

it("is what was asked for, or nothing", () => {
  expect(threadCount(12, plenty, machine)).toEqual({ threads: 12, why: "" });
  expect(threadCount(1, plenty, { ...machine, nodeVersion: "20.20.0" })).toEqual({ threads: 1, why: "" });
  expect(() => threadCount(2, plenty, { ...machine, nodeVersion: "23.0.9" })).toThrow(
    /^threads: 2 cannot be had: Node 23\.1/,
  );
});

it("is fewer by default where threads would take more memory than the store", () => {
  const whyOf = "each takes some 40 MB beside the store's budget (threads: 8 has them all)";
  expect(threadCount(undefined, 32 * 2 ** 20, machine)).toEqual({ threads: 1, why: whyOf });
  expect(threadCount(undefined, 128 * 2 ** 20, machine)).toEqual({ threads: 3, why: whyOf });
  expect(threadCount(undefined, 32 * 2 ** 20, { ...machine, processors: 1 })).toEqual({ threads: 1, why: "" });
  expect(threadCount(8, 32 * 2 ** 20, machine).threads).toBe(8);
});
