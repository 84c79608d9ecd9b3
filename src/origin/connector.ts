/**
 * Connections to origins. Names are resolved here, every address is judged before it is connected to, and the address
 * of the finished connection is judged once more: a name that changes its mind between two look-ups gains nothing.
 */
import { lookup as systemLookup, promises as dns, type LookupAddress } from "node:dns";
import { connect as netConnect, isIP, type LookupFunction, type Socket } from "node:net";
import { rootCertificates } from "node:tls";
import { buildConnector } from "undici";
import { destinationClass, type Networks } from "./destinations.ts";
import { OriginError, refusedDestination } from "./origin-error.ts";

export interface ConnectPolicy {
  /** May reach loopback and private addresses. */
  readonly inner: boolean;
  /** Networks that may be reached in any case, the forbidden ones excepted. */
  readonly allowed: Networks | null;
  /** The operator named this origin: nothing is denied. */
  readonly configured: boolean;
  /**
   * Whether an address is one of this machine's own: what listens on it may count on strangers not coming from here.
   */
  readonly own?: ((address: string) => boolean) | undefined;
}

export interface ConnectOptions {
  readonly connectMs: number;
  /** Extra trusted certificates, PEM; beside the usual authorities. */
  readonly ca?: string | undefined;
  readonly verifyTls: boolean;
  /** The name for SNI and the certificate check, where it is not the origin's own. */
  readonly tlsName?: string | undefined;
  /** A DNS server, `address:port`, instead of the system's resolver. */
  readonly resolver?: string | undefined;
}

/** Why an address may not be connected to under a policy, or null where it may. */
export function refusal(address: string, policy: ConnectPolicy): string | null {
  if (policy.configured) return null;
  const kind = kindOf(address, policy);
  if (kind === "forbidden") return "link-local, metadata and unroutable addresses are always denied";
  if (kind === "public" || policy.inner || policy.allowed?.has(address) === true) return null;
  return "loopback and private addresses are open only to clients on this machine (--allow-destination opens them)";
}

function kindOf(address: string, { own }: ConnectPolicy): ReturnType<typeof destinationClass> {
  const kind = destinationClass(address);
  return kind === "public" && own?.(address) === true ? "inner" : kind;
}

/**
 * The connector for undici, with the policy built in. `connected` learns of each connection to a loopback or private
 * address.
 */
export function guardedConnector(
  policy: ConnectPolicy,
  options: ConnectOptions,
  connectedInside: (origin: string) => void,
): buildConnector.connector {
  const inner = buildConnector({
    timeout: options.connectMs,
    rejectUnauthorized: options.verifyTls,
    lookup: guardedLookup(policy, options.resolver),
    ...(options.ca === undefined ? {} : { ca: [...rootCertificates, options.ca] }),
    autoSelectFamily: true,
    allowH2: false,
  } as buildConnector.BuildOptions);
  return (target, done) => {
    const host = bare(target.hostname);
    const why = isIP(host) === 0 ? null : refusal(host, policy);
    if (why !== null) {
      done(refusedDestination(host, host, why), null);
      return;
    }
    // An address has no name to be asked by: the client's Host, which the library would take, is none of the origin's.
    const servername = isIP(host) === 0 ? target.servername : options.tlsName;
    inner(
      { ...target, hostname: host, ...(servername === undefined ? { servername: "" } : { servername }) },
      (...result) => {
        const [error, socket] = result;
        if (error !== null) return done(error, null);
        const denied = deniedPeer(socket, policy);
        if (denied === null) {
          if (kindOf(socket.remoteAddress ?? "", policy) !== "public")
            connectedInside(`${target.protocol}//${target.host}`);
          return done(null, socket);
        }
        socket.destroy();
        return done(denied, null);
      },
    );
  };
}

/** A bare connection for a tunnel, under the same policy. */
export function tunnelTo(
  host: string,
  port: number,
  policy: ConnectPolicy,
  options: ConnectOptions,
  done: (error: Error | null, socket: Socket | null) => void,
): Socket {
  const name = bare(host);
  const why = isIP(name) === 0 ? null : refusal(name, policy);
  const socket = netConnect({
    host: name,
    port,
    lookup: guardedLookup(policy, options.resolver),
    allowHalfOpen: true,
    autoSelectFamily: true,
    noDelay: true,
  });
  let settled = false;
  const settle = (error: Error | null): void => {
    if (settled) return;
    settled = true;
    socket.setTimeout(0);
    if (error !== null) socket.destroy();
    done(error, error === null ? socket : null);
  };
  socket.once("error", settle);
  socket.setTimeout(options.connectMs, () =>
    settle(new OriginError("connect", "ETIMEDOUT", `${host}:${port} did not accept a connection in time`, 504, true)),
  );
  socket.once("connect", () => settle(deniedPeer(socket, policy)));
  if (why !== null) settle(refusedDestination(host, name, why));
  return socket;
}

function deniedPeer(socket: Socket, policy: ConnectPolicy): OriginError | null {
  const address = socket.remoteAddress ?? "";
  const why = refusal(address, policy);
  return why === null ? null : refusedDestination(address, address, why);
}

/** Resolves a name and leaves only the addresses that the policy admits. */
function guardedLookup(policy: ConnectPolicy, resolver: string | undefined): LookupFunction {
  return (hostname, options, callback) => {
    const give = (error: NodeJS.ErrnoException | null, found: readonly LookupAddress[]): void => {
      if (error !== null) return callback(error, "", 0);
      const admitted = found.filter(({ address }) => refusal(address, policy) === null);
      if (admitted.length === 0) {
        const address = found[0]?.address ?? "no address";
        return callback(
          refusedDestination(
            hostname,
            address,
            refusal(address, policy) ?? "it has no address",
          ) as NodeJS.ErrnoException,
          "",
          0,
        );
      }
      if (options.all === true) return callback(null, admitted as LookupAddress[]);
      return callback(null, admitted[0]!.address, admitted[0]!.family);
    };
    if (resolver === undefined || hostname === "localhost")
      systemLookup(hostname, { ...options, all: true }, (error, found) => give(error, found));
    else
      resolveAt(resolver, hostname).then(
        (found) => give(null, found),
        (error: NodeJS.ErrnoException) => give(error, []),
      );
  };
}

async function resolveAt(server: string, hostname: string): Promise<LookupAddress[]> {
  const resolver = new dns.Resolver({ timeout: 2000, tries: 2 });
  resolver.setServers([server]);
  const answers = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)]);
  const found = answers.flatMap((answer, index) =>
    answer.status === "fulfilled" ? answer.value.map((address) => ({ address, family: index === 0 ? 4 : 6 })) : [],
  );
  const failed = answers.find((answer) => answer.status === "rejected");
  if (found.length === 0 && failed?.status === "rejected") throw failed.reason as Error;
  return found;
}

function bare(host: string): string {
  return host.startsWith("[") ? host.slice(1, -1) : host;
}
