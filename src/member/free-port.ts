/** Whether a port is free, asked in the way in which nobody shares. */
import { createServer } from "node:net";
import { listening } from "../base/listen.ts";
import type { HostPort } from "../base/host-port.ts";

/**
 * A place that nobody listens at: the one that is given, its port chosen where that is 0. Rejects with the system's
 * error where it is taken. It may be taken until it is used.
 */
export async function freePort(place: HostPort): Promise<HostPort> {
  const server = createServer();
  const { port } = await listening(server, place);
  await new Promise((done) => server.close(done));
  return { ...place, port };
}
