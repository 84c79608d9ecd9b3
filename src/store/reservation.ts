/** Room that a fetch has taken in the store for content still arriving: given back exactly once, however the fetch ends. */
import type { MemoryStore } from "./memory-store.ts";

/** The room of one fetch. */
export class Reservation {
  bytes = 0;
  readonly #store: MemoryStore;

  constructor(store: MemoryStore) {
    this.#store = store;
  }

  /** Takes more. @returns false where the store has none. */
  take(bytes: number): boolean {
    if (!this.#store.reserve(bytes)) return false;
    this.bytes += bytes;
    return true;
  }

  release(): void {
    this.#store.release(this.bytes);
    this.bytes = 0;
  }
}
