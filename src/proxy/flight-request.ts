/** What a request means to the fetch that it needs: whom it can share it with, and what it asks on condition of. */
import { validationFields } from "../http/conditional.ts";
import { fieldValue, hasField, type FieldList } from "../http/fields.ts";
import { variantOf } from "../http/vary.ts";
import type { StoredResponse } from "../store/stored-response.ts";
import type { Ticket } from "./ticket.ts";

/** Requests that ask for less than the whole: nobody else can be served with what they bring. */
export function isSelective(fields: FieldList): boolean {
  return hasField(fields, "range") || hasField(fields, "if-none-match") || hasField(fields, "if-modified-since");
}

/** Requests that select different variants, as far as is known, do not wait for each other. */
export function flightKeyOf({ target, exchange }: Ticket, known: readonly StoredResponse[]): string {
  const [newest] = known;
  // Clients elsewhere may not go where local ones may: neither must get the other's refusal, or its answer.
  const key = target.route === null && !exchange.client.local ? `${target.key}\nelsewhere` : target.key;
  return newest === undefined || newest.head.varyNames.length === 0
    ? key
    : `${key}\n${variantOf(newest.head.varyNames, exchange.head.fields)}`;
}

/** One condition that covers all of them. RFC 9111 §4.3.1. */
export function validationsOf(validating: readonly StoredResponse[]): string[] {
  const [only] = validating;
  if (validating.length === 1) return validationFields(only!.head.fields);
  return ["if-none-match", validating.map(({ head }) => fieldValue(head.fields, "etag")!).join(", ")];
}
