import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrameReader, FrameType, FrameWriter, PayloadReader, payloadBytesMax, type Frame } from "./frames.ts";

interface Given {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly text: string;
  readonly content: Uint8Array;
}
const frame = fc.record({
  type: fc.integer({ min: 1, max: 40 }),
  flags: fc.nat(255),
  stream: fc.nat(2 ** 32 - 1),
  text: fc.string({ unit: "binary-ascii", maxLength: 3000 }),
  content: fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc.integer({ min: 16_000, max: 70_000 }).map((size) => new Uint8Array(size).fill(size % 256)),
  ),
});

function written(frames: readonly Given[]): Buffer {
  const writer = new FrameWriter();
  const pieces: Buffer[] = [];
  for (const [index, { type, flags, stream, text, content }] of frames.entries()) {
    writer.begin(type, flags, stream);
    writer.text(text);
    writer.f64(index);
    writer.end(Buffer.from(content));
    // Some leave together, some by themselves.
    if (index % 3 === 0) pieces.push(...writer.take().map((piece) => Buffer.from(piece)));
  }
  pieces.push(...writer.take());
  return Buffer.concat(pieces);
}

describe("frames", () => {
  it("read as they were written, however the bytes are split", () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 20 }),
        (frames, cuts) => {
          const bytes = written(frames);
          const reader = new FrameReader();
          const got: Frame[] = [];
          let at = 0;
          for (let turn = 0; at < bytes.length; turn++) {
            const end = Math.min(bytes.length, at + cuts[turn % cuts.length]!);
            expect(
              reader.feed(bytes.subarray(at, end), (one) => got.push({ ...one, payload: Buffer.from(one.payload) })),
            ).toBe(true);
            at = end;
          }
          expect(got.length).toBe(frames.length);
          for (const [index, { type, flags, stream, text, content }] of frames.entries()) {
            const one = got[index]!;
            expect([one.type, one.flags, one.stream]).toEqual([type, flags, stream]);
            const payload = new PayloadReader(one.payload);
            expect([payload.text(), payload.f64()]).toEqual([text, index]);
            expect(payload.rest().equals(Buffer.from(content))).toBe(true);
            expect(payload.broken).toBe(false);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it("never throw, whatever a stranger sends, and hold no more than one frame may be", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), (chunks) => {
        const reader = new FrameReader(1024);
        for (const chunk of chunks) {
          const fine = reader.feed(Buffer.from(chunk), ({ payload }) => {
            const inside = new PayloadReader(payload);
            for (const read of [
              () => inside.u8(),
              () => inside.text(),
              () => inside.u32(),
              () => inside.f64(),
              () => inside.bytes(7),
              () => inside.rest(),
            ])
              read();
          });
          if (!fine) return;
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("refuse a length beyond the bound before anything of it is kept", () => {
    const head = Buffer.alloc(10);
    head.writeUInt32BE(payloadBytesMax + 1);
    expect(new FrameReader().feed(head, () => {})).toBe(false);
    head.writeUInt32BE(1025);
    expect(new FrameReader(1024).feed(head, () => {})).toBe(false);
  });

  it("carry a view of thousands of members", () => {
    const members = Array.from({ length: 3000 }, (_, index) => ({
      name: `member-${index}`,
      listen: "10.0.0.1:8080",
      peer: "10.0.0.1:8081",
      admin: "10.0.0.1:8082",
      place: "x".repeat(80),
    }));
    const writer = new FrameWriter();
    writer.begin(FrameType.note, 0, 0);
    writer.end(Buffer.from(JSON.stringify(members)));
    let read: unknown[] = [];
    const fine = new FrameReader().feed(Buffer.concat(writer.take()), ({ payload }) => {
      read = JSON.parse(payload.toString()) as unknown[];
    });
    expect([fine, read.length]).toEqual([true, 3000]);
  });
});
