/**
 * The lines that change with a hit: Age, Cache-Status, Via. They are the same for all stored responses of one age and
 * lifetime, and so are kept for a while by these two.
 */
import { ownCopy } from "../../base/own-copy.ts";
import { cacheStatus } from "../../http/cache-status.ts";

/** A power of two. */
const rememberedMax = 1024;

interface Lines {
  readonly ageSeconds: number;
  readonly lifetimeSeconds: number;
  readonly isCopy: boolean;
  readonly text: string;
}

/** The lines of one member's hits. */
export class HitLines {
  readonly #self: string;
  readonly #viaLine: string;
  readonly #remembered: (Lines | undefined)[] = new Array<undefined>(rememberedMax).fill(undefined);

  /** `viaLine` with its CRLF. */
  constructor(self: string, viaLine: string) {
    this.#self = self;
    this.#viaLine = viaLine;
  }

  /** `ageSeconds` whole. */
  of(ageSeconds: number, lifetimeSeconds: number, isCopy: boolean): string {
    const place = ((ageSeconds * 31 + lifetimeSeconds) >>> 0) & (rememberedMax - 1);
    const known = this.#remembered[place];
    if (
      known !== undefined &&
      known.ageSeconds === ageSeconds &&
      known.lifetimeSeconds === lifetimeSeconds &&
      known.isCopy === isCopy
    )
      return known.text;
    const ttlSeconds = lifetimeSeconds - ageSeconds;
    const detail = isCopy ? "hot-copy" : undefined;
    const status = cacheStatus(this.#self, { hit: true, ttlSeconds, detail });
    // In one piece: what is put together of several is written by a slower way each time.
    const text = ownCopy(`age: ${ageSeconds}\r\ncache-status: ${status}\r\n${this.#viaLine}`);
    this.#remembered[place] = { ageSeconds, lifetimeSeconds, isCopy, text };
    return text;
  }
}
