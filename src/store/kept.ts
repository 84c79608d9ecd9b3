/** A stored response as an object on the heap, with what the memory store knows of it and its price in bytes. */
import { groupsOf } from "../http/groups.ts";
import type { StoredHead } from "../http/stored-head.ts";
import { AnswerHead } from "../wire/answer-head.ts";
import type { Body } from "./body.ts";
import type { Evictable } from "./eviction.ts";
import {
  fieldBytes,
  freshUntilOf,
  groupKey,
  originOfKey,
  type Keepsake,
  type Memo,
  type Part,
  type StoredResponse,
} from "./port.ts";

/**
 * Bytes that objects, maps and their entries cost beside what is counted: heap and buffers of 40,000 stored responses
 * of 1 KB, measured.
 */
const overheadBytes = 1800;
/** A group costs its name, an entry of the index, and a place in a set. */
const groupBytes = 250;

/** What a store has kept. Only that store writes to it. */
export class Kept implements StoredResponse, Evictable {
  readonly key: string;
  readonly hash: number;
  readonly head: StoredHead;
  readonly answerHead: AnswerHead;
  readonly body: Body;
  readonly groups: readonly string[];
  readonly inner: boolean;
  readonly part: Part | null;
  readonly copyUntil: number | null;
  readonly freshUntil: number;
  readonly bytes: number;
  readonly memo: Memo = { ageSeconds: -1, lines: "", settings: null, forms: 0, way: 0 };
  trustedEpoch: number;
  outdated: boolean;
  hits = 0;
  used = false;
  newer: this | null = null;
  older: this | null = null;

  constructor({ key, hash, head, inner, trustedEpoch, copyUntil, part, outdated }: Keepsake, body: Body) {
    this.key = key;
    this.hash = hash;
    this.head = head;
    this.body = body;
    this.inner = inner;
    this.trustedEpoch = trustedEpoch;
    this.copyUntil = copyUntil;
    this.part = part;
    this.outdated = outdated;
    this.groups = groupsOf(head.fields).map((group) => groupKey(originOfKey(key), group));
    this.answerHead = AnswerHead.of(head.status, head.fields, body.bytes);
    this.freshUntil = freshUntilOf(head, copyUntil);
    this.bytes = priceOf(this);
  }
}

/** The head is priced twice: as fields, and as the bytes that answers begin with. */
function priceOf({ key, head, body, groups }: Kept): number {
  const fields = fieldBytes(head.fields);
  const selected = head.variant.length * 2;
  const grouped = groups.reduce((sum, group) => sum + group.length * 2 + groupBytes, 0);
  return body.bytes + fields * 2 + key.length * 2 + selected + grouped + overheadBytes;
}
