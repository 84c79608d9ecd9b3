/** Where an ensemble is, from a connect string: `zookeeper://a:2181,b:2181/chroot?session=6s`. */

/**
 * A session shorter than 2 s flaps with every pause of a process; one longer than 40 s is refused by a default
 * ensemble.
 */
export const sessionLimitsMs = { min: 2000, max: 40_000, default: 6000 } as const;

export interface Ensemble {
  readonly tls: boolean;
  readonly servers: readonly { readonly host: string; readonly port: number }[];
  /** Empty, or `/path` without a slash at its end. */
  readonly chroot: string;
  /** The session time-out to ask for, in ms. */
  readonly sessionMs: number;
}

/** @returns the ensemble, or a sentence that says what is wrong with the text. */
export function ensembleOf(text: string): Ensemble | { readonly wrong: string } {
  const match = /^zookeeper(\+tls)?:\/\/([^/?]*)(\/[^?]*)?(?:\?(.*))?$/.exec(text);
  if (match === null) return { wrong: "write zookeeper://host:2181,host:2181/path" };
  const [, tls, hosts, path = "", query = ""] = match;
  if (hosts!.includes("@"))
    return { wrong: "credentials do not belong in the address, where others can read them: name a file instead" };
  const servers: { host: string; port: number }[] = [];
  for (const part of hosts!.split(",")) {
    const server = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?$/.exec(part.trim());
    const port = Number(server?.[2] ?? 2181);
    if (server === null || port < 1 || port > 65_535) return { wrong: `"${part}" is not host:port` };
    servers.push({ host: server[1]!.replace(/^\[|\]$/g, ""), port });
  }
  const chroot = path.replace(/\/+$/, "");
  if (chroot !== "" && !isPath(chroot)) return { wrong: `"${path}" is not a path in ZooKeeper` };
  let sessionMs: number = sessionLimitsMs.default;
  for (const [name, value] of new URLSearchParams(query)) {
    if (name !== "session") return { wrong: `"${name}" is not a setting; the only one is session, as in ?session=6s` };
    const duration = /^([0-9]{1,6})(ms|s)$/.exec(value);
    if (duration === null) return { wrong: `session=${value} is not a duration; write 6s or 6000ms` };
    sessionMs = Number(duration[1]) * (duration[2] === "s" ? 1000 : 1);
    if (sessionMs < sessionLimitsMs.min || sessionMs > sessionLimitsMs.max)
      return { wrong: `session=${value} is outside 2s to 40s` };
  }
  return { tls: tls !== undefined, servers, chroot, sessionMs };
}

/** Whether ZooKeeper takes a text as an absolute path. */
export function isPath(path: string): boolean {
  if (path === "/") return true;
  return (
    path.startsWith("/") &&
    path
      .slice(1)
      .split("/")
      .every((part) => part !== "" && part !== "." && part !== "..") &&
    // eslint-disable-next-line no-control-regex
    !/[\u0000-\u001f\u007f-\u009f\ud800-\uf8ff\ufff0-\uffff]/.test(path)
  );
}
