/** Records on their way behind the pages, and back: what they are there. */
import type { StoredHead } from "../../http/stored-head.ts";
import type { Keepsake } from "../port.ts";
import type { Behind, Kept } from "./behind.ts";
import { hashOf } from "./heard.ts";
import type { PageResponse } from "./page-response.ts";
import {
  flagCopy,
  flagElsewhere,
  flagLasting,
  flagLive,
  flagPart,
  float,
  kindMask,
  kindResponse,
  numbersBytes,
  word,
  type Records,
} from "./records.ts";

/** A record that has just been written. */
interface Written {
  readonly location: number;
  readonly head: StoredHead;
}

/** Keeps a response behind as well, where it may be. */
export function keepBehind(
  behind: Behind,
  records: Records,
  { location, head }: Written,
  response: () => PageResponse,
): void {
  if ((records.word(location, word.flags) & (flagLasting | flagPart | flagCopy)) !== flagLasting) return;
  const { hash, variant, meta } = metaOf(records, location, head);
  if (records.word(location, word.extents) === 0) {
    const kept = { hash, variant, meta, content: [], contentBytes: 0 };
    return records.setFloat(location, float.behind, behind.keep(kept, null));
  }
  const { body, pin } = response();
  const kept = { hash, variant, meta, content: body.segments as Buffer[], contentBytes: body.bytes };
  return records.setFloat(location, float.behind, behind.keep(kept, pin));
}

/**
 * A newer head of what has been known behind by an id (0: it was not): short content goes with it, else that stays
 * where it is. @returns false where its content was there alone, and has been lost.
 */
export function renewBehind(
  behind: Behind,
  records: Records,
  { location, head, id }: Written & { readonly id: number },
  response: () => PageResponse,
): boolean {
  const isElsewhere = records.has(location, flagElsewhere);
  if (id !== 0 && (isElsewhere || records.word(location, word.extents) > 0)) {
    const newer = behind.renew(id, metaOf(records, location, head));
    if (newer !== 0) {
      records.setFloat(location, float.behind, newer);
      return true;
    }
  }
  if (id !== 0) behind.gone(id, records.word(location, word.hash));
  records.setFloat(location, float.behind, 0);
  if (isElsewhere) return false;
  keepBehind(behind, records, { location, head }, response);
  return true;
}

/** What of a stored response has ended in memory alone has to be validated when it comes back. */
export function outdateBehind(behind: Behind | null, records: Records, location: number): void {
  const id = records.float(location, float.behind);
  if (id !== 0) behind?.outdated(id, records.word(location, word.hash));
}

/** A record as it is without its places in the pages. */
function metaOf(records: Records, location: number, head: StoredHead): Pick<Kept, "hash" | "variant" | "meta"> {
  const { extentsAt, namesAt, contentAt, bytes } = records.sections(location);
  const known = { hash: records.word(location, word.hash), variant: variantHash({ head }) };
  if (records.word(location, word.extents) === 0) return { ...known, meta: [records.view(location, 0, bytes)] };
  const numbers = Buffer.from(records.view(location, 0, extentsAt));
  numbers.writeUInt32LE(0, word.extents * 4);
  numbers.writeUInt32LE((records.word(location, word.flags) | flagElsewhere) >>> 0, word.flags * 4);
  return { ...known, meta: [numbers, records.view(location, namesAt, contentAt - namesAt)] };
}

/** Of the names in Vary, and what the request said in them: two of one hash only cost a fetch. */
export function variantHash({ head: { varyNames, variant } }: Pick<Keepsake, "head">): number {
  return hashOf(`${varyNames.join()}\n${variant}`) >>> 0;
}

/** Whether bytes can be a response's record: what they are of is known from a checksum, not from this. */
export function isRecord(bytes: Buffer): boolean {
  if (bytes.length < numbersBytes) return false;
  return (bytes.readUInt32LE(word.flags * 4) & (kindMask | flagLive)) === (kindResponse | flagLive);
}
