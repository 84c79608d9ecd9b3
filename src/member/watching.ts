/**
 * Who watches the requests of a member's clients, and what they are told. Nobody watches, mostly, and then it costs
 * nothing: the fast way does not even make a record.
 */
import type { AccessRecord, Recorder } from "../proxy/request/recorder.ts";
import { routeNameOf, type RoutePlace } from "../proxy/request/routes.ts";
import { Busiest, type busyKinds, type BusyLists } from "../telemetry/busiest.ts";
import { wasHit, type SeenRequest } from "../telemetry/seen-request.ts";
import { seenOf } from "./seen.ts";

/** Requests that took the whole way and are remembered; of more, what the collector copies shows in every miss. */
const recentMax = 100;
/** Of a head, by its URI and the number of its fields; bytes. */
const smallHead = 2048;
/** What is busiest is counted for so long after somebody has asked for it. */
const countingMs = 15_000;

interface Noted {
  readonly record: Omit<AccessRecord, "outcome">;
  readonly outcome: string;
  readonly atMs: number;
}

interface Counting {
  readonly tallies: Readonly<Record<(typeof busyKinds)[number], Busiest>>;
  /** Ends it. */
  readonly timer: NodeJS.Timeout;
}

export interface WatchingOptions {
  readonly member: string;
  readonly recorder: Recorder;
  readonly routes: () => readonly RoutePlace[];
  /** Other threads are to tell what they see, or need not any more. */
  readonly frontsTell: (tell: boolean) => void;
}

/** See above. */
export class Watching {
  readonly #options: WatchingOptions;
  readonly #watchers = new Set<(request: SeenRequest) => void>();
  /** A ring of the last. */
  readonly #recent: (SeenRequest | Noted)[] = [];
  #next = 0;
  #counting: Counting | null = null;

  constructor(options: WatchingOptions) {
    this.#options = options;
    options.recorder.noted = (record, outcome) => {
      // What is small is kept as it is, and made into something when somebody asks; the bytes of a large head would
      // stay in memory with it.
      const kept = { record, outcome, atMs: Date.now() };
      const isSmall = record.uri.length + 40 * record.fields.length < smallHead;
      this.#recent[this.#next++ % recentMax] = isSmall ? kept : this.#seen(kept);
    };
  }

  /** Tells of every request from now on, until the function returned is called. */
  watch(watcher: (request: SeenRequest) => void): () => void {
    this.#watchers.add(watcher);
    if (this.#watchers.size === 1) {
      const { recorder, member } = this.#options;
      recorder.watch = (record) => this.seen([seenOf(record, member, Date.now())]);
      this.#options.frontsTell(true);
    }
    return () => {
      if (!this.#watchers.delete(watcher) || this.#watchers.size > 0) return;
      this.#options.recorder.watch = null;
      this.#options.frontsTell(false);
    };
  }

  /** What has been seen, here or by another thread. */
  seen(requests: readonly SeenRequest[]): void {
    for (const request of requests) {
      const told = request.route === null ? { ...request, route: this.routeName(request.uri) } : request;
      for (const watcher of this.#watchers) watcher(told);
    }
  }

  /** The last requests that were no hits of the fast way, oldest first. */
  get recent(): readonly SeenRequest[] {
    const begin = this.#next % recentMax;
    const ordered = [...this.#recent.slice(begin), ...this.#recent.slice(0, begin)];
    return ordered.map((one) => ("record" in one ? this.#seen(one) : one));
  }

  #seen({ record, outcome, atMs }: Noted): SeenRequest {
    return seenOf({ ...record, outcome }, this.#options.member, atMs);
  }

  /** The name of the route that a URI belongs to; null where none does. */
  routeName(uri: string): string | null {
    return routeNameOf(this.#options.routes(), uri);
  }

  /** What is asked for most just now. Counting begins when somebody asks, and ends some time after nobody does. */
  busiest(count: number): BusyLists {
    const now = performance.now();
    const counting = (this.#counting ??= this.#beginCounting(now));
    counting.timer.refresh();
    const { uri, route, origin, client } = counting.tallies;
    return {
      uri: uri.top(count, now),
      route: route.top(count, now),
      origin: origin.top(count, now),
      client: client.top(count, now),
    };
  }

  #beginCounting(beganMs: number): Counting {
    const tallies = {
      uri: new Busiest(beganMs),
      route: new Busiest(beganMs),
      origin: new Busiest(beganMs),
      client: new Busiest(beganMs),
    };
    const end = this.watch((request) => {
      // What could not be read has asked for nothing.
      if (request.method === "-") return;
      const now = performance.now();
      const counts = { bytes: request.bytes, missed: !wasHit(request), failed: request.status >= 500 };
      tallies.uri.add(request.uri, counts, now);
      tallies.client.add(request.client, counts, now);
      if (request.route !== null) tallies.route.add(request.route, counts, now);
      if (request.origin !== null) tallies.origin.add(request.origin, counts, now);
    });
    const { recorder } = this.#options;
    recorder.watchOwned = ({ origin, bytes, status }) => {
      if (origin !== null)
        tallies.origin.add(origin, { bytes, missed: true, failed: status >= 500 }, performance.now());
    };
    const timer = setTimeout(() => {
      end();
      recorder.watchOwned = null;
      this.#counting = null;
    }, countingMs).unref();
    return { tallies, timer };
  }
}
