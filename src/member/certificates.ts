/**
 * The certificates that a member shows its clients: from files, and from an authority where `certificates: auto` says
 * so. The leader asks the authority; what it gets, and what it has to answer meanwhile, all members hear of over their
 * links, so that whoever is asked can answer.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { background } from "../base/background.ts";
import { newAccountKey, order, type ProofWay } from "../certificates/acme.ts";
import { canBeCertified, type Certificate } from "../certificates/certificate.ts";
import { CertificateKeeper, type Standing } from "../certificates/keeper.ts";
import { StateFolder } from "../certificates/state-folder.ts";
import type { Config } from "../config/schema.ts";
import type { Peers } from "../peer/peers.ts";
import type { Logger } from "../telemetry/log.ts";
import { TlsIdentities, type Identity } from "../wire/tls-identities.ts";
import { filedCertificates, type FiledCertificates } from "./certificate-files.ts";
import { listenersFor } from "./listeners.ts";

export interface CertificatesOptions {
  readonly config: () => Config;
  readonly peers: () => Pick<Peers, "call">;
  /** Names of the other members. */
  readonly others: () => readonly string[];
  readonly leads: () => boolean;
  /** What is answered under /.well-known/acme-challenge/. */
  readonly challenges: () => Map<string, string>;
  /** Others are to be shown from now on. */
  readonly changed: () => void;
  readonly log: Logger;
}

/** Tokens that may be kept: of a stranger's making they are not, but of a fault's they may be. */
const challengesMax = 1000;
const askMs = 5000;
/** An authority that has said nothing for so long says nothing. */
const silenceMs = 30_000;
/** An authority has asked within this, or does not. */
const proofMsMax = 300_000;

/** See above. */
export class Certificates {
  readonly tls: TlsIdentities | null;
  /** All threads resume each other's sessions. */
  readonly ticketKeys: Uint8Array = randomBytes(48);
  readonly #options: CertificatesOptions;
  readonly #keeper: CertificateKeeper | null;
  readonly #folder: StateFolder | null;
  /** Those of files that are shown now. */
  #filed: FiledCertificates | null;
  /** By name, what an authority is shown that asks for a proof. */
  readonly #proofs = new Map<string, Identity>();
  readonly #proofTimers = new Map<string, NodeJS.Timeout>();

  /** @throws Error where files cannot be read, or the state's folder cannot be used. */
  constructor(options: CertificatesOptions) {
    this.#options = options;
    const config = options.config();
    const isAuto = config.certificates === "auto";
    this.#folder = isAuto ? new StateFolder(config.state!) : null;
    const { log } = options;
    this.#keeper =
      this.#folder === null
        ? null
        : new CertificateKeeper({
            folder: this.#folder,
            names: () => namesOf(options.config()),
            asks: options.leads,
            authority: () => options.config()["acme-directory"],
            fetch: () => this.#fetchAside(),
            order: (name, failures) => this.#order(name, failures),
            changed: (certificate, own) => this.#changed(certificate, own),
            failed: (name, reason, failures, retryMs) =>
              log.error(
                { kind: "certificate", name, reason },
                `no certificate for ${name}: ${reason}; asked again in ${Math.ceil(retryMs / 60_000)} min, by ${wayFor(options.config(), failures)}`,
              ),
            unkept: (name, reason) =>
              log.error(
                { kind: "certificate", name, reason },
                `the certificate for ${name} serves, and cannot be kept for the next start yet: ${reason}`,
              ),
            nowMs: () => Date.now(),
          });
    this.#filed = filedCertificates(config);
    const identities = this.identities(config);
    this.tls = identities === null ? null : new TlsIdentities(identities, this.ticketKeys);
  }

