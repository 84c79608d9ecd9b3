/** From what is to be kept to a record's bytes. */
import { responseDirectives } from "../../http/directives.ts";
import type { StoredHead } from "../../http/stored-head.ts";
import { varyNames } from "../../http/vary.ts";
import { AnswerHead } from "../../wire/answer-head.ts";
import { freshUntilOf, originOfKey, uriOfKey, type Keepsake } from "../port.ts";
import { tagHash, uriHash } from "./heard.ts";
import type { KeyBytes } from "./key-bytes.ts";
import { unitsFor } from "./page-memory.ts";
import { lifetimeSources } from "./page-response.ts";
import {
  flagCopy,
  flagElsewhere,
  flagInner,
  flagLasting,
  flagLive,
  flagNamed,
  flagOutdated,
  flagPart,
  flagSelected,
  float,
  kindResponse,
  sectionsOf,
  sourceShift,
  word,
  type Extent,
  type Records,
  type Sections,
} from "./records.ts";

/** A record as it is going to be. */
export interface Draft {
  readonly kept: Keepsake;
  readonly head: AnswerHead;
  readonly contentBytes: number;
  readonly sections: Sections;
  readonly units: number;
  /** Hashes by which invalidations find it. */
  readonly names: readonly number[];
  /** As they stand in the record: one a line. */
  readonly tags: string;
  /** Content that lies in the record itself. */
  readonly inline: readonly Buffer[];
  /** Content that lies elsewhere in the pages. */
  readonly extents: readonly Extent[];
  /** Content that has stayed behind: how much; null for none. */
  readonly elsewhereBytes: number | null;
}

/** What a record needs, or null for a head that could not be read from one again as it is. */
export function draftOf(
  kept: Keepsake,
  inline: readonly Buffer[],
  extents: readonly Extent[],
  elsewhereBytes: number | null = null,
): Draft | null {
  const { head, key, part } = kept;
  const names = namesOf(kept);
  const tags = kept.tags.join("\n");
  if (!isReadable(head) || tags.length > 0xffff) return null;
  const inlineBytes = inline.reduce((sum, piece) => sum + piece.length, 0);
  const contentBytes = extents.reduce((sum, { bytes }) => sum + bytes, inlineBytes + (elsewhereBytes ?? 0));
  const answer = AnswerHead.once(head.status, head.fields, contentBytes);
  const sections = sectionsOf({
    hasPart: part !== null,
    extents: extents.length,
    names: names.length,
    keyBytes: key.length,
    variantBytes: head.variant.length,
    tagsBytes: tags.length,
    headBytes: answer.http1.length,
    inlineBytes,
  });
  const units = unitsFor(sections.bytes);
  return { kept, head: answer, contentBytes, sections, units, names, tags, inline, extents, elsewhereBytes };
}

/** Writes a record. It is not linked yet. */
export function writeRecord(
  records: Records,
  location: number,
  { kept, head: answer, contentBytes, sections, units, names, tags, inline, extents, elsewhereBytes }: Draft,
  { key, heard }: { readonly key: KeyBytes; readonly heard: number },
): void {
  const { head, part, copyUntil } = kept;
  const { memory } = records;
  const at = memory.wordAt(location);
  const words = memory.words(location);
  const { bytes, fieldsAt, lengthAt } = answer.encoded;
  words[at + word.units] = units;
  words[at + word.flags] = flagsOf(kept, names.length > 0) | (elsewhereBytes === null ? 0 : flagElsewhere);
  words[at + word.hash] = key.hash;
  words[at + word.ringHash] = kept.hash;
  words[at + word.older] = 0;
  words[at + word.keyBytes] = key.bytes;
  words[at + word.variantBytes] = head.variant.length;
  words[at + word.headBytes] = bytes.length;
  words[at + word.fieldsAt] = fieldsAt;
  words[at + word.lengthAt] = lengthAt;
  words[at + word.inlineBytes] = extents.length > 0 || elsewhereBytes !== null ? 0 : contentBytes;
  words[at + word.extents] = extents.length;
  words[at + word.status] = head.status;
  words[at + word.tags] = (names.length << 16) | tags.length;
  for (const which of [word.hits, word.uses, word.forms, word.way, word.settings, word.epoch]) words[at + which] = 0;
  const floats = memory.floats(location);
  const float0 = memory.floatAt(location);
  floats[float0 + float.freshUntil] = freshUntilOf(head, copyUntil);
  floats[float0 + float.born] = head.born;
  floats[float0 + float.lifetime] = head.lifetime.seconds;
  floats[float0 + float.copyUntil] = copyUntil ?? 0;
  floats[float0 + float.requestSeconds] = head.requestSeconds;
  floats[float0 + float.responseSeconds] = head.responseSeconds;
  floats[float0 + float.wallLead] = head.wallLeadSeconds ?? 0;
  floats[float0 + float.date] = head.dateSeconds;
  floats[float0 + float.contentBytes] = contentBytes;
  floats[float0 + float.heard] = heard;
  floats[float0 + float.behind] = 0;
  if (part !== null) records.setPart(location, part);
  extents.forEach((extent, index) => records.setExtent(location, index, extent.location, extent.bytes));
  floats.set(names, float0 + sections.namesAt / 8);
  words.set(key.words.subarray(0, key.wordCount), at + (sections.keyAt >>> 2));
  const block = memory.bytes(location);
  const begin = memory.byteAt(location);
  block.write(head.variant, begin + sections.variantAt, head.variant.length, "latin1");
  block.write(tags, begin + sections.tagsAt, tags.length, "latin1");
  bytes.copy(block, begin + sections.headAt);
  let contentAt = begin + sections.contentAt;
  for (const piece of inline) contentAt += piece.copy(block, contentAt);
}

/** The URI where the key is more than that (else it is found by its key), and each tag, of its origin and of all. */
function namesOf({ key, tags }: Pick<Keepsake, "key" | "tags">): number[] {
  const uri = uriOfKey(key);
  return [...(uri === key ? [] : [uriHash(uri)]), ...tagNames(key, tags)];
}

/** By which invalidations find what has these tags. */
export function tagNames(key: string, tags: readonly string[]): number[] {
  if (tags.length === 0) return [];
  const origin = originOfKey(key);
  return tags.flatMap((tag) => [tagHash(tag, null), tagHash(tag, origin)]);
}

function flagsOf({ head, part, inner, copyUntil, outdated, lasting }: Keepsake, named: boolean): number {
  return (
    kindResponse |
    flagLive |
    (part === null ? 0 : flagPart) |
    (inner ? flagInner : 0) |
    (copyUntil === null ? 0 : flagCopy) |
    (head.varyNames.length > 0 ? flagSelected : 0) |
    (outdated ? flagOutdated : 0) |
    (lasting ? flagLasting : 0) |
    (named ? flagNamed : 0) |
    (lifetimeSources.indexOf(head.lifetime.source) << sourceShift)
  );
}

/**
 * Whether what a record leaves out follows from the fields that it keeps: it does not where the origin has had
 * Cache-Control or Vary itself removed (by naming it in Connection), and such a response is not worth a place for them.
 */
function isReadable({ fields, directives, varyNames: names }: StoredHead): boolean {
  const again = responseDirectives(fields);
  const namesAgain = varyNames(fields);
  return (
    again.source === directives.source &&
    again.directives.size === directives.directives.size &&
    (namesAgain === "*" ? [] : namesAgain).join() === names.join()
  );
}
