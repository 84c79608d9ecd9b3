/** `gyre explain URL`: where a URL lives, what is stored for it, what the next request would do, and why. */
import type { SeenRequest } from "../telemetry/seen-request.ts";
import type { Explanation } from "../admin/explain.ts";
import { counted } from "../base/counted.ts";
import { bytesText } from "../base/sizes.ts";
import { contact, type WhereOptions } from "./discover.ts";
import { Failure } from "./failure.ts";
import { say, sayJson, styled } from "./terminal.ts";

/** Asks the URL's owner and prints what it says. */
export async function explain(
  url: string,
  options: WhereOptions & { readonly json?: boolean; readonly header?: readonly string[] },
): Promise<void> {
  const first = await contact(options);
  const fields = (options.header ?? []).map((line) => `&field=${encodeURIComponent(line)}`).join("");
  const path = `/api/explain?url=${encodeURIComponent(url)}${fields}`;
  let explained = (await first.get(path)) as Explanation & { last?: SeenRequest | null };
  const owner = first.status.members.find(({ name }) => name === explained.owner);
  if (owner === undefined) throw new Failure(`the owner ${explained.owner} is not in the view`);
  const { last } = explained;
  if (explained.member !== explained.owner)
    explained = (await (
      await contact({ ...options, coordinator: undefined, admin: owner.admin, secret: first.secret })
    ).get(path)) as typeof explained;
  explained = { ...explained, last: last ?? explained.last ?? null };
  if (options.json === true) return sayJson(explained);
  say(`${styled("bold", explained.url)}`);
  say(`  owner    ${explained.owner} (asked ${explained.member})`);
  say(`  key      ${explained.key.replaceAll("\n", " + ")}`);
  if (explained.route !== null) say(`  route    ${explained.route}`);
  const rules = Object.entries(explained.rules).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
  if (rules.length > 0) say(`  rules    ${rules.join(", ")} (configured)`);
  say(`  next GET ${explained.next}`);
  if (explained.last != null) {
    const { time, outcome, reason, status, owned, member } = explained.last;
    const what = owned ?? `${outcome}${reason === null || reason === outcome ? "" : ` (${reason})`}`;
    say(`  last     ${what}, status ${status}, at ${member} ${time}; hits of the fast way are not remembered`);
  }
  if (!explained.isInTouch)
    say(
      `  ${styled("yellow", "cut off")}: ${explained.member} does not know what others have been told; it validates everything`,
    );
  if (explained.endedBy !== null) {
    const { what, mode, cause, at, teller, number } = explained.endedBy;
    const how = mode === "drop" ? "dropped" : "outdated";
    say(`  ${how}  by ${cause === "purge" ? "a purge of" : "a change of"} ${what}, ${at} (${teller} ${number})`);
  }
  for (const [index, variant] of explained.variants.entries()) {
    say(
      `  stored ${index + 1}: status ${variant.status}, ${bytesText(variant.bodyBytes)}, used ${counted(variant.hits, "time")}${variant.selected ? "" : ", not for the next GET"}${variant.contentIn === "disk" ? ", its content on the disk" : ""}`,
    );
    say(
      `    age      ${variant.ageSeconds} s of ${Math.round(variant.lifetimeSeconds * 10) / 10} s (${variant.lifetimeSource}, from ${variant.directivesFrom})`,
    );
    if (variant.vary.length > 0)
      say(`    varies   ${variant.vary.join(", ")}: ${variant.variant.trim().replaceAll("\n", ", ")}`);
    say(`    validator ${variant.etag ?? variant.lastModified ?? "none"}`);
    if (variant.tags.length > 0) say(`    tags     ${variant.tags.join(", ")}`);
    say(`    heard    ${variant.position} of ${explained.position} invalidations`);
    say(`    decision ${variant.decision}: ${variant.clause}`);
  }
  if (explained.onDisk > 0) say(`  on disk  ${explained.onDisk}, to be brought back into memory when somebody asks`);
  return undefined;
}
