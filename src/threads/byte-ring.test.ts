import fc from "fast-check";
import { expect, it } from "vitest";
import { ByteRing } from "./byte-ring.ts";
import { frame, ThreadLink } from "./thread-link.ts";

it("gives what was written, in order, however full it is and wherever it wraps", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.record({ bytes: fc.nat(256) }), fc.record({ frames: fc.integer({ min: 1, max: 5 }) })), {
        maxLength: 200,
      }),
      fc.nat(1000),
      (steps, seed) => {
        const memory = ByteRing.memory(1024);
        const [writer, reader] = [new ByteRing(memory), new ByteRing(memory)];
        const written: string[] = [];
        const read: string[] = [];
        let count = seed;
        const take = (kind: number, number: number, content: Buffer): void => {
          read.push(`${kind}/${number}/${content.toString("latin1")}`);
        };
        for (const step of steps) {
          if ("frames" in step) reader.read(take, step.frames);
          else {
            const content = step.bytes === 0 ? null : Buffer.alloc(step.bytes, `${count++};`);
            if (writer.write(count % 7, count | 0, content))
              written.push(`${count % 7}/${count | 0}/${content?.toString("latin1") ?? ""}`);
          }
        }
        while (reader.read(take, 100) > 0);
        expect(read).toEqual(written);
      },
    ),
  );
});

it("carries more than it holds, both ways at once, and nobody waits for ever", async () => {
  const [there, back] = [ByteRing.memory(4096), ByteRing.memory(4096)];
  const received: [number[], number[]] = [[], []];
  const failed = (error: Error): void => {
    throw error;
  };
  const frames = 3000;
  await new Promise<void>((resolve) => {
    const taking =
      (side: 0 | 1) =>
      (kind: number, number: number, content: Buffer): void => {
        expect([kind, content.length, content[0]]).toEqual([frame.data, 900, number & 0xff]);
        received[side].push(number);
        if (received[0].length === frames && received[1].length === frames) resolve();
      };
    const one = new ThreadLink(new ByteRing(back), new ByteRing(there), taking(0), failed);
    const other = new ThreadLink(new ByteRing(there), new ByteRing(back), taking(1), failed);
    for (let number = 0; number < frames; number++)
      for (const link of [one, other]) link.send(frame.data, number, Buffer.alloc(900, number & 0xff));
  });
  const inOrder = Array.from({ length: frames }, (_, number) => number);
  expect(received).toEqual([inOrder, inOrder]);
});

it("carries content longer than a frame, in frames of the same kind", async () => {
  const memory = ByteRing.memory(4096);
  const content = Buffer.from(Array.from({ length: 10_000 }, (_, index) => index % 251));
  let received = Buffer.alloc(0);
  await new Promise<void>((resolve) => {
    const take = (_kind: number, _number: number, piece: Buffer): void => {
      received = Buffer.concat([received, piece]);
      if (received.length === content.length) resolve();
    };
    const ring = new ByteRing(memory);
    void new ThreadLink(ring, new ByteRing(ByteRing.memory(4096)), take, () => {});
    const sender = new ThreadLink(
      new ByteRing(ByteRing.memory(4096)),
      new ByteRing(memory),
      () => {},
      () => {},
    );
    sender.send(frame.data, 1, content);
  });
  expect(received.equals(content)).toBe(true);
});
