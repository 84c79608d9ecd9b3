/**
 * Forms of requests (proxy/shortcut.ts) as the store keeps them: with the number of their route above them, and above
 * that whether cookies decide. What is the same for all requests of a way stands in all of them.
 */
import { hasField, type FieldList } from "../../http/fields.ts";

const routeShift = 8;
const routeBits = 63;
/** Requests with cookies are not of these forms: some of them go past the store, which only the whole way tells. */
const withoutCookies = 1 << 16;

/** The form of a request that leads to a route, as it is kept. */
export function formAtRoute(form: number, route: number): number {
  return form | (route << routeShift);
}

/** The same, of requests without cookies alone. */
export function formWithoutCookies(form: number): number {
  return form | withoutCookies;
}

/** The number of the route that kept forms lead to. */
export function routeOfForms(kept: number): number {
  return (kept >>> routeShift) & routeBits;
}

/** Whether a request of this form, with these fields, is of the kept ones. */
export function isOfForms(kept: number, form: number, fields: FieldList): boolean {
  return (kept & form) !== 0 && ((kept & withoutCookies) === 0 || !hasField(fields, "cookie"));
}
