/**
 * The data plane without sockets: real rooms and store, an origin of one function, exchanges that remember what they
 * were answered.
 */
import type { View } from "../../src/ring/view.ts";
import { viewOfOne } from "../../src/ring/view.ts";
import { FrequencySketch } from "../../src/ring/frequency-sketch.ts";
import type { Fetch, OriginHandler, OriginRequest } from "../../src/origin/fetch.ts";
import type { OriginClient } from "../../src/origin/origin-client.ts";
import { originSettings } from "../../src/origin/fetch.ts";
import { OriginChoice } from "../../src/origin/origin-choice.ts";
import type { Peers } from "../../src/peer/peers.ts";
import type { CompressionRules } from "../../src/http/codings.ts";
import { answerHere } from "../../src/proxy/fetch/here.ts";
import { Flights } from "../../src/proxy/fetch/flights.ts";
import { Uncacheable } from "../../src/proxy/fetch/uncacheable.ts";
import { Correspondence } from "../../src/invalidation/correspondence.ts";
import { InvalidationLog } from "../../src/invalidation/log.ts";
import { Touch } from "../../src/invalidation/touch.ts";
import { Comparing } from "../../src/proxy/invalidation/comparing.ts";
import { Invalidations } from "../../src/proxy/invalidation/invalidations.ts";
import { Purges } from "../../src/proxy/invalidation/purges.ts";
import { Sweeping } from "../../src/proxy/invalidation/sweeping.ts";
import { Telling } from "../../src/proxy/invalidation/telling.ts";
import { Ownership } from "../../src/proxy/invalidation/ownership.ts";
import { HitLines } from "../../src/proxy/request/hit-lines.ts";
import { Recorder } from "../../src/proxy/request/recorder.ts";
import { cachingRules, type CachingRules, type Route, type Routing } from "../../src/proxy/request/routes.ts";
import type { ServeNeeds } from "../../src/proxy/serve.ts";
import { PageStore } from "../../src/store/pages/page-store.ts";
import { AnswerHead, type AnswerBytes } from "../../src/wire/answer-head.ts";
import type { Client, Exchange } from "../../src/wire/exchange.ts";
import { Holds, type Hold, type Holder } from "../../src/wire/holds.ts";
import { wireLimits } from "../../src/wire/limits.ts";
import { isRefusal, requestHead } from "../../src/wire/request-head.ts";
import type { InvalidationPlane } from "../../src/member/invalidation-plane.ts";
import { announcementOf } from "./seats.ts";

/** One fetch as the test's origin sees it; it answers when it likes, now or later. */
export interface OriginCall {
  readonly request: OriginRequest;
  readonly handler: OriginHandler;
  cancelled: boolean;
}

/** A request that nobody sent, and its answer that nobody reads. */
export class FakeExchange implements Exchange {
  readonly head: Exchange["head"];
  readonly client: Client;
  hop: 0 | 1 = 0;
  readonly body = null;
  inner = false;
  answered = false;
  closed = false;
  finished = false;
  sentBytes = 0;
  status = 0;
  fields: readonly string[] = [];
  content = "";
  aborted = false;
  declined: string | null = null;
  /** Whether it takes more at once. */
  takes = true;
  readonly holds = new Holds();

  constructor(text: string, client: Partial<Client> = {}) {
    const head = requestHead(text, wireLimits);
    if (isRefusal(head)) throw new Error(head.reason);
    this.head = head;
    this.client = { address: "127.0.0.1", local: true, scheme: "http", ...client };
  }

