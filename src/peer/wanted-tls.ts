/**
 * Where links are not to be encrypted (`peer-tls: off`): members that take no others. Who changes that setting
 * restarts the members one after the other, and meanwhile nobody may be out of reach: a link in clear text that the
 * other side ends at its first word is tried by TLS next, and in clear text again where that fails too.
 */
import { hostPortText, type HostPort } from "../base/host-port.ts";

/** So many are remembered; whoever is forgotten is found out about anew. */
const wantingMax = 1024;
const wanting = new Set<string>();

/** Whether links to an address are to be encrypted, although here they need not be. */
export function wantsTls(address: HostPort): boolean {
  return wanting.has(hostPortText(address));
}

/** Dialling an address has led to no link, in clear text or (`encrypted`) by TLS. */
export function cameToNothing(address: HostPort, how: "clear" | "encrypted"): void {
  const place = hostPortText(address);
  wanting.delete(place);
  if (how === "clear") wanting.add(place);
  if (wanting.size > wantingMax) wanting.delete(wanting.values().next().value!);
}
