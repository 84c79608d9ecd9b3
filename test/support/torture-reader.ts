/**
 * A thread of the torture test: looks up keys at random for as long as it may, and compares every byte with what
 * belongs to the key.
 */
import { parentPort, workerData } from "node:worker_threads";
import { PageReader, type SharedStore } from "../../src/store/pages/page-reader.ts";

export interface TortureOptions {
  readonly store: SharedStore;
  readonly reader: number;
  readonly keys: number;
  /** One word: not 0 when it is over. */
  readonly over: SharedArrayBuffer;
}

export interface TortureResult {
  readonly looked: number;
  readonly found: number;
  readonly wrong: readonly string[];
}

const { store, reader, keys, over } = workerData as TortureOptions;
const pages = new PageReader(store, reader);
const stopped = new Int32Array(over);
const wrong: string[] = [];
let looked = 0;
let found = 0;

function look(number: number): void {
  looked++;
  const glance = pages.enter(`http://torture/${number}`, []);
  if (glance === null) return;
  const { status } = glance;
  const content = Buffer.from(glance.memory.subarray(glance.contentAt, glance.contentEnd));
  const head = glance.memory.toString("latin1", glance.headAt, glance.headEnd);
  const forms = glance.formsNow(3, 1);
  pages.leave();
  found++;
  const unit = content.toString("latin1", 0, content.indexOf(";") + 1);
  const isRight =
    status === 200 &&
    unit.startsWith(`k${number}v`) &&
    head.includes(`x-key: ${number}\r\n`) &&
    content.equals(Buffer.alloc(content.length, unit)) &&
    (forms === 0 || forms === 1);
  if (!isRight && wrong.length < 5)
    wrong.push(`${number}: ${status} ${forms} ${content.toString("latin1", 0, 40)} ${head}`);
}

function turn(): void {
  for (let count = 0; count < 500; count++) look(Math.floor(Math.random() * keys));
  if (Atomics.load(stopped, 0) === 0) setImmediate(turn);
  else {
    parentPort!.postMessage({ looked, found, wrong } satisfies TortureResult);
    parentPort!.close();
  }
}

parentPort!.on("message", (block: SharedArrayBuffer) => pages.attach(block));
turn();
