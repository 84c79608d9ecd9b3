/**
 * Where this process stands, and what addresses are its machine's own: what loopback, link-local and own addresses mean
 * depends on it.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { networkInterfaces } from "node:os";

/**
 * A name for the network namespace: the same for all processes that share it, and for no others. Undefined where the
 * system does not tell: then nobody is taken to share it.
 */
export function placeOf(): string | undefined {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `${boot} ${readlinkSync("/proc/self/ns/net")}`;
  } catch {
    return undefined; // Not Linux, or a /proc that is not there: there is no other way to ask.
  }
}

/** How long a list of addresses is believed. */
const believedMs = 5000;

/** A judge of addresses: whether one belongs to this machine. */
export function ownAddresses(): (address: string) => boolean {
  let addresses = new Set<string>();
  let readAt = -Infinity;
  return (address) => {
    const now = performance.now();
    if (now - readAt > believedMs) {
      addresses = new Set(
        Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((one) => one.address.split("%")[0]!)),
      );
      readAt = now;
    }
    return addresses.has(address.replace(/^::ffff:/, "").split("%")[0]!);
  };
}