  hold(holder: Holder): Hold {
    return this.holds.take(holder);
  }
  inform(): void {}
  answer(head: AnswerHead, changing: string, content: Buffer | null, taken?: () => void): void {
    this.begin(head, changing);
    if (content === null) taken?.();
    else this.write(content, taken);
    this.end();
  }
  answerBytes(answer: AnswerBytes, changing: string): void {
    const { memory, contentAt, contentEnd } = answer;
    this.answer(AnswerHead.ofBytes(answer), changing, memory.subarray(contentAt, contentEnd), answer.lend());
  }
  begin(head: AnswerHead, changing: string): void {
    if (this.closed || this.answered) return;
    this.answered = true;
    this.status = head.status;
    const lines = changing.split("\r\n").filter((line) => line !== "");
    this.fields = [
      ...head.fields,
      ...lines.flatMap((line) => [line.split(": ")[0]!, line.slice(line.indexOf(": ") + 2)]),
    ];
  }
  write(content: Buffer, taken?: () => void): boolean {
    taken?.();
    if (this.closed || this.finished) return true;
    this.content += content.toString("latin1");
    this.sentBytes += content.length;
    return this.takes;
  }
  end(): void {
    if (this.closed) return;
    this.finished = true;
  }
  abort(): void {
    if (this.closed || this.finished) return;
    this.aborted = true;
    this.closed = true;
  }
  decline(reason: string): boolean {
    this.declined = reason;
    return this.hop === 1;
  }
  takeOver(): null {
    return null;
  }
  /** The client goes away. */
  leave(): void {
    if (this.closed || this.finished) return;
    this.closed = true;
    this.holds.left();
  }
  /** The client has room again. */
  drain(): void {
    this.takes = true;
    this.holds.drained();
  }
  field(name: string): string | undefined {
    const at = this.fields.findIndex((text, index) => index % 2 === 0 && text === name);
    return at === -1 ? undefined : this.fields[at + 1];
  }
  /** What a client could tell apart. */
  get seen(): string {
    return JSON.stringify([this.status, this.fields, this.content, this.finished, this.aborted]);
  }
}

export interface FakePlane extends ServeNeeds, InvalidationPlane {
  readonly current: { view: View; routing: Routing; joined: boolean; challenges: Map<string, string> };
  readonly calls: OriginCall[];
  readonly store: PageStore;
  readonly invalidations: Invalidations;
  readonly comparing: Comparing;
  readonly purges: Purges;
  readonly ownership: Ownership;
  readonly uncacheable: Uncacheable;
  readonly uncopied: Uncacheable;
  /** Seconds by the steady clock, and how far the wall clock leads it. */
  now: number;
  wallLead: number;
}

export interface FakePlaneOptions {
  readonly answer?: (call: OriginCall) => void;
  readonly routes?: readonly {
    readonly host: string | null;
    readonly path: string;
    readonly caching?: Partial<CachingRules>;
    readonly compression?: CompressionRules;
  }[];
  readonly forward?: boolean;
  readonly bytesMax?: number;
  readonly self?: string;
  readonly view?: View;
  /** Bytes for hot copies. */
  readonly copies?: number;
  readonly peers?: Partial<Peers>;
  /**
   * How long others' silence is borne; in a view of more than this member, nobody has been heard of at the beginning.
   */
  readonly trustSeconds?: number;
}

/** Answers a call in one: status, fields, content. */
export function reply(call: OriginCall, status: number, fields: readonly string[], content = ""): void {
  if (call.cancelled) return;
  const length = ["content-length", String(content.length)];
  call.handler.head(status, status === 304 ? fields : [...fields, ...length], false);
  if (content !== "" && call.request.method !== "HEAD" && status !== 304)
    call.handler.data(Buffer.from(content, "latin1"));
  call.handler.end([]);
}

