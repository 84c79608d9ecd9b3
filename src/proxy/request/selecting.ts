/**
 * What a request says in the fields that Vary names: as its origin gets them, since that is what the origin chose by;
 * not as the client sent them, where this member adds, drops or rewrites some on the way. RFC 9111 §4.1.
 */
import { originText } from "../../http/uri.ts";
import { variantOf } from "../../http/vary.ts";
import { areRewritten, originFields, type Asked } from "./origin-fields.ts";

/** Puts the fields that Vary names into one comparable string: equal strings select the same variant. */
export function selectingOf(asked: Asked): (varyNames: readonly string[]) => string {
  /** Worked out only where Vary names such a field, which is rare. */
  let sent: readonly string[] | null = null;
  return (names) => {
    const { fields } = asked.exchange.head;
    if (names.length === 0 || !areRewritten(names, fields, asked.target.route?.request ?? null))
      return variantOf(names, fields);
    sent ??= originFields(asked, asked.target.route?.origins.first ?? originText(asked.target.uri), "kept");
    return variantOf(names, sent);
  };
}
