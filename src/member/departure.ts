/** How a member leaves: no longer an owner, stored responses handed over, answers in progress ended. */
import { setImmediate as turn, setTimeout as wait } from "node:timers/promises";
import { bytesText } from "../base/sizes.ts";
import type { Control } from "../cluster/control.ts";
import type { PeerAcceptor } from "../peer/acceptor.ts";
import { handOver, type HandedOver } from "../proxy/members/hand-over.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Clients } from "./clients.ts";
import type { DataPlane } from "./data-plane.ts";

/** How a member left. */
export interface Departure {
  /** Connections of clients, and answers to other members, cut when the limit had passed. */
  readonly cut: number;
  readonly handedOver: HandedOver;
}

export interface DepartureNeeds {
  readonly control: Control | null;
  readonly clients: Clients;
  readonly acceptor: PeerAcceptor;
  readonly plane: DataPlane;
  readonly log: Logger;
}

/** How a member is to leave. */
export interface Leaving {
  /** Whether others take what it has stored. */
  readonly heirs: "heirs" | "none";
  /** Until this is aborted it goes on at first, while balancers find out that it is not ready; null: not at all. */
  readonly notice: AbortSignal | null;
}

/** Resolves when nothing but the farewell is left to do, `limitMs` at the latest. */
export async function depart(
  { control, clients, acceptor, plane, log }: DepartureNeeds,
  { heirs, notice, ...given }: Leaving & { readonly limitMs: number; readonly noticeMs: number },
): Promise<Departure> {
  // Who is to be quick keeps time to end what is under way.
  const noticeMs = notice === null ? 0 : Math.min(given.noticeMs, given.limitMs / 2);
  const limitMs = given.limitMs - noticeMs;
  if (noticeMs > 0) await wait(noticeMs, undefined, { signal: notice! }).catch(() => {});
  await control?.drain(Math.min(1000, limitMs));
  const deadline = performance.now() + limitMs;
  // What is stored goes to the new owners while answers in progress end, those that other members pass on to their
  // clients too.
  const [cutClients, cutPeers, handedOver] = await Promise.all([
    clients.close(limitMs),
    acceptor.idle(limitMs),
    heirs === "heirs" ? handOver(plane, limitMs) : { responses: 0, bytes: 0, left: 0 },
  ]);
  // Handing over makes requests of its own.
  const cut = cutClients + (cutPeers === 0 ? await acceptor.idle(Math.max(0, deadline - performance.now())) : cutPeers);
  const { responses, bytes, left } = handedOver;
  if (responses + left > 0)
    log.info(
      { kind: "hand-over", responses, bytes, left },
      `handed over ${responses} stored responses (${bytesText(bytes)})${left > 0 ? `; ${left} were left when the limit passed` : ""}`,
    );
  return { cut, handedOver };
}

/** Whoever has asked for the departure is answered before the links end. */
export async function answersOut(): Promise<void> {
  await turn();
  await turn();
}
