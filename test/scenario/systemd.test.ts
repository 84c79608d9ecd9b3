/** A member as a service of systemd: what it tells, the port that it is given, and what its unit allows it. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { ask } from "../support/client.ts";
import { endAll, program, root, secret, startMember, temporaryFolder, until } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

const hasSystemd = ["systemd-notify", "systemd-socket-activate", "systemd-analyze"].every((command) =>
  existsSync(`/usr/bin/${command}`),
);
if (!hasSystemd && process.env["CI"] === "true")
  throw new Error("systemd's commands are missing: apt-get install systemd");

let origin: TestOrigin;
const children: ChildProcess[] = [];
beforeAll(async () => {
  origin = await startOrigin((_, response) => void response.end("content"));
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await endAll();
});
afterAll(() => origin.close());

it.skipIf(!hasSystemd)("says when it is ready, that it lives, and that it stops", async () => {
  const path = join(temporaryFolder(), "notify");
  const listener = spawn("python3", [join(root, "test/support/notify-socket.py"), path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(listener);
  let told = "";
  listener.stdout.on("data", (bytes: Buffer) => (told += bytes.toString()));
  await until(() => told.includes("listening"), "it listens");
  const member = await startMember(["--origin", origin.url], { NOTIFY_SOCKET: path, WATCHDOG_USEC: "400000" });
  await until(() => told.includes("READY=1"), "it is ready");
  expect(told).toContain(`STATUS=proxy ${member.listen}`);
  // What is said by a process that is gone when systemd looks whose it was is lost: it stays until it has been heard.
  await until(() => told.includes("BARRIER=1"), "who says it waits until that has been heard");
  await until(() => told.split("WATCHDOG=1").length > 3, "it says that it lives, again and again");
  expect(await member.stop()).toBe(0);
  await until(() => told.includes("STOPPING=1"), "it stops");
});

it.skipIf(!hasSystemd)("says in its log that nothing can be told", async () => {
  const member = await startMember(["--origin", origin.url], { NOTIFY_SOCKET: join(temporaryFolder(), "nobody") });
  await until(() => member.output().includes("systemd-notify has failed (exit code 1)"), "it says so");
});

it.skipIf(!hasSystemd)("serves at a port that was opened for it, with one thread and with several", async () => {
  for (const threads of ["1", "3"]) {
    const probe = createServer().listen(0, "127.0.0.1");
    await once(probe, "listening");
    const { port } = probe.address() as AddressInfo;
    probe.close();
    await once(probe, "close");
    const ports = ["--listen", "fd:3", "--peer", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    const command = [process.execPath, program, "start", "--threads", threads, "--origin", origin.url, ...ports];
    const names = ["PATH", "GYRE_SECRET", "GYRE_RUN_DIR"].map((name) => `--setenv=${name}`);
    const child = spawn("systemd-socket-activate", ["-l", `127.0.0.1:${port}`, ...names, ...command], {
      stdio: "ignore",
      env: { ...process.env, GYRE_SECRET: secret, GYRE_RUN_DIR: temporaryFolder() },
    });
    children.push(child);
    // It starts with the first connection, which waits for it.
    await until(async () => (await ask(port, "/x")).text === "content", "it serves");
    child.kill("SIGTERM");
    const [code] = (await once(child, "exit")) as [number | null];
    expect(code).toBe(0);
  }
});

it.skipIf(!hasSystemd)("has a unit that gives it little", () => {
  const unit = join(root, "packaging/systemd/gyre.service");
  // Exposure from 0 to 10; the threshold is in tenths.
  const words = ["security", "--offline=true", "--threshold=30", "--no-pager", unit];
  expect(execFileSync("systemd-analyze", words, { encoding: "utf8" })).toContain("Overall exposure level");
});