/** A member alone, with its origin in hand. */
export function fakePlane(options: FakePlaneOptions = {}): FakePlane {
  const { answer, routes, forward = true, bytesMax = 2 ** 22, self = "m1" } = options;
  const calls: OriginCall[] = [];
  const client = {
    fetch: (request: OriginRequest, handler: OriginHandler): Fetch => {
      const call: OriginCall = { request, handler, cancelled: false };
      calls.push(call);
      // As on a socket: never within the call.
      if (answer !== undefined) queueMicrotask(() => answer(call));
      return { pause: () => {}, resume: () => {}, cancel: () => void (call.cancelled = true) };
    },
    waiting: 0,
  } as unknown as OriginClient;
  const plane = { now: 1_000_000, wallLead: 0 };
  const recorder = new Recorder();
  const viaLine = "via: 1.1 m1 (gyre)\r\n";
  const desk = {
    self,
    cdnId: "gyre-test",
    viaLine,
    hitLines: new HitLines(self, viaLine),
    recorder,
    tracing: null,
    nowSeconds: () => plane.now,
    wallLeadSeconds: () => plane.wallLead,
  };
  const routing: Routing = {
    number: 1,
    routes: (routes ?? []).map(({ host, path, caching, compression }, index): Route => ({
      name: `r${index}`,
      host,
      path,
      number: 1,
      origins: new OriginChoice([{ origin: "http://origin.test", weight: 1, backup: false }]),
      turns: { retries: 1, retryOn: new Set() },
      hostField: "preserve",
      namesRequests: false,
      request: null,
      response: null,
      rewrite: null,
      fixed: null,
      compression: compression ?? null,
      client,
      caching: { ...cachingRules, ...caching },
      settings: index + 1,
    })),
    forward: forward ? { local: client, remote: client, caching: cachingRules, settings: 99 } : null,
    trusts: () => false,
    purges: null,
    tunnels: { settings: originSettings, ports: "any", idleMs: 1000, allowed: null, own: () => false },
  };
  const view = options.view ?? viewOfOne("c", announcementOf(self));
  const current = { view, routing, joined: true, challenges: new Map<string, string>() };
  const store = new PageStore(bytesMax, { copiesBytesMax: options.copies ?? 0 });
  const ownership = new Ownership(self);
  ownership.follow(view, plane.now);
  const [uncacheable, uncopied] = [new Uncacheable(), new Uncacheable()];
  const peers = {
    call: () => Promise.reject(new Error("nobody there")),
    request: () => null,
    isUp: () => false,
    isGone: () => false,
    isDialling: () => false,
    whenUp: () => Promise.resolve(),
    load: () => 0,
    ...options.peers,
  };
  const { nowSeconds } = desk;
  const failed = (error: Error): void => {
    throw error;
  };
  const nowMs = (): number => plane.now * 1000;
  const correspondence = new Correspondence(
    { name: self, startedMs: 1 },
    new InvalidationLog(`${self}@test`, 2 ** 20),
    new Touch(self, options.trustSeconds ?? 4),
  );
  correspondence.follow(view.epoch, view.members, plane.now);
  const telling = new Telling({ self, peers });
  const sweeping = new Sweeping(store, failed);
  const invalidations = new Invalidations({ current, store, correspondence, telling, sweeping, nowSeconds, nowMs });
  const comparing = new Comparing({
    self,
    current,
    correspondence,
    invalidations,
    telling,
    peers,
    nowSeconds,
    intervalMs: 1000,
    coordinatorHeard: () => null,
    compared: () => {},
    touched: () => {},
    failed,
  });
  let purgesMade = 0;
  const newId = (): string => `purge-${++purgesMade}`;
  const audit = (): void => {};
  const purges = new Purges({ self, current, store, peers, invalidations, nowMs, newId, audit, failed });
  const invalidation = { correspondence, telling, sweeping, invalidations, comparing, purges };
  const flights: Flights = new Flights({
    current,
    store,
    peers,
    ownership,
    uncacheable,
    uncopied,
    invalidations,
    objectBytesMax: bytesMax / 4,
    answerIdentity: (ticket, hash): void => answerHere({ current, store, invalidations, flights }, ticket, hash),
    failed,
  });
  return Object.assign(plane, {
    self,
    desk,
    current,
    store,
    peers,
    ownership,
    uncacheable,
    uncopied,
    ...invalidation,
    failed,
    flights,
    heat: new FrequencySketch(),
    loadBound: null,
    ownLoad: () => 0,
    calls,
  });
}

/** Lets everything that waits for nothing but its turn happen. */
export async function turns(count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((done) => setImmediate(done));
}
