/** How a secret that was made up is told: once, to somebody at a terminal; to nobody's log. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { runFolder } from "../member/records.ts";

/**
 * A sentence that tells it. Where nobody looks, what is printed ends up in a log: it is written to a file that only
 * this user can read, and the sentence says where.
 */
export function toldSecret(secret: string, cluster: string): string {
  if (process.stderr.isTTY === true)
    return `${secret}   members on other machines need it (GYRE_SECRET); those on this machine find it`;
  const file = join(runFolder(process.env), `secret-${cluster}`);
  writeFileSync(file, `${secret}\n`, { mode: 0o600 });
  return `in ${file}, for this user alone: members on other machines need it (--secret-file, GYRE_SECRET); those on this machine find it`;
}
