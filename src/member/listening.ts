/** Opening a member's ports, with a sentence for the operator where that fails. */
import type { HostPort } from "../base/host-port.ts";
import { listenFailure } from "../wire/server.ts";
import { StartError } from "./start-error.ts";

/** Whether an address is one by which this machine speaks to itself. */
export function isThisMachine(address: string): boolean {
  return address === "::1" || address.startsWith("127.");
}

/** Resolves with where `what` listens. @throws StartError where it cannot. */
export async function listening(listen: () => Promise<HostPort>, what: string, address: string): Promise<HostPort> {
  try {
    return await listen();
  } catch (error) {
    throw new StartError(listenFailure(error as NodeJS.ErrnoException, what, address));
  }
}
