import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isatty } from "node:tty";
import { afterAll, expect, test, vi } from "vitest";
import { LineWriter } from "./line-writer.ts";

const writes = vi.hoisted(() => ({ count: 0 }));
vi.mock("node:fs", async (original) => {
  const fs = await original<typeof import("node:fs")>();
  const write = (...parameters: Parameters<typeof fs.write>): void => {
    writes.count++;
    fs.write(...parameters);
  };
  return { ...fs, write };
});

vi.mock("node:tty", async (original) => ({
  ...(await original<typeof import("node:tty")>()),
  isatty: vi.fn(() => false),
}));

const folder = mkdtempSync(join(tmpdir(), "gyre-lines-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("lines that come one by one are written together, ten times a second at most", async () => {
  const path = join(folder, "access.log");
  const writer = new LineWriter({ target: { path } });
  const lines: string[] = [];
  const begunMs = performance.now();
  while (performance.now() - begunMs < 400) {
    const line = `line ${lines.length}`;
    lines.push(line);
    writer.write(line);
    // Time for a write to end: the next lines wait for the next batch all the same.
    await new Promise((done) => setImmediate(done));
  }
  const tenths = (performance.now() - begunMs) / 100;
  await writer.end(1000);
  const text = readFileSync(path, "utf8");
  expect(text).toBe(`${lines.join("\n")}\n`);
  expect(lines.length).toBeGreaterThan(100);
  expect(writes.count).toBeLessThanOrEqual(2 + tenths + text.length / (64 * 1024));
});

test("many lines are written as soon as they are a batch", async () => {
  const path = join(folder, "busy.log");
  const writer = new LineWriter({ target: { path } });
  writes.count = 0;
  const line = "x".repeat(1000);
  for (let count = 0; count < 65; count++) writer.write(line);
  expect(writes.count).toBe(0);
  writer.write(line);
  expect(writes.count).toBe(1);
  await writer.end(1000);
  expect(readFileSync(path, "utf8").length).toBe(66 * 1001);
});

test.runIf(existsSync("/dev/full"))(
  "a file on a full disk is let go of, and what it did not take is counted",
  async () => {
    const open = (): number => readdirSync("/proc/self/fd").length;
    const before = open();
    const writer = new LineWriter({ target: { path: "/dev/full" } });
    writer.write("one");
    // It does not take it, and is tried again a second later.
    await writer.end(20);
    writer.write("two");
    writer.close();
    await vi.waitFor(() => expect(open()).toBe(before), { timeout: 5000 });
    expect(writer.dropped).toBe(2);
  },
);

test("members that a program starts one after the other leave nothing at its terminal, and none minds that it is gone", () => {
  const isTerminal = vi.mocked(isatty).mockReturnValue(true);
  const said = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  const before = process.stdout.listenerCount("error");
  const writers = Array.from({ length: 12 }, () => new LineWriter({ target: { fd: 1 } }));
  const listeners = process.stdout.listenerCount("error") - before;
  const tell = (): void => {
    for (const writer of writers) writer.write("a line");
  };
  tell();
  const taken = said.mock.calls.length;
  process.stdout.emit("error", new Error("EIO"));
  tell();
  const more = said.mock.calls.length - taken;
  said.mockRestore();
  isTerminal.mockReset();
  expect(listeners).toBe(1);
  expect([taken, more, writers.map(({ dropped }) => dropped)]).toEqual([12, 0, writers.map(() => 1)]);
});
