/**
 * What origins give cause to tell an operator: counted each time, logged at most once in a while, since the same
 * trouble comes with every request.
 */
import { ToldOnce } from "../base/told-once.ts";
import type { OriginNotes } from "../origin/fetch.ts";
import type { Recorder } from "../proxy/request/recorder.ts";
import type { Logger } from "../telemetry/log.ts";

const noteEveryMs = 10_000;
/** Clients of a forward proxy name origins as they like. */
const notesMax = 1000;

/** Listens to all origin clients of one member. */
export function originNotes(log: Logger, recorder: () => Recorder): OriginNotes {
  const told = new ToldOnce({ max: notesMax, againMs: noteEveryMs });
  const toldExhausted = new ToldOnce({ max: 1, againMs: noteEveryMs });
  return {
    waited: (origin) => {
      recorder().originWaited();
      if (told.tell(`waited ${origin}`))
        log.warn({ kind: "origin", origin }, `requests wait for ${origin}: it has as many as it may have`);
    },
    refused: (origin, why) => {
      recorder().originRefused();
      if (told.tell(`refused ${origin}`))
        log.error({ kind: "origin", origin, why }, `requests to ${origin} are refused: ${why}`);
    },
    unverified: (what) =>
      log.warn(
        { kind: "origin" },
        `the certificates of ${what} are not checked (verify-tls): anybody on the way can be them`,
      ),
    health: (route, origin, health, why) => {
      if (health === "up")
        log.info({ kind: "origin", route, origin, health }, `${origin} of route ${route} is well again`);
      else {
        const how = health === "down" ? "is down by its checks" : "rests";
        log.warn({ kind: "origin", route, origin, health, why }, `${origin} of route ${route} ${how}: ${why}`);
      }
    },
    exhausted: () => {
      recorder().exhausted();
      if (toldExhausted.tell("exhausted"))
        log.error({ kind: "limits" }, "no file descriptors are left: origins cannot be reached (raise ulimit -n)");
    },
  };
}
