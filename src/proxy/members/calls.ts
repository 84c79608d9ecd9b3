/** What other members ask of the data plane beside requests: calls with JSON both ways. */
import type { Invalidations } from "../invalidation/invalidations.ts";
import { takeOver, type HandOverNeeds } from "./hand-over.ts";

export interface CallNeeds extends HandOverNeeds {
  readonly invalidations: Invalidations;
}

/**
 * Answers a call of a member, or undefined where the method is not the data plane's. Rejects with a sentence for the
 * caller.
 */
export async function answerCall(needs: CallNeeds, from: string, method: string, value: unknown): Promise<unknown> {
  const { keys, epoch, uris, groups } = (value ?? {}) as Record<string, unknown>;
  switch (method) {
    case "invalidate": {
      const named = { uris: textsOf("uris", uris), groups: textsOf("groups", groups) };
      await needs.invalidations.onBehalf(named, typeof epoch === "number" ? epoch : Infinity);
      return { dropped: true };
    }
    case "validate-all":
      return { outdated: needs.invalidations.validateAll() };
    case "take-over":
      return { taken: await takeOver(needs, from, textsOf("keys", keys)) };
    default:
      return undefined;
  }
}

function textsOf(what: string, value: unknown): readonly string[] {
  if (!Array.isArray(value) || !value.every((one) => typeof one === "string")) throw new Error(`${what} are missing`);
  return value;
}
