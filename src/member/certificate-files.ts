/**
 * Certificates for clients from files: read and tried as a whole, at a start and at each reload. What was read then is
 * what is shown, and told of, until the next one, whatever becomes of the files.
 */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { lifetimeOf } from "../certificates/certificate.ts";
import type { Standing } from "../certificates/keeper.ts";
import type { Config } from "../config/schema.ts";
import { TlsIdentities, type Identity } from "../wire/tls-identities.ts";

export interface FiledCertificates {
  readonly identities: readonly Identity[];
  /** How each of them stands. */
  readonly standings: readonly Standing[];
}

/** What the files hold that a configuration names; null where it names none. @throws Error that names the wrong one. */
export function filedCertificates(config: Config): FiledCertificates | null {
  const files: NonNullable<Config["tls"]>[number][] = [...(config.tls ?? [])];
  if (config["tls-cert"] !== undefined) files.unshift({ cert: config["tls-cert"], key: config["tls-key"]! });
  if (files.length === 0) return null;
  const read = files.map(({ names = [], cert, key }) => {
    const given = { names, cert: textOf(cert), key: textOf(key) };
    try {
      void new TlsIdentities([given]);
      // Whose names nobody says is for its own: it would never be shown, but as the first.
      const identity = names.length > 0 ? given : { ...given, alsoNames: ownNames(given.cert) };
      return { identity, standing: standingOf(given.cert) };
    } catch (error) {
      throw new Error(`the certificate or key cannot be used (${cert}, ${key}): ${(error as Error).message}`, {
        cause: error,
      });
    }
  });
  return { identities: read.map(({ identity }) => identity), standings: read.map(({ standing }) => standing) };
}

/** The host names in a certificate: RFC 5280 §4.2.1.6. */
function ownNames(cert: string): string[] {
  const said = new X509Certificate(cert).subjectAltName ?? "";
  return said.split(", ").flatMap((one) => (/^DNS:[\w.*-]+$/.test(one) ? [one.slice(4)] : []));
}

function standingOf(cert: string): Standing {
  const parsed = new X509Certificate(cert);
  const name = /CN=([^\n,]+)/.exec(parsed.subject)?.[1] ?? parsed.subjectAltName ?? "";
  return { name, notAfterMs: lifetimeOf(parsed).notAfterMs, problem: null };
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Error(`${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}
