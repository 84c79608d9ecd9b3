/** Everything under way whose result an invalidation makes suspect, by the URI that it is for. */
export interface Suspectable {
  /**
   * What it brings may be from before an invalidation: it must not be stored, nor given to whoever asks from now on.
   */
  suspect(): void;
}

/** Fetches, copies and peeks under way, those that nobody joins too. */
export class UnderWay {
  readonly #byUri = new Map<string, Set<Suspectable>>();

  add(uri: string, one: Suspectable): void {
    const others = this.#byUri.get(uri);
    if (others === undefined) this.#byUri.set(uri, new Set([one]));
    else others.add(one);
  }

  remove(uri: string, one: Suspectable): void {
    const others = this.#byUri.get(uri);
    others?.delete(one);
    if (others?.size === 0) this.#byUri.delete(uri);
  }

  /** All that is for a URI; `but` is what has made the invalidation itself. */
  suspect(uri: string, but: Suspectable | null): void {
    for (const one of this.#byUri.get(uri) ?? []) if (one !== but) one.suspect();
  }

  suspectAll(): void {
    for (const some of this.#byUri.values()) for (const one of some) one.suspect();
  }
}
