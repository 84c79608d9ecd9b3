/** Signs that a request has been here before. RFC 9110 §7.6.3 (Via), RFC 8586 (CDN-Loop). */
import { fieldValue, type FieldList } from "./fields.ts";
import { listElements } from "./grammar.ts";

/** More intermediaries than this is taken for a loop, whoever they are. */
export const hopsMax = 32;

/** Whether this cluster has handled the request already, by its CDN-Loop name, or too many others have. */
export function hasLooped(fields: FieldList, cdnId: string): boolean {
  const loop = fieldValue(fields, "cdn-loop");
  if (loop !== undefined) {
    const names = listElements(loop).map((element) => listElements(element, ";")[0] ?? "");
    if (names.includes(cdnId) || names.length > hopsMax) return true;
  }
  const via = fieldValue(fields, "via");
  return via !== undefined && listElements(via).length > hopsMax;
}
