/**
 * Requests to origins under one connect policy: each waits for a slot of its origin, then goes out (attempts.ts) on a
 * connection of the pool.
 */
import { isEventStream } from "../http/streams.ts";
import { Attempts } from "./attempts.ts";
import type { ConnectPolicy } from "./connector.ts";
import {
  unheard,
  type Fetch,
  type OriginHandler,
  type OriginNotes,
  type OriginRequest,
  type OriginSettings,
} from "./fetch.ts";
import { busyOrigin } from "./origin-error.ts";
import { nameOfOrigin } from "./place.ts";
import { Pool } from "./pool.ts";
import { Slots, type Slot } from "./slots.ts";

/** A way to origins under one connect policy. */
export class OriginClient {
  readonly #settings: OriginSettings;
  readonly #pool: Pool;
  readonly #notes: OriginNotes;
  /** By origin; those of origins that nobody asks go. */
  readonly #slots = new Map<string, Slots>();
  #emptied: (() => void) | null = null;

  constructor(policy: ConnectPolicy, settings: OriginSettings, notes: OriginNotes = unheard) {
    this.#settings = settings;
    this.#notes = notes;
    // How many connections there are is bounded by the slots.
    this.#pool = new Pool(policy, settings);
  }

  fetch(request: OriginRequest, handler: OriginHandler): Fetch {
    const { origin } = request;
    const slots = this.#slots.get(origin) ?? new Slots(this.#settings);
    this.#slots.set(origin, slots);
    let attempts: Attempts | null = null;
    let paused = false;
    let over = false;
    const end = (): void => {
      over = true;
      slot?.release();
      this.#forget(origin, slots);
    };
    // Called perhaps before `take` has returned: the slot is released behind it then.
    let slot: Slot | null = null;
    slot = slots.take({
      taken: () => {
        attempts = new Attempts(
          request,
          {
            ...handler,
            head: (status, fields, inner) => {
              if (isEventStream(fields)) slot?.lasts();
              handler.head(status, fields, inner);
            },
            end: (trailers) => {
              end();
              handler.end(trailers);
            },
            failed: (error) => {
              end();
              if (error.code === "EMFILE" || error.code === "ENFILE") this.#notes.exhausted();
              handler.failed(error);
            },
            switched: (fields, socket) => {
              end();
              handler.switched?.(fields, socket);
            },
          },
          this.#settings,
          this.#pool,
        );
        if (paused) attempts.pause();
      },
      refused: (why) => {
        end();
        this.#notes.refused(origin, why);
        handler.failed(busyOrigin(nameOfOrigin(origin), why));
      },
    });
    if (over) {
      slot.release();
      this.#forget(origin, slots);
    } else if (attempts === null) this.#notes.waited(origin);
    return {
      pause: () => {
        paused = true;
        attempts?.pause();
      },
      resume: () => {
        paused = false;
        attempts?.resume();
      },
      keep: () => attempts?.keep() ?? null,
      cancel: () => {
        if (over) return;
        end();
        if (attempts !== null) return attempts.cancel();
        const { body } = request;
        if (body !== null && !Buffer.isBuffer(body)) body.destroy();
      },
    };
  }

  /** Requests that wait for a slot. */
  get waiting(): number {
    let waiting = 0;
    for (const slots of this.#slots.values()) waiting += slots.waiting;
    return waiting;
  }

  #forget(origin: string, slots: Slots): void {
    if (!slots.idle || this.#slots.get(origin) !== slots) return;
    this.#slots.delete(origin);
    if (this.#slots.size === 0) this.#emptied?.();
  }

  /** Ends when the answers under way have, and those that wait for a slot: nothing is cut. */
  async retire(): Promise<void> {
    if (this.#slots.size > 0) await new Promise<void>((done) => (this.#emptied = done));
    this.#pool.retire();
  }

  close(): void {
    this.#pool.close();
  }
}
