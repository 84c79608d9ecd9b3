/** How the origin answers: what follows from a path and its version. */
import { chanceOf } from "./chance.mjs";

export const cacheControls = [
  "max-age=1",
  "max-age=2",
  "max-age=3",
  "max-age=60",
  "max-age=60",
  "max-age=60",
  "s-maxage=2",
  "public, max-age=5",
  "s-maxage=30, max-age=0",
  "max-age=0",
  "no-cache",
  "no-cache, max-age=100",
  "no-store",
  "private",
  "private, max-age=60",
  "max-age=1, must-revalidate",
  "max-age=30, must-revalidate",
  "max-age=1, proxy-revalidate",
  "",
  "public",
  "max-age=1, stale-while-revalidate=2",
  "max-age=1, stale-while-revalidate=20",
  "s-maxage=1, stale-while-revalidate=3",
  "max-age=1, stale-if-error=10",
  "max-age=1, stale-while-revalidate=0, stale-if-error=0",
  'max-age=20, no-cache="x-trail"',
];

/** Directives as a map; a value that is not there is null. */
export function directivesOf(text) {
  const all = text.split(/,\s*/).filter((one) => one !== "");
  return new Map(all.map((one) => [one.split("=")[0].toLowerCase(), one.split("=")[1] ?? null]));
}

/** What a Vary selects of fields that `field` gives. */
export function variantOf(vary, field) {
  if (vary === "" || vary === "*") return "";
  return vary
    .split(", ")
    .map((name) => `${name}:${field(name) ?? ""}`)
    .join(";");
}

/** How a version is answered. */
export function shapeOf({ seed, big, compress }, path, version) {
  const key = `${path} ${version}`;
  const [own, usual] = [chanceOf(`${seed}|${key}`), chanceOf(`${seed}|${path}`)];
  const usualControl = usual.one(cacheControls);
  const small = () => own.below(own.is(0.5) ? 300 : 8000);
  const large = () => 60_000 + own.below(own.is(0.2) ? 900_000 : 200_000);
  return {
    control: own.is(0.6) ? usualControl : own.one(cacheControls),
    vary: own.one([
      "",
      "",
      "",
      "",
      "x-v",
      "x-v",
      "accept-language",
      "x-v, accept-language",
      "*",
      compress ? "x-v" : "accept-encoding",
    ]),
    tag: own.one(["strong", "strong", "weak", "none"]),
    hasDate: own.is(0.6),
    framing: own.one(["length", "length", "chunked", "end"]),
    status: own.is(0.8) ? 200 : own.one([203, 204, 301, 404, 410, 404]),
    bytes: own.is(0.1) ? own.below(2) : own.is(big) ? large() : small(),
    headMs: own.is(0.25) ? own.below(120) : 0,
    pauses: own.is(0.2) ? 1 + own.below(4) : 0,
    takesRanges: own.is(0.75),
    validates: own.is(0.9),
    hasInterim: own.is(0.1),
    hasTrailers: own.is(0.3),
    setsCookie: own.is(0.1),
    group: own.is(0.3) ? `g${own.below(3)}` : null,
    type: own.one(["text/plain", "text/html", "application/octet-stream"]),
    fails: own.is(0.5),
  };
}
