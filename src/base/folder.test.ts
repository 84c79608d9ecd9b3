import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { makeFolder } from "./folder.ts";

const base = mkdtempSync(join(tmpdir(), "gyre-folder-"));
afterAll(() => rmSync(base, { recursive: true }));

it("makes what is missing, with its mode, and leaves what is there", () => {
  const path = join(base, "a/b/c");
  makeFolder(path, 0o700);
  makeFolder(path, 0o755);
  expect([statSync(path), statSync(join(base, "a"))].map(({ mode }) => mode & 0o777)).toEqual([0o700, 0o700]);
});

it.skipIf(process.platform !== "linux")("ends where no folder can be made", () => {
  expect(() => makeFolder("/proc/none/below")).toThrow("ENOENT: no such file or directory, mkdir '/proc/none'");
});

it("says so where something else is in its place", () => {
  const file = join(base, "file");
  writeFileSync(file, "");
  symlinkSync(join(base, "nowhere"), join(base, "link"));
  expect(() => makeFolder(file)).toThrow("ENOTDIR");
  expect(() => makeFolder(join(file, "below"))).toThrow("ENOTDIR");
  expect(() => makeFolder(join(base, "link"))).toThrow("ENOENT");
});
