/**
 * A member within a program of one's own: `import { startMember } from "gyre"`.
 *
 * ```ts
 * const member = await startMember({ origin: "http://127.0.0.1:3000", listen: "127.0.0.1:8080", memory: "256MB" });
 * await fetch(`http://${member.addresses.listen}/page`);
 * await member.stop();
 * ```
 */
import { randomBytes } from "node:crypto";
import { loadConfig } from "../config/load.ts";
import type { Addresses } from "../member/announcement.ts";
import { RunningMember } from "../member/member.ts";
import type { Departure } from "../member/departure.ts";
import { createLog } from "../telemetry/log.ts";
import { version } from "./version.ts";

/** Settings by the names that they have in a file (schema/gyre.schema.json), and what no file has. */
export interface EmbedOptions {
  readonly [setting: string]: unknown;
  /** The cluster's secret; made up where this member begins a cluster. */
  readonly secret?: string;
}

/** A member that runs in this process. */
export interface EmbeddedMember {
  readonly name: string;
  /** Where it listens: host:port. */
  readonly addresses: Addresses;
  /** What others who join it need. */
  readonly secret: string;
  /** Takes up changed settings. @returns those that need a new start. @throws Error where they cannot work. */
  reload(settings: Omit<EmbedOptions, "secret">): readonly string[];
  /** Hands over what is stored, lets answers end (ms, else as `drain-limit` says), and leaves. */
  stop(limitMs?: number): Promise<Departure>;
}

/**
 * Starts a member, and resolves when it has joined and can be asked. Its log goes to standard output, `log-level` says
 * how much of it; no variable of the environment counts. Where it cannot be started nothing of it stays. @throws
 * ConfigError, StartError.
 */
export async function startMember({
  secret = randomBytes(24).toString("base64url"),
  ...settings
}: EmbedOptions): Promise<EmbeddedMember> {
  const configOf = (given: Readonly<Record<string, unknown>>): ReturnType<typeof loadConfig> =>
    loadConfig({
      flags: { admin: "127.0.0.1:0", peer: "127.0.0.1:0", "access-log": "off", ...given },
      environment: {},
    });
  const config = configOf(settings);
  const name = config.name ?? `m-${randomBytes(2).toString("hex")}`;
  const log = createLog({
    member: name,
    level: config["log-level"],
    format: config["log-format"],
    terminal: process.stdout.isTTY === true,
    nowMs: () => Date.now(),
  });
  let stopping: Promise<Departure> | null = null;
  const noNotice = new AbortController();
  const stop = (limitMs?: number): Promise<Departure> =>
    (stopping ??= member.stop(limitMs ?? member.drainLimitMs, { heirs: "heirs", notice: noNotice.signal }));
  const member: RunningMember = new RunningMember({
    config,
    name,
    secret,
    olderSecrets: [],
    log,
    version,
    ousted: (reason) => {
      log.events.error({ kind: "stop", reason }, reason);
      noNotice.abort();
      void stop();
    },
    drain: () => void stop(),
    reread: () => {
      throw new Error("a member within another program has no file: its program reloads it");
    },
  });
  let addresses: Addresses;
  try {
    addresses = await member.start();
  } catch (error) {
    // Its program goes on, and may try again: nothing of it stays.
    await stop(0);
    throw error;
  }
  return { name, addresses, secret, reload: (given) => member.reload(configOf(given)), stop };
}
