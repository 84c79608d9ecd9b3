/**
 * Put before a program (`--import`): from SIGUSR2 on, what it reads from places in files and writes to them takes long
 * or fails, as SLOW_FS says in JSON (`readMs`, `writeMs`, `fails`). In threads the call itself takes long, as it does
 * where a disk is slow; in the main thread, which must not wait, its answer comes late.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { isMainThread, setEnvironmentData, getEnvironmentData } from "node:worker_threads";

const { readMs = 0, writeMs = 0, fails = false } = JSON.parse(process.env.SLOW_FS ?? "{}");
if (isMainThread) {
  setEnvironmentData("slow-fs", new SharedArrayBuffer(4));
  process.on("SIGUSR2", () => Atomics.store(isOn, 0, 1));
}
const isOn = new Int32Array(getEnvironmentData("slow-fs"));
const failure = () => Object.assign(new Error("EIO: i/o error"), { code: "EIO" });

const { readSync, read, writev } = fs;
fs.readSync = (...given) => {
  if (Atomics.load(isOn, 0) === 0 || given.length < 5) return readSync(...given);
  if (fails) throw failure();
  if (readMs > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, readMs);
  return readSync(...given);
};
const late = (call, ms) => {
  return (...given) => {
    const done = given.at(-1);
    if (Atomics.load(isOn, 0) === 0 || typeof done !== "function" || typeof given.at(-2) !== "number")
      return call(...given);
    if (fails) return setTimeout(() => done(failure(), 0), 0);
    return setTimeout(() => call(...given), ms);
  };
};
fs.read = late(read, readMs);
fs.writev = late(writev, writeMs);
syncBuiltinESMExports();
