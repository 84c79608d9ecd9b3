/** What home and front threads tell each other beside the requests: seldom, and in no order that matters. */
import type { HostPort } from "../base/host-port.ts";
import type { Place } from "../base/listen.ts";
import type { Listener } from "../config/listeners.ts";
import type { SharedStore } from "../store/pages/page-reader.ts";
import type { WireLimits } from "../wire/limits.ts";
import type { Client } from "../wire/exchange.ts";
import type { TurnedAway } from "../wire/turned-away.ts";
import type { Unread } from "../wire/unread.ts";
import type { Identity } from "../wire/tls-identities.ts";
import type { RoutePlace } from "../proxy/request/routes.ts";
import type { SeenRequest } from "../telemetry/seen-request.ts";
import type { AccessFormat } from "./access-lines.ts";

/** What a reload may change. */
export interface FrontSettings {
  /** Of each listener: networks whose clients may use it. */
  readonly allow: readonly (readonly string[])[];
  readonly tls: readonly Identity[] | null;
  /** What is shown to a certificate authority that asks for the proof of a name. */
  readonly proofs: readonly Identity[];
  /** The access log; null where there is none. `sample`: one request in so many. */
  readonly log: { readonly format: AccessFormat; readonly sample: number } | null;
  readonly routes: readonly RoutePlace[];
  /** Somebody wants to hear of every request. */
  readonly watched: boolean;
  /** Networks whose clients' traces are followed; null: nobody's. */
  readonly traced: readonly string[] | null;
}

/** A request that a front could not read, and whose. */
export interface UnreadOf {
  readonly unread: Unread;
  readonly client: Client;
}

/** What a front is started with. */
export interface FrontInit {
  /** From 0. */
  readonly front: number;
  readonly member: string;
  readonly viaLine: string;
  readonly limits: WireLimits;
  readonly listeners: readonly Pick<Listener, "tls" | "http2" | "proxyProtocol" | "role">[];
  readonly settings: FrontSettings;
  readonly ticketKeys: Uint8Array;
  readonly store: SharedStore;
  readonly board: SharedArrayBuffer;
  /** Rings of frames, to home and from it. */
  readonly toHome: SharedArrayBuffer;
  readonly fromHome: SharedArrayBuffer;
}

export type ToFront =
  /** `listener` by its place among all; `redirect`: the port of https that it sends everything on to. */
  | { readonly kind: "listen"; readonly listener: number; readonly place: Place; readonly redirect: number | null }
  | { readonly kind: "block"; readonly block: SharedArrayBuffer }
  | { readonly kind: "settings"; readonly settings: FrontSettings }
  | { readonly kind: "lines-taken"; readonly characters: number }
  | { readonly kind: "seen-taken" }
  | { readonly kind: "unread-taken" }
  /** Somebody wants to hear of every request, or nobody any more. */
  | { readonly kind: "watched"; readonly watched: boolean }
  | { readonly kind: "drain"; readonly limitMs: number };

export type FromFront =
  | { readonly kind: "up" }
  | { readonly kind: "listening"; readonly place: HostPort }
  | { readonly kind: "not-listening"; readonly code: string; readonly message: string }
  | { readonly kind: "block-taken" }
  | { readonly kind: "lines"; readonly text: string; readonly lines: number }
  | { readonly kind: "seen"; readonly requests: readonly SeenRequest[] }
  | { readonly kind: "turned-away"; readonly some: readonly TurnedAway[] }
  | { readonly kind: "unread"; readonly some: readonly UnreadOf[] }
  | { readonly kind: "drained"; readonly cut: number }
  | { readonly kind: "failed"; readonly error: Error };
