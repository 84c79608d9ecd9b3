/** A purge in one line of the log. */
import type { PurgeReport } from "../proxy/invalidation/purges.ts";

const namesShown = 3;

/** Who, what, how many. */
export function purgeText({ by, mode, selectors, members }: PurgeReport): string {
  const ended = members.reduce((sum, { dropped, outdated }) => sum + (dropped ?? 0) + (outdated ?? 0), 0);
  const pending = members.filter(({ state }) => state === "pending").map(({ name }) => name);
  const more = selectors.length > namesShown ? ` and ${selectors.length - namesShown} more` : "";
  const late = pending.length === 0 ? "" : `; pending: ${pending.join(", ")}`;
  const what = selectors.slice(0, namesShown).join(", ") + more;
  return `purged by ${by}: ${what} (${mode === "drop" ? "dropped" : "outdated"} ${ended} so far${late})`;
}
