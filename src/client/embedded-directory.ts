/**
 * The directory of an embedded coordinator, over the peer link and with the cluster's secret. Its view is asked for
 * regularly.
 */
import { Waiters } from "../base/waiters.ts";
import { background } from "../base/background.ts";
import { hostPortOf, type HostPort } from "../base/host-port.ts";
import { methods, topics } from "../coordination/embedded-host.ts";
import { Link } from "../peer/link.ts";
import { publishedViewOf, type PublishedView } from "../ring/view.ts";
import { waitUntil, type Directory } from "./directory.ts";

export interface EmbeddedDirectoryOptions {
  /** Tried in turn. */
  readonly places: readonly HostPort[];
  readonly text: string;
  readonly cluster: string;
  readonly secret: string;
}

const askAgainMs = 1000;

/** A view that follows the coordinator's; while that is away, the last one stands. */
export class EmbeddedDirectory implements Directory {
  readonly address: string;
  view: PublishedView | null = null;
  readonly #options: EmbeddedDirectoryOptions;
  readonly #waiters = new Waiters();
  #link: Link | null = null;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;
  #trouble = "no answer yet";
  #next = 0;

  constructor(options: EmbeddedDirectoryOptions) {
    this.#options = options;
    this.address = options.text;
    this.#dial();
  }

  get leader(): string | null {
    return this.view?.leader ?? null;
  }

  async ready(limitMs: number): Promise<void> {
    await waitUntil(
      () => this.view !== null,
      this.#waiters,
      limitMs,
      () => `no view from the coordinator at ${this.address}: ${this.#trouble}`,
    );
  }

  changed(limitMs: number): Promise<void> {
    return this.#waiters.wait(limitMs);
  }

  close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#link?.close();
    return Promise.resolve();
  }

  #dial(): void {
    if (this.#closed) return;
    const { cluster, secret, places } = this.#options;
    // Where it was said to be; and at any member of the last view, if an operator has moved it.
    const members = (this.view?.members ?? []).map(({ peer }) => hostPortOf(peer)).filter((place) => place !== null);
    const all = [...places, ...members];
    const address = all[this.#next++ % all.length]!;
    this.#link = new Link(
      { cluster, secret, self: "?", purpose: "tool", expected: null, address },
      {
        up: () => this.#ask(),
        gone: (reason) => {
          this.#trouble = reason;
          this.#link = null;
          this.#waiters.wake();
          if (!this.#closed) this.#later(() => this.#dial());
        },
        note: (topic, value) => {
          if (topic === topics.view) this.#take(value);
        },
      },
    );
  }

  #ask(): void {
    const link = this.#link;
    if (link === null) return;
    background(
      link.call(methods.view, null).then((value) => {
        this.#take(value);
        this.#later(() => this.#ask());
      }),
      (error) => {
        this.#trouble = error.message;
        link.close();
      },
    );
  }

  #take(value: unknown): void {
    const view = publishedViewOf(value);
    if (view === null) return;
    const news = this.view === null || view.epoch !== this.view.epoch;
    this.view = view;
    if (news) this.#waiters.wake();
  }

  #later(what: () => void): void {
    this.#timer = setTimeout(what, askAgainMs);
  }
}
