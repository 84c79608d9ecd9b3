/**
 * Where an embedded coordinator is looked for: `http://host:port`, several with commas, in order. The only parser of
 * that form.
 */
import { hostPortOf, type HostPort } from "../base/host-port.ts";

/** The places, or null where the text is not such a list. */
export function placesOf(coordinator: string): readonly HostPort[] | null {
  const places = coordinator
    .split(",")
    .map((one) => (one.startsWith("http://") ? hostPortOf(one.slice(7).replace(/\/$/, "")) : null));
  return places.includes(null) ? null : (places as HostPort[]);
}
