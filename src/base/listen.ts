/**
 * Listening, with the system's error as a rejection: servers report it as an event that may come before anybody listens
 * for it.
 */
import { chmodSync, chownSync, lstatSync, unlinkSync } from "node:fs";
import { connect, type AddressInfo, type ListenOptions, type Server } from "node:net";
import type { HostPort } from "./host-port.ts";
import { ownerHere } from "./owner.ts";

/**
 * A port; a Unix socket, with permissions and owner as chmod and chown take them; or a socket that is there already.
 */
export type Place =
  | HostPort
  | { readonly path: string; readonly mode: number | null; readonly owner?: string | undefined }
  | { readonly fd: number };

/**
 * Resolves with the address taken, a free port where 0 was asked for; that of a Unix socket is its path, with port 0.
 * `::` is all addresses, also where there are those of IPv4 alone. Rejects with the system's error.
 */
export async function listening(
  server: Server,
  place: Place,
  { backlog = 511, reusePort = false } = {},
): Promise<HostPort> {
  if ("path" in place) {
    const ids = place.owner === undefined ? null : ownerHere(place.owner);
    await removeLeftover(place.path);
    await listen(server, { path: place.path, backlog });
    if (ids !== null) chownSync(place.path, ids.uid, ids.gid);
    if (place.mode !== null) chmodSync(place.path, place.mode);
    return { host: `unix:${place.path}`, port: 0 };
  }
  if ("fd" in place) await listen(server, { fd: place.fd, backlog } as ListenOptions);
  else
    await listen(server, { ...place, backlog, reusePort }).catch((error: NodeJS.ErrnoException) => {
      if (place.host !== "::" || (error.code !== "EAFNOSUPPORT" && error.code !== "EADDRNOTAVAIL")) throw error;
      return listen(server, { ...place, host: "0.0.0.0", backlog, reusePort });
    });
  const address = server.address() as AddressInfo | null;
  // A Unix socket that whoever started this process has opened.
  if (address === null) return { host: "fd" in place ? `fd:${place.fd}` : "", port: 0 };
  return { host: address.address, port: address.port };
}

function listen(server: Server, options: ListenOptions & { readonly reusePort?: boolean }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** A socket that nobody listens at any more, left by one who was killed, is taken away; anything else stays. */
async function removeLeftover(path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return;
  const isLeft = await new Promise<boolean>((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(false);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
  });
  if (isLeft) unlinkSync(path);
}
