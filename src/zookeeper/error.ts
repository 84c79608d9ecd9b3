/** What can go wrong with a ZooKeeper operation, as one error with a code to branch on. */

const codes = new Map<number, string>([
  [-1, "SYSTEM_ERROR"],
  [-2, "RUNTIME_INCONSISTENCY"],
  [-3, "DATA_INCONSISTENCY"],
  [-4, "CONNECTION_LOSS"],
  [-5, "MARSHALLING_ERROR"],
  [-6, "UNIMPLEMENTED"],
  [-7, "OPERATION_TIMEOUT"],
  [-8, "BAD_ARGUMENTS"],
  [-13, "NEW_CONFIG_NO_QUORUM"],
  [-14, "RECONFIG_IN_PROGRESS"],
  [-100, "API_ERROR"],
  [-101, "NO_NODE"],
  [-102, "NO_AUTH"],
  [-103, "BAD_VERSION"],
  [-108, "NO_CHILDREN_FOR_EPHEMERALS"],
  [-110, "NODE_EXISTS"],
  [-111, "NOT_EMPTY"],
  [-112, "SESSION_EXPIRED"],
  [-113, "INVALID_CALLBACK"],
  [-114, "INVALID_ACL"],
  [-115, "AUTH_FAILED"],
  [-118, "SESSION_MOVED"],
  [-119, "NOT_READ_ONLY"],
  [-120, "EPHEMERAL_ON_LOCAL_SESSION"],
  [-121, "NO_WATCHER"],
  [-122, "REQUEST_TIMEOUT"],
  [-123, "RECONFIG_DISABLED"],
  [-124, "SESSION_CLOSED_REQUIRE_SASL_AUTH"],
  [-125, "QUOTA_EXCEEDED"],
  [-127, "THROTTLED_OP"],
]);

/** The server's name for an error number. */
export function codeName(error: number): string {
  return codes.get(error) ?? `ERROR_${error}`;
}

/**
 * An operation that did not succeed. Beside the server's codes: CONNECTION_LOSS, SESSION_EXPIRED, OPERATION_TIMEOUT,
 * ABORTED, CLOSED and QUEUE_FULL are said by the client.
 */
export class ZooKeeperError extends Error {
  override readonly name = "ZooKeeperError";
  readonly code: string;
  /** The operation was sent and its answer never seen: the ensemble may have carried it out. */
  readonly maybeApplied: boolean;
  readonly path: string | null;
  /** In a transaction: which of its operations failed, counted from 0. */
  readonly index: number | null;

  constructor(
    code: string,
    what: string,
    more: { readonly maybeApplied?: boolean; readonly path?: string | null; readonly index?: number | null } = {},
  ) {
    super(`ZooKeeper ${code}: ${what}`);
    this.code = code;
    this.maybeApplied = more.maybeApplied ?? false;
    this.path = more.path ?? null;
    this.index = more.index ?? null;
  }
}

/** Whether an error is a ZooKeeperError with one of these codes. */
export function hasCode(error: unknown, ...wanted: readonly string[]): error is ZooKeeperError {
  return error instanceof ZooKeeperError && wanted.includes(error.code);
}
