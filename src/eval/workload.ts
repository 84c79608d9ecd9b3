/** Sequences of requests: made up with a known shape, read from a list or a log, or replayed from a trace. */
import { readFileSync } from "node:fs";
import { brotliDecompressSync } from "node:zlib";
import { parseLog, type Request } from "./access-log.ts";
import { randomOf, zipf } from "./random.ts";

export interface Workload {
  readonly name: string;
  readonly requests: readonly Request[];
  readonly credit?: string;
}

export interface ZipfSettings {
  readonly objects: number;
  readonly exponent: number;
  readonly requests: number;
  /** Part of the requests that ask for something that nobody asks for again. */
  readonly oneHitShare: number;
  /** Part of the objects that are replaced by new ones every tenth of the run, the popular as often as others. */
  readonly churn: number;
  /** Part of the requests of the run's fifth tenth that go to one new object: a flash crowd. */
  readonly flash: number;
  /** Where its URLs stand. */
  readonly site: string;
  readonly seed: number;
}

export const zipfSettings: ZipfSettings = {
  objects: 10_000,
  exponent: 1,
  requests: 100_000,
  oneHitShare: 0,
  churn: 0,
  flash: 0,
  site: "http://site.example",
  seed: 1,
};

/** Body sizes, roughly as pages, scripts, images and downloads have them: logarithms normal around 8 KB. */
function bytesOf(random: () => number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Math.max(64, Math.min(64 * 2 ** 20, Math.round(Math.exp(9 + 1.6 * normal))));
}

/** Requests by Zipf's law, with one-hit wonders, churn and a flash crowd where wanted. */
export function zipfWorkload(given: Partial<ZipfSettings> = {}): Workload {
  const settings = { ...zipfSettings, ...given };
  const { objects, exponent, requests: count, oneHitShare, churn, flash, site, seed } = settings;
  const random = randomOf(seed);
  const rank = zipf(objects, exponent, random);
  const names = Array.from({ length: objects }, (_, index) => `/object-${index}`);
  const sizes = new Map<string, number>();
  let fresh = objects;
  const requests: Request[] = [];
  for (let i = 0; i < count; i++) {
    if (churn > 0 && i > 0 && i % Math.ceil(count / 10) === 0)
      for (let replaced = 0; replaced < churn * objects; replaced++)
        names[Math.floor(random() * objects)] = `/object-${fresh++}`;
    const tenth = Math.floor((i * 10) / count);
    const path =
      tenth === 4 && random() < flash
        ? "/flash-crowd"
        : oneHitShare > 0 && random() < oneHitShare
          ? `/once-${i}`
          : names[rank()]!;
    let bytes = sizes.get(path);
    if (bytes === undefined) sizes.set(path, (bytes = bytesOf(random)));
    requests.push({ url: `${site}${path}`, bytes });
  }
  return { name: `Zipf ${exponent} over ${objects} URLs, seed ${seed}`, requests };
}

/**
 * The small study system's own scenario: ten sites that are asked for equally often, 1,000 requests; each site has
 * fifty pages.
 */
export function studyWorkload(seed: number): Workload {
  const random = randomOf(seed);
  const page = zipf(50, 1, random);
  const requests = Array.from({ length: 1000 }, () => ({
    url: `http://site-${Math.floor(random() * 10) + 1}.example/page-${page()}`,
    bytes: 10_000,
  }));
  return { name: `the study's scenario (ten sites, 1,000 requests), seed ${seed}`, requests };
}

/** One URL a line; blank lines and lines that begin with # do not count. @throws Error naming file and line. */
export function listWorkload(file: string): Workload {
  const requests: Request[] = [];
  for (const [index, line] of readFileSync(file, "utf8").split("\n").entries()) {
    const url = line.trim();
    if (url === "" || url.startsWith("#")) continue;
    if (!URL.canParse(url)) throw new Error(`${file}:${index + 1}: "${url.slice(0, 80)}" is no URL`);
    requests.push({ url, bytes: 0 });
  }
  return { name: file, requests };
}

/**
 * An access log in common, combined or Squid's native format. `site` stands before paths. @throws Error where it has
 * none of these.
 */
export function logWorkload(file: string, site: string): Workload {
  const { format, requests, skipped } = parseLog(readFileSync(file, "utf8"), site);
  if (format === null)
    throw new Error(`${file} is no access log in common, combined or Squid's native format: its first lines fit none`);
  return { name: `${file} (${format}${skipped > 0 ? `, ${skipped} lines skipped` : ""})`, requests };
}

/** Traces that come with the program. */
export const traces = ["web07", "web12"] as const;
export type TraceName = (typeof traces)[number];
export const traceCredits = "Traces web07 and web12: © headissue GmbH (cache2k benchmark traces), CC BY 4.0";

/** The objects asked for in a trace, by id, in order. */
export function traceIds(name: TraceName): Uint32Array {
  const bytes = brotliDecompressSync(readFileSync(new URL(`../../data/traces/${name}.trace.br`, import.meta.url)));
  const ids = new Uint32Array(bytes.length / 4);
  for (let i = 0; i < ids.length; i++) ids[i] = bytes.readUInt32BE(i * 4);
  return ids;
}

/** A trace as requests for pages. */
export function traceWorkload(name: TraceName): Workload {
  const requests = Array.from(traceIds(name), (id) => ({ url: `http://shop.example/product/${id}`, bytes: 0 }));
  return { name: `trace ${name}`, requests, credit: traceCredits };
}
