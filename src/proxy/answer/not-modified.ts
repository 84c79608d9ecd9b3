/**
 * The 304 to a client that has what is stored, made of the stored response's bytes. Answers to many clients are made of
 * few responses: what was taken apart for the last ones is remembered, and goes by the bytes, so that nothing has to
 * say when it is out of date. RFC 9110 §13, §15.4.5.
 */
import { isNotModified, notModifiedHead } from "../../http/conditional.ts";
import { fieldsOfBlock, fieldValue, type FieldList } from "../../http/fields.ts";
import { etagOf } from "../../http/validators.ts";
import { AnswerHead, type AnswerBytes } from "../../wire/answer-head.ts";

/** Blocks of field lines that are remembered, each in the one place that where it lies gives it. */
const places = 64;
/** Bytes of a block that is: together they take little. */
const blockBytesMax = 1024;

/** What has been made of a block of field lines. */
interface Apart {
  readonly block: Buffer;
  readonly fields: FieldList;
  /** The text of its entity tag, where that is one. */
  readonly etag: string | null;
  /** The 304's. */
  head: AnswerHead | null;
}

const lately: (Apart | undefined)[] = Array.from({ length: places });

/**
 * The head of the 304 that answers a request, or null where the client has not what is stored, or asks on no such
 * condition. `now`: seconds since the epoch.
 */
export function notModifiedFor(
  asked: FieldList,
  stored: Pick<AnswerBytes, "status" | "memory" | "fieldsAt" | "lengthAt"> & { readonly dateSeconds: number },
  now: number,
): AnswerHead | null {
  if (stored.status !== 200) return null;
  const apart = takenApart(stored);
  const { fields, etag } = apart;
  // The one tag that was given, as it was given.
  const isIt = etag !== null && fieldValue(asked, "if-none-match") === etag;
  if (!isIt && !isNotModified(asked, { fields, dateSeconds: stored.dateSeconds }, now)) return null;
  return (apart.head ??= AnswerHead.of(304, notModifiedHead(fields), null));
}

function takenApart({ memory, fieldsAt, lengthAt }: Pick<AnswerBytes, "memory" | "fieldsAt" | "lengthAt">): Apart {
  const place = (fieldsAt >>> 3) % places;
  const known = lately[place];
  if (known !== undefined && known.block.compare(memory, fieldsAt, lengthAt) === 0) return known;
  const fields = fieldsOfBlock(memory.toString("latin1", fieldsAt, lengthAt));
  const etag = etagOf(fields) === null ? null : fieldValue(fields, "etag")!;
  const apart = { block: Buffer.from(memory.subarray(fieldsAt, lengthAt)), fields, etag, head: null };
  if (apart.block.length <= blockBytesMax) lately[place] = apart;
  return apart;
}
