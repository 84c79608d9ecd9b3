/**
 * Who watches what, within one session. One-shot watches are forgotten when they fire; persistent ones stay. A watch
 * says only that something has changed: whoever is told reads again.
 */
import type { Rearmed, WatchEventKind } from "./protocol.ts";

export interface WatchEvent {
  readonly kind: WatchEventKind;
  readonly path: string;
}

export type WatchListener = (event: WatchEvent) => void;
export type WatchKind = "data" | "exist" | "child" | "persistent" | "recursive";

/** Which one-shot watches an event fires. */
const fires: Readonly<Record<WatchEventKind, readonly WatchKind[]>> = {
  created: ["data", "exist"],
  deleted: ["data", "exist", "child"],
  changed: ["data", "exist"],
  children: ["child"],
  "data-watch-removed": [],
  "child-watch-removed": [],
  "persistent-watch-removed": [],
};

/**
 * A request to arm watches again is cut into pieces: a server refuses frames beyond 1 MB, and with them the session.
 */
const pieceBytesMax = 128 * 1024;

/** The watches of one session. */
export class Watches {
  readonly #listeners: Readonly<Record<WatchKind, Map<string, Set<WatchListener>>>> = {
    data: new Map(),
    exist: new Map(),
    child: new Map(),
    persistent: new Map(),
    recursive: new Map(),
  };

  get size(): number {
    return Object.values(this.#listeners).reduce((sum, paths) => sum + paths.size, 0);
  }

  add(kind: WatchKind, path: string, listener: WatchListener): void {
    const paths = this.#listeners[kind];
    const listeners = paths.get(path);
    if (listeners === undefined) paths.set(path, new Set([listener]));
    else listeners.add(listener);
  }

  /** Forgets a listener wherever it listens to this path. @returns whether anybody still does. */
  remove(path: string, listener: WatchListener): boolean {
    let left = false;
    for (const paths of Object.values(this.#listeners)) {
      const listeners = paths.get(path);
      if (listeners === undefined) continue;
      listeners.delete(listener);
      if (listeners.size === 0) paths.delete(path);
      else left = true;
    }
    return left;
  }

  /** Whom an event concerns; one-shot watches among them are used up. */
  fire({ kind, path }: WatchEvent): WatchListener[] {
    const told = new Set<WatchListener>();
    for (const one of fires[kind]) {
      for (const listener of this.#listeners[one].get(path) ?? []) told.add(listener);
      this.#listeners[one].delete(path);
    }
    for (const listener of this.#listeners.persistent.get(path) ?? []) told.add(listener);
    if (this.#listeners.recursive.size > 0 && kind !== "children")
      for (let above = path; ; above = parentOf(above)) {
        for (const listener of this.#listeners.recursive.get(above) ?? []) told.add(listener);
        if (above === "/") break;
      }
    return [...told];
  }

  clear(): void {
    for (const paths of Object.values(this.#listeners)) paths.clear();
  }

  /** Everything to arm again, in pieces that a server takes. */
  *rearmed(): Generator<Rearmed> {
    let piece = emptyPiece();
    let bytes = 0;
    for (const [kind, paths] of Object.entries(this.#listeners) as [WatchKind, Map<string, unknown>][])
      for (const path of paths.keys()) {
        const size = 4 + Buffer.byteLength(path);
        if (bytes > 0 && bytes + size > pieceBytesMax) {
          yield piece;
          piece = emptyPiece();
          bytes = 0;
        }
        piece[kind].push(path);
        bytes += size;
      }
    if (bytes > 0) yield piece;
  }
}

function emptyPiece(): Record<WatchKind, string[]> {
  return { data: [], exist: [], child: [], persistent: [], recursive: [] };
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash <= 0 ? "/" : path.slice(0, slash);
}
