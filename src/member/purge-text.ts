/** Purges, and what they depend on, each in one line of the log. */
import type { PurgeReport } from "../proxy/invalidation/purges.ts";

const namesShown = 3;

/** Who, what, how many. */
export function purgeText(
  { by, mode, selectors, selectorCount, members }: PurgeReport,
  when: "told" | "counted",
): string {
  const ended = members.reduce((sum, { dropped, outdated }) => sum + (dropped ?? 0) + (outdated ?? 0), 0);
  const pending = members.filter(({ state }) => state === "pending").map(({ name }) => name);
  const more = selectorCount > namesShown ? ` and ${selectorCount - namesShown} more` : "";
  const late = pending.length === 0 ? "" : `; pending: ${pending.join(", ")}`;
  const what = selectors.slice(0, namesShown).join(", ") + more;
  const how = mode === "drop" ? "dropped" : "outdated";
  return when === "counted"
    ? `the purge by ${by} of ${what} has ${how} ${ended}`
    : `purged by ${by}: ${what} (${how} ${ended} so far${late})`;
}

/** Whether a member trusts what it has stored. */
export function touchText(inTouch: boolean, silent: readonly string[]): string {
  return inTouch
    ? "has heard of all the others: what is stored counts again"
    : `is cut off: it has not heard of ${silent.join(", ") || "the others"}, and validates everything before use`;
}
