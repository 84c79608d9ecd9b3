/** Changes of a cluster's members as people write them, for asking what would move: `+2`, `-m3`, `m1*2`. */
import { weightMax, type RingMember } from "./ring.ts";

export type WhatIf = { readonly members: readonly RingMember[] } | { readonly wrong: string };

/** The members after the changes, which are separated by spaces or commas and applied in order. */
export function whatIf(before: readonly RingMember[], text: string): WhatIf {
  let members = [...before];
  const changes = text.split(/[\s,]+/).filter((change) => change !== "");
  if (changes.length === 0) return { wrong: 'nothing to change: write "+2", "-m3" or "m1*2"' };
  for (const change of changes) {
    const joins = /^\+(\d{1,4})$/.exec(change);
    const leaves = /^-(.+)$/.exec(change);
    const weighs = /^(.+)\*(\d+(?:\.\d+)?)$/.exec(change);
    const named = leaves?.[1] ?? weighs?.[1];
    if (named !== undefined && !members.some(({ name }) => name === named))
      return { wrong: `${change}: no member named ${named}; there are ${members.map(({ name }) => name).join(", ")}` };
    if (joins !== null) members.push(...newcomers(members, Number(joins[1])));
    else if (leaves !== null) members = members.filter(({ name }) => name !== named);
    else if (weighs !== null) {
      const factor = Number(weighs[2]);
      const weight = factor * members.find(({ name }) => name === named)!.weight;
      if (!(weight > 0 && weight <= weightMax))
        return { wrong: `${change}: a weight is above 0 and at most ${weightMax}` };
      members = members.map((member) => (member.name === named ? { ...member, weight } : member));
    } else
      return {
        wrong: `"${change}" is no change: write "+2" (two more), "-m3" (m3 leaves) or "m1*2" (twice the weight)`,
      };
  }
  return members.length === 0 ? { wrong: "nobody would be left" } : { members };
}

/** So many members of weight 1, with names that nobody has. */
export function newcomers(before: readonly RingMember[], count: number): RingMember[] {
  const taken = new Set(before.map(({ name }) => name));
  const made: RingMember[] = [];
  for (let number = before.length + 1; made.length < count; number++)
    if (!taken.has(`m${number}`)) made.push({ name: `m${number}`, weight: 1 });
  return made;
}
