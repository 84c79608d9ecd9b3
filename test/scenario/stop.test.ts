/** `gyre stop`, and what it leaves: who inherits, who is found, and a run folder in which nothing stays. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { livingMembers, recordOf } from "../../src/member/records.ts";
import { ask } from "../support/client.ts";
import { gyre } from "../support/command.ts";
import {
  endAll,
  program,
  root,
  secret,
  settled,
  startMember,
  statusOf,
  temporaryFolder,
  until,
} from "../support/member.ts";
import { startOrigin } from "../support/origin.ts";

/** A member that may never be ready: it is ended whatever becomes of the test. */
let late: ChildProcess | null = null;
afterEach(async () => {
  late?.kill("SIGKILL");
  await endAll();
});

type Results = readonly { readonly name: string; readonly result: string }[];
const stopped = async (folder: string, ...names: string[]): Promise<Results> =>
  (JSON.parse((await gyre(["stop", "--json", ...names], folder)).output) as Results).map(({ name, result }) => ({
    name,
    result,
  }));
const left = (folder: string): readonly string[] => readdirSync(folder).filter((name) => !name.startsWith("view-"));

it("of all that run here hands over what they have where others go on elsewhere", async () => {
  const origin = await startOrigin((request, response) => {
    response.setHeader("cache-control", "max-age=3600");
    response.end(request.url);
  });
  // Each folder is a machine: what runs in the one is not seen in the other.
  const [here, elsewhere] = [temporaryFolder(), temporaryFolder()];
  // Whoever has no processor for a moment is not gone round.
  const site = ["--origin", origin.url, "--memory", "64MB", "--still-after", "1500ms"];
  const m1 = await startMember(["--name", "m1", ...site], { GYRE_RUN_DIR: elsewhere });
  const joining = ["--coordinator", `http://${m1.peer}`, ...site];
  const m2 = await startMember(["--name", "m2", ...joining], { GYRE_RUN_DIR: here });
  const m3 = await startMember(["--name", "m3", ...joining], { GYRE_RUN_DIR: here });
  await settled([m1, m2, m3]);
  const paths = Array.from({ length: 60 }, (_, index) => `/p${index}`);
  const read = async (): Promise<void> => {
    for (const path of paths) expect((await ask(m1.port, path, { headers: { host: "site.test" } })).text).toBe(path);
  };
  await read();
  expect(await stopped(here)).toEqual([
    { name: "m2", result: "drained" },
    { name: "m3", result: "drained" },
  ]);
  await until(async () => (await statusOf(m1)).members.length === 1, "m1 is alone");
  await read();
  expect(origin.asked.length).toBe(paths.length);
  expect(left(here)).toEqual([]);
  await origin.close();
}, 60_000);

it("finds a member that has not joined yet, and so does `gyre status`", async () => {
  const folder = temporaryFolder();
  const host = await startMember(["--name", "m1"]);
  host.child.kill("SIGSTOP");
  const flags = ["--listen", "--peer", "--admin"].flatMap((flag) => [flag, "127.0.0.1:0"]);
  const child = spawn(
    process.execPath,
    [program, "start", "--name", "late", "--coordinator", `http://${host.peer}`, ...flags, "--access-log", "off"],
    { stdio: "ignore", env: { ...process.env, GYRE_SECRET: secret, GYRE_RUN_DIR: folder } },
  );
  late = child;
  const ended = once(child, "exit");
  await until(() => left(folder).length === 1, "it listens");
  const shown = await gyre(["status"], folder, { GYRE_SECRET: secret });
  expect(shown.output).toContain(`late (pid ${child.pid}, admin 127.0.0.1:`);
  expect(shown.output).toContain(`listens and has not joined yet: it looks for the others at http://${host.peer}`);
  const { starting } = JSON.parse((await gyre(["status", "--json"], folder, { GYRE_SECRET: secret })).output) as {
    starting: readonly object[];
  };
  expect(starting).toMatchObject([{ name: "late", pid: child.pid, coordinator: `http://${host.peer}` }]);
  expect(await stopped(folder)).toEqual([{ name: "late", result: "drained" }]);
  expect(await ended).toEqual([0, null]);
  expect(left(folder)).toEqual([]);
  host.child.kill("SIGCONT");
}, 60_000);

it("leaves no word behind of a member that somebody else has told to leave", async () => {
  const folder = temporaryFolder();
  const member = await startMember([], { GYRE_RUN_DIR: folder });
  expect(await member.stop()).toBe(0);
  expect(left(folder)).toEqual([]);
});

it("goes on where another stop was ended in the middle", async () => {
  const folder = temporaryFolder();
  const member = await startMember(["--name", "m1"], { GYRE_RUN_DIR: folder });
  const mark = { by: { pid: 4_194_303, processMark: "0" }, company: ["m1"] };
  writeFileSync(join(folder, `stopping-${member.pid}`), JSON.stringify(mark));
  expect(await stopped(folder)).toEqual([{ name: "m1", result: "drained" }]);
  expect(left(folder)).toEqual([]);
});

