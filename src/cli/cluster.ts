/**
 * `gyre cluster`: N members on this machine, each a process of its own. In the foreground Ctrl-C ends them all; with
 * `--detach` they go on, and `gyre stop` ends them.
 */
import type { ChildProcess } from "node:child_process";
import { openSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { makeFolder } from "../base/folder.ts";
import { hostPortOf, hostPortText, type HostPort } from "../base/host-port.ts";
import { defaultMemory } from "../config/default-memory.ts";
import { livingMembers, markStopping, memberLog, runFolder, takeFarewell, unmarkStopping } from "../member/records.ts";
import { rendered } from "./status.ts";
import { deniedIn, shortForm } from "../config/listeners.ts";
import { listenersFor } from "../member/listeners.ts";
import { configArguments, configOf } from "./config-options.ts";
import { demoUrl, startDemoOrigin } from "./demo-origin.ts";
import { contact } from "./discover.ts";
import { endProcess, spawnMember, SpawnFailure } from "../member/spawned.ts";
import { Failure } from "./failure.ts";
import { clusterSecret } from "./secret.ts";
import { toldSecret } from "./secret-told.ts";
import { note, say, styled } from "./terminal.ts";

export interface ClusterOptions {
  readonly members: string;
  readonly detach?: boolean;
  readonly demoOrigin?: boolean;
  readonly [key: string]: unknown;
}

interface Started {
  readonly name: string;
  readonly listen: string;
  readonly peer: string;
  readonly admin: string;
  readonly child: ChildProcess;
  readonly log: string;
}

const membersMax = 64;
const startMs = 20_000;

/** Flags that differ from member to member, or that the command sets itself. */
const own: readonly string[] = ["name", "listen", "peer", "admin", "coordinator", "memory", "disk", "state", "cluster"];

/**
 * Starts the members, waits until all have joined, and stays, or leaves them running. @throws Failure where one cannot
 * start; those started are ended.
 */
export async function cluster(options: ClusterOptions): Promise<void> {
  const count = Number(options.members);
  if (!Number.isInteger(count) || count < 1 || count > membersMax)
    throw new Failure(`--members ${options.members}: write a number from 1 to ${membersMax}`, 2);
  const config = configOf(options);
  if (livingMembers(runFolder(process.env)).some((record) => record.cluster === config.cluster)) {
    throw new Failure(
      `a cluster named ${config.cluster} runs on this machine already: end it with \`gyre stop\`, or choose another --cluster NAME`,
    );
  }
  const [listener, ...others] = listenersFor(config);
  if (listener === undefined || others.length > 0 || !("port" in listener.place))
    throw new Failure(
      "the members of one machine listen at one port each, --listen HOST:PORT, or all at one, HOST:PORT,shared",
      2,
    );
  const given = config.listen[0]!;
  const unsaid = [...(given.allow === undefined ? [] : ["allow"]), ...deniedIn(given)];
  if (unsaid.length > 0)
    throw new Failure(
      `what the listener says of ${unsaid.join(", ")} is for it alone, and members of one machine are given theirs in the short form: say it for all listeners`,
      2,
    );
  const listenAt = hostPortText(listener.place);
  const embedded = config.coordinator === "embedded";
  const { secret, older, from } = clusterSecret(
    config["secret-file"],
    config.cluster,
    // All its members start here: with ZooKeeper too the secret can be made up here.
    embedded || config.coordinator.startsWith("zookeeper") ? null : config.coordinator,
  );
  const detach = options.detach === true;
  // Without a word on memory the members of one machine share what one alone would take.
  const memory = config.memory === defaultMemory() ? Math.floor(config.memory / count) : config.memory;
  if (detach && options.demoOrigin === true)
    throw new Failure("--demo-origin lives in this command, so it does not go with --detach", 2);
  const run = runFolder(process.env);
  const folder = dirname(memberLog(run, { cluster: config.cluster, name: "" }));
  makeFolder(folder, 0o700);
  const members: Started[] = [];
  /** All that were started, those that have not joined yet among them. */
  const children: ChildProcess[] = [];
  let ending = false;

  const end = async (exitCode: number): Promise<void> => {
    if (ending) return;
    ending = true;
    note("\nending: members drain and leave");
    const folder = runFolder(process.env);
    // The embedded coordinator's host goes last: until then every other departure is published.
    const hosts = new Set(
      livingMembers(folder).flatMap(({ pid, hostsCoordinator }) => (hostsCoordinator ? [pid] : [])),
    );
    const last = ({ pid = 0 }: ChildProcess): number => Number(hosts.has(pid));
    const company = children.map((_, index) => memberName(index));
    for (const { pid = 0 } of children) markStopping(folder, pid, company);
    for (const child of children.toReversed().toSorted((one, other) => last(one) - last(other)))
      await endProcess(child, "SIGTERM");
    for (const { pid = 0 } of children) {
      takeFarewell(folder, pid);
      unmarkStopping(folder, pid);
    }
    process.exit(exitCode);
  };
  let interrupts = 0;
  const interrupted = (): void => {
    if (++interrupts > 1) {
      for (const child of children) child.kill("SIGKILL");
      process.exit(1);
    }
    void end(0);
  };
  process.on("SIGINT", interrupted);
  process.on("SIGTERM", interrupted);

  const taken = new Set<string>();
  try {
    for (let index = 0; index < count; index++) {
      const name = memberName(index);
      const addresses = {
        listen: shortForm(given, listener.shared ? listenAt : await place(listenAt, index, 0, taken)),
        peer: await place(config.peer, index, 1, taken),
        admin: await place(config.admin, index, 2, taken),
      };
      const coordinator = !embedded ? config.coordinator : index === 0 ? "embedded" : `http://${members[0]!.peer}`;
      const log = memberLog(run, { cluster: config.cluster, name });
      const flags = [
        "--name",
        name,
        "--cluster",
        config.cluster,
        "--listen",
        addresses.listen,
        "--peer",
        addresses.peer,
        "--admin",
        addresses.admin,
        "--coordinator",
        coordinator,
        // A folder is one member's.
        ...(config.disk === undefined ? [] : ["--disk", join(config.disk, name)]),
        ...(config.state === undefined ? [] : ["--state", join(config.state, name)]),
        "--memory",
        String(memory),
        // One machine: the members are its threads.
        ...(config.threads === undefined ? ["--threads", "1"] : []),
        ...configArguments(options, own),
      ];
      members.push(
        await startMember(name, flags, [secret, ...older].join("\n"), log, detach, (child) => children.push(child)),
      );
      progress(members.length, count, `${name} has joined`);
    }
  } catch (error) {
    // While it is being ended, a member that ends is no failure.
    if (ending) return new Promise(() => {});
    ending = true;
    for (const child of children.reverse()) await endProcess(child, "SIGTERM");
    throw error;
  }
  let alive = members.length;
  for (const member of members) {
    member.child.on("exit", (code, signal) => {
      if (ending) return;
      note(
        `${member.name} (pid ${member.child.pid}) has ended: ${signal ?? `exit code ${code}`}; its log is ${member.log}`,
      );
      if (--alive === 0) process.exit(code === 0 ? 0 : 1);
    });
  }
  const demo = options.demoOrigin === true ? await startDemoOrigin() : null;
  const { status } = await contact({ admin: members[0]!.admin, secret });
  say(`\n${await rendered({ admin: members[0]!.admin, secret })}\n`);
  if (from === "generated") note(`secret   ${toldSecret(secret, config.cluster)}`);
  note(`logs     ${folder}`);
  if (demo !== null) tryOut(demo, status.members, members, status.leader);
  if (detach) {
    note(`\nIt runs in the background. \`gyre status\` shows it, \`gyre stop\` ends it.`);
    for (const { child } of members) {
      child.disconnect();
      child.unref();
    }
  } else note(`\nCtrl-C ends all of it.`);
}

function memberName(index: number): string {
  return `m${index + 1}`;
}

/** Starts a member and resolves when it has joined. @throws Failure with what its log says. */
async function startMember(
  name: string,
  flags: readonly string[],
  secret: string,
  log: string,
  detach: boolean,
  spawned: (child: ChildProcess) => void,
): Promise<Started> {
  const { child, ready } = spawnMember({
    flags,
    environment: { ...process.env, GYRE_SECRET: secret, ...(detach ? { GYRE_DETACHED: "1" } : {}) },
    output: openSync(log, "a", 0o600),
    detached: true,
    limitMs: startMs,
  });
  spawned(child);
  try {
    return { ...(await ready), name, log };
  } catch (error) {
    const ended = error instanceof SpawnFailure ? error.ended : null;
    if (ended === null) throw new Failure(`${name} did not join in ${startMs / 1000} s; its log is ${log}`);
    const how = ended.signal ?? `exit code ${ended.code}`;
    throw new Failure(`${name} ended while starting (${how}): ${lastLine(log)}\nIts log is ${log}`);
  }
}

function lastLine(file: string): string {
  return readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .at(-1)!
    .replace(/^gyre: /, "");
}

/**
 * The first member takes what was configured, and fails where it is in use; each further one takes the next free port.
 */
async function place(configured: string, index: number, offset: number, taken: Set<string>): Promise<string> {
  const { host, port } = hostPortOf(configured)!;
  if (port === 0) return hostPortText({ host, port: 0 });
  if (index === 0) {
    taken.add(String(port));
    return hostPortText({ host, port });
  }
  for (let candidate = port + 3 * index; candidate < 65_536; candidate++) {
    // Ports of one member stay in one residue: 8083 proxy, 8084 peer, 8085 admin.
    if ((candidate - port) % 3 !== 0 && offset >= 0 && taken.has(String(candidate))) continue;
    if (taken.has(String(candidate)) || !(await isFree({ host, port: candidate }))) continue;
    taken.add(String(candidate));
    return hostPortText({ host, port: candidate });
  }
  throw new Failure(`no free port above ${port}`);
}

function isFree(address: HostPort): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(address, () => probe.close(() => resolve(true)));
  });
}

function progress(done: number, of: number, what: string): void {
  note(`[${"#".repeat(done)}${".".repeat(of - done)}] ${what}`);
}

/** Three commands to try, each of which works as printed. */
function tryOut(
  origin: string,
  view: readonly { name: string; pid: number; share: number }[],
  members: readonly Started[],
  leader: string | null,
): void {
  const { url, owner } = demoUrl(origin, view, leader);
  const entry = members.find(({ name }) => name !== owner.name) ?? members[0]!;
  const curl = `curl -sS -D - -o /dev/null -x http://${entry.listen} ${url}`;
  note(`\n${styled("bold", "demo origin")} ${origin}\n\nTry, in another terminal:\n`);
  note(
    `  ${styled("bold", "1.")} a miss: ${owner.name} owns this URL, ${entry.name} passes the request on\n     ${curl}`,
  );
  note(`  ${styled("bold", "2.")} the same again, a hit (see Cache-Status)\n     ${curl}`);
  if (owner.name !== entry.name)
    note(
      `  ${styled("bold", "3.")} kill ${owner.name} without warning; the same URL is still answered\n     kill -9 ${owner.pid}; ${curl}`,
    );
}
