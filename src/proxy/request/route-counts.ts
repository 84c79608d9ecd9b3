/**
 * What clients asked, route by route: numbers that cost next to nothing to count. Routes have small numbers of their
 * own, the same over reloads as long as they are there; what is beyond the bound is counted together, so that nobody's
 * labels grow without end.
 */
import { durationBoundsMs } from "./durations.ts";

/** Numbers of routes end before; the last one stands for all further ones. */
export const routeNumbersMax = 64;
const others = routeNumbersMax - 1;
const bucketsCount: number = durationBoundsMs.length + 1;
/** What is counted of a route: hits of the fast way, bytes, sum of durations, then durations by bucket. */
export const routeFloats: number = 3 + bucketsCount;
const hits = 0;
const bytes = 1;
const durationSum = 2;
const buckets = 3;

/** What was asked of no route: the forward proxy, and requests that lead nowhere. */
export const noRoute = 0;

/** Numbers of routes, by name. */
export class RouteNumbers {
  readonly #names: (string | null)[] = ["-"];
  readonly #numbers = new Map<string, number>();

  /** The number of a route; a new one gets the lowest that is free. */
  of(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    let number = 1;
    while (number < others && this.#names[number] != null) number++;
    this.#names[number] = number < others ? name : "(others)";
    this.#numbers.set(name, number);
    return number;
  }

  /** The number of a route as it is counted, if it is gone already, too. */
  known(name: string): number {
    return this.#numbers.get(name) ?? others;
  }

  /** Those of all other routes are free again. @returns which they are. */
  keep(names: ReadonlySet<string>): readonly number[] {
    const freed: number[] = [];
    for (const [name, number] of this.#numbers) {
      // One of too many gets a number of its own when there is one.
      if (names.has(name) && number !== others) continue;
      this.#numbers.delete(name);
      if (number === others) continue;
      this.#names[number] = null;
      freed.push(number);
    }
    return freed;
  }

  /** Null where none has it. */
  name(number: number): string | null {
    return this.#names[number] ?? (number === others ? "(others)" : null);
  }
}

/** Counts one request, whose duration is in that bucket, in a table of `routeFloats` for each number. */
export function countRoute(
  table: Float64Array,
  at: number,
  sent: number,
  durationMs: number,
  bucket: number,
  isFastHit: boolean,
): void {
  if (isFastHit) table[at + hits]! += 1;
  table[at + bytes]! += sent;
  table[at + durationSum]! += durationMs;
  table[at + buckets + bucket]! += 1;
}

/** What has been counted of one route. */
export interface RouteCount {
  readonly route: string;
  /** By outcome: RFC 9211's tokens; those of the member that answered, whoever was asked. */
  readonly byOutcome: ReadonlyMap<string, number>;
  readonly bytes: number;
  /** By bucket, as `durationBoundsMs`. */
  readonly durations: readonly number[];
  readonly durationSumMs: number;
}

/** All routes' counts. */
export class RouteCounts {
  readonly numbers: RouteNumbers;
  readonly #table = new Float64Array(routeNumbersMax * routeFloats);
  readonly #byOutcome: (Map<string, number> | undefined)[] = [];

  constructor(numbers: RouteNumbers = new RouteNumbers()) {
    this.numbers = numbers;
  }

  /** A hit of the fast way. */
  hit(number: number, sent: number, durationMs: number, bucket: number): void {
    countRoute(this.#table, number * routeFloats, sent, durationMs, bucket, true);
  }

  /** A request that took the whole way, and how it came out. */
  finished(number: number, outcome: string, sent: number, durationMs: number, bucket: number): void {
    countRoute(this.#table, number * routeFloats, sent, durationMs, bucket, false);
    const byOutcome = (this.#byOutcome[number] ??= new Map());
    byOutcome.set(outcome, (byOutcome.get(outcome) ?? 0) + 1);
  }

  /** These are the routes from now on: of others nothing is told any more. */
  follow(routes: readonly { readonly name: string }[]): void {
    for (const number of this.numbers.keep(new Set(routes.map(({ name }) => name)))) {
      this.#table.fill(0, number * routeFloats, (number + 1) * routeFloats);
      this.#byOutcome[number] = undefined;
    }
  }

  /** Adds what another thread has counted since `before`; both are tables like this one. */
  absorb(now: Float64Array, before: Float64Array): void {
    for (let at = 0; at < this.#table.length; at++) this.#table[at]! += now[at]! - before[at]!;
  }

  /** Of those that have been asked. */
  all(): readonly RouteCount[] {
    const found: RouteCount[] = [];
    for (let number = 0; number < routeNumbersMax; number++) {
      const at = number * routeFloats;
      const durations = [...this.#table.subarray(at + buckets, at + routeFloats)];
      const route = this.numbers.name(number);
      if (route === null || durations.every((count) => count === 0)) continue;
      const byOutcome = new Map(this.#byOutcome[number]);
      if (this.#table[at + hits]! > 0) byOutcome.set("hit", (byOutcome.get("hit") ?? 0) + this.#table[at + hits]!);
      const [bytesSent, durationSumMs] = [this.#table[at + bytes]!, this.#table[at + durationSum]!];
      found.push({ route, byOutcome, bytes: bytesSent, durations, durationSumMs });
    }
    return found;
  }
}
