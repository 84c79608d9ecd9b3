/** Responses as objects, for as long as nothing else takes their place: a record is read once, mostly. */
import type { Behind } from "./behind.ts";
import type { PagePool } from "./page-pool.ts";
import { PageResponse } from "./page-response.ts";
import type { Records } from "./records.ts";

/** A power of two. Those with long heads are not remembered. */
const rememberedMax = 1024;
const rememberedBytesMax = 4096;

/** The responses of a store. */
export class Remembered {
  readonly #records: Records;
  readonly #pool: PagePool;
  readonly #behind: Behind | null;
  readonly #responses: (PageResponse | undefined)[] = new Array<undefined>(rememberedMax).fill(undefined);

  constructor(records: Records, pool: PagePool, behind: Behind | null) {
    this.#records = records;
    this.#pool = pool;
    this.#behind = behind;
  }

  /** The response in a record. */
  at(location: number): PageResponse {
    const place = location & (rememberedMax - 1);
    const known = this.#responses[place];
    if (known?.location === location && known.isThere) return known;
    const response = new PageResponse(this.#records, this.#pool, this.#behind, location);
    if (this.#records.sections(location).contentAt <= rememberedBytesMax) this.#responses[place] = response;
    return response;
  }

  /** What is read of a record has changed, or it lies elsewhere now. */
  forget(location: number): void {
    this.#responses[location & (rememberedMax - 1)] = undefined;
  }
}
