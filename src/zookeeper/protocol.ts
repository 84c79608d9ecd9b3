/**
 * The records of ZooKeeper's protocol (zookeeper.jute of release 3.8) as functions from values to bytes and back. Paths
 * here are the server's own: the chroot is put on and taken off in the client.
 */
import { codeName, ZooKeeperError } from "./error.ts";
import { JuteError, JuteReader, JuteWriter } from "./jute.ts";

/** Operation types. */
export const op = {
  create: 1,
  delete: 2,
  exists: 3,
  getData: 4,
  setData: 5,
  getAcl: 6,
  setAcl: 7,
  sync: 9,
  ping: 11,
  getChildren: 12,
  check: 13,
  multi: 14,
  create2: 15,
  removeWatches: 18,
  createContainer: 19,
  createTtl: 21,
  auth: 100,
  setWatches: 101,
  setWatches2: 105,
  addWatch: 106,
  closeSession: -11,
  error: -1,
} as const;

/** Exchange ids with a meaning of their own. */
export const xid = { notification: -1, ping: -2, auth: -4, setWatches: -8 } as const;

export type CreateMode =
  | "persistent"
  | "ephemeral"
  | "persistent-sequential"
  | "ephemeral-sequential"
  | "container"
  | "persistent-ttl"
  | "persistent-sequential-ttl";

const modeFlags: Readonly<Record<CreateMode, number>> = {
  persistent: 0,
  ephemeral: 1,
  "persistent-sequential": 2,
  "ephemeral-sequential": 3,
  container: 4,
  "persistent-ttl": 5,
  "persistent-sequential-ttl": 6,
};

/** What the server knows of a node beside its data. Times in ms since 1970, ids as bigint. */
export interface Stat {
  readonly created: bigint;
  readonly modified: bigint;
  readonly createdMs: number;
  readonly modifiedMs: number;
  readonly version: number;
  readonly childrenVersion: number;
  readonly aclVersion: number;
  /** The session that an ephemeral node belongs to; 0n otherwise. */
  readonly ephemeralOwner: bigint;
  readonly dataBytes: number;
  readonly childrenCount: number;
  readonly childrenModified: bigint;
}

/** Permissions: read 1, write 2, create 4, delete 8, admin 16. */
export interface Acl {
  readonly permissions: number;
  readonly scheme: string;
  readonly id: string;
}

export const aclAll = 31;
export const aclRead = 1;
/** Everybody may do everything: the protocol's default. */
export const openAcl: readonly Acl[] = [{ permissions: aclAll, scheme: "world", id: "anyone" }];

export interface Create {
  readonly kind: "create";
  readonly path: string;
  readonly data: Uint8Array;
  readonly mode: CreateMode;
  readonly acl: readonly Acl[];
  /** For the two modes with a time to live, in ms. */
  readonly ttlMs?: number;
}

/** One operation of a transaction. A version of −1 stands for any. */
export type Operation =
  | Create
  | { readonly kind: "set"; readonly path: string; readonly data: Uint8Array; readonly version: number }
  | { readonly kind: "delete"; readonly path: string; readonly version: number }
  | { readonly kind: "check"; readonly path: string; readonly version: number };

export type OperationResult =
  | { readonly kind: "create"; readonly path: string }
  | { readonly kind: "set"; readonly stat: Stat }
  | { readonly kind: "delete" }
  | { readonly kind: "check" };

export type WatchEventKind =
  | "created"
  | "deleted"
  | "changed"
  | "children"
  | "data-watch-removed"
  | "child-watch-removed"
  | "persistent-watch-removed";

export interface Hello {
  readonly timeoutMs: number;
  readonly sessionId: bigint;
  readonly password: Buffer;
}

/** The first frame of a connection. A session id of 0n asks for a new session. */
export function helloFrame(lastZxid: bigint, timeoutMs: number, sessionId: bigint, password: Uint8Array): Buffer {
  return new JuteWriter().int(0).long(lastZxid).int(timeoutMs).long(sessionId).buffer(password).bool(false).frame;
}

/** The server's answer to it. A time-out of 0 or less says that the session has expired. */
export function helloOf(bytes: Buffer): Hello {
  const reader = new JuteReader(bytes);
  reader.int();
  return { timeoutMs: reader.int(), sessionId: reader.long(), password: reader.buffer() };
}

/** A request with its header, ready to be sent. */
export function requestFrame(exchange: number, type: number, body: Uint8Array): Buffer {
  return new JuteWriter().int(exchange).int(type).raw(body).frame;
}

export interface Reply {
  readonly xid: number;
  readonly zxid: bigint;
  readonly error: number;
  readonly body: JuteReader;
}

/** The header of a reply; its body is left in the reader. */
export function replyOf(bytes: Buffer): Reply {
  const body = new JuteReader(bytes);
  return { xid: body.int(), zxid: body.long(), error: body.int(), body };
}

/** What a notification says; null for news of the session, which this client learns otherwise. */
export function notificationOf(body: JuteReader): { readonly kind: WatchEventKind; readonly path: string } | null {
  const type = body.int();
  body.int();
  const path = body.text();
  const kind = notificationKinds.get(type);
  return kind === undefined ? null : { kind, path };
}

const notificationKinds = new Map<number, WatchEventKind>([
  [1, "created"],
  [2, "deleted"],
  [3, "changed"],
  [4, "children"],
  [5, "data-watch-removed"],
  [6, "child-watch-removed"],
  [7, "persistent-watch-removed"],
]);

