/**
 * What the names of origins lead to. Whoever asks for a name that is being looked up waits for that answer: each of the
 * system's look-ups holds a thread as long as a server is silent, and there are few. What was known of a name lately is
 * used where there is no answer in half a second, or no server can be reached (RFC 8767): names whose servers are
 * silent, and anybody can ask a forward proxy for those, must not hold up who asks for others.
 */
import { lookup, promises as dns, type LookupAddress } from "node:dns";

/** What becomes of a look-up. */
export type Found = (error: Error | null, found: readonly LookupAddress[]) => void;
/** Looks a name up; `done` is called once, never within this call. */
export type LookUp = (name: string, done: Found) => void;

/** Milliseconds without an answer. */
const patienceMs = 500;
/** How long a name stays known: connections are used for as long at most, whatever their name leads to by then. */
const knownMs = 300_000;
const knownMax = 1000;
/** Names that are looked up at once. */
const underWayMax = 1000;

/** Names as one resolver knows them. */
export class Names {
  readonly #lookUp: LookUp;
  readonly #known = new Map<string, { readonly found: readonly LookupAddress[]; readonly untilMs: number }>();
  readonly #underWay = new Map<string, Set<Found>>();

  constructor(lookUp: LookUp) {
    this.#lookUp = lookUp;
  }

  /** `done` is called once, never within this call. @returns what ends the waiting. */
  find(name: string, done: Found): () => void {
    const others = this.#underWay.get(name) ?? this.#begin(name);
    const known = this.#knownAs(name);
    const settle: Found = (error, found) => {
      stop();
      done(error, found);
    };
    const timer = known === null ? undefined : setTimeout(() => settle(null, known), patienceMs);
    const stop = (): void => {
      clearTimeout(timer);
      others.delete(settle);
    };
    others.add(settle);
    return stop;
  }

  #begin(name: string): Set<Found> {
    const waiting = new Set<Found>();
    const answered: Found = (error, found) => {
      if (this.#underWay.get(name) === waiting) this.#underWay.delete(name);
      if (error === null) this.#remember(name, found);
      const known = error !== null && isUnanswered(error) ? this.#knownAs(name) : null;
      for (const settle of waiting) settle(known === null ? error : null, known ?? found);
    };
    if (this.#underWay.size < underWayMax) {
      this.#underWay.set(name, waiting);
      this.#lookUp(name, answered);
    } else process.nextTick(answered, Object.assign(new Error("too many names"), { code: "EAI_AGAIN" }), []);
    return waiting;
  }

  #remember(name: string, found: readonly LookupAddress[]): void {
    this.#known.delete(name);
    if (found.length === 0) return;
    if (this.#known.size >= knownMax) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(name, { found, untilMs: performance.now() + knownMs });
  }

  #knownAs(name: string): readonly LookupAddress[] | null {
    const known = this.#known.get(name);
    return known !== undefined && known.untilMs > performance.now() ? known.found : null;
  }
}

/** No server could be asked; another error says something of the name. */
function isUnanswered({ code }: NodeJS.ErrnoException): boolean {
  return code === "EAI_AGAIN" || code === "ESERVFAIL";
}

const system = new Names((name, done) =>
  lookup(name, { all: true }, (error, found) => (error === null ? done(null, found) : done(error, []))),
);
const servers = new Map<string, Names>();

/** Names by a DNS server, `address:port`, or by the system. */
export function namesBy(server: string | undefined): Names {
  if (server === undefined) return system;
  const names =
    servers.get(server) ??
    new Names((name, done) =>
      name === "localhost"
        ? system.find(name, done)
        : void resolveAt(server, name).then(
            (found) => done(null, found),
            (error: Error) => done(error, []),
          ),
    );
  servers.set(server, names);
  return names;
}

async function resolveAt(server: string, name: string): Promise<LookupAddress[]> {
  const resolver = new dns.Resolver({ timeout: 2000, tries: 2 });
  resolver.setServers([server]);
  const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
  const found = answers.flatMap((answer, index) =>
    answer.status === "fulfilled" ? answer.value.map((address) => ({ address, family: index === 0 ? 4 : 6 })) : [],
  );
  const failed = answers.find((answer) => answer.status === "rejected");
  if (found.length > 0 || failed?.status !== "rejected") return found;
  const error = failed.reason as NodeJS.ErrnoException;
  // Said of the server, not of an origin.
  const isServers = error.code === "ETIMEOUT" || error.code === "ECONNREFUSED";
  throw isServers ? Object.assign(new Error(error.message), { code: "EAI_AGAIN" }) : error;
}
