/** Certificates by server name, replaceable while connections live. RFC 6066 §3. */
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";

export interface Identity {
  /** Server names it is for, `*.example.com` among them; empty for the default. */
  readonly names: readonly string[];
  /** Names that it is for where no other one is said to be. */
  readonly alsoNames?: readonly string[];
  readonly cert: string;
  readonly key: string;
}

/** The certificates of a listening port. */
export class TlsIdentities {
  #byName = new Map<string, SecureContext>();
  /** What is shown to an authority that asks for the proof of a name. */
  #proofs = new Map<string, SecureContext>();
  readonly #ticketKeys: Buffer | null;
  #default: { readonly options: SecureContextOptions; readonly context: SecureContext };

  /**
   * @param ticketKeys 48 bytes by which sessions are resumed: those who share a port share them, and a change of
   * certificates leaves them. Null: made up. @throws where a certificate or key cannot be read; the message is
   * OpenSSL's.
   */
  constructor(identities: readonly Identity[], ticketKeys: Uint8Array | null = null) {
    this.#ticketKeys = ticketKeys === null ? null : Buffer.from(ticketKeys);
    this.#default = this.#load(identities);
  }

  get defaultOptions(): SecureContextOptions {
    return this.#default.options;
  }

  /** Swaps all certificates at once; on an error the old ones stay. */
  replace(identities: readonly Identity[]): void {
    this.#default = this.#load(identities);
  }

  /**
   * From now on these, and no others, are shown to whoever speaks `acme-tls/1` alone and asks for their name: RFC 8737
   * §3.
   */
  prove(proofs: readonly Identity[]): void {
    const contexts = proofs.flatMap(({ names, cert, key }) =>
      names.map((name) => [name.toLowerCase(), createSecureContext({ cert, key, minVersion: "TLSv1.2" })] as const),
    );
    this.#proofs = new Map(contexts);
  }

  /** Whether an authority may ask now. */
  get isProving(): boolean {
    return this.#proofs.size > 0;
  }

  /** The proof of a name; null where there is none. */
  proofOf(name: string): SecureContext | null {
    return this.#proofs.get(name.toLowerCase()) ?? null;
  }

  get #tickets(): { readonly ticketKeys?: Buffer } {
    return this.#ticketKeys === null ? {} : { ticketKeys: this.#ticketKeys };
  }

  contextFor(serverName: string): SecureContext {
    // With a last dot, which some clients send, it is the same name.
    const name = serverName.toLowerCase().replace(/\.$/, "");
    return this.#byName.get(name) ?? this.#byName.get(`*${name.slice(name.indexOf("."))}`) ?? this.#default.context;
  }

  #load(identities: readonly Identity[]): { readonly options: SecureContextOptions; readonly context: SecureContext } {
    const byName = new Map<string, SecureContext>();
    let first: { options: SecureContextOptions; context: SecureContext } | null = null;
    const also: [string, SecureContext][] = [];
    for (const { names, alsoNames = [], cert, key } of identities) {
      const options: SecureContextOptions = { cert, key, minVersion: "TLSv1.2", ...this.#tickets };
      const context = createSecureContext(options);
      first ??= { options, context };
      for (const name of names) byName.set(name.toLowerCase(), context);
      for (const name of alsoNames) also.push([name.toLowerCase(), context]);
    }
    for (const [name, context] of also) if (!byName.has(name)) byName.set(name, context);
    // Until there is one, handshakes fail: nobody is shown a certificate that is not for him.
    if (first === null) first = { options: { ...this.#tickets }, context: createSecureContext({}) };
    this.#byName = byName;
    return first;
  }
}
