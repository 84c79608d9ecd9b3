/**
 * Comparing logs with all other members of the view: when a link is up, when the view has changed, and once in a while.
 * One comparison with a member at a time; what calls for another one meanwhile gets it afterwards.
 */
import { background } from "../../base/background.ts";
import type { Correspondence } from "../../invalidation/correspondence.ts";
import { replyOf, requestOf, type Reply } from "../../invalidation/said.ts";
import type { Peers } from "../../peer/peers.ts";
import type { View } from "../../ring/view.ts";
import type { Invalidations } from "./invalidations.ts";
import type { Telling } from "./telling.ts";

export interface ComparingNeeds {
  readonly self: string;
  readonly current: { readonly view: View };
  readonly correspondence: Correspondence;
  readonly invalidations: Pick<Invalidations, "takeIn">;
  readonly telling: Pick<Telling, "directly">;
  readonly peers: Pick<Peers, "call" | "isUp">;
  readonly nowSeconds: () => number;
  readonly intervalMs: number;
  /** As of when the coordinator has been heard, in seconds; null where it is a member itself. */
  readonly coordinatorHeard: () => number | null;
  /** Everything compared with has been heard of: whoever waits for that may look again. */
  readonly compared: () => void;
  /** Whether what is stored is trusted has changed; whom this member has not heard of. */
  readonly touched: (inTouch: boolean, silent: readonly string[]) => void;
  readonly failed: (error: Error) => void;
}

const answerMsMax = 1000;

/** One member's comparisons. */
export class Comparing {
  readonly #needs: ComparingNeeds;
  readonly #underWay = new Map<string, { again: boolean }>();
  #timer: NodeJS.Timeout | null = null;
  #wasInTouch = true;

  constructor(needs: ComparingNeeds) {
    this.#needs = needs;
  }

  start(): void {
    this.#timer = setInterval(() => this.all(), this.#needs.intervalMs);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** With everybody who can be reached. */
  all(): void {
    const { self, current, peers, correspondence, invalidations, nowSeconds, coordinatorHeard } = this.#needs;
    const heardAt = coordinatorHeard();
    if (heardAt !== null) correspondence.touch.coordinatorKnown(heardAt);
    invalidations.takeIn(correspondence.look(nowSeconds()));
    for (const { name } of current.view.members) if (name !== self && peers.isUp(name)) this.with(name);
    this.#tell();
  }

  /** With one. */
  with(name: string): void {
    const underWay = this.#underWay.get(name);
    if (underWay !== undefined) {
      underWay.again = true;
      return;
    }
    background(this.#compare(name), this.#needs.failed);
  }

  #tell(): void {
    const { correspondence, nowSeconds, touched } = this.#needs;
    const now = nowSeconds();
    const inTouch = now <= correspondence.touch.until;
    if (inTouch === this.#wasInTouch) return;
    this.#wasInTouch = inTouch;
    touched(inTouch, correspondence.touch.silent(now));
  }

  /** Answers another member's. */
  answer(from: string, value: unknown): Reply {
    const request = requestOf(value);
    if (request === null) throw new Error("not a comparison");
    const { correspondence, invalidations, nowSeconds } = this.#needs;
    const { reply, news } = correspondence.answer(from, request, nowSeconds());
    invalidations.takeIn(news);
    return reply;
  }

  async #compare(name: string): Promise<void> {
    const state = { again: false };
    this.#underWay.set(name, state);
    try {
      while (await this.#once(name, state)) state.again = false;
    } finally {
      this.#underWay.delete(name);
    }
  }

  /** @returns whether to go on at once. */
  async #once(name: string, state: { readonly again: boolean }): Promise<boolean> {
    const { correspondence, invalidations, telling, peers, nowSeconds, compared } = this.#needs;
    const sentAt = nowSeconds();
    // Out of reach: the next link, or the next interval, tries again.
    const reply = replyOf(
      await peers.call(name, "compare", correspondence.request(name, sentAt), answerMsMax).catch(() => null),
    );
    if (reply === null) return false;
    const { owed, silences, again, ...news } = correspondence.replied(name, reply, sentAt, nowSeconds());
    invalidations.takeIn(news);
    compared();
    if (owed.length === 0) return again || state.again;
    return (
      (await telling.directly(owed, name, { limitMs: answerMsMax, told: null, silences })) && (again || state.again)
    );
  }
}
