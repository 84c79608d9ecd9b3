/**
 * Proof that both ends of a link know the cluster's secret, without saying it: each signs both nonces and both names,
 * the dialer first. The two proofs differ in a word, so that neither can be given back as the other.
 */
import { createHmac, timingSafeEqual } from "node:crypto";

export const nonceBytes = 24;

/** What a link is for: a proof made for one purpose is no good for another, so that it cannot be relayed elsewhere. */
export type Purpose = "member" | "coordinator" | "tool";

export interface Handshake {
  readonly purpose: Purpose;
  readonly cluster: string;
  readonly dialer: string;
  readonly acceptor: string;
  readonly dialerNonce: Buffer;
  readonly acceptorNonce: Buffer;
  /** Of the channel that both speak in; empty in clear. Else a proof could be carried into another one. */
  readonly binding: Buffer;
}

/** HMAC-SHA-256 by one side over everything that both have said. */
export function proof(secret: string, side: "dialer" | "acceptor", handshake: Handshake): Buffer {
  const hmac = createHmac("sha256", secret);
  for (const part of [
    "gyre peer link 1",
    side,
    handshake.purpose,
    handshake.cluster,
    handshake.dialer,
    handshake.acceptor,
  ]) {
    hmac.update(`${part.length}:${part}`);
  }
  return hmac.update(handshake.dialerNonce).update(handshake.acceptorNonce).update(handshake.binding).digest();
}

/** Compares in constant time. */
export function sameProof(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}
