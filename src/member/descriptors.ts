/**
 * How many file descriptors this process may have, and how many of them clients may take: others are needed to answer
 * them.
 */
import { readFileSync } from "node:fs";

/** For the program itself, its listeners, logs and links to other members. */
const reserve = 48;
/** A client's request may need a connection to an origin. */
const eachClient = 2;

/** The limit, or null where the system does not tell. */
export function descriptorLimit(): number | null {
  try {
    const found = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return found === undefined || found === "unlimited" ? null : Number(found);
  } catch {
    return null; // Not Linux: no limit is known.
  }
}

/** Connections that clients may have under a limit of descriptors. */
export function connectionsUnder(limit: number | null, wanted: number): number {
  if (limit === null) return wanted;
  return Math.max(4, Math.min(wanted, Math.floor((limit - reserve) / eachClient)));
}
