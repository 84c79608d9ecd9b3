/** A fetch from an origin as data: what is asked, who listens, what bounds it. */
import type { Duplex, Readable } from "node:stream";
import type { FieldList } from "../http/fields.ts";
import type { ConnectOptions } from "./connector.ts";
import type { Parent } from "./parent.ts";
import type { OriginHealth } from "./origin-choice.ts";
import type { OriginError } from "./origin-error.ts";
import type { SlotRules } from "./slots.ts";

/** Time-outs and retries of one origin, or of all that a forward proxy reaches. */
export interface OriginSettings extends ConnectOptions, SlotRules {
  /** Until the response head has come. */
  readonly headMs: number;
  /** The longest silence inside a response's content. */
  readonly bodyMs: number;
  readonly retries: number;
  /** Another proxy between this member and the origins, or null. */
  readonly parent: Parent | null;
}

/** What an operator should hear of. */
export interface OriginNotes {
  /** Requests wait for one origin. */
  waited(origin: string): void;
  /** One waited in vain, or could not even wait. */
  refused(origin: string, why: string): void;
  /** This process has no descriptors left. */
  exhausted(): void;
  /** Certificates are not checked: of a route, or of all that the forward proxy reaches. */
  unverified(what: string): void;
  /** An origin of a route has changed its state. */
  health(route: string, origin: string, health: OriginHealth, why: string): void;
}

/** For those who have nobody to tell. */
export const unheard: OriginNotes = {
  unverified: () => {},
  waited: () => {},
  refused: () => {},
  exhausted: () => {},
  health: () => {},
};

export const originSettings: OriginSettings = {
  connectMs: 5_000,
  headMs: 60_000,
  bodyMs: 60_000,
  retries: 1,
  connectionsMax: 256,
  queueMax: 1024,
  queueMs: 10_000,
  verifyTls: true,
  parent: null,
};

export interface OriginRequest {
  /** Scheme, host and port to connect to. */
  readonly origin: string;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** With Host, without framing and connection fields. */
  readonly fields: FieldList;
  readonly body: Readable | Buffer | null;
  /** The client waits with its content for the origin's word. RFC 9110 §10.1.1. */
  readonly expectsContinue?: boolean;
  /** Ask for a protocol switch, by name. */
  readonly upgrade?: string;
  /** Instead of the settings'. */
  readonly retries?: number;
}

/** The fetch's listener. After `failed` or `end` nothing follows. */
export interface OriginHandler {
  interim(status: number, fields: FieldList): void;
  /** `inner`: the address was a loopback or private one. */
  head(status: number, fields: FieldList, inner: boolean): void;
  /** Content: to be used up, copied or kept before this returns. */
  data(chunk: Buffer): void;
  end(trailers: FieldList): void;
  failed(error: OriginError): void;
  switched?(fields: FieldList, socket: Duplex): void;
}

/** A fetch under way. */
export interface Fetch {
  pause(): void;
  resume(): void;
  /**
   * While `data` is called: what it was given stays as it is until what is returned has been called. Null, or absent,
   * where it does not.
   */
  keep?(): (() => void) | null;
  cancel(): void;
}
