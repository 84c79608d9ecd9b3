/** Finding a cluster: by an admin address, by its coordinator, or by the members that run on this machine. */
import { readFileSync } from "node:fs";
import { hostPortOf, hostPortText, type HostPort } from "../base/host-port.ts";
import { directoryOf } from "../client/directory-of.ts";
import { leaderFirst, type Directory } from "../client/directory.ts";
import type { Status } from "../admin/status.ts";
import { livingMembers, runFolder, type MemberRecord } from "../member/records.ts";
import { placesOf } from "../coordination/places.ts";
import { Link } from "../peer/link.ts";
import { Failure } from "./failure.ts";
import { clusterSecret } from "./secret.ts";

export interface WhereOptions {
  readonly admin?: string | undefined;
  readonly coordinator?: string | undefined;
  readonly coordinatorCredentials?: string | undefined;
  readonly coordinatorCa?: string | undefined;
  readonly cluster?: string | undefined;
  readonly secretFile?: string | undefined;
  /** The cluster's secret, where it is known already. */
  readonly secret?: string | null | undefined;
}

/** A member that answers, and how to ask it. */
export interface Contact {
  readonly status: Status;
  readonly secret: string | null;
  /** GET from its admin port. */
  readonly get: (path: string) => Promise<unknown>;
  /** POST to it, with a value as JSON. */
  readonly post: (path: string, value: unknown) => Promise<unknown>;
}

