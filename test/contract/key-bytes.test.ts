/** The hash of keys, which strangers choose: it must spread them, and none may be found that collide whatever its seed. */
import { expect, it } from "vitest";
import { KeyBytes } from "../../src/store/pages/key-bytes.ts";

const hashesOf = (seed: number, keys: readonly string[]): Set<number> => {
  const bytes = new KeyBytes(seed);
  return new Set(keys.map((key) => bytes.set(key).hash));
};

it("keys that collide in murmur3 whatever its seed do not", () => {
  const inverse = (odd: number): number => {
    let x = odd | 0;
    for (let turn = 0; turn < 6; turn++) x = Math.imul(x, 2 - Math.imul(odd, x));
    return x;
  };
  const [c1, c2] = [0xcc9e2d51, 0x1b873593];
  const turned = (word: number, by: number): number => (word << by) | (word >>> (32 - by));
  const mixed = (word: number): number => Math.imul(turned(Math.imul(word, c1), 15), c2);
  const unmixed = (word: number): number => Math.imul(turned(Math.imul(word, inverse(c2)), 17), inverse(c1));
  const text = (word: number): string => Buffer.from(Uint32Array.of(word).buffer).toString("latin1");
  // What differs in the first word comes to the uppermost bit, and the second takes it back: Aumasson and Bernstein.
  const [first, second] = [0x64636261, 0x68676665];
  const one = text(first) + text(second);
  const other = text(unmixed(mixed(first) ^ (1 << 18))) + text(unmixed(mixed(second) ^ (1 << 31)));
  const keys = Array.from({ length: 1024 }, (_, number) =>
    Array.from({ length: 10 }, (_, bit) => ((number >> bit) & 1 ? one : other)).join(""),
  );
  for (const seed of [0, 1, 0x7fffffff, 2 ** 40 + 7]) expect(hashesOf(seed, keys).size).toBeGreaterThan(1020);
});

it("every part of a key and of the seed counts, and keys that are like each other are spread evenly", () => {
  const keys = Array.from({ length: 8192 }, (_, number) => `http://h/${number}`);
  for (const seed of [1, 2, 2 ** 33]) {
    const hashes = [...hashesOf(seed, keys)];
    expect(hashes.length).toBeGreaterThan(8185);
    // Upper bits name segments, lower ones a place in them: 64 of each, some 128 keys in one.
    for (const shift of [26, 0]) {
      const counts = new Array<number>(64).fill(0);
      for (const hash of hashes) counts[(hash >>> shift) & 63]!++;
      expect(Math.max(...counts)).toBeLessThan(190);
      expect(Math.min(...counts)).toBeGreaterThan(75);
    }
  }
  const others = hashesOf(1 + 2 ** 32, keys.slice(0, 10));
  expect([...hashesOf(1, keys.slice(0, 10))].filter((hash) => others.has(hash))).toEqual([]);
  // The padding is no part of it.
  expect(hashesOf(1, ["a", "a\0", "a\0\0", "a\0\0\0", ""]).size).toBe(5);
});
