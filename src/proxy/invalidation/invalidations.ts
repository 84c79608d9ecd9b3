/**
 * Dropping what an unsafe request, or an origin's word on a group, made untrustworthy, at every member: RFC 9111 §4.4,
 * RFC 9875 §3.
 *
 * One road for URIs and groups alike. First the owners of the URIs, then everybody else: what is copied from an owner
 * after it has dropped it is new. What was under way is marked, and what other members may still have of it does not
 * come back by a peek or a hand-over (dropped.ts). A member that cannot be reached is told when it can (missed.ts). One
 * that has joined without the asker knowing is told by those who do.
 */
import type { Peers } from "../../peer/peers.ts";
import { keyHash, owner } from "../../ring/ring.ts";
import type { View } from "../../ring/view.ts";
import type { Store } from "../../store/port.ts";
import type { Dropped } from "./dropped.ts";
import { Missed, type Named } from "./missed.ts";
import type { Suspectable, UnderWay } from "./under-way.ts";

export interface InvalidationNeeds {
  readonly self: string;
  readonly current: { readonly view: View };
  readonly store: Store;
  readonly peers: Pick<Peers, "call">;
  readonly underWay: UnderWay;
  readonly dropped: Dropped;
  readonly nowSeconds: () => number;
}

/** How long an answer waits, in all, for other members to say that they have dropped what it named. */
const acknowledgeMs = 1000;
/** The part of it that is given to the owners alone. */
const ownersMs = 600;
/** Of names in one call: JSON can make six bytes of a character. */
const stepCharactersMax = 64 * 1024;

/** One member's part in all invalidations. */
export class Invalidations {
  readonly #needs: InvalidationNeeds;
  readonly #missed = new Missed();

  constructor(needs: InvalidationNeeds) {
    this.#needs = needs;
  }

  /**
   * Resolves when every member has acknowledged, or could not be reached in time. `but` is the fetch whose answer says
   * so.
   */
  async everywhere(named: Named, but: Suspectable | null): Promise<void> {
    const { self, current } = this.#needs;
    this.here(named, but);
    const deadline = performance.now() + acknowledgeMs;
    const { ring, members } = current.view;
    const owners = new Set(named.uris.map((uri) => owner(ring, keyHash(uri)).name));
    await this.#tell([...owners], named, Math.min(ownersMs, deadline - performance.now()));
    const others = members.map(({ name }) => name).filter((name) => name !== self && !owners.has(name));
    await this.#tell(others, named, deadline - performance.now());
  }

  /** Answers another member's call. `epoch` is of its view: members that it cannot know are told from here. */
  async onBehalf(named: Named, epoch: number): Promise<void> {
    this.here(named, null);
    const { view } = this.#needs.current;
    if (view.epoch <= epoch) return;
    const unknown = view.members.filter(({ since = 0 }) => since > epoch).map(({ name }) => name);
    await this.#tell(unknown, named, acknowledgeMs);
  }

  /** Drops what is named from this member's store, and lets nothing already under way bring it back. */
  here({ uris, groups }: Named, but: Suspectable | null): void {
    const { store, dropped, underWay, nowSeconds } = this.#needs;
    const now = nowSeconds();
    for (const uri of uris) {
      dropped.add(uri, now);
      store.invalidate({ kind: "uri", uri }, "drop");
      underWay.suspect(uri, but);
    }
    for (const name of groups) {
      dropped.add(name, now);
      // Which groups a response under way belongs to is known when its head is: it is looked at before it is stored.
      const origin = originOfGroup(name);
      store.invalidate({ kind: "group", origin, group: name.slice(origin.length + 1) }, "drop");
    }
  }

  /**
   * Nobody knows what this member has missed: all that it has is validated before it is used again. @returns how much
   * that is.
   */
  validateAll(): number {
    const { store, dropped, underWay, nowSeconds } = this.#needs;
    dropped.addAll(nowSeconds());
    underWay.suspectAll();
    store.invalidate({ kind: "everything" }, "outdate");
    return store.usage.responses;
  }

  /** Tells a member that can be reached again what it has missed. */
  async replay(member: string): Promise<void> {
    const missed = this.#missed.take(member);
    if (missed === null) return;
    if (missed !== "all") return this.#tell([member], missed, acknowledgeMs);
    await this.#needs.peers.call(member, "validate-all", null, acknowledgeMs).catch(() => this.#missed.addAll(member));
  }

  /** Follows a new view. */
  forgetStrangers(): void {
    this.#missed.keepOnly(this.#needs.current.view.byName);
  }

  async #tell(members: readonly string[], named: Named, limitMs: number): Promise<void> {
    const { self, peers, current } = this.#needs;
    const { epoch } = current.view;
    await Promise.all(
      members
        .filter((name) => name !== self)
        .map(async (name) => {
          for (const { uris, groups } of inSteps(named))
            await peers
              .call(name, "invalidate", { uris, groups, epoch }, Math.max(1, limitMs))
              .catch(() => this.#remember(name, { uris, groups }));
        }),
    );
  }

  #remember(member: string, named: Named): void {
    // Who has left the view must validate what it has when it comes back, whatever it was.
    if (this.#needs.current.view.byName.has(member)) this.#missed.add(member, named);
  }
}

/** So many names at a time as a call carries well. */
function* inSteps({ uris, groups }: Named): Generator<Named> {
  for (const some of stepsOf(uris)) yield { uris: some, groups: [] };
  for (const some of stepsOf(groups)) yield { uris: [], groups: some };
}

/** Texts in steps of a bounded size. */
export function* stepsOf(texts: readonly string[]): Generator<readonly string[]> {
  let step: string[] = [];
  let characters = 0;
  for (const text of texts) {
    if (step.length > 0 && characters + text.length > stepCharactersMax) {
      yield step;
      step = [];
      characters = 0;
    }
    step.push(text);
    characters += text.length;
  }
  if (step.length > 0) yield step;
}

function originOfGroup(name: string): string {
  return name.slice(0, name.indexOf("\n"));
}
