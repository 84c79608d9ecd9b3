/** Configurations that would work, and should not: each is refused with what to write instead. */
import { statSync } from "node:fs";
import { isLoopbackHost } from "../base/host-port.ts";
import type { Listener } from "../config/listeners.ts";
import type { Config } from "../config/schema.ts";
import { StartError } from "./start-error.ts";

/** Listening beyond loopback without saying for whom makes an open proxy, which strangers find within hours. */
export function refuseOpenProxy(config: Config, listeners: readonly Listener[]): void {
  const forwards = isForwarding(config);
  for (const { address, place, allow, role, redirect } of listeners) {
    if (redirect || allow.length > 0 || !("host" in place) || isLoopbackHost(place.host)) continue;
    throw new StartError(
      `a listener at ${address} is open to other machines, and nothing says who may use it.\n` +
        (forwards && role !== "reverse"
          ? "An open forward proxy is found and misused within hours. Name its clients with --allow CIDR (in a file: allow), for instance 10.0.0.0/8,"
          : "Name the clients with --allow CIDR (in a file: allow), for instance 0.0.0.0/0,::/0 for a public reverse proxy,") +
        ` or listen for this machine alone: 127.0.0.1:${place.port}.`,
    );
  }
}

/**
 * A reload that begins to forward, with listeners that it cannot take up: those that there are may be for others than
 * the forward proxy's clients.
 */
export function refuseOpening(next: Config, running: Config): void {
  if (!isForwarding(next) || isForwarding(running)) return;
  throw new StartError(
    "the forward proxy is to begin, and listeners are to change, which they do only with a restart: it would be open to those who may use the listeners of now. Start the member anew.",
  );
}

function isForwarding({ forward, origin, routes }: Config): boolean {
  return forward ?? (origin === undefined && (routes ?? []).length === 0);
}

/** Other machines cannot dial 0.0.0.0: who listens on all addresses must say by which one it is reached. */
export function refuseWildcardPeer({ peer, advertise }: Config): void {
  if (!isWildcard(peer) || advertise !== undefined) return;
  throw new StartError(
    `--peer ${peer} listens on every address, but others need one to dial: name it with --advertise HOST, or listen on it alone`,
  );
}

/** Whether an address stands for all of this machine's. */
export function isWildcard(address: string): boolean {
  return address.startsWith("0.0.0.0:") || address.startsWith("[::]:");
}

/** What is wrong with the permissions of a file that holds a secret, or null: others may read, or write, it. */
export function openToOthers(file: string): string | null {
  const mode = statSync(file, { throwIfNoEntry: false })?.mode ?? 0;
  if ((mode & 0o006) === 0) return null;
  return `${file} is open to every user of this machine (mode ${(mode & 0o777).toString(8)}): chmod 600 ${file}`;
}
