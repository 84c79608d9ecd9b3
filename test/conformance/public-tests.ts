/**
 * The public cache tests (npm http-cache-tests), run from here: its server in a process of its own, its client with a
 * fetch that goes where we say. Only the ids listed in ids.json are run, with the kinds that file gives them.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { Agent, type ClientRequest } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { Http2Fetch } from "./http2-fetch.ts";
import { temporaryFolder, until } from "../support/member.ts";

const require = createRequire(import.meta.url);
const home = dirname(require.resolve("http-cache-tests/package.json"));

export interface Ids {
  readonly required: readonly string[];
  readonly optimal: readonly string[];
  readonly check: readonly string[];
}

export const ids: Ids = JSON.parse(readFileSync(join(import.meta.dirname, "ids.json"), "utf8")) as Ids;

export type Result = true | readonly [string, string];

interface Test {
  readonly id: string;
  readonly requests: readonly { readonly disconnect?: boolean; readonly pause_after?: boolean }[];
}

interface Suite {
  readonly tests: readonly Test[];
}

interface Runner {
  readonly runTests: (
    suites: readonly Suite[],
    fetch: unknown,
    browser: boolean,
    base: string,
    chunk: number,
  ) => Promise<void>;
  readonly getResults: () => Record<string, Result>;
}

/** How many tests run together; the next so many begin when all of them have ended. */
const atOnce = 40;

/** Starts the suite's own origin. */
export async function startOrigin(port: number): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(home, "server/server.mjs")], {
    cwd: home,
    stdio: "ignore",
    env: {
      ...process.env,
      npm_config_protocol: "http",
      npm_config_port: String(port),
      npm_config_pidfile: join(temporaryFolder(), "pid"),
    },
  });
  await until(async () => (await fetch(`http://127.0.0.1:${port}/`)).status > 0, "the suite's origin answers");
  return child;
}

/**
 * Runs the listed tests in this process, in HTTP/2 if `proxy` says so. The suite keeps its results in a module: one run
 * a process.
 */
export async function runListed(
  base: string,
  proxy: { host: string; port: number } | "http2" | null,
): Promise<Readonly<Record<string, Result>>> {
  const { default: suites } = (await import(join(home, "tests/index.mjs"))) as { default: Suite[] };
  const runner = pathToFileURL(join(home, "client/runner.mjs")).href;
  const { runTests, getResults } = (await import(runner)) as Runner;
  // It runs again what it was given before, unless it is another one; the results are the same ones.
  const apart = (await import(`${runner}?apart`)) as Runner;
  const nodeFetch = createRequire(join(home, "package.json"))("node-fetch") as (
    url: string,
    init: object,
  ) => Promise<unknown>;
  const http2 = proxy === "http2" ? new Http2Fetch(base) : null;
  const agent = proxy === null || proxy === "http2" ? undefined : new ForwardAgent(proxy);
  const fetchFrom = (url: string, init?: object): Promise<unknown> =>
    http2 === null ? nodeFetch(url, { ...init, agent }) : http2.fetch(url, init);
  const wanted = new Set([...ids.required, ...ids.optimal, ...ids.check]);
  const chosen = suites.flatMap(({ tests }) => tests).filter(({ id }) => wanted.has(id));
  const [failing = [], others = []] = [true, false].map((is) => chosen.filter((test) => makesOriginFail(test) === is));
  const waitingFirst = others.toSorted((a, b) => Number(pauses(b)) - Number(pauses(a)));
  await runTests([{ tests: waitingFirst }], fetchFrom, false, base, atOnce);
  await apart.runTests([{ tests: failing }], fetchFrom, false, base, atOnce);
  http2?.close();
  return getResults();
}

/**
 * Whether the origin breaks connections off. A member that has seen a few of those takes the origin for failing, and
 * answers other tests' stale responses, too, as RFC 9111 §4.2.4 allows: such tests have their own turn.
 */
function makesOriginFail({ requests }: Test): boolean {
  return requests.some(({ disconnect }) => disconnect === true);
}

/** Whether a test waits for three seconds in its midst: those do it together, instead of some of each so many. */
function pauses({ requests }: Test): boolean {
  return requests.some(({ pause_after }) => pause_after === true);
}

/** Sends every request to the proxy in absolute form: a client that could go round the proxy would prove nothing. */
class ForwardAgent extends Agent {
  readonly #proxy: { host: string; port: number };

  constructor(proxy: { host: string; port: number }) {
    super();
    this.#proxy = proxy;
  }

  addRequest(request: ClientRequest, options: object): void {
    request.path = `http://${String(request.getHeader("host"))}${request.path}`;
    // Node's own method, which its types leave out.
    (Agent.prototype as unknown as { addRequest: (request: ClientRequest, options: object) => void }).addRequest.call(
      this,
      request,
      { ...options, ...this.#proxy },
    );
  }
}
