/**
 * Listening, with the system's error as a rejection: servers report it as an event that may come before anybody listens
 * for it.
 */
import type { AddressInfo, Server } from "node:net";
import type { HostPort } from "./host-port.ts";

/** Resolves with the address taken, a free port where 0 was asked for. Rejects with the system's error. */
export async function listening(
  server: Server,
  { host, port }: HostPort,
  { backlog = 511, reusePort = false } = {},
): Promise<HostPort> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, backlog, reusePort }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = server.address() as AddressInfo;
  return { host: address.address, port: address.port };
}
