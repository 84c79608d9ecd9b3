/**
 * The certificates of one member that are had from an authority: kept on its disk, asked for where this member is the
 * one that asks, taken from others where it is not. An old one serves on until there is a newer one, whatever fails.
 */
import { background } from "../base/background.ts";
import { canBeCertified, certificateOf, type Certificate } from "./certificate.ts";
import { renewalMs, retryAfterMs } from "./due.ts";
import type { StateFolder } from "./state-folder.ts";

/** How a name stands. */
export interface Standing {
  readonly name: string;
  /** Ms since the epoch; null where there is none yet. */
  readonly notAfterMs: number | null;
  /** Why the last order failed, or null. */
  readonly problem: string | null;
}

export interface KeeperNeeds {
  readonly folder: StateFolder;
  /** Names to be certified, as configured now. */
  readonly names: () => readonly string[];
  /** Whether this member is the one that asks, at this moment. */
  readonly asks: () => boolean;
  /** The directory of the authority that is asked, as configured now. */
  readonly authority: () => string;
  /** Asks the other members for what they have: something is due here, and another one asks for it. */
  readonly fetch: () => void;
  /** `failures`: how often it has failed so far. */
  readonly order: (name: string, failures: number) => Promise<Certificate>;
  /** There are others than before; `own`: this member has ordered it. */
  readonly changed: (certificate: Certificate, own: boolean) => void;
  /** `failures`: how often so far. */
  readonly failed: (name: string, reason: string, failures: number, retryMs: number) => void;
  /** It serves, and cannot be kept for the next start; told once, and tried again. */
  readonly unkept: (name: string, reason: string) => void;
  /** Ms since the epoch. */
  readonly nowMs: () => number;
}

const lookMs = 5_000;
/** How often others are asked for what is due here. */
const fetchMs = 60_000;

/** See above. */
export class CertificateKeeper {
  readonly #needs: KeeperNeeds;
  readonly #kept = new Map<string, Certificate>();
  readonly #failures = new Map<string, { count: number; retryMs: number; reason: string }>();
  /** Those that the folder has not taken yet. */
  readonly #unkept = new Set<string>();
  #timer: NodeJS.Timeout | null = null;
  #busy = false;
  #fetchedMs = Number.NEGATIVE_INFINITY;

  constructor(needs: KeeperNeeds) {
    this.#needs = needs;
    for (const certificate of needs.folder.certificates()) this.#kept.set(certificate.name, certificate);
  }

  /** Those of some names. */
  certificatesFor(names: readonly string[]): readonly Certificate[] {
    return [...this.#kept.values()].filter(({ name }) => names.includes(name));
  }

  standings(): Standing[] {
    return this.#needs.names().map((name) => ({
      name,
      notAfterMs: this.#kept.get(name)?.notAfterMs ?? null,
      problem: this.#failures.get(name)?.reason ?? null,
    }));
  }

  /** Looks now and then from now on whether something is due. */
  start(): void {
    this.look();
    this.#timer = setInterval(() => this.look(), lookMs).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** What failed is tried again at once: something may have been mended. */
  again(): void {
    for (const failure of this.#failures.values()) failure.retryMs = 0;
    this.#fetchedMs = Number.NEGATIVE_INFINITY;
    this.look();
  }

  /** Takes one that another member has had, where it is newer, or is the configured authority's and ours is not. */
  take(value: unknown): void {
    const certificate = certificateOf(value);
    if (certificate === null) return;
    const kept = this.#kept.get(certificate.name);
    if (kept !== undefined && this.isOurs(kept) !== this.isOurs(certificate)) {
      if (this.isOurs(kept)) return;
    } else if (kept !== undefined && kept.notAfterMs >= certificate.notAfterMs) return;
    this.#keep(certificate, false);
  }

  /** Whether it is of the authority that is configured now; one of which that is not known is. */
  isOurs({ authority }: Certificate): boolean {
    return authority === undefined || authority === this.#needs.authority();
  }

  /** Orders what is due, one after the other: authorities count requests. */
  look(): void {
    for (const name of this.#unkept) this.#write(this.#kept.get(name)!);
    if (this.#busy) return;
    const now = this.#needs.nowMs();
    const all = this.#needs.names().filter((name) => this.#isDue(name, now));
    if (!this.#needs.asks()) {
      // What was told while this member could not be reached is told nobody again.
      if (all.length === 0 || now < this.#fetchedMs + fetchMs) return;
      this.#fetchedMs = now;
      return this.#needs.fetch();
    }
    const due = all.find((name) => (this.#failures.get(name)?.retryMs ?? 0) <= now);
    if (due === undefined) return;
    this.#busy = true;
    background(
      this.#needs
        .order(due, this.#failures.get(due)?.count ?? 0)
        .then(
          (certificate) => {
            this.#failures.delete(due);
            this.#keep(certificate, true);
          },
          (error: unknown) => this.#noted(due, error instanceof Error ? error.message : String(error)),
        )
        .finally(() => {
          this.#busy = false;
          setImmediate(() => this.look());
        }),
      (error) => this.#noted(due, error.message),
    );
  }

  #isDue(name: string, now: number): boolean {
    const kept = this.#kept.get(name);
    return canBeCertified(name) && (kept === undefined || !this.isOurs(kept) || renewalMs(name, kept) <= now);
  }

  #noted(name: string, reason: string): void {
    const count = (this.#failures.get(name)?.count ?? 0) + 1;
    const wait = retryAfterMs(name, count);
    this.#failures.set(name, { count, retryMs: this.#needs.nowMs() + wait, reason });
    this.#needs.failed(name, reason, count, wait);
  }

  #keep(certificate: Certificate, own: boolean): void {
    this.#kept.set(certificate.name, certificate);
    this.#write(certificate);
    this.#needs.changed(certificate, own);
  }

  #write(certificate: Certificate): void {
    const { name } = certificate;
    try {
      this.#needs.folder.keep(certificate);
      this.#unkept.delete(name);
    } catch (error) {
      if (!this.#unkept.has(name)) this.#needs.unkept(name, (error as Error).message);
      this.#unkept.add(name);
    }
  }
}
