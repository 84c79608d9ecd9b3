/**
 * Requests to origins under one connect policy: each waits for a slot of its origin, then goes out through undici
 * (attempts.ts).
 */
import { Agent } from "undici";
import { fieldLines, type FieldList } from "../http/fields.ts";
import { Attempts } from "./attempts.ts";
import { guardedConnector, type ConnectPolicy } from "./connector.ts";
import {
  unheard,
  type Fetch,
  type OriginHandler,
  type OriginNotes,
  type OriginRequest,
  type OriginSettings,
} from "./fetch.ts";
import { busyOrigin } from "./origin-error.ts";
import { Slots, type Slot } from "./slots.ts";

/** Largest head of a response, in bytes. */
const headBytesMax = 64 * 1024;

/** A way to origins under one connect policy. */
export class OriginClient {
  readonly #settings: OriginSettings;
  readonly #agent: Agent;
  readonly #fresh: Agent;
  /**
   * Origins once found at a loopback or private address. undici does not show a response's socket; once inside, always
   * inside errs on the safe side.
   */
  readonly #insideOrigins = new Set<string>();

  readonly #notes: OriginNotes;
  /** By origin; those of origins that nobody asks go. */
  readonly #slots = new Map<string, Slots>();
  #emptied: (() => void) | null = null;

  constructor(policy: ConnectPolicy, settings: OriginSettings, notes: OriginNotes = unheard) {
    this.#settings = settings;
    this.#notes = notes;
    const connect = guardedConnector(policy, settings, (origin) => this.#insideOrigins.add(new URL(origin).origin));
    const options = {
      connect,
      headersTimeout: settings.headMs,
      bodyTimeout: settings.bodyMs,
      maxHeaderSize: headBytesMax,
    };
    // How many connections there are is bounded by the slots: a bound of the library's would queue without end or word.
    this.#agent = new Agent({ ...options, pipelining: 1, keepAliveTimeout: 10_000 });
    // Retries go out on connections that nobody has used: pipelining 0 means no keep-alive.
    this.#fresh = new Agent({ ...options, pipelining: 0 });
  }

  fetch(request: OriginRequest, handler: OriginHandler): Fetch {
    const { origin } = request;
    const slots = this.#slots.get(origin) ?? new Slots(this.#settings);
    this.#slots.set(origin, slots);
    const place = origin.slice(origin.indexOf("//") + 2);
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
          this.#agent,
          this.#fresh,
          this.#insideOrigins,
        );
        if (paused) attempts.pause();
      },
      refused: (why) => {
        end();
        this.#notes.refused(origin, why);
        handler.failed(busyOrigin(place, why));
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
      cancel: () => {
        if (over) return;
        over = true;
        // A connection that is still being made takes its place until it is made, or has failed.
        if (attempts !== null) return attempts.cancel(end);
        end();
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
    await Promise.all([this.#agent.close(), this.#fresh.close()]);
  }

  async close(): Promise<void> {
    await Promise.all([this.#agent.destroy(), this.#fresh.destroy()]);
  }
}

function isEventStream(fields: FieldList): boolean {
  return fieldLines(fields, "content-type").some((type) => type.toLowerCase().startsWith("text/event-stream"));
}
