/** How many connections there are, in all and of each client. */
import type { WireLimits } from "./limits.ts";

/** Counts connections against limits. */
export interface ConnectionCount {
  /** @returns false where there are as many as there may be; then nothing is counted. */
  entered(address: string, limits: Pick<WireLimits, "connectionsMax" | "connectionsPerClientMax">): boolean;
  left(address: string): void;
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
