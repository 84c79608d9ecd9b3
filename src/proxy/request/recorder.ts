/** What happened to requests, counted and told: plain numbers on the hit path, a log line only where one is wanted. */
import type { FieldList } from "../../http/fields.ts";
import { bucketOf } from "./durations.ts";
import { noCounts, type Counts } from "./counts.ts";
import { noRoute, RouteCounts, type RouteNumbers } from "./route-counts.ts";
import type { Trace } from "./trace.ts";
import { outcomeLabel, type Outcome } from "../../http/cache-status.ts";

/** A finished request, as the access log tells it. */
export interface AccessRecord {
  readonly client: string;
  /** The name that it asked for in its TLS handshake; null where it named none. */
  readonly serverName: string | null;
  /** As in HTTP/1.1. */
  readonly protocol: string;
  readonly method: string;
  readonly uri: string;
  readonly status: number;
  /** Where a hit was had from: a hot copy of another member's, memory, a disk; null where it is none. */
  readonly tier: "copy" | "memory" | "disk" | null;
  /** Of what it was answered with; empty, too, where nobody wants to know. */
  readonly tags: readonly string[];
  readonly outcome: string;
  readonly reason: string | null;
  readonly owner: string;
  /** What the owner says of its part, where it was asked: as in `m2; hit; ttl=57`. */
  readonly owned: string | null;
  /** The origin that was asked for it from here; null where none was. */
  readonly origin: string | null;
  readonly requestId: string | null;
  /** This member's part of a trace that is followed, or null. */
  readonly trace: Trace | null;
  /** The route's name, null for the forward proxy; undefined where nobody has looked for it yet. */
  readonly route: string | null | undefined;
  /** Until the answer began; null where it never did. */
  readonly firstByteMs: number | null;
  /** The request's own target and fields. */
  readonly target: string;
  readonly fields: FieldList;
  /** 0 at the member that the client spoke to, 1 at one that it forwarded to. */
  readonly hop: 0 | 1;
  readonly bytes: number;
  readonly durationMs: number;
  readonly complete: boolean;
}

/** Of a request that goes nowhere from here. */
export const unforwarded = {
  tier: null,
  tags: [],
  owned: null,
  origin: null,
  requestId: null,
  trace: null,
  route: undefined,
  firstByteMs: null,
} as const;

/** Hits that another thread has counted. */
export interface CountedHits {
  readonly hits: number;
  readonly hitBytes: number;
  readonly copyHits: number;
  readonly durationSumMs: number;
  /** By bucket, and by status. */
  readonly durations: readonly number[];
  readonly statuses: readonly number[];
  /** A table as RouteCounts has one. */
  readonly routes: Float64Array;
}

/** Counts what happened, and writes log lines where they are wanted. */
export class Recorder {
  readonly #counts: Counts = noCounts();

  /** `numbers` are those of routes. */
  constructor(numbers?: RouteNumbers) {
    this.routes = new RouteCounts(numbers);
  }

  get counts(): Readonly<Counts> {
    return this.#counts;
  }

  /** Of clients alone, at the member that they spoke to. */
  readonly routes: RouteCounts;
  /** Writes a log line; null where the access log is off. */
  log: ((record: AccessRecord) => void) | null = null;
  /** Is told of every request that is part of a trace, where somebody is told. */
  traced: ((record: AccessRecord) => void) | null = null;
  /** Whether somebody wants to know the tags of answers. */
  wantsTags = false;
  /** One request in so many is logged. */
  sample = 1;
  /** Whether the owner's part of a request that another member has forwarded gets a line of its own. */
  logsHops = false;
  /** Is told of every request of a client while somebody watches. */
  watch: ((record: AccessRecord) => void) | null = null;
  /** Is told of what this member has done for another one's client, while somebody counts. */
  watchOwned: ((record: Omit<AccessRecord, "outcome">) => void) | null = null;
  /** Is told of those that took the whole way. */
  noted: ((record: Omit<AccessRecord, "outcome">, outcome: string) => void) | null = null;
  #seen = 0;

  /** Whether the next request to finish is told of. */
  tellsNext(hop: 0 | 1): boolean {
    return (this.watch !== null && hop === 0) || this.#logsNext(hop);
  }

