/**
 * Who has logged in at the admin port with a browser: sessions by cookie, each with a token that requests which change
 * something must carry as well, so that no other page can make them.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

const sessionMs = 12 * 3_600_000;
const sessionsMax = 100;
/** Wrong secrets in a minute; more, and nobody logs in for the rest of it. */
const failuresMax = 10;
const failureWindowMs = 60_000;

interface Session {
  readonly token: string;
  readonly endsMs: number;
}

/** See above. Times are ms of any clock that does not go back. */
export class Sessions {
  readonly #secrets: readonly string[];
  readonly #sessions = new Map<string, Session>();
  #failures: number[] = [];

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets;
  }

  /** Whether a text is one of the cluster's secrets; takes as long for every text. */
  knows(secret: string): boolean {
    return this.#secrets.some((one) => sameText(one, secret));
  }

  /** A session for who knows the secret: what the cookie holds, and the token. Null for a wrong one. */
  begin(secret: string, nowMs: number): { readonly id: string; readonly token: string } | null | "later" {
    this.#failures = this.#failures.filter((at) => nowMs - at < failureWindowMs);
    if (this.#failures.length >= failuresMax) return "later";
    if (!this.knows(secret)) {
      this.#failures.push(nowMs);
      return null;
    }
    const [id, token] = [randomBytes(24).toString("base64url"), randomBytes(24).toString("base64url")];
    if (this.#sessions.size >= sessionsMax) this.#sessions.delete(this.#sessions.keys().next().value!);
    // By its digest: looking it up takes as long for every text.
    this.#sessions.set(digest(id), { token, endsMs: nowMs + sessionMs });
    return { id, token };
  }

  /** The token of a session, or null where there is none. */
  tokenOf(id: string, nowMs: number): string | null {
    const session = this.#sessions.get(digest(id));
    if (session === undefined) return null;
    if (session.endsMs > nowMs) return session.token;
    this.#sessions.delete(digest(id));
    return null;
  }

  end(id: string): void {
    this.#sessions.delete(digest(id));
  }
}

/** Whether two texts are the same; takes as long for every second one. */
export function sameText(one: string, other: string): boolean {
  return timingSafeEqual(createHash("sha256").update(one).digest(), createHash("sha256").update(other).digest());
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64");
}
