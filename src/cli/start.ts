/** `gyre start`: one member, until it is told to stop. */
import { randomBytes } from "node:crypto";
import { isatty } from "node:tty";
import { asError, background } from "../base/background.ts";
import { mainListener } from "../config/listeners.ts";
import type { Config } from "../config/schema.ts";
import type { Addresses } from "../member/announcement.ts";
import { listenersFor } from "../member/listeners.ts";
import { lastViewIn } from "../member/last-view.ts";
import { giveBackStart, keepHeapSmall } from "../member/small-heap.ts";
import { allocateYoung } from "../member/young-objects.ts";
import { RunningMember } from "../member/member.ts";
import {
  companyOf,
  processMarkOf,
  removeRecord,
  runFolder,
  touchUsed,
  writeFarewell,
  writeRecord,
  type MemberRecord,
} from "../member/records.ts";
import { StartError } from "../member/start-error.ts";
import { createLog, type Logger } from "../telemetry/log.ts";
import { configFileOf, configOf } from "./config-options.ts";
import { endWith } from "./ending.ts";
import { Failure } from "./failure.ts";
import { clusterSecret } from "./secret.ts";
import { toldSecret } from "./secret-told.ts";
import { systemdOf } from "./systemd.ts";
import { note, styled } from "./terminal.ts";
import { version } from "./version.ts";

/** How long the end of a process waits for its last lines to be taken. */
const lastWordsMs = 500;
/** What stands in the run folder is renewed so often, ms: who tidies it takes what is days old. */
const renewMs = 6 * 3_600_000;

/** Runs a member until a signal ends it. @throws Failure where it cannot start. */
export async function start(options: Readonly<Record<string, unknown>>): Promise<void> {
  const config = configOf(options);
  const embedded = config.coordinator === "embedded";
  const { secret, older, from } = clusterSecret(
    config["secret-file"],
    config.cluster,
    embedded ? null : config.coordinator,
  );
  const name = config.name ?? (embedded ? "m1" : `m-${randomBytes(2).toString("hex")}`);
  const logs = createLog({
    member: name,
    level: config["log-level"],
    format: config["log-format"],
    terminal: process.stdout.isTTY === true,
    nowMs: () => Date.now(),
  });
  const log = logs.events;
  const folder = runFolder(process.env);
  const lastView = lastViewIn(folder, config.cluster, name, (error) => unwritten("the last view", error));
  const noNotice = new AbortController();
  const member = makeMember({
    config,
    name,
    secret,
    olderSecrets: older,
    log: logs,
    version,
    lastView,
    ousted: (reason, there) => {
      // Started again, it asks those first.
      if (there !== undefined) lastView.write(there);
      noNotice.abort();
      // Who leaves already does so in order: only a second signal asks for more.
      if (stopping) log.warn({ kind: "stop", reason }, reason);
      else stopSoon(reason, 1);
    },
    drain: () => stopSoon("drained by an operator"),
    listening: (addresses) => record("starting", addresses),
    chosen: () => {
      if (recorded !== null) recordLate(recorded.state, recorded.addresses);
    },
    reread: () => reload(member, options, log),
  });
  const systemd = systemdOf(process.env, (error) => log.warn({ kind: "service", err: error }, error.message));
  let stopping = false;
  /** What its record says, once it listens. */
  let recorded: { readonly state: MemberRecord["state"]; readonly addresses: Addresses } | null = null;
  const record = (state: MemberRecord["state"], addresses: Addresses): void => {
    recorded = { state, addresses };
    writeRecord(folder, {
      cluster: config.cluster,
      name,
      pid: process.pid,
      state,
      processMark: processMarkOf(process.pid),
      ...addresses,
      coordinator: member.coordinatorAddress,
      hostsCoordinator: member.hostsCoordinator,
      drainLimitMs: member.drainLimitMs,
      secret,
      startedMs: member.startedMs,
    });
  };
  const unwritten = (what: string, error: Error): void =>
    log.warn({ kind: "run-folder", err: error }, `${what} cannot be written to the run folder: ${error.message}`);
  /** Once clients are served, nothing hangs on it whether the run folder is still there, and has room. */
  const ifWritable = (what: string, write: () => void): void => {
    try {
      write();
    } catch (error) {
      unwritten(what, asError(error));
    }
  };
  const recordLate = (state: MemberRecord["state"], addresses: Addresses): void =>
    ifWritable(`that ${name} is ${state}`, () => record(state, addresses));

  const stop = async (reason: string, exitCode: 0 | 1): Promise<void> => {
    if (stopping) {
      log.warn({ kind: "stop" }, "stopped without waiting");
      process.exit(1);
    }
    stopping = true;
    systemd.stopping();
    log.info({ kind: "stop", reason }, reason);
    if (recorded !== null) recordLate("draining", recorded.addresses);
    const company = companyOf(folder, process.pid);
    const others = member.control?.view?.members ?? [];
    // What it has stored is handed over where somebody is left to take it.
    const isLast = !others.some(({ name: other, state }) => state === "active" && !company.includes(other));
    // Whose place another has taken must not answer any longer than it must.
    const notice = exitCode === 0 ? noNotice.signal : null;
    const leaving = { heirs: isLast ? "none" : "heirs", notice } as const;
    const { cut } = await member.stop(member.drainLimitMs, leaving);
    ifWritable("how it left", () => writeFarewell(folder, { name, pid: process.pid, drained: cut === 0, cut }));
    await logs.writer.end(lastWordsMs);
    await endWith(exitCode);
  };
  const stopSoon = (reason: string, exitCode: 0 | 1 = 0): void =>
    background(stop(reason, exitCode), (error) => {
      log.fatal({ kind: "stop", err: error }, error.message);
      void logs.writer.end(lastWordsMs).then(() => process.exit(1));
    });
  process.on("SIGTERM", () => stopSoon("SIGTERM"));
  process.on("SIGINT", () => stopSoon("SIGINT"));
  const onTerminal = isatty(0);
  process.on("SIGHUP", () => {
    // The same signal says that the terminal has gone.
    if (onTerminal && !isatty(0)) {
      // Shell and system say so both: it is no second word.
      if (!stopping) stopSoon("the terminal is gone");
    } else {
      try {
        reload(member, options, log);
      } catch {
        // The log has it, and the old configuration goes on.
      }
      member.reopenLogs();
    }
  });
  // What rotates logs sends this one; unheard it would open a debugger's port, and the other would end the process.
  process.on("SIGUSR1", () => {
    member.reopenLogs();
    log.info({ kind: "log" }, "the access log's file is opened anew");
  });
  process.on("SIGUSR2", () =>
    log.warn(
      { kind: "signal" },
      "SIGUSR2 means nothing here: HUP reloads, USR1 opens the log's file anew, TERM drains",
    ),
  );
  process.on("exit", () => logs.writer.flushSync());
  if (process.send !== undefined && process.env["GYRE_DETACHED"] === undefined)
    process.on("disconnect", () => {
      if (!stopping) stopSoon("whoever started this member is gone");
    });
  let isDying = false;
  process.on("uncaughtException", (error) => {
    // What fails while the last words are said says no more.
    if (isDying) process.exit(70);
    isDying = true;
    log.fatal({ kind: "bug", err: error }, `bug: ${error.message}`);
    void logs.writer.end(lastWordsMs).then(() => process.exit(70));
  });

  let addresses;
  try {
    addresses = await member.start();
  } catch (error) {
    removeRecord(folder, process.pid);
    if (error instanceof StartError || /^the name |^ZooKeeper at | refuses this member: /.test(asError(error).message))
      throw new Failure(asError(error).message);
    throw error;
  }
  if (stopping) return;
  giveBackStart(config.memory);
  recordLate("ready", addresses);
  setInterval(() => {
    if (stopping) return;
    recordLate("ready", addresses);
    ifWritable("what it goes by", () => touchUsed(folder, { cluster: config.cluster, name }));
  }, renewMs).unref();
  systemd.ready(`proxy ${addresses.listen}`);
  if (process.send === undefined) greet(name, config, addresses, from === "generated" ? secret : null);
  else process.send({ kind: "ready", name, ...addresses });
}

