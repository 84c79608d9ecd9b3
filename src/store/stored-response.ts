/** A stored response: its head worked out for decisions, its head prepared for the wire, its content, its price in bytes. */
import { fieldBlock } from "../http/fields.ts";
import { groupsOf } from "../http/groups.ts";
import type { StoredHead } from "../http/stored-head.ts";
import { preparedHead, type PreparedHead } from "../wire/exchange.ts";
import type { Body } from "./body.ts";
import type { Evictable } from "./eviction.ts";

/** Bytes that objects, maps and strings cost beside head and content: heap and buffers of 40,000 stored responses of 1 KB, measured. */
const overheadBytes = 2300;

/** One stored response. */
export class StoredResponse implements Evictable {
  readonly key: string;
  /** The key's position on the ring. */
  readonly hash: number;
  head: StoredHead;
  prepared: PreparedHead;
  readonly body: Body;
  /** The groups it belongs to, each with its origin. RFC 9875 §2.1. */
  readonly groups: readonly string[];
  /** Fetched from a loopback or private address: not for clients that may not go there. */
  readonly inner: boolean;
  /** The part that it is of a whole, for a stored 206. */
  readonly part: { readonly first: number; readonly last: number; readonly total: number } | null;
  /** Seconds since the epoch up to which it may answer a request without any directive; 0 where it must be validated first. */
  freshUntil: number;
  /** The last epoch in which this member was found to be right in answering from it; through it, it has heard of every invalidation. */
  trustedEpoch: number;
  /** A hot copy of another member's key: seconds since the epoch until which it may be used; null for what is kept as the owner. */
  readonly copyUntil: number | null;
  /** Marked out of date by a HEAD or an operator: validate before use. RFC 9111 §4.3.5. */
  outdated = false;
  bytes: number;
  hits = 0;
  used = false;
  newer: this | null = null;
  older: this | null = null;
  /** The lines that change from second to second, as last written, and for which age. */
  changingAge = -1;
  changing = "";

  constructor(init: {
    readonly key: string;
    readonly hash: number;
    readonly head: StoredHead;
    readonly body: Body;
    readonly inner: boolean;
    readonly trustedEpoch: number;
    readonly copyUntil?: number | null;
    readonly part?: StoredResponse["part"];
  }) {
    this.key = init.key;
    this.hash = init.hash;
    this.body = init.body;
    this.inner = init.inner;
    this.groups = groupsOf(init.head.fields).map((group) => groupKey(originOf(init.key), group));
    this.part = init.part ?? null;
    this.trustedEpoch = init.trustedEpoch;
    this.copyUntil = init.copyUntil ?? null;
    this.head = init.head;
    this.prepared = preparedHead(init.head.status, fieldBlock(init.head.fields), init.body.bytes);
    this.freshUntil = Math.min(freshUntil(init.head), this.copyUntil ?? Infinity);
    this.bytes = this.#price();
  }

  /** Takes a newer head after a validation. The store must be told, since the price changes. */
  freshen(head: StoredHead): void {
    this.head = head;
    this.prepared = preparedHead(head.status, fieldBlock(head.fields), this.body.bytes);
    this.freshUntil = Math.min(freshUntil(head), this.copyUntil ?? Infinity);
    this.outdated = false;
    this.changingAge = -1;
    this.bytes = this.#price();
  }

  #price(): number {
    return this.body.bytes + this.prepared.bytes.length * 2 + this.key.length * 2 + overheadBytes;
  }
}

/** A group's name with its origin: groups of different origins have nothing to do with each other. */
export function groupKey(origin: string, group: string): string {
  return `${origin}\n${group}`;
}

/** Scheme, host and port at the beginning of a key. */
function originOf(key: string): string {
  return key.slice(0, key.indexOf("/", key.indexOf("//") + 2));
}

function freshUntil(head: StoredHead): number {
  return head.directives.directives.has("no-cache") ? 0 : head.born + head.lifetime.seconds;
}
