/** The cluster's secret: given, found beside a member of this machine, or made up for a cluster that begins. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostPortOf, isLoopbackHost, type HostPort } from "../base/host-port.ts";
import { placesOf } from "../coordination/places.ts";
import { livingMembers, runFolder } from "../member/records.ts";
import { openToOthers } from "../member/refusals.ts";
import { Failure } from "./failure.ts";

/** Shorter ones can be guessed from a recorded handshake. */
const charactersMin = 16;

export interface FoundSecret {
  readonly secret: string;
  /** Those of before, which are still taken: further lines of what was given. */
  readonly older: readonly string[];
  readonly from: "given" | "found" | "generated";
}

/** `coordinator`: where the cluster is kept together elsewhere, or null where the cluster begins here. */
export function clusterSecret(
  secretFile: string | undefined,
  cluster: string,
  coordinator: string | null,
): FoundSecret {
  const given = process.env["GYRE_SECRET"] ?? (secretFile === undefined ? undefined : readSecret(secretFile));
  if (given !== undefined) {
    const [secret = "", ...older] = given.trim().split(/\s*\n\s*/);
    if ([secret, ...older].some((one) => one.length < charactersMin))
      throw new Failure(
        `the secret has fewer than ${charactersMin} characters: make one with \`openssl rand -hex 32\``,
        2,
      );
    return { secret, older, from: "given" };
  }
  const living = livingMembers(runFolder(process.env)).find(
    (record) => record.cluster === cluster && record.coordinator !== "",
  );
  // A coordinator that returns on this machine: those who wait for it know the secret.
  if (coordinator === null && living !== undefined) return { secret: living.secret, older: [], from: "found" };
  if (coordinator === null) return { secret: randomBytes(24).toString("base64url"), older: [], from: "generated" };
  if (coordinator.startsWith("zookeeper")) {
    if (living !== undefined) return { secret: living.secret, older: [], from: "found" };
    throw new Failure(
      `members of a cluster in ZooKeeper share a secret: make one with \`openssl rand -hex 32\`, and give it with --secret-file FILE or GYRE_SECRET`,
      2,
    );
  }
  const places = placesOf(coordinator) ?? [];
  const there = livingMembers(runFolder(process.env)).filter((record) => {
    const peer = hostPortOf(record.peer);
    const isThere = ({ host, port }: HostPort): boolean =>
      peer?.port === port && (peer.host === host || (isLoopbackHost(peer.host) && isLoopbackHost(host)));
    return places.some(isThere);
  });
  const found = there.find((record) => record.cluster === cluster);
  if (found !== undefined) return { secret: found.secret, older: [], from: "found" };
  if (there[0] !== undefined)
    throw new Failure(
      `the member at ${coordinator} is of the cluster ${there[0].cluster}: say --cluster ${there[0].cluster}`,
      2,
    );
  throw new Failure(
    `no member of this machine listens at ${coordinator}: for one elsewhere give the cluster's secret, with --secret-file FILE or GYRE_SECRET`,
    2,
  );
}

function readSecret(file: string): string {
  const open = openToOthers(file);
  if (open !== null) throw new Failure(`--secret-file ${open}`, 2);
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Failure(`--secret-file ${file} cannot be read: ${(error as Error).message}`, 2);
  }
}
