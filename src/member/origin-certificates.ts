/**
 * What a route's origins are trusted by and shown, from files. Read and tried when a routing is made: what cannot be
 * used is refused there, with a sentence, and not found by the first request.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { Config, RouteConfig } from "../config/schema.ts";
import type { OriginSettings } from "../origin/fetch.ts";

/** A route's, or those of all that say nothing else. @throws Error that names route, setting and file. */
export function originCertificates(
  config: Config,
  route: Partial<RouteConfig>,
  name: string | null,
): Pick<OriginSettings, "ca" | "certificate"> {
  const of = (setting: "ca" | "client-cert" | "client-key", file: string): string =>
    `${name === null || (setting === "ca" && route.ca === undefined) ? "" : `route ${name}: `}${setting} ${file}`;
  const ca = route.ca ?? config.ca;
  const [cert, key] = [route["client-cert"], route["client-key"]];
  if ((cert === undefined) !== (key === undefined))
    throw new Error(`route ${name}: client-cert and client-key go together`);
  return {
    ca: ca === undefined ? undefined : authorities(ca, of("ca", ca)),
    certificate:
      cert === undefined || key === undefined
        ? undefined
        : pair({ file: cert, called: of("client-cert", cert) }, { file: key, called: of("client-key", key) }),
  };
}

interface Named {
  readonly file: string;
  /** For people. */
  readonly called: string;
}

/** TLS passes over what it cannot read of these, and would say of every origin that nobody knows it. */
function authorities(file: string, called: string): string {
  const text = read(file, called);
  const begun = text.split(begin).length - 1;
  if (begun === 0) throw new Error(`${called} holds no PEM certificate`);
  const whole = text.match(wholeCertificate) ?? [];
  if (whole.length < begun) throw new Error(`${called} cannot be used: a certificate in it has no end`);
  for (const one of whole) usable(called, () => new X509Certificate(one));
  usable(called, () => createSecureContext({ ca: text }));
  return text;
}

const begin = "-----BEGIN CERTIFICATE-----";
const wholeCertificate = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

function pair(cert: Named, key: Named): { readonly cert: string; readonly key: string } {
  const given = { cert: read(cert.file, cert.called), key: read(key.file, key.called) };
  usable(cert.called, () => createSecureContext({ cert: given.cert }));
  const secret = usable(key.called, () => createPrivateKey(given.key));
  if (!new X509Certificate(given.cert).checkPrivateKey(secret))
    throw new Error(`${key.called} does not fit client-cert ${cert.file}`);
  usable(cert.called, () => createSecureContext(given));
  return given;
}

function read(file: string, called: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Error(`${called} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

function usable<Made>(called: string, make: () => Made): Made {
  try {
    return make();
  } catch (error) {
    throw new Error(`${called} cannot be used: ${(error as Error).message}`, { cause: error });
  }
}
