import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Holds, type Hold, type Holder } from "../wire/holds.ts";
import { Body } from "./body.ts";
import type { ContentSink } from "./body-reader.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** An asker that takes so many bytes before it has to drain. */
class Sink implements ContentSink {
  closed = false;
  ended = false;
  aborted = false;
  received = "";
  trailers: readonly string[] = [];
  room: number;
  readonly holds = new Holds();
  constructor(room = Infinity) {
    this.room = room;
  }
  hold(holder: Holder): Hold {
    return this.holds.take(holder);
  }
  write(content: Buffer): boolean {
    this.received += content.toString("latin1");
    this.room -= content.length;
    return this.room > 0;
  }
  end(trailers: readonly string[] = []): void {
    this.ended = true;
    this.trailers = trailers;
  }
  abort(): void {
    this.aborted = true;
  }
  leave(): void {
    this.closed = true;
    this.holds.left();
  }
  drain(room: number): void {
    this.room = room;
    this.holds.drained();
  }
}

/**
 * An asker whose connection takes what was written to it later: only then are the bytes looked at. Pieces of up to so
 * many bytes it copies, as a link between members does: they are taken at once, those before them later.
 */
class LateSink extends Sink {
  readonly taken: Buffer[] = [];
  readonly #copiedBytesMax: number;
  readonly #written: { readonly content: Buffer; readonly taken: (() => void) | undefined }[] = [];
  constructor(room: number, copiedBytesMax = 0) {
    super(room);
    this.#copiedBytesMax = copiedBytesMax;
  }
  override write(content: Buffer, taken?: () => void): boolean {
    const isCopied = content.length <= this.#copiedBytesMax;
    this.#written.push(isCopied ? { content: Buffer.from(content), taken: undefined } : { content, taken });
    this.room -= content.length;
    if (isCopied) taken?.();
    return this.room > 0;
  }
  take(pieces: number): void {
    for (const { content, taken } of this.#written.splice(0, pieces)) {
      this.taken.push(Buffer.from(content));
      taken?.();
    }
  }
}

const text = (bytes: number): string => "abcdefghijklmnopqrstuvwxyz".repeat(Math.ceil(bytes / 26)).slice(0, bytes);

