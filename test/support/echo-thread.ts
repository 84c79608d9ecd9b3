/** A thread that sends every frame back. */
import { workerData } from "node:worker_threads";
import { ByteRing } from "../../src/threads/byte-ring.ts";
import { ThreadLink } from "../../src/threads/thread-link.ts";

const { there, back } = workerData as { readonly there: SharedArrayBuffer; readonly back: SharedArrayBuffer };
// Something to live for.
setInterval(() => {}, 1000);
const link = new ThreadLink(
  new ByteRing(there),
  new ByteRing(back),
  (kind, number, content) => link.send(kind, number, content),
  (error) => {
    throw error;
  },
);