  /** What is shown for the names of a configuration; null where clients do not speak TLS. */
  identities(config: Config): readonly Identity[] | null {
    const given = this.#filed?.identities ?? null;
    if (this.#keeper === null) return given;
    const own = this.#keeper
      .certificatesFor(namesOf(config))
      .map(({ name, cert, key }) => ({ names: [name], cert, key }));
    return [...(given ?? []), ...own];
  }

  /** What an authority is shown now. */
  get proofs(): readonly Identity[] {
    return [...this.#proofs.values()];
  }

  /** Each certificate that is shown, and how those stand that are had from an authority. */
  standings(): Standing[] {
    return [...(this.#filed?.standings ?? []), ...(this.#keeper?.standings() ?? [])];
  }

  /** Begins, when this member has joined the others. */
  start(): void {
    if (this.#keeper === null) return;
    for (const name of namesOf(this.#options.config()))
      if (!canBeCertified(name))
        this.#options.log.warn(
          { kind: "certificate", name },
          `${name} cannot be certified over http: no wildcard, no address`,
        );
    this.#fetchAside();
    this.#keeper.start();
  }

  /**
   * The configuration has changed, and `filed` is what its files hold. @returns whether clients would speak TLS now
   * where they did not, or the reverse: the old ones stay then.
   */
  reloaded(config: Config, filed: FiledCertificates | null): boolean {
    const isOther = (this.tls === null) !== (filed === null && this.#keeper === null);
    if (!isOther && this.tls !== null) {
      this.#filed = filed;
      this.tls.replace(this.identities(config)!);
    }
    setImmediate(() => this.#keeper?.again());
    return isOther;
  }

  stop(): void {
    this.#keeper?.stop();
  }

  /** What other members say and ask; undefined where it is not about certificates. */
  answer(method: string, value: unknown): unknown {
    if (this.#keeper === null || this.#folder === null) return undefined;
    switch (method) {
      case "challenge": {
        const { token, answer } = (value ?? {}) as { token?: unknown; answer?: unknown };
        if (typeof token === "string") this.#challenge(token, typeof answer === "string" ? answer : null);
        return { heard: true };
      }
      case "proof": {
        const { name, cert, key } = (value ?? {}) as Record<string, unknown>;
        if (typeof name === "string")
          this.#prove(name, typeof cert === "string" && typeof key === "string" ? { cert, key } : null);
        return { heard: true };
      }
      case "certificate":
        this.#keeper.take(value);
        return { heard: true };
      case "certificates":
        return {
          certificates: this.#keeper.certificatesFor(namesOf(this.#options.config())),
          account: this.#folder.account,
        };
      default:
        return undefined;
    }
  }

  #fetchAside(): void {
    background(this.#fetch(), (error) => this.#options.log.warn({ kind: "certificate", err: error }, error.message));
  }

  /** What the others have, for who has been away. */
  async #fetch(): Promise<void> {
    for (const name of this.#options.others()) {
      const answer = await this.#options
        .peers()
        .call(name, "certificates", null, askMs)
        .catch(() => null);
      const { certificates, account } = (answer ?? {}) as { certificates?: unknown; account?: unknown };
      if (!Array.isArray(certificates)) continue;
      for (const certificate of certificates) this.#keeper!.take(certificate);
      if (typeof account === "string" && this.#folder!.account === null) this.#folder!.keepAccount(account);
    }
  }

  async #order(name: string, failures: number): Promise<Certificate> {
    const config = this.#options.config();
    // Who leads since a moment may not have heard what the one before has had.
    await this.#fetch();
    const kept = this.#keeper!.certificatesFor([name])[0];
    const isYoung = kept !== undefined && kept.notAfterMs - Date.now() > (kept.notAfterMs - kept.notBeforeMs) / 2;
    if (isYoung && this.#keeper!.isOurs(kept)) return kept;
    let accountKey = this.#folder!.account;
    if (accountKey === null) this.#folder!.keepAccount((accountKey = await newAccountKey()));
    this.#options.log.info(
      { kind: "certificate", name },
      `asks ${config["acme-directory"]} for a certificate for ${name}`,
    );
    const ca = config["acme-ca"] === undefined ? null : readFileSync(config["acme-ca"], "utf8");
    return order(
      name,
      { directory: config["acme-directory"], contact: config["acme-contact"], ca, silenceMs },
      {
        accountKey,
        way: wayFor(config, failures),
        challenge: async (token, answer) => {
          this.#challenge(token, answer);
          await this.#tell("challenge", { token, answer });
        },
        proof: async (shown) => {
          this.#prove(name, shown);
          await this.#tell("proof", { name, ...shown });
        },
      },
    );
  }

  #challenge(token: string, answer: string | null): void {
    const challenges = this.#options.challenges();
    if (answer === null) challenges.delete(token);
    else if (challenges.size < challengesMax) challenges.set(token, answer);
  }

  /** A proof goes, too, where nobody says that it is over. */
  #prove(name: string, shown: { readonly cert: string; readonly key: string } | null): void {
    clearTimeout(this.#proofTimers.get(name));
    this.#proofTimers.delete(name);
    if (shown !== null) this.#proofTimers.set(name, setTimeout(() => this.#prove(name, null), proofMsMax).unref());
    if (shown === null) this.#proofs.delete(name);
    else if (this.#proofs.size < challengesMax) this.#proofs.set(name, { names: [name], ...shown });
    try {
      this.tls?.prove(this.proofs);
    } catch (error) {
      this.#proofs.delete(name);
      throw error;
    }
    this.#options.changed();
  }

  #changed(certificate: Certificate, own: boolean): void {
    const { name, notAfterMs } = certificate;
    const until = new Date(notAfterMs).toISOString();
    this.#options.log.info(
      { kind: "certificate", name, until },
      `${own ? "has" : "has been given"} a certificate for ${name}, until ${until}`,
    );
    if (this.#proofs.has(name)) this.#prove(name, null);
    const identities = this.identities(this.#options.config());
    if (this.tls !== null && identities !== null) this.tls.replace(identities);
    this.#options.changed();
    if (own)
      background(this.#tell("certificate", certificate), (error) =>
        this.#options.log.warn({ kind: "certificate", err: error }, error.message),
      );
  }

  /** Everybody who can be reached; who cannot hears of it when he is back. */
  async #tell(method: string, value: unknown): Promise<void> {
    const { others, peers } = this.#options;
    await Promise.all(
      others().map((name) =>
        peers()
          .call(name, method, value, askMs)
          .catch(() => null),
      ),
    );
  }
}

/** How a name is proved, the first way and then the other: a port that nobody listens at is tried last. */
function wayFor(config: Config, failures: number): ProofWay {
  const said = config["acme-challenge"];
  if (said !== "auto") return said;
  const isClear = listenersFor(config).some(({ tls }) => !tls);
  return (failures % 2 === 0) === isClear ? "http-01" : "tls-alpn-01";
}

/** Names that an authority is asked for: of routes, and those that are given. */
export function namesOf(config: Config): readonly string[] {
  const ofRoutes = (config.routes ?? []).flatMap(({ host }) => (host === undefined ? [] : [host.replace(/:\d+$/, "")]));
  return [...new Set([...ofRoutes, ...config["certificate-names"]])];
}
