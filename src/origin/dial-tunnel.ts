/** A bare connection for a client's tunnel, to its host or by way of the parent proxy, under the same policy. */
import type { Socket } from "node:net";
import { dial, dialContext, type ConnectPolicy, type Dialling } from "./connector.ts";
import { dialThrough } from "./dial-through.ts";
import type { OriginSettings } from "./fetch.ts";

/** Connects; `done` is called once, never within this call. */
export function dialTunnel(
  { host, port }: { readonly host: string; readonly port: number },
  policy: ConnectPolicy,
  settings: OriginSettings,
  done: (error: Error | null, socket: Socket | null) => void,
): Dialling {
  const place = { secure: false, host, port };
  const context = dialContext(policy, settings);
  const { parent } = settings;
  return parent === null || parent.spares(host)
    ? dial(place, context, null, done)
    : dialThrough(parent, place, context, null, done);
}
