/** A certificate that has been obtained, with its key. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Lifetime } from "./due.ts";

export interface Certificate extends Lifetime {
  /** The one name that it is for, in lower case. */
  readonly name: string;
  /** PEM, with the chain. */
  readonly cert: string;
  readonly key: string;
  /** The directory of who has given it; undefined where that was not kept. */
  readonly authority?: string | undefined;
}

const hostName = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+$/;

/** Whether a certificate can be had for a name: a host's, in full. */
export function canBeCertified(name: string): boolean {
  return hostName.test(name) && !/^[\d.]+$/.test(name);
}

/** From where it was kept, or from another member: null where it is none, or its key is another's. */
export function certificateOf(value: unknown): Certificate | null {
  const { name, cert, key, authority } = (value ?? {}) as Record<string, unknown>;
  if (typeof name !== "string" || typeof cert !== "string" || typeof key !== "string" || !canBeCertified(name))
    return null;
  try {
    const parsed = new X509Certificate(cert);
    if (!parsed.checkPrivateKey(createPrivateKey(key))) return null;
    return { name, cert, key, ...(typeof authority === "string" ? { authority } : {}), ...lifetimeOf(parsed) };
  } catch {
    return null; // OpenSSL's way to say that it cannot be read.
  }
}

/** From when until when a certificate counts. */
export function lifetimeOf(parsed: X509Certificate): Lifetime {
  return { notBeforeMs: Date.parse(parsed.validFrom), notAfterMs: Date.parse(parsed.validTo) };
}
