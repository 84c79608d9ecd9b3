/** Whose a file is to be, as chown takes it: user, user:group or :group, each a name or a number. */
import { readFileSync } from "node:fs";

export interface OwnerIds {
  /** -1: as it is. */
  readonly uid: number;
  readonly gid: number;
}

/** The largest there is: one more means "as it is" to chown(2). */
const idMax = 2 ** 32 - 2;

export const ownerPattern: RegExp = /^(?=[^:]|:.)[\w.-]*(?::[\w.-]+)?$/;

/**
 * The numbers of an owner, by the texts of passwd(5) and group(5). Pure. @throws Error naming a user or group that they
 * do not have.
 */
export function ownerIn(owner: string, passwd: string, group: string): OwnerIds {
  const [user = "", ofGroup = ""] = owner.split(":");
  const find = (name: string, text: string, what: string): number => {
    if (name === "") return -1;
    if (/^\d+$/.test(name)) {
      if (Number(name) > idMax) throw new Error(`${name} is no number of a ${what}`);
      return Number(name);
    }
    const fields = text
      .split("\n")
      .map((line) => line.split(":"))
      .find(([first]) => first === name);
    const id = Number(fields?.[2]);
    if (fields === undefined || !Number.isInteger(id)) throw new Error(`there is no ${what} ${name} on this machine`);
    return id;
  };
  return { uid: find(user, passwd, "user"), gid: find(ofGroup, group, "group") };
}

/** The same, by this machine's own files. */
export function ownerHere(owner: string): OwnerIds {
  return ownerIn(owner, readFileSync("/etc/passwd", "utf8"), readFileSync("/etc/group", "utf8"));
}
