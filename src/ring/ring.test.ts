import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { murmur3 } from "./murmur3.ts";
import { keyHash, owner, ringOf, successors, type RingMember } from "./ring.ts";
import { moves, peakToMean, shares } from "./shares.ts";

const equal = (count: number): RingMember[] =>
  Array.from({ length: count }, (_, index) => ({ name: `m${index + 1}`, weight: 1 }));
const memberList = fc.uniqueArray(
  fc.record({ name: fc.stringMatching(/^[a-z][a-z0-9.-]{0,11}$/), weight: fc.constantFrom(0.5, 1, 2, 3) }),
  { minLength: 1, maxLength: 12, selector: ({ name }) => name },
);

describe("murmur3", () => {
  // Appleby's reference implementation (smhasher, MurmurHash3_x86_32) and the vectors published with it.
  it.each([
    ["", 0, 0x00000000],
    ["", 1, 0x514e28b7],
    ["", 0xffffffff, 0x81f16f39],
    ["test", 0, 0xba6bd213],
    ["test", 0x9747b28c, 0x704b81dc],
    ["Hello, world!", 0, 0xc0363e43],
    ["Hello, world!", 0x9747b28c, 0x24884cba],
    ["The quick brown fox jumps over the lazy dog", 0, 0x2e4ff723],
    ["The quick brown fox jumps over the lazy dog", 0x9747b28c, 0x2fa826cd],
    ["aaaa", 0x9747b28c, 0x5a97808a],
    ["aaa", 0x9747b28c, 0x283e0130],
    ["aa", 0x9747b28c, 0x5d211726],
    ["a", 0x9747b28c, 0x7fa09ea6],
  ])("of %j with seed %d is the published value", (text, seed, hash) => {
    expect(murmur3(text, seed)).toBe(hash);
  });
});

describe("ringOf", () => {
  it("does not depend on the order of the members", () => {
    fc.assert(
      fc.property(memberList, fc.array(fc.webUrl(), { minLength: 20 }), (members, keys) => {
        const [one, other] = [ringOf(members), ringOf([...members].reverse())];
        for (const key of keys) expect(owner(one, keyHash(key)).name).toBe(owner(other, keyHash(key)).name);
      }),
      { numRuns: 40 },
    );
  });

  it("moves keys only to a newcomer, and only from one that leaves", () => {
    fc.assert(
      fc.property(memberList, (members) => {
        const grown = moves(ringOf(members), ringOf([...members, { name: "~newcomer", weight: 1 }]));
        expect(grown.every(({ to }) => to === "~newcomer")).toBe(true);
        const shrunk = moves(ringOf([...members, { name: "~leaver", weight: 1 }]), ringOf(members));
        expect(shrunk.every(({ from }) => from === "~leaver")).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it("gives the whole key space away, by weight", () => {
    fc.assert(
      fc.property(memberList, (members) => {
        const owned = shares(ringOf(members));
        expect([...owned.values()].reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9);
      }),
      { numRuns: 40 },
    );
    const weighted = shares(
      ringOf([
        { name: "a", weight: 2 },
        { name: "b", weight: 1 },
        { name: "c", weight: 1 },
      ]),
    );
    expect(weighted.get("a")).toBeCloseTo(0.5, 1);
  });

  it("spreads the keys of three members better than the 50/30/20 of one token each", () => {
    expect(peakToMean(ringOf(equal(3)))).toBeLessThan(1.05);
    expect(peakToMean(ringOf(equal(10)))).toBeLessThan(1.08);
  });

  it("places keys as it did when these were written down: another placement needs another version", () => {
    const ring = ringOf(equal(5));
    const placed = [
      "http://example.com/",
      "http://example.com/a",
      "https://example.org/b?c=d",
      "http://localhost:3000/index.html",
      "http://[::1]/x",
    ].map((key) => owner(ring, keyHash(key)).name);
    expect(placed).toEqual(goldenOwners);
    expect([...ring.tokens.subarray(0, 5)]).toEqual(goldenTokens);
  });

  it("names distinct successors, the owner first, every member once", () => {
    const ring = ringOf(equal(7));
    const order = [...successors(ring, keyHash("http://example.com/"))].map(({ name }) => name);
    expect(order[0]).toBe(owner(ring, keyHash("http://example.com/")).name);
    expect(new Set(order).size).toBe(7);
  });

  it("finds every position's owner as a plain search over the tokens does", () => {
    const ring = ringOf(equal(9), 50);
    fc.assert(
      fc.property(fc.nat(0xffffffff), (hash) => {
        const index = ring.tokens.findIndex((token) => token >= hash);
        expect(owner(ring, hash)).toBe(ring.members[ring.owners[index === -1 ? 0 : index]!]);
      }),
    );
  });
});

const goldenOwners: string[] = ["m4", "m5", "m5", "m2", "m2"];
const goldenTokens: number[] = [564749, 607593, 1133921, 2056738, 2611277];
