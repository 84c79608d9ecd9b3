/** Why an answer did not come, or not to its end. */
export interface ConnectionFailure {
  readonly kind: "closed" | "not-http" | "too-late" | "content";
  readonly what: string;
  readonly code: string;
  /** Something of an answer has been received. */
  readonly begun: boolean;
  /** Its final head has been passed on. */
  readonly headSeen: boolean;
  /** Content of the request has been taken from its sender: it cannot be sent again. */
  readonly consumed: boolean;
}
