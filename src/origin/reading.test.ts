import fc from "fast-check";
import { expect, test } from "vitest";
import { Reading } from "./reading.ts";

/** Reads as Node does: into what it was given last, asking for more behind each. */
class Source {
  readonly #onread: Reading["onread"];
  buffer: Buffer;

  constructor(reading: Reading) {
    this.#onread = reading.onread;
    this.buffer = this.#onread.buffer();
  }

  read(bytes: number, mark: number): void {
    this.buffer.fill(mark, 0, bytes);
    this.#onread.callback(bytes);
    this.buffer = this.#onread.buffer();
  }
}

test("what has been kept stays as it was read until it is let go, whatever is read meanwhile on all connections", () => {
  const step = fc.record({
    connection: fc.nat(2),
    bytes: fc.oneof(fc.integer({ min: 1, max: 65_536 }), fc.constant(65_536)),
    isLong: fc.boolean(),
    ends: fc.boolean(),
    keeps: fc.boolean(),
    letsGo: fc.nat(3),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const kept: { readonly bytes: Buffer; readonly mark: number; readonly release: () => void }[] = [];
      let [keeps, mark] = [false, 0];
      const readings = [0, 1, 2].map(
        () =>
          new Reading((bytes) => {
            expect(bytes.every((byte) => byte === mark)).toBe(true);
            const release = keeps ? connections[at]!.reading.keep() : null;
            if (release !== null) kept.push({ bytes, mark, release });
          }),
      );
      const connections = readings.map((reading) => ({ reading, source: new Source(reading) }));
      let at = 0;
      for (const one of steps) {
        at = one.connection;
        keeps = one.keeps;
        mark = (mark + 1) % 256;
        connections[at]!.reading.begins(one.isLong);
        if (one.ends) connections[at]!.reading.ends();
        connections[at]!.source.read(one.bytes, mark);
        for (let left = one.letsGo; left > 0 && kept.length > 0; left--) {
          const [first] = kept.splice(0, 1);
          expect(first!.bytes.every((byte) => byte === first!.mark)).toBe(true);
          first!.release();
        }
      }
      for (const { bytes, mark: own } of kept) expect(bytes.every((byte) => byte === own)).toBe(true);
      for (const { release } of kept) release();
      for (const { reading } of connections) reading.over();
    }),
    { numRuns: 300 },
  );
});

test("a connection has a buffer for itself while a long content comes in large pieces, and until the next answer", () => {
  const kept: unknown[] = [];
  const reading: Reading = new Reading(() => kept.push(reading.keep()));
  const source = new Source(reading);
  const shared = source.buffer;
  reading.begins(false);
  source.read(200, 1);
  expect(source.buffer).toBe(shared);
  reading.begins(true);
  source.read(65_536, 2);
  expect(kept).toEqual([null, null]);
  expect(source.buffer).not.toBe(shared);
  // A trickle, an event stream for instance, would hold 64 KB for each of its pieces.
  source.read(100, 3);
  expect(source.buffer).toBe(shared);
  source.read(65_536, 4);
  reading.ends();
  source.read(100, 5);
  expect(source.buffer).not.toBe(shared);
  reading.begins(false);
  source.read(200, 6);
  expect(source.buffer).toBe(shared);
  reading.over();
});

test("of idle connections only so many have one", () => {
  const all = Array.from({ length: 100 }, () => {
    const reading = new Reading(() => {});
    const source = new Source(reading);
    const shared = source.buffer;
    reading.begins(true);
    source.read(65_536, 1);
    reading.ends();
    source.read(100, 1);
    return { reading, source, hasOwn: () => source.buffer !== shared };
  });
  expect(all.filter(({ hasOwn }) => hasOwn()).length).toBe(64);
  // One that goes, and one that is used, make room.
  all[0]!.reading.over();
  all[1]!.reading.begins(false);
  all[1]!.source.read(10, 1);
  for (const { reading, source } of all.slice(98)) {
    reading.begins(true);
    source.read(65_536, 1);
    reading.ends();
    source.read(100, 1);
  }
  expect(all.slice(98).every(({ hasOwn }) => hasOwn())).toBe(true);
  for (const { reading } of all) reading.over();
});

test("what is let go at once is read into again", () => {
  const reading: Reading = new Reading(() => reading.keep()?.());
  const source = new Source(reading);
  reading.begins(true);
  source.read(65_536, 1);
  const own = source.buffer;
  for (let round = 0; round < 10; round++) source.read(65_536, round);
  expect(source.buffer).toBe(own);
  reading.over();
});
