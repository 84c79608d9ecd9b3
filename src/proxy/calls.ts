/** What other members ask of the data plane beside requests: calls with JSON both ways. */
import { takeOver } from "./hand-over.ts";
import { invalidateFor, invalidateGroupsHere, validateAllHere } from "./invalidate.ts";
import type { Plane } from "./plane.ts";

/** Answers a call of a member, or undefined where the method is not the data plane's. Rejects with a sentence for the caller. */
export async function answerCall(plane: Plane, from: string, method: string, value: unknown): Promise<unknown> {
  const { keys, epoch, origin, groups } = (value ?? {}) as Record<string, unknown>;
  switch (method) {
    case "invalidate":
      await invalidateFor(plane, textsOf("keys", keys), typeof epoch === "number" ? epoch : Infinity);
      return { dropped: true };
    case "validate-all":
      return { outdated: validateAllHere(plane) };
    case "take-over":
      return { taken: await takeOver(plane, from, textsOf("keys", keys)) };
    case "invalidate-groups":
      if (typeof origin !== "string") throw new Error("invalidate-groups needs an origin");
      return { dropped: invalidateGroupsHere(plane, origin, textsOf("groups", groups)) };
    default:
      return undefined;
  }
}

function textsOf(what: string, value: unknown): readonly string[] {
  if (!Array.isArray(value) || !value.every((one) => typeof one === "string")) throw new Error(`${what} are missing`);
  return value;
}
