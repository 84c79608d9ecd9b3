import { describe, expect, it } from "vitest";
import { defaultMemory } from "./default-memory.ts";

describe("defaultMemory", () => {
  it("is a quarter of the machine's, or of the container's where that is less", () => {
    const gigabyte = 2 ** 30;
    expect(defaultMemory(24 * gigabyte, 0)).toBe(6 * gigabyte);
    expect(defaultMemory(24 * gigabyte, 2 ** 63)).toBe(6 * gigabyte);
    expect(defaultMemory(24 * gigabyte, gigabyte / 2)).toBe(gigabyte / 8);
    expect(defaultMemory(1024 * gigabyte, 0), "what a store can have at most").toBe(64 * gigabyte);
  });
});