/** The status of the cluster meant. @throws Failure saying where was looked. */
export async function contact(where: WhereOptions): Promise<Contact> {
  if (where.admin !== undefined) {
    const address = hostPortOf(where.admin.replace(/^http:\/\//, "").replace(/\/$/, ""));
    if (address === null) throw new Failure(`--admin ${where.admin}: write host:port`, 2);
    const given = where.secretFile === undefined ? null : clusterSecret(where.secretFile, "", null).secret;
    return atAdmin(hostPortText(address), where.secret ?? given ?? secretOf(hostPortText(address)));
  }
  if (where.coordinator?.startsWith("zookeeper") === true) return atEnsemble(where);
  if (where.coordinator !== undefined) return atCoordinator(where.coordinator, where);
  const records = recordsOf(where.cluster ?? process.env["GYRE_CLUSTER"]);
  if (records.length === 0) {
    throw new Failure(
      "no member of a cluster runs on this machine. Start one with `gyre start` or `gyre cluster`, or name one elsewhere with --admin HOST:PORT or --coordinator WHERE",
    );
  }
  let last: unknown;
  // One that has not joined yet knows of nobody but itself.
  const order = records.toSorted((a, b) => Number(a.state === "starting") - Number(b.state === "starting"));
  for (const record of order) {
    try {
      return await atAdmin(record.admin, record.secret);
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

/** The secret of a member of this machine, by its admin address; null where another is given, or it is elsewhere. */
function secretOf(admin: string): string | null {
  if (process.env["GYRE_SECRET"] !== undefined) return null;
  try {
    return livingMembers(runFolder(process.env)).find((record) => record.admin === admin)?.secret ?? null;
  } catch {
    // A run folder that cannot be believed tells nothing: what needs no secret works without.
    return null;
  }
}

/** Living members on this machine, of the one cluster meant. */
export function recordsOf(cluster: string | undefined): MemberRecord[] {
  const records = livingMembers(runFolder(process.env));
  const names = [...new Set(records.map((record) => record.cluster))];
  if (cluster !== undefined && names.length > 0 && !names.includes(cluster))
    throw new Failure(
      `no member of a cluster ${cluster} runs on this machine: there are those of ${names.join(", ")}`,
      2,
    );
  if (cluster !== undefined) return records.filter((record) => record.cluster === cluster);
  if (names.length > 1)
    throw new Failure(`several clusters run on this machine (${names.join(", ")}): choose with --cluster NAME`, 2);
  return records;
}

async function atAdmin(admin: string, secret: string | null): Promise<Contact> {
  const token = secret ?? process.env["GYRE_SECRET"]?.split("\n", 1)[0] ?? null;
  const get = async (path: string): Promise<unknown> => {
    let response: Response;
    try {
      response = await fetch(`http://${admin}${path}`, {
        headers: token === null ? {} : { authorization: `Bearer ${token}` },
        signal: AbortSignal.timeout(5000),
      });
    } catch (error) {
      const { cause } = error as { cause?: { code?: string } };
      throw new Failure(`no member answers at ${admin}: ${cause?.code ?? (error as Error).message}`);
    }
    const value = (await response.json().catch(() => null)) as { error?: string } | null;
    if (value === null) throw new Failure(`${admin} is no admin port of a Gyre member: it does not answer in JSON`);
    if (!response.ok) throw new Failure(`${admin} says: ${value.error ?? response.status}`);
    return value;
  };
  const status = (await get("/api/status")) as Status;
  if (!Array.isArray(status.members)) throw new Failure(`${admin} is no admin port of a Gyre member`);
  const post = (path: string, value: unknown): Promise<unknown> => askAdmin(admin, path, token ?? "", value);
  return { status, secret: token, get, post };
}

/** Statuses that say that something was asked wrongly. */
const wrongQuestions: ReadonlySet<number> = new Set([400, 404, 405, 409, 413]);

/** POST to an admin port, for as long as a drain may take. @throws Failure with what it says. */
export function postTo(admin: string, path: string, secret: string): Promise<unknown> {
  return askAdmin(admin, path, secret, null);
}

/**
 * Asks an admin port with the secret: POST with a value as JSON, or without content where that is null; GET without
 * one. @throws Failure with what it says.
 */
async function askAdmin(admin: string, path: string, secret: string, value?: unknown): Promise<unknown> {
  const response = await fetch(`http://${admin}${path}`, {
    method: value === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${secret}` },
    ...(value === undefined || value === null ? {} : { body: JSON.stringify(value) }),
  }).catch((error: unknown) => {
    const { cause, message } = error as Error & { cause?: { code?: string } };
    throw new Failure(`no member answers at ${admin}: ${cause?.code ?? message}`);
  });
  const answer = (await response.json().catch(() => null)) as { error?: string } | null;
  const { status } = response;
  const isWrong = path.startsWith("/api/purge") && wrongQuestions.has(status);
  if (!response.ok || answer === null)
    throw new Failure(`${admin} says: ${answer?.error ?? status}`, isWrong ? 2 : 1, status);
  return answer;
}

/** The directory that `--coordinator` names. @throws Failure where it names none, or has nothing to say. */
export async function directoryAt(where: WhereOptions): Promise<Directory> {
  const coordinator = where.coordinator!;
  const cluster = where.cluster ?? "gyre";
  const secret = coordinator.startsWith("zookeeper")
    ? undefined
    : clusterSecret(where.secretFile, cluster, coordinator).secret;
  let directory: Directory;
  try {
    directory = directoryOf({
      coordinator,
      cluster,
      secret,
      credentials: textIn("--coordinator-credentials", where.coordinatorCredentials)?.trim(),
      coordinatorCa: textIn("--coordinator-ca", where.coordinatorCa),
    });
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(`--${(error as Error).message}`, 2);
  }
  try {
    await directory.ready(10_000);
  } catch (error) {
    await directory.close();
    throw new Failure((error as Error).message);
  }
  return directory;
}

/** By the view in ZooKeeper, on to the admin port of the leader, or of whoever answers. */
async function atEnsemble(where: WhereOptions): Promise<Contact> {
  const directory = await directoryAt(where);
  const members = leaderFirst(directory);
  await directory.close();
  const secret = where.secret ?? sharedSecret(where, directory.address);
  let last: unknown = new Failure(`the view in ${directory.address} has no members`);
  for (const { admin } of members) {
    try {
      return await atAdmin(admin, secret);
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

/** The secret where it can be known: given, or of a member on this machine. */
function sharedSecret(where: WhereOptions, coordinator: string): string | null {
  try {
    return clusterSecret(where.secretFile, where.cluster ?? "gyre", coordinator).secret;
  } catch (error) {
    if (where.secretFile !== undefined) throw error;
    return null;
  }
}

function textIn(flag: string, file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Failure(`${flag} ${file} cannot be read: ${(error as Error).message}`, 2);
  }
}

/** Over the peer link, with the secret; then on to an admin port. */
async function atCoordinator(coordinator: string, where: WhereOptions): Promise<Contact> {
  const places = placesOf(coordinator);
  if (places === null)
    throw new Failure(`--coordinator ${coordinator}: write http://host:port or zookeeper://host:2181,…/path`, 2);
  const cluster = where.cluster ?? "gyre";
  const { secret } = clusterSecret(where.secretFile, cluster, coordinator);
  // Any member answers; the first of those named that is there will do.
  let status: Status | null = null;
  let failure: unknown = null;
  for (const address of places) {
    try {
      status = await statusAt(address, cluster, secret);
      break;
    } catch (error) {
      failure = error;
    }
  }
  if (status === null) throw failure;
  const leading = status.members.find(({ leader }) => leader) ?? status.members[0];
  const admin = leading?.admin ?? "";
  return {
    status,
    secret,
    get: async (path) => (await atAdmin(admin, secret)).get(path),
    post: (path, value) => askAdmin(admin, path, secret, value),
  };
}

/** The status as the member at a peer port tells it. */
function statusAt(address: HostPort, cluster: string, secret: string): Promise<Status> {
  return new Promise<Status>((resolve, reject) => {
    const link = new Link(
      { cluster, secret, self: "?", purpose: "tool", expected: null, address, connectMs: 3000 },
      {
        up: () => {
          link
            .call("status", null)
            .then((value) => resolve(value as Status), reject)
            .finally(() => link.close());
        },
        gone: (reason) => reject(new Failure(`no coordinator answers at http://${hostPortText(address)}: ${reason}`)),
        note: () => {},
      },
    );
  });
}
