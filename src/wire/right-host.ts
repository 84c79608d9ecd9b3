/** Whether what clients call a host is one: asked of every request. */
import { ownCopy } from "../base/own-copy.ts";
import { authority } from "../http/uri.ts";

/**
 * Hosts found right before: clients ask for the same few, and the check costs as much as the rest of a small head.
 * Bounded.
 */
const rightHosts = new Set<string>();
const rightHostsMax = 1024;
/** Characters of one that is remembered: longer names are nobody's. RFC 1035 §2.3.4. */
const rememberedMax = 255 + ":65535".length;

/** Whether a text is host[:port]. RFC 9110 §7.2. */
export function isHost(text: string): boolean {
  if (rightHosts.has(text)) return true;
  if (authority(text, "http") === null) return false;
  if (text.length <= rememberedMax && rightHosts.size < rightHostsMax) rightHosts.add(ownCopy(text));
  return true;
}
