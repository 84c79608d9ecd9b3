/**
 * The whole store, in a few megabytes, under content of heavy-tailed sizes: beside S3-FIFO that takes objects one by
 * one, which is what its pages come near to.
 */
import { storedHead } from "../http/stored-head.ts";
import { variantOf } from "../http/vary.ts";
import { mixed } from "../ring/murmur3.ts";
import { keyHash } from "../ring/ring.ts";
import { PageStore } from "../store/pages/page-store.ts";

/** Content of the least size, and of the greatest: bytes. */
const contentBytesMin = 400;
const contentBytesMax = 4 * 2 ** 20;
/** Of Pareto's law: the mean is some four times the least. */
const tail = 1.3;
/** What a response of these takes beside its content, in a record of the store: bytes. */
const besideBytes = 400;
/** Uses that S3-FIFO counts, those that let a newcomer stay, and the part of the room for newcomers (SOSP '23). */
const usesMax = 3;
const usesNeeded = 2;
const smallShare = 0.1;

/** The size of an object's content: the same for the same object, by Pareto's law. */
export function heavyTailed(id: number): number {
  const chance = mixed(id) / 2 ** 32;
  return Math.min(contentBytesMax, Math.floor(contentBytesMin / (1 - chance) ** (1 / tail)));
}

/** Hits among `ids` of a store with a budget in bytes. */
export function storeHits(ids: Uint32Array, bytesMax: number): number {
  const store = new PageStore(bytesMax, { seed: 1 });
  const content = Buffer.alloc(contentBytesMax);
  const selecting = (names: readonly string[]): string => variantOf(names, []);
  const head = storedHead(selecting, 200, ["cache-control", "max-age=60"], { requestSeconds: 0, responseSeconds: 0 });
  const rest = { inner: false, tags: [], position: 0, copyUntil: null, lasting: true, part: null, outdated: false };
  let hits = 0;
  for (const id of ids) {
    const key = `http://h/${id}`;
    const lease = store.find(key, selecting, () => true);
    if (lease !== null) {
      hits++;
      store.used(lease.stored);
      lease.release();
      continue;
    }
    const bytes = heavyTailed(id);
    const writer = store.begin(bytes);
    if (writer === null) continue;
    writer.body.append(content.subarray(0, bytes));
    writer.body.finish();
    writer.commit({ ...rest, key, hash: keyHash(key), head });
    writer.over();
  }
  return hits;
}

interface Kept {
  readonly bytes: number;
  uses: number;
}

/** Hits among `ids` of S3-FIFO by object, in as many bytes. */
export function objectHits(ids: Uint32Array, bytesMax: number): number {
  const small = new Map<number, Kept>();
  const main = new Map<number, Kept>();
  const ghosts = new Map<number, number>();
  let [smallBytes, mainBytes, ghostBytes, hits] = [0, 0, 0, 0];
  for (const id of ids) {
    const kept = small.get(id) ?? main.get(id);
    if (kept !== undefined) {
      hits++;
      kept.uses = Math.min(usesMax, kept.uses + 1);
      continue;
    }
    const bytes = heavyTailed(id) + besideBytes;
    if (bytes > bytesMax) continue;
    while (smallBytes + mainBytes + bytes > bytesMax) makeRoom();
    const isKnown = ghosts.delete(id);
    if (isKnown) ghostBytes -= bytes;
    (isKnown ? main : small).set(id, { bytes, uses: 0 });
    if (isKnown) mainBytes += bytes;
    else smallBytes += bytes;
  }
  return hits;

  /** A Map remembers the order of insertion: its first key is the next to go. */
  function makeRoom(): void {
    if (smallBytes >= bytesMax * smallShare || mainBytes === 0) return letNewcomerGo();
    const [id, kept] = main.entries().next().value!;
    main.delete(id);
    if (kept.uses === 0) mainBytes -= kept.bytes;
    else main.set(id, { bytes: kept.bytes, uses: kept.uses - 1 });
  }

  function letNewcomerGo(): void {
    const [id, { bytes, uses }] = small.entries().next().value!;
    small.delete(id);
    smallBytes -= bytes;
    if (uses >= usesNeeded) {
      main.set(id, { bytes, uses: 0 });
      mainBytes += bytes;
      return;
    }
    ghosts.set(id, bytes);
    ghostBytes += bytes;
    for (const [oldest, oldestBytes] of ghosts) {
      if (ghostBytes <= bytesMax) break;
      ghosts.delete(oldest);
      ghostBytes -= oldestBytes;
    }
  }
}