it("waits where the member leaves already: what is being answered is not cut", async () => {
  const folder = temporaryFolder();
  let finish = (): void => {};
  const origin = await startOrigin((_request, response) => {
    response.write("first ");
    finish = () => response.end("last");
  });
  const member = await startMember(["--name", "m1", "--origin", origin.url], { GYRE_RUN_DIR: folder });
  const answer = ask(member.port, "/", { headers: { host: "site.test" } });
  await until(() => origin.asked.length === 1, "an answer is on its way");
  member.child.kill("SIGTERM");
  await until(async () => (await statusOf(member)).members.every(({ state }) => state === "draining"), "it drains");
  const stops = stopped(folder);
  await until(() => left(folder).includes(`stopping-${member.pid}`), "it is being stopped");
  finish();
  expect((await answer).text).toBe("first last");
  expect(await stops).toEqual([{ name: "m1", result: "drained" }]);
  expect(left(folder)).toEqual([]);
  await origin.close();
}, 60_000);

it("a member whose run folder is gone leads and leaves as before", async () => {
  const folder = temporaryFolder();
  let finish = (): void => {};
  const origin = await startOrigin((_request, response) => {
    response.write("first ");
    finish = () => response.end("last");
  });
  const site = ["--origin", origin.url];
  const m1 = await startMember(["--name", "m1", ...site], { GYRE_RUN_DIR: folder });
  rmSync(folder, { recursive: true });
  const m2 = await startMember(["--name", "m2", "--coordinator", `http://${m1.peer}`, ...site]);
  await settled([m1, m2]);
  const m3 = await startMember(["--name", "m3", "--coordinator", `http://${m1.peer}`, ...site]);
  await settled([m1, m2, m3]);
  const answer = ask(m1.port, "/", { headers: { host: "site.test" } });
  await until(() => origin.asked.length === 1, "an answer is on its way");
  const ended = once(m1.child, "exit");
  m1.child.kill("SIGTERM");
  await until(async () => (await statusOf(m2)).members.some(({ state }) => state === "draining"), "m1 drains");
  finish();
  expect((await answer).text).toBe("first last");
  expect(await ended).toEqual([0, null]);
  expect(m1.output()).toContain("cannot be written to the run folder");
  await origin.close();
}, 60_000);

it("a member whose terminal is gone leaves in order", async () => {
  const folder = temporaryFolder();
  let finish = (): void => {};
  const origin = await startOrigin((_request, response) => {
    response.write("first ");
    finish = () => response.end("last");
  });
  const flags = ["--listen", "--peer", "--admin"].flatMap((flag) => [flag, "127.0.0.1:0"]);
  const terminal = spawn(
    "python3",
    [join(root, "test/support/own-terminal.py"), process.execPath, program, "start", "--origin", origin.url, ...flags],
    { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, GYRE_SECRET: secret, GYRE_RUN_DIR: folder } },
  );
  late = terminal;
  let code = "";
  terminal.stdout.on("data", (bytes: Buffer) => (code += bytes.toString()));
  const ended = once(terminal, "exit");
  await until(() => livingMembers(folder)[0]?.state === "ready", "it is ready");
  const [member] = livingMembers(folder);
  const port = Number(member!.listen.split(":").at(-1));
  const answer = ask(port, "/", { headers: { host: "site.test" } });
  await until(() => origin.asked.length === 1, "an answer is on its way");
  terminal.stdin.end();
  await until(() => recordOf(folder, member!.pid)?.state === "draining", "it drains");
  finish();
  expect((await answer).text).toBe("first last");
  await ended;
  expect(code.trim()).toBe("0");
  expect(left(folder)).toEqual([]);
  await origin.close();
}, 60_000);

it("serves on, not ready any more, for as long as balancers are given to find that out", async () => {
  const origin = await startOrigin((request, response) => {
    response.setHeader("cache-control", "max-age=60");
    response.end(request.url);
  });
  const member = await startMember(["--origin", origin.url, "--drain-limit", "60s", "--drain-notice", "6s"]);
  const ready = async (): Promise<number> => (await fetch(`http://${member.admin}/readyz`)).status;
  expect(await ready()).toBe(200);
  const code = member.stop();
  await until(async () => (await ready()) === 503, "it says that it is not ready");
  // Each by a connection of its own, of two at once: what is stored, and what is not yet.
  for (const path of ["/a", "/a", "/b"]) {
    const both = await Promise.all([1, 2].map(() => ask(member.port, path, { headers: { host: "site.test" } })));
    expect(both.map(({ status, text }) => [status, text])).toEqual([
      [200, path],
      [200, path],
    ]);
  }
  expect(await code).toBe(0);
  await expect(ask(member.port, "/a")).rejects.toThrow("ECONNREFUSED");
  await origin.close();
});