/** Which operation a create is, and its body: containers and times to live have types of their own. */
export function createBody({ path, data, mode, acl, ttlMs }: Create): { readonly type: number; readonly body: Buffer } {
  const writer = new JuteWriter().text(path).buffer(data);
  writeAcl(writer, acl).int(modeFlags[mode]);
  if (mode === "container") return { type: op.createContainer, body: writer.bytes };
  if (mode.endsWith("-ttl")) return { type: op.createTtl, body: writer.long(BigInt(ttlMs ?? 0)).bytes };
  return { type: op.create2, body: writer.bytes };
}

/** The body of a request that names a path only. */
export function pathBody(path: string): Buffer {
  return new JuteWriter().text(path).bytes;
}

/** A path, and whether to watch it. */
export function pathFlagBody(path: string, flag: boolean): Buffer {
  return new JuteWriter().text(path).bool(flag).bytes;
}

/** A path with a version, or with the mode of a watch. */
export function pathNumberBody(path: string, number: number): Buffer {
  return new JuteWriter().text(path).int(number).bytes;
}

/** New data for a node at a version; −1 stands for any. */
export function setDataBody(path: string, data: Uint8Array, version: number): Buffer {
  return new JuteWriter().text(path).buffer(data).int(version).bytes;
}

/** A new access list at a version of the list; −1 stands for any. */
export function setAclBody(path: string, acl: readonly Acl[], version: number): Buffer {
  return writeAcl(new JuteWriter().text(path), acl).int(version).bytes;
}

/** Credentials, as in the scheme `digest` with `user:password`. */
export function authBody(scheme: string, credentials: string): Buffer {
  return new JuteWriter().int(0).text(scheme).buffer(Buffer.from(credentials, "utf8")).bytes;
}

/** An access list from an answer. */
export function aclOf(body: JuteReader): Acl[] {
  return body.vector(() => ({ permissions: body.int(), scheme: body.text(), id: body.text() }));
}

/** A node's stat from an answer. */
export function statOf(body: JuteReader): Stat {
  return {
    created: body.long(),
    modified: body.long(),
    createdMs: Number(body.long()),
    modifiedMs: Number(body.long()),
    version: body.int(),
    childrenVersion: body.int(),
    aclVersion: body.int(),
    ephemeralOwner: body.long(),
    dataBytes: body.int(),
    childrenCount: body.int(),
    childrenModified: body.long(),
  };
}

/** A transaction: each operation after a header of its own, then a header that ends it. */
export function multiBody(operations: readonly Operation[]): Buffer {
  const writer = new JuteWriter();
  for (const operation of operations) {
    const { type, body } = operationBody(operation);
    writer.int(type).bool(false).int(-1).raw(body);
  }
  return writer.int(-1).bool(true).int(-1).bytes;
}

/** @throws ZooKeeperError with the code, path and index of the operation that made the transaction fail. */
export function multiResults(body: JuteReader, operations: readonly Operation[]): OperationResult[] {
  const results: OperationResult[] = [];
  for (let index = 0; index <= operations.length; index++) {
    const type = body.int();
    const done = body.bool();
    body.int();
    if (done) return results;
    if (type === op.error) {
      const error = body.int();
      // Those before the culprit are reported as 0, those after it as a runtime inconsistency.
      if (error === 0 || error === -2) continue;
      const path = operations[index]?.path ?? null;
      throw new ZooKeeperError(codeName(error), `operation ${index} of a transaction, on ${path}`, { path, index });
    }
    results.push(resultOf(type, body));
  }
  throw new JuteError("a transaction's answer has more results than operations");
}

/** The watches to arm again after a reconnection. */
export interface Rearmed {
  readonly data: readonly string[];
  readonly exist: readonly string[];
  readonly child: readonly string[];
  readonly persistent: readonly string[];
  readonly recursive: readonly string[];
}

/** Watches armed again: whatever changed after `zxid` fires at once. */
export function setWatchesBody(zxid: bigint, watches: Rearmed): { readonly type: number; readonly body: Buffer } {
  const writer = new JuteWriter().long(zxid);
  const paths = (list: readonly string[]): JuteWriter => writer.vector(list, (path) => writer.text(path));
  paths(watches.data);
  paths(watches.exist);
  paths(watches.child);
  // Servers before 3.6 know only the older form, and no persistent watches.
  if (watches.persistent.length + watches.recursive.length === 0) return { type: op.setWatches, body: writer.bytes };
  paths(watches.persistent);
  paths(watches.recursive);
  return { type: op.setWatches2, body: writer.bytes };
}

function operationBody(operation: Operation): { readonly type: number; readonly body: Buffer } {
  switch (operation.kind) {
    case "create":
      return createBody(operation);
    case "set":
      return { type: op.setData, body: setDataBody(operation.path, operation.data, operation.version) };
    case "delete":
      return { type: op.delete, body: pathNumberBody(operation.path, operation.version) };
    case "check":
      return { type: op.check, body: pathNumberBody(operation.path, operation.version) };
  }
}

function resultOf(type: number, body: JuteReader): OperationResult {
  switch (type) {
    case op.create:
      return { kind: "create", path: body.text() };
    case op.create2:
    case op.createContainer:
    case op.createTtl: {
      const path = body.text();
      statOf(body);
      return { kind: "create", path };
    }
    case op.setData:
      return { kind: "set", stat: statOf(body) };
    case op.delete:
      return { kind: "delete" };
    case op.check:
      return { kind: "check" };
    default:
      throw new JuteError(`a result of type ${type}`);
  }
}

function writeAcl(writer: JuteWriter, acl: readonly Acl[]): JuteWriter {
  return writer.vector(acl, ({ permissions, scheme, id }) => writer.int(permissions).text(scheme).text(id));
}
