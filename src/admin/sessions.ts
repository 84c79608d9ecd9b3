/**
 * Who has logged in at the admin port with a browser. A session is a token that the page keeps for itself and sends
 * with what it asks for: no cookie, which browsers would give to every other server on the same host as well, the
 * proxy's origins among them.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

const sessionMs = 12 * 3_600_000;
const sessionsMax = 100;
/** Wrong secrets in a minute; more, and nobody logs in for the rest of it. */
const failuresMax = 10;
const failureWindowMs = 60_000;

/** See above. Times are ms of any clock that does not go back. */
export class Sessions {
  readonly #secrets: readonly string[];
  /** By the token's digest, which takes as long to look up for every text: when it ends, ms. */
  readonly #sessions = new Map<string, number>();
  #failures: number[] = [];

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets;
  }

  /** Whether a text is one of the cluster's secrets; takes as long for every text. */
  knows(secret: string): boolean {
    return this.#secrets.some((one) => sameText(one, secret));
  }

  /** The token of a session for who knows the secret; null for a wrong one, `later` where too many were wrong. */
  begin(secret: string, nowMs: number): { readonly token: string } | null | "later" {
    this.#failures = this.#failures.filter((at) => nowMs - at < failureWindowMs);
    if (this.#failures.length >= failuresMax) return "later";
    if (!this.knows(secret)) {
      this.#failures.push(nowMs);
      return null;
    }
    const token = randomBytes(24).toString("base64url");
    if (this.#sessions.size >= sessionsMax) this.#sessions.delete(this.#sessions.keys().next().value!);
    this.#sessions.set(digest(token), nowMs + sessionMs);
    return { token };
  }

  /** Whether a session has that token. */
  has(token: string, nowMs: number): boolean {
    const endsMs = this.#sessions.get(digest(token));
    if (endsMs === undefined) return false;
    if (endsMs > nowMs) return true;
    this.#sessions.delete(digest(token));
    return false;
  }

  end(token: string): void {
    this.#sessions.delete(digest(token));
  }
}

function sameText(one: string, other: string): boolean {
  return timingSafeEqual(createHash("sha256").update(one).digest(), createHash("sha256").update(other).digest());
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64");
}
