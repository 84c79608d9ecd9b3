/**
 * A certificate from an authority by ACME, RFC 8555; the name is proved over http, §8.3, or in a handshake, RFC 8737.
 */
import { Agent } from "node:https";
import { rootCertificates } from "node:tls";
import { certificateOf, type Certificate } from "./certificate.ts";

export interface Authority {
  /** The URL of its directory. */
  readonly directory: string;
  /** Where it may write to, or undefined. */
  readonly contact: string | undefined;
  /** PEM of further certificates that its own is checked with, or null. */
  readonly ca: string | null;
  /** How long it may say nothing, each time that it is asked something. */
  readonly silenceMs: number;
}

/** How a name is proved. */
export type ProofWay = "http-01" | "tls-alpn-01";

/** What an order is told, and asks for. */
export interface OrderNeeds {
  readonly way: ProofWay;
  /** PEM of the account's key. */
  readonly accountKey: string;
  /** What is to be answered for a token under /.well-known/acme-challenge/, by whoever is asked; null: no more. */
  readonly challenge: (token: string, answer: string | null) => Promise<void>;
  /** What is to be shown to who speaks acme-tls/1; null: no more. */
  readonly proof: (shown: { readonly cert: string; readonly key: string } | null) => Promise<void>;
}

/** The library is large, and few need it: it is loaded when something is ordered. */
const library = async (): Promise<typeof import("acme-client")> => (await import("acme-client")) as never;

/** A key for an account. */
export async function newAccountKey(): Promise<string> {
  const { crypto } = await library();
  return (await crypto.createPrivateEcdsaKey()).toString();
}

/** Orders one for a name. Rejects with the authority's reason. */
export async function order(
  name: string,
  { directory, contact, ca, silenceMs }: Authority,
  needs: OrderNeeds,
): Promise<Certificate> {
  const acme = await library();
  const { defaults, interceptors } = acme.axios;
  defaults.proxy = false;
  defaults.timeout = silenceMs;
  if (ca === null) delete defaults.httpsAgent;
  else defaults.httpsAgent = new Agent({ ca: [...rootCertificates, ca] });
  // The library's own wait as long as an authority says, which can be days (RFC 8555 §6.6), and lose what has failed.
  for (const those of [interceptors.request, interceptors.response]) those.clear();
  const client = new acme.Client({
    directoryUrl: directory,
    accountKey: needs.accountKey,
    backoffAttempts: 8,
    backoffMin: 1000,
    backoffMax: 10_000,
  });
  // The library updates an account that is there already: with nothing to say, that is no update. RFC 8555 §7.3.2.
  if (contact === undefined) await client.createAccount({ onlyReturnExisting: true }).catch(() => null);
  const [key, csr] = await acme.crypto.createCsr(
    { commonName: name, altNames: [name] },
    await acme.crypto.createPrivateEcdsaKey(),
  );
  const cert = await client.auto({
    csr,
    ...(contact === undefined ? {} : { email: contact }),
    termsOfServiceAgreed: true,
    challengePriority: [needs.way],
    // Names may lead elsewhere from here than from the authority.
    skipChallengeVerification: true,
    challengeCreateFn: async (authorization, challenge, answer) => {
      if (challenge.type !== needs.way) throw new Error(`the authority does not take a proof by ${needs.way}`);
      if (needs.way === "http-01") return needs.challenge(challenge.token, answer);
      const [proofKey, proof] = await acme.crypto.createAlpnCertificate(authorization, answer);
      return needs.proof({ cert: proof.toString(), key: proofKey.toString() });
    },
    challengeRemoveFn: (_authorization, challenge) =>
      needs.way === "http-01" ? needs.challenge(challenge.token, null) : needs.proof(null),
  });
  const certificate = certificateOf({ name, cert, key: key.toString(), authority: directory });
  if (certificate === null) throw new Error("the authority has sent something that is no certificate for this key");
  return certificate;
}
