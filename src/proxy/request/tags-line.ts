/** How tags go from member to member where the fields that they came in are not passed on. */
import { jsonOf } from "../../base/json.ts";
import type { CachingRules } from "./routes.ts";

/** The field that carries them; nobody else gets to see it. */
export const tagsField = "gyre-tags";

/** The line, empty where the response's own fields say it. */
export function tagsLine({ stripTags }: Pick<CachingRules, "stripTags">, tags: readonly string[]): string {
  return stripTags && tags.length > 0 ? `${tagsField}: ${JSON.stringify(tags)}\r\n` : "";
}

/** The tags on such a line, or null where there is none that can be read. */
export function tagsOfLine(text: string | undefined): readonly string[] | null {
  if (text === undefined) return null;
  const tags = jsonOf(text);
  return Array.isArray(tags) && tags.every((tag) => typeof tag === "string") ? tags : null;
}
