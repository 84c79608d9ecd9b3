/**
 * A thread that reads files, so that a slow disk makes nobody wait but who asks for what is on it. It is told what to
 * read, and tells how it went, through shared memory (read-ring.ts).
 */
import { readSync } from "node:fs";
import { workerData } from "node:worker_threads";
import { ReadRing } from "./read-ring.ts";

const ring = new ReadRing(workerData as SharedArrayBuffer);
for (let job = 0; ; job++) {
  if (!ring.waitFor(job)) break;
  const { fd, at, bytes, into } = ring.job(job);
  let done = 0;
  try {
    while (done < bytes) {
      const count = readSync(fd, into, done, bytes - done, at + done);
      if (count === 0) break;
      done += count;
    }
  } catch {
    done = -1;
  }
  ring.finish(job, done);
}
