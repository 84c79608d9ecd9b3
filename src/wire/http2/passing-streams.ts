/**
 * node:http2 keeps the streams of a session in a Map and a Set of JavaScript's own, through which all of them pass:
 * once one of their tables has grown old, each later stream stays until the next collection of everything
 * (base/passing.ts), and is copied twice until then, which was a tenth of a hit. So they are replaced by some that let
 * go. Nothing that is documented does that; where a Node has others, all stays as it is.
 */
import type { ServerHttp2Session } from "node:http2";
import { types } from "node:util";
import { PassingMap } from "../../base/passing.ts";

/** What node:http2 asks of the Map. */
class OpenStreams extends PassingMap<number, object> {
  forEach(tell: (stream: object, id: number) => void): void {
    for (const [id, stream] of this.entries()) tell(stream, id);
  }

  [Symbol.iterator](): IterableIterator<[number, object]> {
    return this.entries();
  }
}

/** What it asks of the Set: of streams that have no number yet, a few at a time. */
class NewStreams {
  readonly #streams: object[] = [];

  get size(): number {
    return this.#streams.length;
  }

  has(stream: object): boolean {
    return this.#streams.includes(stream);
  }

  add(stream: object): this {
    if (!this.has(stream)) this.#streams.push(stream);
    return this;
  }

  delete(stream: object): boolean {
    const index = this.#streams.indexOf(stream);
    if (index === -1) return false;
    const last = this.#streams.pop()!;
    if (last !== stream) this.#streams[index] = last;
    return true;
  }

  forEach(tell: (stream: object) => void): void {
    for (const stream of this.#streams.slice()) tell(stream);
  }

  [Symbol.iterator](): IterableIterator<object> {
    return this.#streams.values();
  }
}

interface SessionState {
  streams?: unknown;
  pendingStreams?: unknown;
}

/** Replaces them in a session that has had no stream yet. @returns whether they are what is known here. */
export function letStreamsPass(session: ServerHttp2Session): boolean {
  const place = Object.getOwnPropertySymbols(session).find(({ description }) => description === "state");
  if (place === undefined) return false;
  const state = (session as unknown as Record<symbol, SessionState | undefined>)[place];
  const { streams, pendingStreams } = state ?? {};
  // They have no prototype of anybody's.
  if (!types.isMap(streams) || !types.isSet(pendingStreams) || streams.size + pendingStreams.size > 0) return false;
  state!.streams = new OpenStreams();
  state!.pendingStreams = new NewStreams();
  return true;
}
