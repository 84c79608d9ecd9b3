/**
 * What a request says in the fields that Vary names: as its origin gets them, since that is what the origin chose by;
 * not as the client sent them, where this member adds, drops or rewrites some on the way. RFC 9111 §4.1. Where this
 * member compresses, Accept-Encoding says which coding the answer is to have.
 */
import type { Coding } from "../../http/codings.ts";
import { withoutFields, type FieldList } from "../../http/fields.ts";
import { originText } from "../../http/uri.ts";
import { variantOf } from "../../http/vary.ts";
import { areRewritten, originFields, type Asked } from "./origin-fields.ts";
import type { Target } from "./target.ts";

const acceptEncoding: ReadonlySet<string> = new Set(["accept-encoding"]);

/**
 * Whether a request selects by what it says itself in these fields, so that nobody has to know its route to find what
 * it selects: but for the codings that are offered (`codingsOffered`).
 */
export function selectsByItself(
  { head }: Pick<Asked["exchange"], "head">,
  { route }: Pick<Target, "route">,
  names: readonly string[],
): boolean {
  return names.length === 0 || !areRewritten(names, head.fields, route?.request ?? null);
}

/** The codings by which Accept-Encoding selects, where Vary names it and this member compresses; else none. */
export function codingsOffered({ route }: Pick<Target, "route">, names: readonly string[]): readonly Coding[] {
  return route !== null && route.compression !== null && names.includes("accept-encoding")
    ? route.compression.codings
    : none;
}

const none: readonly Coding[] = [];

/** Puts the fields that Vary names into one comparable string: equal strings select the same variant. */
export function selectingOf(asked: Asked): (varyNames: readonly string[]) => string {
  /** Worked out only where Vary names such a field, which is rare. */
  let sent: FieldList | null = null;
  return (names) => {
    const { fields } = asked.exchange.head;
    const { route, uri, coding } = asked.target;
    if (names.length === 0) return variantOf(names, fields);
    let own: FieldList = fields;
    if (areRewritten(names, fields, route?.request ?? null))
      own = sent ??= originFields(asked, route?.origins.first ?? originText(uri), "kept");
    if (route === null || route.compression === null || !names.includes("accept-encoding"))
      return variantOf(names, own);
    return variantOf(names, [
      ...withoutFields(own, acceptEncoding),
      ...(coding === null ? [] : ["accept-encoding", coding]),
    ]);
  };
}