describe("Body", () => {
  it("gives every reader the bytes it asked for, however they arrive, are read, drained, joined and left", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("append" as const), bytes: fc.integer({ min: 1, max: 9000 }) }),
      fc.record({
        kind: fc.constant("read" as const),
        from: fc.nat(20_000),
        span: fc.option(fc.integer({ min: 1, max: 20_000 })),
        room: fc.integer({ min: 1, max: 30_000 }),
      }),
      fc.record({ kind: fc.constant("drain" as const), which: fc.nat(5), room: fc.integer({ min: 1, max: 30_000 }) }),
      fc.record({ kind: fc.constant("leave" as const), which: fc.nat(5) }),
      fc.record({ kind: fc.constant("pass" as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, keeping) => {
        const body = new Body(keeping ? "keeping" : "passing", null);
        const all = text(400_000);
        const readers: { sink: Sink; from: number; to: number | null; done: boolean[] }[] = [];
        let paused = false;
        body.source = { pause: () => (paused = true), resume: () => (paused = false) };
        for (const one of steps) {
          switch (one.kind) {
            case "append":
              if (!paused) body.append(Buffer.from(all.slice(body.bytes, body.bytes + one.bytes), "latin1"));
              break;
            case "read": {
              if (!body.whole) break;
              const sink = new Sink(one.room);
              const reader = {
                sink,
                from: one.from,
                to: one.span === null ? null : one.from + one.span,
                done: [] as boolean[],
              };
              readers.push(reader);
              body.read(sink, reader.from, reader.to, (complete) => reader.done.push(complete));
              break;
            }
            case "drain":
              readers[one.which]?.sink.drain(one.room);
              break;
            case "leave":
              readers[one.which]?.sink.leave();
              break;
            case "pass":
              body.pass();
          }
        }
        body.finish(["t", "1"]);
        for (let round = 0; round < 50; round++) for (const { sink } of readers) sink.drain(Infinity);
        for (const { sink, from, to, done } of readers) {
          const wanted = all.slice(Math.min(from, body.bytes), Math.min(to ?? body.bytes, body.bytes));
          expect(done.length, "told exactly once").toBe(1);
          expect(wanted.startsWith(sink.received)).toBe(true);
          if (!sink.closed) {
            expect(sink.received).toBe(wanted);
            expect([sink.ended, sink.trailers.length]).toEqual([true, to === null ? 2 : 0]);
          }
          expect(sink.holds.count).toBe(0);
        }
      }),
      { numRuns: 400 },
    );
  });

  it("gives what its source lends as it was, however late and in whatever order it is taken, and lets all of it go", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("append" as const), bytes: fc.integer({ min: 1, max: 65_536 }) }),
      fc.record({
        kind: fc.constant("read" as const),
        room: fc.integer({ min: 1, max: 200_000 }),
        copied: fc.constantFrom(0, 16 * 1024),
      }),
      fc.record({ kind: fc.constant("drain" as const), which: fc.nat(3), room: fc.integer({ min: 1, max: 200_000 }) }),
      fc.record({ kind: fc.constant("take" as const), which: fc.nat(3), pieces: fc.nat(5) }),
      fc.record({ kind: fc.constant("leave" as const), which: fc.nat(3) }),
      fc.record({ kind: fc.constant("pass" as const) }),
    );
    const all = Buffer.from(text(3_000_000), "latin1");
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, keeping) => {
        const body = new Body(keeping ? "keeping" : "passing", null);
        const sinks: LateSink[] = [];
        let [paused, lent] = [false, 0];
        let lend = (): (() => void) => () => {};
        body.source = { pause: () => (paused = true), resume: () => (paused = false), keep: () => lend() };
        for (const one of steps) {
          if (one.kind === "append" && !paused && body.bytes + one.bytes <= all.length) {
            // Memory that goes back to its source is read into again: whatever still points there sees other bytes.
            const memory = Buffer.from(all.subarray(body.bytes, body.bytes + one.bytes));
            let mine = 0;
            lend = () => {
              mine++;
              lent++;
              return () => {
                mine--;
                lent--;
                memory.fill(0);
              };
            };
            body.append(memory);
            if (mine === 0) memory.fill(0);
          } else if (one.kind === "read" && body.whole) {
            const sink = new LateSink(one.room, one.copied);
            sinks.push(sink);
            body.read(sink, 0, null, () => {});
          } else if (one.kind === "drain") sinks[one.which]?.drain(one.room);
          else if (one.kind === "take") sinks[one.which]?.take(one.pieces);
          else if (one.kind === "leave") sinks[one.which]?.leave();
          else if (one.kind === "pass") body.pass();
        }
        const { bytes } = body;
        body.finish();
        // One that comes when all is there, and the source has gone.
        if (body.whole) {
          const last = new LateSink(1);
          sinks.push(last);
          body.read(last, 0, null, () => {});
        }
        for (let round = 0; round < 60; round++)
          for (const sink of sinks) {
            sink.drain(Infinity);
            sink.take(Infinity);
          }
        for (const sink of sinks) {
          const taken = Buffer.concat(sink.taken);
          expect(taken.equals(all.subarray(0, taken.length))).toBe(true);
          if (!sink.closed) expect(taken.length).toBe(bytes);
        }
        // Until the first reader has come nothing is let go.
        if (sinks.length > 0) expect(lent).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  it("keeps all of it in one piece's worth of memory, where the length was known", () => {
    const body = new Body("keeping", 10_000);
    for (let at = 0; at < 10_000; at += 1000) body.append(Buffer.from(text(1000)));
    body.finish();
    expect([body.segments.length, body.joined().length]).toEqual([1, 10_000]);
  });

  it("breaks off whoever still reads when it fails", () => {
    const body = new Body("passing", null);
    const sink = new Sink();
    const done: boolean[] = [];
    body.read(sink, 0, null, (complete) => done.push(complete));
    body.append(Buffer.from("abc"));
    body.fail();
    expect([sink.aborted, sink.ended, done]).toEqual([true, false, [false]]);
  });

  it("goes on when its fastest reader does, however far behind another is that nobody waits for yet", () => {
    const body = new Body("keeping", null);
    let paused = false;
    body.source = { pause: () => (paused = true), resume: () => (paused = false) };
    const [fast, slow] = [new Sink(6 * 1024 * 1024), new Sink(1)];
    for (const sink of [fast, slow]) body.read(sink, 0, null, () => {});
    body.pass();
    const chunk = Buffer.alloc(1024 * 1024);
    for (let count = 0; count < 7; count++) body.append(chunk);
    expect(paused).toBe(true);
    fast.drain(Infinity);
    expect(paused).toBe(false);
    body.fail();
  });

  it("cuts a reader that keeps others waiting and takes nothing, but not for the time in which this process stood still", () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    let now = 0;
    vi.spyOn(performance, "now").mockImplementation(() => now);
    const body = new Body("passing", null);
    const [fast, slow] = [new Sink(), new Sink(1)];
    for (const sink of [fast, slow]) body.read(sink, 0, null, () => {});
    const chunk = Buffer.from(text(1024 * 1024));
    for (let count = 0; count < 12; count++) body.append(chunk);
    now += 15_000;
    vi.advanceTimersToNextTimer();
    expect(slow.aborted).toBe(false);
    for (const end = now + 10_000; now < end && !slow.aborted; now += 1000) vi.advanceTimersByTime(1000);
    expect([slow.aborted, now]).toEqual([true, 25_000]);
    body.fail();
  });

  it("makes the source wait for a reader that is far behind, rather than cut it", () => {
    const body = new Body("keeping", null);
    let paused = false;
    body.source = { pause: () => (paused = true), resume: () => (paused = false) };
    const [fast, slow] = [new Sink(), new Sink(1)];
    const done: boolean[] = [];
    body.read(fast, 0, null, (complete) => done.push(complete));
    body.read(slow, 0, null, (complete) => done.push(complete));
    const chunk = Buffer.from(text(1024 * 1024));
    for (let count = 0; count < 12; count++) body.append(chunk);
    body.pass();
    expect([paused, slow.aborted]).toEqual([true, false]);
    slow.drain(Infinity);
    expect(paused).toBe(false);
    body.append(chunk);
    body.finish();
    expect([fast.received.length, slow.received.length, done]).toEqual([
      13 * 1024 * 1024,
      13 * 1024 * 1024,
      [true, true],
    ]);
  });

  it("tells an asker that has left already, without reading anything for it", () => {
    const body = Body.of([Buffer.from("abc")]);
    const sink = new Sink();
    sink.leave();
    const done: boolean[] = [];
    body.read(sink, 0, null, (complete) => done.push(complete));
    expect([done, sink.received]).toEqual([[false], ""]);
  });
});
