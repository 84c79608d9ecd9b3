/**
 * Older responses of a key that vary by other fields than a newer one. They must never answer in its place: neither
 * when it has been evicted, nor from behind when memory has been lost and it was not kept there.
 */
import type { Behind } from "./behind.ts";
import type { Chains } from "./chains.ts";
import { flagCopy, flagElsewhere, flagPart, float, word, type Records } from "./records.ts";

/** Where those lie that are older than the one in a record. `varies` tells of a record by what fields it varies. */
export function olderKin(chains: Chains, location: number, varies: (location: number) => string): number[] {
  const kin: number[] = [];
  for (let at = chains.older(location); at !== 0; at = chains.older(at))
    if (varies(at) !== varies(location)) kin.push(at);
  return kin;
}

/** The one in a record is not kept behind: neither are these, nor what is there alone. */
export function leaveBehind(behind: Behind, records: Records, location: number, kin: readonly number[]): void {
  if ((records.word(location, word.flags) & (flagCopy | flagPart)) !== 0) return;
  behind.invalidated(records.word(location, word.hash), "drop");
  for (const other of kin) {
    const id = records.float(other, float.behind);
    // What left its content there has nothing else.
    if (id === 0 || records.has(other, flagElsewhere)) continue;
    behind.gone(id, records.word(other, word.hash));
    records.setFloat(other, float.behind, 0);
  }
}
