/**
 * What can go wrong between Gyre and an origin, as data: where it failed, whether another try may help, what to say.
 */

import type { FieldList } from "../http/fields.ts";
import type { ConnectionFailure } from "./connection-failure.ts";

export type OriginPhase = "refused" | "busy" | "resolve" | "connect" | "tls" | "head" | "content";

/** A fetch that failed. */
export class OriginError extends Error {
  override readonly name = "OriginError";
  readonly phase: OriginPhase;
  readonly code: string;
  /** The status to answer with where nothing stored can stand in. RFC 9110 §15.6. */
  readonly status: 403 | 502 | 503 | 504;
  /** Nothing of an answer had been received. */
  readonly retriable: boolean;
  /** Fields for the answer. */
  readonly fields: FieldList;

  constructor(
    phase: OriginPhase,
    code: string,
    message: string,
    status: OriginError["status"],
    retriable: boolean,
    fields: FieldList = [],
  ) {
    super(message);
    this.fields = fields;
    this.phase = phase;
    this.code = code;
    this.status = status;
    this.retriable = retriable;
  }
}

/** A destination that policy forbids. */
export function refusedDestination(host: string, address: string, why: string): OriginError {
  return new OriginError(
    "refused",
    "DESTINATION_REFUSED",
    `${host} (${address}) may not be reached through this proxy: ${why}`,
    403,
    false,
  );
}

/** An origin that has as many requests as it may have, and as many waiting. */
export function busyOrigin(place: string, why: string): OriginError {
  const message = `${place} is busy: ${why} (connections, queue and queue-timeout of its route, or --origin-connections, set the bounds)`;
  return new OriginError("busy", "ORIGIN_BUSY", message, 503, false, ["retry-after", "1"]);
}

/** Maps what a connection to an origin has failed by. */
export function failedConnection({ kind, what, code, begun, headSeen }: ConnectionFailure, place: string): OriginError {
  const phase = headSeen ? "content" : "head";
  switch (kind) {
    case "not-http":
      return new OriginError(phase, code, `${place} sent ${what}`, 502, false);
    case "too-late":
      return new OriginError(phase, code, `${place} did not answer in time`, 504, false);
    case "content":
      return new OriginError("content", code, `the request's content ended before its time: ${what}`, 502, false);
    case "closed":
      return begun
        ? new OriginError(phase, code, `${place} broke off its answer: ${what}`, 502, false)
        : new OriginError("head", code, `${place} closed the connection without an answer`, 502, true);
  }
}

/** Maps what making a connection has failed by. */
export function originError(cause: unknown, place: string): OriginError {
  const error = rootCause(cause);
  if (error instanceof OriginError) return error;
  const code = error.code ?? error.name ?? "UNKNOWN";
  if (
    code === "ENOTFOUND" ||
    code === "EAI_AGAIN" ||
    code === "ENODATA" ||
    code === "ESERVFAIL" ||
    code === "EREFUSED" ||
    code === "EBADNAME" ||
    code === "EDNS"
  ) {
    return new OriginError(
      "resolve",
      code,
      `the name of ${place} cannot be resolved (${code})`,
      code === "EAI_AGAIN" ? 504 : 502,
      code === "EAI_AGAIN",
    );
  }
  if (code === "EMFILE" || code === "ENFILE") {
    const message = `${place} cannot be reached: this member has no file descriptors left (raise ulimit -n)`;
    return new OriginError("connect", code, message, 503, false, ["retry-after", "1"]);
  }
  if (code === "ETIMEDOUT") {
    return new OriginError("connect", code, `${place} did not accept a connection in time`, 504, true);
  }
  if (code === "ECONNREFUSED" || code === "EHOSTUNREACH" || code === "ENETUNREACH" || code === "EADDRNOTAVAIL") {
    return new OriginError("connect", code, `${place} cannot be reached (${code})`, 502, true);
  }
  if (/^(?:CERT_|ERR_TLS|ERR_SSL|ERR_OSSL|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO|HOSTNAME_MISMATCH)/.test(code)) {
    return new OriginError("tls", code, `TLS with ${place} failed: ${error.message} (${code})`, 502, false);
  }
  if (code === "ECONNRESET" || code === "EPIPE" || code === "ENOENT" || code === "EACCES")
    return new OriginError("connect", code, `${place} cannot be reached (${code})`, 502, true);
  return new OriginError("connect", code, `${place}: ${error.message}`, 502, false);
}

function rootCause(cause: unknown): Error & { readonly code?: string } {
  let error = cause as (Error & { code?: string; cause?: unknown; errors?: unknown[] }) | undefined;
  for (let depth = 0; depth < 5 && error != null; depth++) {
    if (error instanceof OriginError) return error;
    if (Array.isArray(error.errors) && error.errors.length > 0) error = error.errors[0] as typeof error;
    else if (error.cause instanceof Error) error = error.cause as typeof error;
    else break;
  }
  return error instanceof Error ? error : new Error(String(cause));
}
