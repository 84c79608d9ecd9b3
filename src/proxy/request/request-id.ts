/**
 * The name of a request, by which lines of members and origins are found to belong together: what a trusted client or
 * the entry member has given it, else a new one.
 */
import { randomUUID } from "node:crypto";
import { fieldValue, withoutFields, type FieldList } from "../../http/fields.ts";
import type { Exchange } from "../../wire/exchange.ts";

const fieldName = "x-request-id";
const named: ReadonlySet<string> = new Set([fieldName]);
/** What is taken from others: nothing that could be taken for another line, or another field. */
const sound = /^[\w.:/+=@-]{1,128}$/;

/** The name of a request. Where the client is not trusted, what it says does not count. */
export function requestIdOf({ head, hop }: Pick<Exchange, "head" | "hop">, trusted: boolean): string {
  const given = trusted || hop === 1 ? fieldValue(head.fields, fieldName) : undefined;
  return given !== undefined && sound.test(given) ? given : randomUUID();
}

/** The fields with that name, in place of any other. */
export function withRequestId(fields: FieldList, id: string | null): FieldList {
  return id === null ? fields : [...withoutFields(fields, named), fieldName, id];
}
