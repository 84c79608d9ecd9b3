/** What a place to listen at needs of this machine beside being free: looked for before a start, and told in words. */
import { accessSync, constants, fstatSync, lstatSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { ListenPlace } from "../config/listeners.ts";

/** Why nobody can listen at a place, whoever listens there now; null where nothing is known against it. */
export function unlistenable(place: ListenPlace): string | null {
  if ("path" in place) return wrongSocketPath(place.path);
  return "fd" in place ? wrongDescriptor(place.fd) : null;
}

function wrongSocketPath(path: string): string | null {
  const folder = dirname(path);
  try {
    // The system's own words for a folder that is not there are those for one that may not be written to.
    const there = statSync(folder, { throwIfNoEntry: false });
    if (there === undefined) return `there is no folder ${folder}`;
    if (!there.isDirectory()) return `${folder} is no folder`;
    accessSync(folder, constants.W_OK | constants.X_OK);
    const taken = lstatSync(path, { throwIfNoEntry: false });
    return taken === undefined || taken.isSocket() ? null : "it is there already, and is no socket";
  } catch {
    return `this user may not write to ${folder}`;
  }
}

function wrongDescriptor(fd: number): string | null {
  try {
    return fstatSync(fd).isSocket() ? null : "it is no socket: whoever starts Gyre has to open it";
  } catch {
    return "it is not open: whoever starts Gyre has to open it";
  }
}
