/** `gyre ring`: how the key space is shared, and where URLs live. */
import type { Location } from "../admin/locate.ts";
import { contact, type WhereOptions } from "./discover.ts";
import { percent, say, sayJson, table } from "./terminal.ts";

/** Prints shares, or owners where URLs are given. */
export async function ring(
  urls: readonly string[],
  options: WhereOptions & { readonly json?: boolean },
): Promise<void> {
  const { status, get } = await contact(options);
  if (urls.length === 0) {
    const members = status.members.map(({ name, share, weight }) => ({ name, share, weight }));
    if (options.json === true) sayJson({ epoch: status.epoch, members });
    else
      say(
        table(
          ["MEMBER", "SHARE", "WEIGHT"],
          members.map(({ name, share, weight }) => [name, percent(share, 2), String(weight)]),
        ),
      );
    return;
  }
  const query = urls.map((url) => `url=${encodeURIComponent(url)}`).join("&");
  const located = (await get(`/api/locate?${query}`)) as { epoch: number; urls: Location[] };
  if (options.json === true) sayJson(located);
  else {
    say(
      table(
        ["URL", "OWNER", "THEN"],
        located.urls.map(({ url, owner, successors }) => [url, owner ?? "no http URL", successors.join(", ")]),
      ),
    );
  }
}
