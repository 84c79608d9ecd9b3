import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { Coder } from "./coder.ts";

describe("a coder", () => {
  it("lets go of all that it was given, also where nobody wants the rest", async () => {
    let untaken = 0;
    const coder = Coder.coding("gzip", "stored", null, {
      data: () => {},
      end: () => {},
      failed: () => {},
      drained: () => {},
    })!;
    coder.pause();
    for (let count = 0; count < 20; count++) {
      untaken++;
      coder.write(randomBytes(100_000), () => untaken--);
    }
    await new Promise((done) => setImmediate(done));
    expect(untaken).toBeGreaterThan(0);
    coder.destroy();
    while (untaken > 0) await new Promise((done) => setImmediate(done));
    expect(untaken).toBe(0);
  });

  it("says as often that it has taken something as it was given something, by whatever function", async () => {
    const ended = new EventTarget();
    const coder = Coder.coding("gzip", "stored", null, {
      data: () => {},
      end: () => ended.dispatchEvent(new Event("end")),
      failed: () => {},
      drained: () => {},
    })!;
    let untaken = 0;
    const taken = (): void => void untaken--;
    const over = once(ended, "end");
    for (let count = 0; count < 5; count++) {
      untaken++;
      coder.write(randomBytes(2000), taken);
    }
    coder.end();
    await over;
    expect(untaken).toBe(0);
  });

  it("gives what it was given, whatever the pieces", async () => {
    const pieces = Array.from({ length: 50 }, () => randomBytes(7000).toString("hex"));
    const out: Buffer[] = [];
    const ended = new EventTarget();
    const coder = Coder.coding("gzip", "passing", null, {
      data: (chunk) => out.push(chunk),
      end: () => ended.dispatchEvent(new Event("end")),
      failed: () => {},
      drained: () => {},
    })!;
    const over = once(ended, "end");
    for (const piece of pieces) coder.write(Buffer.from(piece), () => {});
    coder.end();
    await over;
    expect(gunzipSync(Buffer.concat(out)).toString()).toBe(pieces.join(""));
  });

  it("is one of 64 at most: then there is none for the next, until one has gone", async () => {
    const listener = { data: () => {}, end: () => {}, failed: () => {}, drained: () => {} };
    const all = Array.from({ length: 64 }, () => Coder.coding("br", "stored", null, listener));
    expect(all).not.toContain(null);
    expect(Coder.coding("br", "stored", null, listener)).toBeNull();
    all[0]!.destroy();
    const next = Coder.coding("br", "stored", null, listener);
    expect(next).not.toBeNull();
    for (const coder of [...all, next]) coder!.destroy();
  });
});
