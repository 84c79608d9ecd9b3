/**
 * Node reads into a new buffer outside the heap each time. They die young, but the collector looks at the heap, where
 * they hardly show: tens of MB of them lie about before it comes, each read touches memory that no cache holds, and a
 * member is larger than it needs to be. So the young objects are collected whenever so much has been read.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Measured with uploads of a gigabyte: 4 to 16 MB cost the same (docs/decisions/0018). */
const everyBytes = 8 * 2 ** 20;
/** Heads of requests do not count: the objects made of them bring the collector soon enough. */
const countedBytesMin = 4 * 1024;

type Collect = (how: { readonly type: "minor" }) => void;

let collect: Collect | null | undefined;
let passed = 0;

/** Counts bytes that have been read into a buffer of Node's, and will soon be done with. */
export function countRead(bytes: number): void {
  if (bytes < countedBytesMin) return;
  passed += bytes;
  if (passed < everyBytes) return;
  passed = 0;
  if (collect === undefined) collect = collector();
  collect?.({ type: "minor" });
}

/** What V8 gives to those who ask for it, also while it runs; null where it does not. */
function collector(): Collect | null {
  setFlagsFromString("--expose-gc");
  const found: unknown = runInNewContext("globalThis.gc");
  return typeof found === "function" ? (found as Collect) : null;
}
