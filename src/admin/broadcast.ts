/**
 * The whole cluster, every second, to all who look: asked once for all of them, and not at all while nobody does. Each
 * gets the past when he comes, and after that what is new.
 */
import { background } from "../base/background.ts";
import { liveCluster, type LiveAsked, type LiveCluster, type LiveNeeds } from "./live.ts";
import type { AdminStream } from "./streams.ts";

const everyMs = 1000;
const busiestCount = 15;
const everything: LiveAsked = { slot: -1, event: -1, busiest: busiestCount };

/** See above. */
export class Broadcast {
  readonly #needs: LiveNeeds;
  readonly #failed: (error: Error) => void;
  readonly #listeners = new Set<AdminStream>();
  #timer: NodeJS.Timeout | null = null;
  #asking = false;
  /** Up to where each member has told. */
  #told = new Map<string, { slot: number; event: number }>();

  constructor(needs: LiveNeeds, failed: (error: Error) => void) {
    this.#needs = needs;
    this.#failed = failed;
  }

  /** Begins to tell a stream. */
  add(stream: AdminStream): void {
    background(
      liveCluster(this.#needs, () => everything).then((all) => {
        if (stream.closed) return;
        stream.send(all, "live");
        this.#listeners.add(stream);
        if (this.#listeners.size === 1) this.#note(all);
        // Who has not answered now tells all of it when he does: those who have it already count it once.
        for (const [name, live] of Object.entries(all.members)) if (live === null) this.#told.delete(name);
        this.#timer ??= setInterval(() => this.#tick(), everyMs).unref();
      }),
      this.#failed,
    );
  }

  remove(stream: AdminStream): void {
    this.#listeners.delete(stream);
    if (this.#listeners.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #tick(): void {
    if (this.#asking) return;
    this.#asking = true;
    background(
      liveCluster(this.#needs, (member) => {
        const { slot, event } = this.#told.get(member) ?? everything;
        return { slot, event, busiest: busiestCount };
      })
        .then((all) => {
          this.#note(all);
          const text = JSON.stringify(all);
          for (const stream of this.#listeners) stream.send(text, "live");
        })
        .finally(() => (this.#asking = false)),
      this.#failed,
    );
  }

  #note({ members }: LiveCluster): void {
    for (const [name, live] of Object.entries(members)) {
      if (live === null) continue;
      const before = this.#told.get(name) ?? { slot: -1, event: -1 };
      this.#told.set(name, {
        slot: live.samples.at(-1)?.slot ?? before.slot,
        event: live.events.at(-1)?.number ?? before.event,
      });
    }
  }
}
