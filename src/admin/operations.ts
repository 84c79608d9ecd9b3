/** What operators do to a member, at the admin port of any: it is passed on over the members' links. */
import { asError } from "../base/background.ts";
import { weightMax } from "../ring/ring.ts";
import type { AdministeredPlane } from "./administered.ts";
import type { ApiAnswer } from "./answers.ts";
import type { AdministeredMember } from "./status.ts";

export const operations = ["drain", "reload", "weight", "coordinate"] as const;
export type Operation = (typeof operations)[number];

/** A drain takes as long as answers in progress, and as what is handed over. */
const limitMs = 120_000;

/** Does it here. Rejects with a sentence where it cannot be done. */
export async function operateHere(member: AdministeredMember, what: string, value: unknown): Promise<unknown> {
  switch (what as Operation) {
    case "drain":
      return member.drain();
    case "coordinate":
      await member.coordinate();
      return { coordinator: member.coordinatorAddress };
    case "reload":
      return { reloaded: await member.reread() };
    case "weight": {
      if (typeof value !== "number" || !(value > 0 && value <= weightMax))
        throw new Error(`a weight is a number above 0, ${weightMax} at most`);
      await member.reweigh(value);
      return { weight: value };
    }
  }
  throw new Error(`${what} is not known: ${operations.join(", ")} are`);
}

/** Does it at the member named, or here where none is. */
export async function operate(
  { member, plane }: { readonly member: AdministeredMember; readonly plane: AdministeredPlane },
  what: Operation,
  { at, value }: { readonly at: string | null; readonly value: unknown },
): Promise<ApiAnswer> {
  try {
    if (at === null || at === plane.desk.self) return { status: 200, value: await operateHere(member, what, value) };
    if (!plane.current.view.byName.has(at)) return { status: 404, value: { error: `there is no member ${at}` } };
    return { status: 200, value: await plane.peers.call(at, "operate", { what, value }, limitMs) };
  } catch (error) {
    return { status: 409, value: { error: asError(error).message } };
  }
}
