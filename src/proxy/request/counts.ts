/** What a member counts of its requests: plain numbers, read by whoever tells them. */
import { durationBoundsMs } from "./durations.ts";

/** Status codes end before. */
const statusMax = 999;

/** See above. */
export interface Counts {
  hits: number;
  hitBytes: number;
  /** Requests handled here, from clients and from members, by outcome; hits of the fast way are in `hits` only. */
  readonly byOutcome: Map<string, number>;
  /** By status code. */
  readonly byStatus: number[];
  /** Answers of origins that were stored; those that were not, by why. */
  stored: number;
  readonly notStored: Map<string, number>;
  /** Content of hits that took the whole way; that of the fast way is in `hitBytes`. */
  slowHitBytes: number;
  bytesSent: number;
  /** Of clients alone, not of members that ask for theirs: answers of 5xx, bytes of content, requests by duration. */
  failed: number;
  clientBytes: number;
  readonly clientDurations: number[];
  /** Requests that have left the fast way and are not answered yet. */
  inFlight: number;
  originFetches: number;
  originErrors: number;
  originBytes: number;
  /** Requests that had to wait for a slot of their origin, that got none, and that found no file descriptor left. */
  originWaits: number;
  originRefusals: number;
  exhausted: number;
  forwarded: number;
  /** Forwarded requests whose answer has not ended. */
  forwarding: number;
  /** Requests that have become tunnels and are still open. */
  tunnelling: number;
  /** Hits of hot copies; they are among the hits. */
  copyHits: number;
  copiesMade: number;
  /** Requests passed to a successor because their owner was busy, and those taken for a busy owner. */
  passed: number;
  stoodIn: number;
  /** Misses for which a previous owner was asked, those that it had, and what others asked here. */
  peeks: number;
  peeksFound: number;
  peeksAnswered: number;
  /** Stored responses given to a new owner when leaving, and taken from one that left. */
  handedOver: number;
  takenOver: number;
  forwardFailures: number;
  /** Requests that their owner sent back: it has other settings, or stands elsewhere. */
  declined: number;
  collapsed: number;
  refused: number;
  tunnels: number;
  /** Requests by the time from head to last byte: `durationBoundsMs` are the upper bounds. */
  readonly durations: number[];
  durationSumMs: number;
}

/** Before anything has happened. */
export function noCounts(): Counts {
  return {
    hits: 0,
    hitBytes: 0,
    byOutcome: new Map(),
    byStatus: new Array<number>(statusMax + 1).fill(0),
    stored: 0,
    notStored: new Map(),
    slowHitBytes: 0,
    bytesSent: 0,
    failed: 0,
    clientBytes: 0,
    clientDurations: new Array<number>(durationBoundsMs.length + 1).fill(0),
    inFlight: 0,
    originFetches: 0,
    originErrors: 0,
    originBytes: 0,
    originWaits: 0,
    originRefusals: 0,
    exhausted: 0,
    forwarded: 0,
    forwarding: 0,
    tunnelling: 0,
    copyHits: 0,
    copiesMade: 0,
    passed: 0,
    stoodIn: 0,
    peeks: 0,
    peeksFound: 0,
    peeksAnswered: 0,
    handedOver: 0,
    takenOver: 0,
    forwardFailures: 0,
    declined: 0,
    collapsed: 0,
    refused: 0,
    tunnels: 0,
    durations: new Array<number>(durationBoundsMs.length + 1).fill(0),
    durationSumMs: 0,
  };
}
