/** What credentials speak for: a request, as HTTP has it, or all that comes on their connection after them. */
import { fieldLines, type FieldList } from "./fields.ts";

/** Schemes by which servers take whoever has shown them once for the sender of all that follows (RFC 4559 §6). */
const schemesOfConnections: ReadonlySet<string> = new Set(["ntlm", "negotiate", "kerberos"]);

/** Whether a request's credentials may speak for its whole connection, against RFC 9110 §3.3. */
export function speaksForConnection(fields: FieldList): boolean {
  return fieldLines(fields, "authorization").some((value) => {
    const scheme = /^[^\s,]*/.exec(value)![0];
    return schemesOfConnections.has(scheme.toLowerCase());
  });
}
