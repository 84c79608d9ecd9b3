/** Access logs as requests: the common and the combined format of web servers, and Squid's native one. */

/** One request of a workload. */
export interface Request {
  readonly url: string;
  /** 0 where nobody knows. */
  readonly bytes: number;
}

export interface ParsedLog {
  /** Null where the first lines fit none. */
  readonly format: "common" | "combined" | "Squid" | null;
  readonly requests: readonly Request[];
  /** Lines that did not fit, or asked for nothing a cache answers. */
  readonly skipped: number;
}

const common = /^\S+ \S+ .+? \[[^\]]+\] "([A-Z]+) (\S+)(?: HTTP\/[\d.]+)?" \d{3} (\d+|-)( "[^"]*" "[^"]*")?/;
const squid = /^\s*\d+\.\d+\s+-?\d+ \S+ [A-Z_]+\/\d{3} (\d+) ([A-Z]+) (\S+) /;
const linesProbed = 20;

/**
 * Reads a log; `site` (scheme and host) stands before what is only a path. GET alone counts: nothing else is shared.
 */
export function parseLog(text: string, site: string): ParsedLog {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const probed = lines.slice(0, linesProbed);
  const format = probed.some((line) => squid.test(line))
    ? "Squid"
    : probed.some((line) => common.exec(line)?.[4] !== undefined)
      ? "combined"
      : probed.some((line) => common.test(line))
        ? "common"
        : null;
  if (format === null) return { format, requests: [], skipped: lines.length };
  const requests: Request[] = [];
  for (const line of lines) {
    const request = format === "Squid" ? squidRequest(line) : commonRequest(line, site);
    if (request !== null) requests.push(request);
  }
  return { format, requests, skipped: lines.length - requests.length };
}

function squidRequest(line: string): Request | null {
  const [, bytes, method, url] = squid.exec(line) ?? [];
  if (method !== "GET" || url === undefined || !URL.canParse(url)) return null;
  return { url, bytes: Number(bytes) };
}

function commonRequest(line: string, site: string): Request | null {
  const [, method, target, bytes] = common.exec(line) ?? [];
  if (method !== "GET" || target === undefined) return null;
  const url = target.startsWith("/") ? `${site}${target}` : target;
  return URL.canParse(url) ? { url, bytes: bytes === "-" ? 0 : Number(bytes) } : null;
}