  #logsNext(hop: 0 | 1): boolean {
    return this.log !== null && (hop === 0 || this.logsHops) && this.#seen % this.sample === 0;
  }

  #tell(record: AccessRecord): void {
    if (this.#logsNext(record.hop)) this.log!(record);
    if (record.hop === 0) this.watch?.(record);
  }

  /** Requests that this member is working on itself. */
  get load(): number {
    const { inFlight, forwarding, tunnelling } = this.#counts;
    return Math.max(0, inFlight - forwarding - tunnelling);
  }

  /** A hit of the fast way, and how long it took; `record` where it is to be logged, `route` by its number. */
  hit(
    { status, bytes, durationMs }: Pick<AccessRecord, "status" | "bytes" | "durationMs">,
    hop: 0 | 1,
    record: AccessRecord | null,
    route: number,
  ): void {
    if (record !== null) this.#tell(record);
    const bucket = this.#took({ status, bytes, durationMs, hop });
    if (hop === 0) this.routes.hit(route, bytes, durationMs, bucket);
    if (hop === 0 || this.logsHops) this.#seen++;
    this.#counts.byStatus[status]!++;
    this.#counts.hits++;
    this.#counts.hitBytes += bytes;
  }

  /** Adds what another thread has counted of its hits since `before`. */
  absorb(now: CountedHits, before: CountedHits): void {
    const counts = this.#counts;
    counts.hits += now.hits - before.hits;
    counts.hitBytes += now.hitBytes - before.hitBytes;
    counts.copyHits += now.copyHits - before.copyHits;
    counts.durationSumMs += now.durationSumMs - before.durationSumMs;
    counts.clientBytes += now.hitBytes - before.hitBytes;
    this.routes.absorb(now.routes, before.routes);
    for (const [bucket, count] of now.durations.entries()) {
      counts.durations[bucket]! += count - before.durations[bucket]!;
      counts.clientDurations[bucket]! += count - before.durations[bucket]!;
    }
    for (const [status, count] of now.statuses.entries()) {
      counts.byStatus[status]! += count - before.statuses[status]!;
      if (status >= 500) counts.failed += count - before.statuses[status]!;
    }
  }

  /** A request has left the fast way. */
  began(): void {
    this.#counts.inFlight++;
  }

  /** It has become a tunnel. */
  switched(): void {
    this.#counts.tunnelling++;
  }

  ended(as: "request" | "tunnel"): void {
    this.#counts.inFlight--;
    if (as === "tunnel") this.#counts.tunnelling--;
  }

  tunnelOpened(): void {
    this.#counts.tunnels++;
  }

  refused(): void {
    this.#counts.refused++;
  }

  /** One that could not be read. */
  unread(record: AccessRecord): void {
    this.#tell(record);
    this.noted?.(record, record.outcome);
    this.#seen++;
  }

  originAsked(): void {
    this.#counts.originFetches++;
  }

  originFailed(): void {
    this.#counts.originErrors++;
  }

  /** A request waits for a slot of its origin, was refused one, or found no descriptor left. */
  originWaited(): void {
    this.#counts.originWaits++;
  }

  originRefused(): void {
    this.#counts.originRefusals++;
  }

  exhausted(): void {
    this.#counts.exhausted++;
  }

  originSent(bytes: number): void {
    this.#counts.originBytes += bytes;
  }

  /** A request has gone to another member. */
  forwarded(asking: "answer" | "stand-in"): void {
    this.#counts.forwarded++;
    this.#counts.forwarding++;
    if (asking === "stand-in") this.#counts.passed++;
  }

  /** Its answer has ended, or will not come. */
  forwardEnded(): void {
    this.#counts.forwarding--;
  }

  forwardFailed(): void {
    this.#counts.forwardFailures++;
  }

  /** Another member sent the request back: this one must answer it. */
  declined(): void {
    this.#counts.declined++;
  }

  copyUsed(): void {
    this.#counts.copyHits++;
  }

  copyMade(): void {
    this.#counts.copiesMade++;
  }

  stoodIn(): void {
    this.#counts.stoodIn++;
  }

  /** A previous owner is asked, has had it, was asked here. */
  peeked(): void {
    this.#counts.peeks++;
  }

  peekFound(): void {
    this.#counts.peeksFound++;
  }

  peekAnswered(): void {
    this.#counts.peeksAnswered++;
  }

  /** What an origin has answered has been stored; or is not, and why. */
  stored(): void {
    this.#counts.stored++;
  }

  notStored(reason: string): void {
    const { notStored } = this.#counts;
    notStored.set(reason, (notStored.get(reason) ?? 0) + 1);
  }

  handedOver(responses: number): void {
    this.#counts.handedOver += responses;
  }

  takenOver(responses: number): void {
    this.#counts.takenOver += responses;
  }

  finished(record: Omit<AccessRecord, "outcome">, outcome: Outcome): void {
    const counts = this.#counts;
    const label = outcomeLabel(outcome);
    counts.byOutcome.set(label, (counts.byOutcome.get(label) ?? 0) + 1);
    counts.byStatus[record.status]!++;
    if (label.startsWith("hit")) counts.slowHitBytes += record.bytes;
    counts.bytesSent += record.bytes;
    if (outcome.collapsed === true) counts.collapsed++;
    const bucket = this.#took(record);
    if (record.hop === 0) {
      const route = record.route == null ? noRoute : this.routes.numbers.known(record.route);
      this.routes.finished(route, answeredBy(record.owned) ?? label, record.bytes, record.durationMs, bucket);
    }
    if (this.tellsNext(record.hop)) this.#tell({ ...record, outcome: label });
    if (record.trace !== null) this.traced?.({ ...record, outcome: label });
    if (record.hop === 0) this.noted?.(record, label);
    else this.watchOwned?.(record);
    if (record.hop === 0 || this.logsHops) this.#seen++;
  }

  /** @returns the bucket of its duration. */
  #took({ status, bytes, durationMs, hop }: Pick<AccessRecord, "status" | "bytes" | "durationMs" | "hop">): number {
    const counts = this.#counts;
    const bucket = bucketOf(durationMs);
    counts.durations[bucket]!++;
    counts.durationSumMs += durationMs;
    if (hop === 1) return bucket;
    counts.clientDurations[bucket]!++;
    counts.clientBytes += bytes;
    if (status >= 500) counts.failed++;
    return bucket;
  }
}

/** What the owner's part came to, as in `m2; fwd=uri-miss; stored`; null where it was not asked. */
function answeredBy(owned: string | null): string | null {
  if (owned === null) return null;
  return owned.includes("; hit") ? "hit" : (/; fwd=([a-z-]+)/.exec(owned)?.[1] ?? null);
}
