/**
 * A map and a set for what comes and goes with requests. JavaScript's own, when its table is full of deleted entries,
 * goes on in a new table, and V8 leaves a reference to that one in the old. Once a table has grown old (a collection of
 * the whole heap takes the current one along), each of its successors, dead or not, looks alive to the collector of
 * young objects, with all that it held when it was replaced: whatever passed through the map is copied twice and stays
 * until the next collection of everything. Here what the tables hold is a cell, emptied when its entry goes.
 * docs/decisions/0018.
 */

interface Cell<Value> {
  value: Value | null;
}

/** A place in a `PassingSet`: empty until something is put there, and again when that has left. */
export class Place<Value extends object> {
  value: Value | null = null;
  readonly #places: Set<Place<Value>>;

  constructor(places: Set<Place<Value>>) {
    this.#places = places;
    places.add(this);
  }

  leave(): void {
    this.value = null;
    this.#places.delete(this);
  }
}

/** A set of objects that come and go as connections and streams do. */
export class PassingSet<Value extends object> {
  readonly #places = new Set<Place<Value>>();

  /** Places that have not been left. */
  get size(): number {
    return this.#places.size;
  }

  open(value: Value | null = null): Place<Value> {
    const place = new Place(this.#places);
    place.value = value;
    return place;
  }

  /** In the order in which they came; one that leaves meanwhile is left out. */
  *[Symbol.iterator](): IterableIterator<Value> {
    for (const { value } of this.#places) if (value !== null) yield value;
  }
}

/** A map from keys to objects, for entries that live as long as a request or a connection. Keys must be small. */
export class PassingMap<Key, Value extends object> {
  readonly #cells = new Map<Key, Cell<Value>>();

  get size(): number {
    return this.#cells.size;
  }

  get(key: Key): Value | undefined {
    return this.#cells.get(key)?.value ?? undefined;
  }

  has(key: Key): boolean {
    return this.#cells.has(key);
  }

  set(key: Key, value: Value): void {
    const cell = this.#cells.get(key);
    if (cell === undefined) this.#cells.set(key, { value });
    else cell.value = value;
  }

  delete(key: Key): boolean {
    const cell = this.#cells.get(key);
    if (cell === undefined) return false;
    cell.value = null;
    return this.#cells.delete(key);
  }

  clear(): void {
    for (const cell of this.#cells.values()) cell.value = null;
    this.#cells.clear();
  }

  *entries(): IterableIterator<[Key, Value]> {
    for (const [key, { value }] of this.#cells) if (value !== null) yield [key, value];
  }

  /** In the order in which they came; one that goes meanwhile is left out. */
  *values(): IterableIterator<Value> {
    for (const { value } of this.#cells.values()) if (value !== null) yield value;
  }
}
