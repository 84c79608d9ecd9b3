/** What other members ask of the data plane beside requests: calls with JSON both ways. */
import type { Comparing } from "../invalidation/comparing.ts";
import type { Invalidations } from "../invalidation/invalidations.ts";
import type { Purges } from "../invalidation/purges.ts";
import { takeOver, type HandOverNeeds } from "./hand-over.ts";

export interface CallNeeds extends HandOverNeeds {
  readonly invalidations: Invalidations;
  readonly comparing: Pick<Comparing, "answer">;
  readonly purges: Pick<Purges, "answer">;
}

/**
 * Answers a call of a member, or undefined where the method is not the data plane's. Rejects with a sentence for the
 * caller.
 */
export async function answerCall(needs: CallNeeds, from: string, method: string, value: unknown): Promise<unknown> {
  const { keys } = (value ?? {}) as Record<string, unknown>;
  switch (method) {
    case "compare":
      return needs.comparing.answer(from, value);
    case "invalidate":
      await needs.invalidations.heard(from, value);
      return { heard: true };
    case "relay":
      return { applied: await needs.invalidations.relay(value) };
    case "purge":
      return needs.purges.answer(value);
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
