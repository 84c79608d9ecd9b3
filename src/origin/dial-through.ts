/** Connections to origins by way of a parent proxy. */
import type { Reading } from "./reading.ts";
import { isLoopbackName } from "../http/uri.ts";
import type { Socket } from "node:net";
import {
  dial,
  refusedPlace,
  secured,
  type ConnectPolicy,
  type DialContext,
  type Dialled,
  type Dialling,
} from "./connector.ts";
import { OriginError, refusedDestination } from "./origin-error.ts";
import { openTunnel, type Parent } from "./parent.ts";
import type { Place } from "./place.ts";

/**
 * Connects to a parent, for a plain origin; for others, to the origin through a tunnel of the parent's. What the parent
 * resolves a name to is out of sight here: addresses are judged where they are given as such.
 */
export function dialThrough(
  parent: Parent,
  place: Place,
  context: DialContext,
  reading: Reading | null,
  done: Dialled,
): Dialling {
  const refused = refusedPlace(place, context.policy) ?? refusedName(place.host, context.policy);
  if (refused !== null) {
    let cancelled = false;
    process.nextTick(() => cancelled || done(refused, null, false));
    return { cancel: () => void (cancelled = true) };
  }
  const tunnels = place.secure || reading === null;
  // The operator has named it: nothing is denied.
  const toParent = { ...context, policy: { inner: true, allowed: null, configured: true } };
  let socket: Socket | null = null;
  let isOver = false;
  let timer: NodeJS.Timeout | null = null;
  const settle = (error: Error | null): void => {
    if (isOver) return;
    isOver = true;
    if (timer !== null) clearTimeout(timer);
    if (error !== null) {
      socket?.on("error", () => {});
      socket?.destroy();
    }
    done(error, error === null ? socket : null, false);
  };
  const dialling = dial(parent.place, toParent, tunnels ? null : reading, (error, connected) => {
    if (isOver) return;
    socket = connected;
    if (error !== null || connected === null || !tunnels) return settle(error);
    const late = new OriginError(
      "connect",
      "ETIMEDOUT",
      `${place.host} did not answer through the parent proxy`,
      504,
      true,
    );
    timer = setTimeout(() => settle(late), context.options.connectMs);
    openTunnel(connected, parent, place, (failure) => {
      if (failure !== null || !place.secure) return settle(failure);
      let secure: Socket;
      try {
        secure = secured(place, context, { socket: connected });
      } catch (error) {
        return settle(error as Error);
      }
      secure.once("error", settle);
      secure.once("secureConnect", () => {
        secure.off("error", settle);
        settle(null);
      });
      socket = secure;
    });
  });
  return {
    cancel: () => {
      if (isOver) return;
      isOver = true;
      if (timer !== null) clearTimeout(timer);
      dialling.cancel();
      socket?.on("error", () => {});
      socket?.destroy();
    },
  };
}

/** Cloud metadata by name: the parent may be where it means something. */
const metadataNames: ReadonlySet<string> = new Set(["metadata.google.internal", "metadata.goog", "instance-data"]);

/** Names that need nobody to say what they mean; at the parent they would mean the parent's own machine. */
function refusedName(host: string, { inner, configured }: ConnectPolicy): OriginError | null {
  const name = host.toLowerCase().replace(/\.$/, "");
  if (metadataNames.has(name) && !configured)
    return refusedDestination(host, name, "link-local, metadata and unroutable addresses are always denied");
  if (!isLoopbackName(name) || inner || configured) return null;
  return refusedDestination(host, name, "loopback and private addresses are open only to clients on this machine");
}
