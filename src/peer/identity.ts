/**
 * Who a member is by a certificate, where the operator has an authority of his own: links of members then begin with
 * certificates on both ends, each for its member's name, and the secret proves that both belong to this cluster.
 */
import { createSecureContext, TLSSocket } from "node:tls";
import { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";

/** PEM. */
export interface PeerCertificates {
  readonly cert: string;
  readonly key: string;
  /** Of the authority, and of no other. */
  readonly ca: string;
}

/** This member's own, and how it judges others'. */
export class PeerIdentity {
  /** False while certificates are being handed out: the secret alone will do. */
  readonly isRequired: boolean;
  readonly #self: string;
  readonly #read: () => PeerCertificates;
  #now: PeerCertificates;
  /** Addresses that are dialled without certificates next. */
  readonly #bare = new Set<string>();
  /** Others are in use from now on. */
  changed: () => void = () => {};

  /** @throws Error where what is read cannot be used; the message says why. */
  constructor(self: string, isRequired: boolean, read: () => PeerCertificates) {
    this.#self = self;
    this.isRequired = isRequired;
    this.#read = read;
    this.#now = checked(self, read());
  }

  get now(): PeerCertificates {
    return this.#now;
  }

  /** Reads them again: they are renewed while members run. @throws like the constructor; the old ones stay. */
  again(): void {
    try {
      this.#now = checked(this.#self, this.#read());
    } catch (error) {
      throw new Error(`peer-tls-cert, peer-tls-key, peer-tls-ca: ${(error as Error).message}`, { cause: error });
    }
    this.changed();
  }

  /** Whether an address is to be dialled with certificates; where both will do, in turn until a link has come of it. */
  showsTo(address: string): boolean {
    return this.isRequired || !this.#bare.has(address);
  }

  /** Dialling an address has led to no link, with certificates (`shown`) or without. */
  failed(address: string, shown: boolean): void {
    if (shown) this.#bare.add(address);
    else this.#bare.delete(address);
  }
}

function checked(self: string, certificates: PeerCertificates): PeerCertificates {
  // OpenSSL says what is wrong with each.
  createSecureContext(certificates);
  const authority = certificatesIn(certificates.ca);
  // Without any, TLS would trust every public authority.
  if (authority.length === 0) throw new Error("peer-tls-ca has no certificate in it");
  const [own, ...between] = certificatesIn(certificates.cert);
  if (own === undefined || !isFor(own, self))
    throw new Error(`the certificate is not for this member's name, ${self} (name), as a DNS name`);
  const isIssued = [...between, ...authority].some((one) => own.checkIssued(one) && own.verify(one.publicKey));
  if (!isIssued) throw new Error("the certificate is not from an authority in peer-tls-ca");
  return certificates;
}

/** Those in a PEM text. */
function certificatesIn(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

/** Whether a certificate is for a name: one of its DNS names, letter by letter, RFC 6125 §6.4.1; no wildcards. */
function isFor(certificate: X509Certificate, name: string): boolean {
  const names = (certificate.subjectAltName ?? "").split(", ");
  return names.some((one) => one.toLowerCase() === `dns:${name.toLowerCase()}`);
}

/** Why the other end of a channel is not certified as a member of this name; null where it is. */
export function uncertified(channel: Socket, name: string): string | null {
  const certificate = channel instanceof TLSSocket ? channel.getPeerX509Certificate() : undefined;
  if (certificate === undefined) return "it has shown no certificate";
  if (!(channel as TLSSocket).authorized)
    return `its certificate is not taken: ${String((channel as TLSSocket).authorizationError)}`;
  return isFor(certificate, name) ? null : `its certificate is not for ${name}`;
}
