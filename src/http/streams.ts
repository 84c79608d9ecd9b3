/** Responses that are told as they happen, to whoever is there: their content is what it is for one connection. */
import { fieldLines, type FieldList } from "./fields.ts";

/** Server-sent events (HTML §9.2), whose content begins anew for each client, perhaps where that has left off. */
export function isEventStream(fields: FieldList): boolean {
  return hasType(fields, "text/event-stream");
}

/** The same, or pictures that take each other's place, as of cameras. */
export function isStream(fields: FieldList): boolean {
  return isEventStream(fields) || hasType(fields, "multipart/x-mixed-replace");
}

function hasType(fields: FieldList, type: string): boolean {
  return fieldLines(fields, "content-type").some((line) => line.toLowerCase().startsWith(type));
}
