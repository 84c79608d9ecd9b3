import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import {
  companyOf,
  isAlive,
  livingMembers,
  markStopping,
  processMarkOf,
  runFolder,
  takeFarewell,
  touchUsed,
  unmarkStopping,
  writeFarewell,
} from "./records.ts";

const { uid } = userInfo();
const made: string[] = [];
function place(): string {
  const folder = mkdtempSync(join(tmpdir(), "gyre-records-"));
  made.push(folder);
  return folder;
}
afterEach(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
});

describe("the run folder", () => {
  it("is the user's own runtime folder's, root's in /run, else one that is closed to others", () => {
    const [temporary, run, runtime] = [place(), place(), place()];
    expect(runFolder({ GYRE_RUN_DIR: join(runtime, "own") }, { uid, temporary, run })).toBe(join(runtime, "own"));
    expect(runFolder({ XDG_RUNTIME_DIR: runtime }, { uid, temporary, run })).toBe(join(runtime, "gyre"));
    expect(runFolder({}, { uid, temporary, run })).toBe(uid === 0 ? join(run, "gyre") : join(temporary, `gyre-${uid}`));
    expect(runFolder({ XDG_RUNTIME_DIR: "" }, { uid, temporary, run: "/nowhere" })).toBe(
      join(temporary, `gyre-${uid}`),
    );
    expect(lstatSync(join(temporary, `gyre-${uid}`)).mode & 0o777).toBe(0o700);
  });

  it("is not believed where others could have written it", () => {
    const temporary = place();
    const folder = join(temporary, `gyre-${uid}`);
    const at = (): string => runFolder({}, { uid, temporary, run: "/nowhere" });
    symlinkSync(place(), folder);
    expect(at).toThrow(/is a link: what stands in it cannot be believed/);
    rmSync(folder);
    mkdirSync(folder);
    chmodSync(folder, 0o777);
    expect(at).toThrow(/is open to other users/);
    chmodSync(folder, 0o700);
    expect(at()).toBe(folder);
    rmSync(folder, { recursive: true });
    writeFileSync(folder, "");
    expect(at).toThrow();
  });

  it.skipIf(uid !== 0)("is not believed where another user has made it first", () => {
    const temporary = place();
    const folder = join(temporary, "gyre-0");
    mkdirSync(folder, { mode: 0o700 });
    chownSync(folder, 65_534, 65_534);
    expect(() => runFolder({}, { uid, temporary, run: "/nowhere" })).toThrow(/belongs to user 65534/);
    expect(() => runFolder({ GYRE_RUN_DIR: folder }, { uid, temporary, run: "/nowhere" })).toThrow(/belongs to user/);
  });
});

it("a pid is believed with its start mark alone", () => {
  const { pid } = process;
  expect(isAlive({ pid, processMark: processMarkOf(pid) })).toBe(true);
  expect(isAlive({ pid, processMark: "1" })).toBe(false);
  if (processMarkOf(pid) !== "") expect(isAlive({ pid, processMark: "" })).toBe(false);
});

describe("the mark of a stop", () => {
  const pid = 4_000_000;
  const farewell = { name: "m1", pid, drained: true, cut: 0 };

  it("says with whom a member is stopped, and lets it say how it has ended", () => {
    const folder = place();
    expect(markStopping(folder, pid, ["m1", "m2"])).toBe(false);
    expect(companyOf(folder, pid)).toEqual(["m1", "m2"]);
    expect(markStopping(folder, pid, ["m1"])).toBe(true);
    writeFarewell(folder, farewell);
    expect(takeFarewell(folder, pid)).toEqual(farewell);
    unmarkStopping(folder, pid);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("counts for nothing where whoever made it has been ended: a later process may have that pid", () => {
    const folder = place();
    const by = { pid: process.pid, processMark: "of another process" };
    writeFileSync(join(folder, `stopping-${pid}`), JSON.stringify({ by, company: ["m1", "m2"] }));
    expect(companyOf(folder, pid)).toEqual([]);
    writeFarewell(folder, farewell);
    expect(takeFarewell(folder, pid)).toBe(null);
    expect(markStopping(folder, pid, ["m1"])).toBe(false);
    expect(companyOf(folder, pid)).toEqual(["m1"]);
  });

  it("is cleared away when it is older than any stop", () => {
    const folder = place();
    markStopping(folder, pid, ["m1"]);
    for (const name of ["left-4.json", "stopping-4", "stopping-5.6"]) {
      writeFileSync(join(folder, name), "{}");
      utimesSync(join(folder, name), 0, 0);
    }
    expect(livingMembers(folder)).toEqual([]);
    expect(readdirSync(folder)).toEqual([`stopping-${pid}`]);
  });
});

it("what a running member goes by is in use, whatever else lies there", () => {
  const folder = mkdtempSync(join(tmpdir(), "gyre-used-"));
  const used = ["secret-gyre", "view-gyre-m1.json", "view-gyre-m1.earlier.json", "logs/gyre-m1.log"];
  const others = ["secret-other", "view-gyre-m10.json", "view-other-m1.json", "left-7.json", "logs/gyre-m10.log"];
  mkdirSync(join(folder, "logs"));
  for (const file of [...used, ...others]) {
    writeFileSync(join(folder, file), "");
    utimesSync(join(folder, file), 1000, 1000);
  }
  touchUsed(folder, { cluster: "gyre", name: "m1" });
  const isOld = (file: string): boolean => statSync(join(folder, file)).mtimeMs === 1_000_000;
  expect(used.filter((file) => isOld(file))).toEqual([]);
  expect(others.filter((file) => isOld(file))).toEqual(others);
  rmSync(folder, { recursive: true });
});
