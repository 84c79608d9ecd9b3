/**
 * The public cache tests against live members: reverse, forward, and a cluster of three entered at any member. All
 * listed required and optimal tests pass but the exceptions below, each of which contradicts an RFC; one that starts to
 * pass fails the run, so that no exception outlives its reason.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { endAll, startCluster, startMember, temporaryFolder } from "../support/member.ts";
import { freePort } from "../support/nginx.ts";
import { ids, startOrigin, type Result } from "./public-tests.ts";

const invalidDate = "expects an invalid Expires to count; RFC 9111 §5.3: an invalid date is a time in the past";
const missingComma =
  "its date lacks the comma and so is none (RFC 9110 §5.6.7); RFC 9111 §5.3: an invalid date is a time in the past";
const refusedIsNoHit =
  "counts any answer without the origin's numbering as a hit; ours is the 504 that RFC 9111 §5.2.2.2 asks for";
const brokenPart =
  "its Content-Range speaks of six bytes and its content has five: RFC 9110 §14.4, §15.3.7 make that no usable part";

const exceptions: Readonly<Record<string, string>> = {
  "age-parse-dup-0": "expects staleness for a list; RFC 9111 §5.1: the first member counts",
  "age-parse-prefix-twoline": "expects staleness for a list; RFC 9111 §5.1: the first member counts",
  "age-parse-negative": "expects staleness; RFC 9111 §5.1: an invalid Age is ignored",
  "freshness-expires-invalid-aest": invalidDate,
  "freshness-expires-invalid-multiple-spaces": invalidDate,
  "freshness-expires-invalid-time-periods": invalidDate,
  "freshness-expires-invalid-utc": invalidDate,
  "freshness-expires-32bit": missingComma,
  "freshness-expires-far-future": missingComma,
  "stale-close-must-revalidate": refusedIsNoHit,
  "stale-close-no-cache": refusedIsNoHit,
  "conditional-lm-fresh-no-lm":
    "asks with a date before the response's own; RFC 9111 §4.3.2: Date stands in for Last-Modified, so it has changed since",
  "partial-store-partial-reuse-partial-byterange": brokenPart,
  "partial-store-partial-reuse-partial-suffix": brokenPart,
};

/**
 * Passes with `cookies: rfc` only: by default Set-Cookie is stored where the origin speaks to shared caches
 * (docs/decisions).
 */
const cookieTests: readonly string[] = ["headers-store-Set-Cookie"];

let port: number;
let origin: ChildProcess;

beforeAll(async () => {
  port = await freePort();
  origin = await startOrigin(port);
});
afterAll(async () => {
  await endAll();
  origin.kill("SIGTERM");
});

/** One run in a process of its own: the suite keeps its results in a module. */
function run(base: string, proxyPort: number | "http2" | null): Promise<Readonly<Record<string, Result>>> {
  const how = proxyPort === null ? [] : proxyPort === "http2" ? [proxyPort] : ["127.0.0.1", String(proxyPort)];
  const child = spawn(process.execPath, [join(import.meta.dirname, "run-once.ts"), base, ...how], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  return new Promise((done, fail) => {
    child.once("close", (code) =>
      code === 0 ? done(JSON.parse(output) as Record<string, Result>) : fail(new Error(errors)),
    );
  });
}

function judge(results: Readonly<Record<string, Result>>, excepted: readonly string[]): void {
  const failed = (kind: readonly string[]) =>
    kind
      .filter((id) => results[id] !== true && !excepted.includes(id))
      .map((id) => `${id}: ${JSON.stringify(results[id])}`);
  expect(Object.keys(results).length, "the suite ran").toBeGreaterThan(150);
  expect(failed(ids.required)).toEqual([]);
  expect(failed(ids.optimal)).toEqual([]);
  const passing = excepted.filter((id) => results[id] === true);
  expect(passing, "exceptions that pass: take them off the list").toEqual([]);
  const passed = (kind: readonly string[]) => kind.filter((id) => results[id] === true).length;
  console.log(
    `public cache tests: required ${passed(ids.required)}/${ids.required.length}, optimal ${passed(ids.optimal)}/${ids.optimal.length}, check ${passed(ids.check)}/${ids.check.length}`,
  );
}

const byDefault = [...Object.keys(exceptions), ...cookieTests];

describe("the public cache tests", () => {
  // Mostly they wait: those of members that are alone do so together, then those of clusters.
  it.concurrent("through a reverse proxy", async () => {
    const member = await startMember(["--origin", `http://127.0.0.1:${port}`]);
    judge(await run(`http://${member.listen}`, null), byDefault);
  }, 120_000);

  it.concurrent("through a reverse proxy that is asked in HTTP/2", async () => {
    const member = await startMember(["--origin", `http://127.0.0.1:${port}`, "--listen", "127.0.0.1:0,http2"]);
    judge(await run(`http://${member.listen}`, "http2"), byDefault);
  }, 120_000);

  it.concurrent("through a forward proxy, every request in absolute form", async () => {
    const member = await startMember();
    judge(await run(`http://127.0.0.1:${port}`, member.port), byDefault);
  }, 120_000);

  it.concurrent("with cookies stored by the letter of the RFC", async () => {
    const file = join(temporaryFolder(), "gyre.yaml");
    writeFileSync(file, `origin: http://127.0.0.1:${port}\ncaching:\n  cookies: rfc\n`);
    const member = await startMember(["--config", file]);
    judge(await run(`http://${member.listen}`, null), Object.keys(exceptions));
  }, 120_000);
});

describe("the public cache tests, by clusters", () => {
  // Who stands still for a moment in a cluster is gone round, and the origin asked twice: the rules of caching are tried
  // here, not whether everybody gets a processor.
  const patient = ["--still-after", "1500ms"];
  it.concurrent("through a cluster of three that is asked in HTTP/2", async () => {
    const flags = ["--origin", `http://127.0.0.1:${port}`, "--listen", "127.0.0.1:0,http2", ...patient];
    const members = await startCluster(3, flags);
    judge(await run(`http://${members[1]!.listen}`, "http2"), byDefault);
  }, 120_000);

  it.concurrent.each([0, 2])(
    "through a cluster of three, entered at member %d",
    async (entry) => {
      const members = await startCluster(3, ["--origin", `http://127.0.0.1:${port}`, ...patient]);
      judge(await run(`http://${members[entry]!.listen}`, null), byDefault);
    },
    180_000,
  );
});
