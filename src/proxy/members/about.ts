/** What goes with a stored response from member to member beside its fields; times as ages, since clocks differ. */
import { jsonOf } from "../../base/json.ts";
import { responseDirectives } from "../../http/directives.ts";
import type { FieldList } from "../../http/fields.ts";
import type { FreshnessLifetime } from "../../http/freshness.ts";
import type { StoredHead } from "../../http/stored-head.ts";
import type { Part, StoredResponse } from "../../store/port.ts";

/** The field that carries it, and the one by which a variant is asked for. */
export const aboutField = "gyre-stored";
export const variantField = "gyre-variant";

export interface About {
  readonly ageSeconds: number;
  /** Since its origin was asked for it. */
  readonly askedSeconds: number;
  readonly dateSeconds: number;
  readonly lifetime: FreshnessLifetime;
  readonly varyNames: readonly string[];
  readonly variant: string;
  readonly part: Part | null;
  readonly outdated: boolean;
  /** False: not to be kept on a disk. */
  readonly lasting: boolean;
  readonly tags: readonly string[];
}

/** What another member has to know of a stored response. */
export function aboutText({ head, part, outdated, lasting, tags }: StoredResponse, now: number): string {
  const { born, requestSeconds, dateSeconds, lifetime, varyNames, variant } = head;
  const about: About = {
    ageSeconds: now - born,
    askedSeconds: now - requestSeconds,
    dateSeconds,
    lifetime,
    varyNames,
    variant,
    part,
    outdated,
    lasting,
    tags,
  };
  return JSON.stringify(about);
}

/** What came with a stored response, or null from a member that speaks another dialect. */
export function aboutOf(text: string): About | null {
  const about = jsonOf(text) as Partial<About> | null;
  const { ageSeconds, askedSeconds, dateSeconds, lifetime, varyNames, variant, part, tags } = about ?? {};
  const numbers = [ageSeconds, askedSeconds, dateSeconds, lifetime?.seconds];
  const range = part === null ? [] : [part?.first, part?.last, part?.total];
  return [...numbers, ...range].every((value) => typeof value === "number") &&
    [varyNames, tags].every((list) => Array.isArray(list) && list.every((name) => typeof name === "string")) &&
    typeof variant === "string"
    ? (about as About)
    : null;
}

/** The head as this member keeps it. */
export function headOf(about: About, status: number, fields: FieldList, now: number): StoredHead {
  const { ageSeconds, askedSeconds, dateSeconds, lifetime, varyNames, variant } = about;
  return {
    status,
    fields,
    directives: responseDirectives(fields),
    born: now - ageSeconds,
    dateSeconds,
    lifetime,
    varyNames,
    variant,
    requestSeconds: now - askedSeconds,
    responseSeconds: now - askedSeconds,
  };
}
