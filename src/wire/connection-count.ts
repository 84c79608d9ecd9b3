/** How many connections there are, in all and of each client. */
import type { WireLimits } from "./limits.ts";

/** Counts connections against limits. */
export interface ConnectionCount {
  /** @returns false where there are as many as there may be; then nothing is counted. */
  entered(address: string, limits: Pick<WireLimits, "connectionsMax" | "connectionsPerClientMax">): boolean;
  left(address: string): void;
}

/**
 * Whom connections from an address count for: an IPv6 network of 64 bits is one client, since whoever has one address
 * of it has them all (RFC 4291 §2.5.4, RFC 6177 §2).
 */
export function clientOf(address: string): string {
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.replace(/%.*$/, "").split("::");
  const groups = (text: string): string[] => (text === "" ? [] : text.split(":"));
  const [before, after] = [groups(head), groups(tail ?? "")];
  // One that ends as an IPv4 address has a group less.
  const missing = tail === undefined ? 0 : 8 - before.length - after.length - (address.includes(".") ? 1 : 0);
  const zeros = Array.from({ length: Math.max(0, missing) }, () => "0");
  return `${[...before, ...zeros, ...after].slice(0, 4).join(":")}::/64`;
}

/** Those of one server. */
export class OwnCount implements ConnectionCount {
  all = 0;
  readonly #perClient = new Map<string, number>();

  entered: ConnectionCount["entered"] = (address, { connectionsMax, connectionsPerClientMax }) => {
    const fromClient = this.#perClient.get(address) ?? 0;
    if (this.all >= connectionsMax || fromClient >= connectionsPerClientMax) return false;
    this.all++;
    this.#perClient.set(address, fromClient + 1);
    return true;
  };

  left(address: string): void {
    this.all--;
    const left = (this.#perClient.get(address) ?? 1) - 1;
    if (left === 0) this.#perClient.delete(address);
    else this.#perClient.set(address, left);
  }
}
