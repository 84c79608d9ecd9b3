/** A finished request as those hear of it who watch: what the access log's JSON has, and who asked by what. */
export interface SeenRequest {
  /** ISO 8601. */
  readonly time: string;
  /** Where the client came in. */
  readonly member: string;
  readonly client: string;
  readonly method: string;
  readonly uri: string;
  readonly status: number;
  readonly outcome: string;
  readonly reason: string | null;
  readonly owner: string;
  readonly owned: string | null;
  /** The route's name; null for the forward proxy. */
  readonly route: string | null;
  /** The origin that was asked for it from here; null where none was. */
  readonly origin: string | null;
  readonly requestId: string | null;
  readonly bytes: number;
  readonly durationMs: number;
  readonly complete: boolean;
  readonly userAgent: string | null;
  readonly referer: string | null;
}

/** Whether no origin had to be asked for it, as far as the entry member knows. */
export function wasHit({ outcome, owned }: Pick<SeenRequest, "outcome" | "owned">): boolean {
  return outcome.startsWith("hit") || owned?.includes("; hit") === true;
}
