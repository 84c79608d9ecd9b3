/** The shortcut's view of a record: one object, set to whatever was looked up last. */
import type { FieldList } from "../../http/fields.ts";
import { selectsCoded } from "../../http/codings.ts";
import { areAlternatives, selects } from "../../http/vary.ts";
import { orderOfForms, type Glance, type StoredResponse } from "../port.ts";
import type { PagePool } from "./page-pool.ts";
import {
  flagCopy,
  flagElsewhere,
  flagInner,
  flagOutdated,
  flagPart,
  flagSelected,
  float,
  numbersBytes,
  word,
  type Records,
} from "./records.ts";

/** Variants of a key that are looked at; of more, the whole way finds the right one. */
const stepsMax = 8;

/** See `Glance`. */
export class PageGlance implements Glance {
  readonly #records: Records;
  readonly #pool: Pick<PagePool, "pin" | "unpin">;
  readonly #responseAt: (location: number) => StoredResponse;
  #location = 0;
  #words: Uint32Array = new Uint32Array(0);
  #at = 0;
  memory: Buffer = Buffer.alloc(0);
  status = 0;
  headAt = 0;
  fieldsAt = 0;
  lengthAt = 0;
  headEnd = 0;
  contentAt = 0;
  contentEnd = 0;
  inner = false;
  isCopy = false;
  freshUntil = 0;
  born = 0;
  lifetimeSeconds = 0;
  dateSeconds = 0;
  way = 0;

  /** `responseAt` gives the response in a record. */
  constructor(
    records: Records,
    pool: Pick<PagePool, "pin" | "unpin">,
    responseAt: (location: number) => StoredResponse,
  ) {
    this.#records = records;
    this.#pool = pool;
    this.#responseAt = responseAt;
  }

  get stored(): StoredResponse {
    return this.#responseAt(this.#location);
  }

  /** Its tags; read anew each time. */
  get tags(): readonly string[] {
    const records = this.#records;
    const bytes = records.word(this.#location, word.tags) & 0xffff;
    if (bytes === 0) return [];
    return records.text(this.#location, records.sections(this.#location).tagsAt, bytes).split("\n");
  }

  /** Looks at a record of a whole response without extents. */
  at(location: number): this {
    const { memory } = this.#records;
    const words = memory.words(location);
    const at = memory.wordAt(location);
    const flags = words[at + word.flags]!;
    const floats = memory.floats(location);
    const float0 = memory.floatAt(location);
    this.#location = location;
    this.#words = words;
    this.#at = at;
    this.memory = memory.bytes(location);
    this.status = words[at + word.status]!;
    this.inner = (flags & flagInner) !== 0;
    this.isCopy = (flags & flagCopy) !== 0;
    this.way = words[at + word.way]!;
    this.freshUntil = floats[float0 + float.freshUntil]!;
    this.born = floats[float0 + float.born]!;
    this.lifetimeSeconds = floats[float0 + float.lifetime]!;
    this.dateSeconds = floats[float0 + float.date]!;
    const tags = words[at + word.tags]!;
    const headAt =
      memory.byteAt(location) +
      numbersBytes +
      (tags >>> 16) * 8 +
      ((words[at + word.keyBytes]! + 3) & ~3) +
      words[at + word.variantBytes]! +
      (tags & 0xffff);
    this.headAt = headAt;
    this.fieldsAt = headAt + words[at + word.fieldsAt]!;
    this.lengthAt = headAt + words[at + word.lengthAt]!;
    this.headEnd = headAt + words[at + word.headBytes]!;
    this.contentAt = this.headEnd;
    this.contentEnd = this.headEnd + words[at + word.inlineBytes]!;
    return this;
  }

  /**
   * The first record from the newest of a key on that a request selects by what it says itself, and by the codings
   * that are offered to it: where it is one that can be looked at (whole, in one piece, not outdated), else 0. `isKin`
   * says whether one is still of the key.
   */
  static selected(
    records: Records,
    newest: number,
    asked: FieldList,
    isKin: (location: number) => boolean = () => true,
  ): number {
    const { memory } = records;
    let passedOver: string | null = null;
    for (let location = newest, step = 0; location !== 0 && step < stepsMax; step++) {
      // Who reads what another thread writes may be led anywhere.
      if (!memory.has(location) || !isKin(location)) return 0;
      const words = memory.words(location);
      const at = memory.wordAt(location);
      const flags = words[at + word.flags]!;
      const variant = (flags & flagSelected) === 0 ? "" : variantOf(records, location);
      // A newer one that nobody has been answered with yet may be this request's all the same (its route may say what
      // selects): that it is not is certain only where this one is another by the same fields.
      if (passedOver !== null && !areAlternatives(passedOver, variant)) return 0;
      if (variant === "" || isSelected(variant, words[at + word.forms]!, asked)) {
        const isFit = words[at + word.extents] === 0 && (flags & (flagOutdated | flagPart | flagElsewhere)) === 0;
        return isFit ? location : 0;
      }
      passedOver = variant;
      location = words[at + word.older]!;
    }
    return 0;
  }

  forms(settings: number, epoch: number): number {
    const words = this.#words;
    const at = this.#at;
    const forms = words[at + word.forms]!;
    const holds = words[at + word.settings] === settings && words[at + word.epoch] === epoch >>> 0;
    return holds ? forms : 0;
  }

  /** The same where another thread may be writing them: they hold together, or none does. */
  formsNow(settings: number, epoch: number): number {
    const words = this.#words;
    const at = this.#at + word.forms;
    const forms = Atomics.load(words, at);
    const holds = this.forms(settings, epoch) !== 0 && Atomics.load(words, at) === forms;
    return holds ? forms : 0;
  }

  used(): void {
    this.#records.used(this.#location);
  }

  lend(): () => void {
    const page = this.#records.memory.pageOf(this.#location);
    this.#pool.pin(page);
    return () => this.#pool.unpin(page);
  }
}

function isSelected(variant: string, forms: number, asked: FieldList): boolean {
  const order = orderOfForms(forms);
  return order === 0 ? selects(variant, asked) : selectsCoded(variant, asked, order);
}

function variantOf(records: Records, location: number): string {
  return records.text(location, records.sections(location).variantAt, records.word(location, word.variantBytes));
}