function makeMember(options: ConstructorParameters<typeof RunningMember>[0]): RunningMember {
  try {
    allocateYoung();
    keepHeapSmall(options.config.memory);
    return new RunningMember(options);
  } catch (error) {
    if (error instanceof StartError) throw new Failure(error.message, 2);
    throw error;
  }
}

/** @returns what has become of it. @throws Error where the old configuration stays, and logs why. */
function reload(member: RunningMember, options: Readonly<Record<string, unknown>>, log: Logger): string {
  try {
    const kept = member.reload(configOf(options));
    const done =
      configFileOf(options) === undefined
        ? "there is no configuration file to reload (--config); certificates were read anew"
        : "configuration reloaded";
    const text = kept.length === 0 ? done : `${done}; taken up only with a restart: ${kept.join(", ")}`;
    log.info({ kind: "reload", kept }, text);
    return text;
  } catch (error) {
    const text = `the configuration was not reloaded: ${asError(error).message}`;
    log.error({ kind: "reload", err: asError(error) }, text);
    throw new Error(text, { cause: error });
  }
}

function greet(
  name: string,
  config: Config,
  { listen, peer, admin }: { listen: string; peer: string; admin: string },
  secret: string | null,
): void {
  const listeners = listenersFor(config);
  const main = mainListener(listeners);
  const scheme = main.tls ? "https" : "http";
  const forward = config.forward ?? (config.origin === undefined && config.routes === undefined);
  note(`${styled("bold", `gyre ${name}`)} is ready`);
  note(
    `  proxy  ${scheme}://${listen}   ${forward ? `try: curl -x ${scheme}://${listen} http://example.com/ -i` : `try: curl ${scheme}://${listen}/ -i`}`,
  );
  for (const { address, place, redirect, tls } of listeners.filter((one) => one !== main)) {
    // A Unix socket, or one that was inherited, is no place that a URL can name.
    const told = "port" in place ? `${tls ? "https" : "http"}://${address}` : address;
    note(`         ${redirect ? `${address} sends on to https` : told}`);
  }
  note(
    `  peer   http://${peer}   another member: gyre start --coordinator http://${peer} --listen 127.0.0.1:0 --peer 127.0.0.1:0 --admin 127.0.0.1:0`,
  );
  note(`  admin  http://${admin}   try: gyre status`);
  if (secret !== null) note(`  secret ${toldSecret(secret, config.cluster)}`);
}
