/**
 * `gyre fetch URL`: asks the cluster who leads, and sends the request through it; where that dies, through another
 * member.
 */
import { createWriteStream, openSync, readFileSync, type WriteStream } from "node:fs";
import { request, type IncomingMessage } from "node:http";
import { request as requestTls } from "node:https";
import type { Writable } from "node:stream";
import { hostPortOf } from "../base/host-port.ts";
import { leaderFirst } from "../client/directory.ts";
import { isToken, listElements } from "../http/grammar.ts";
import { isIdempotent } from "../http/messages.ts";
import { httpUri, uriText } from "../http/uri.ts";
import { contact, directoryAt, type WhereOptions } from "./discover.ts";
import { Failure } from "./failure.ts";
import { note, say } from "./terminal.ts";

export interface FetchOptions extends WhereOptions {
  readonly via?: string;
  readonly include?: boolean;
  readonly verbose?: boolean;
  readonly method?: string;
  readonly header?: readonly string[];
  readonly data?: string;
  readonly output?: string;
  readonly ca?: string;
  readonly insecure?: boolean;
}

/** What is asked, the same of whoever is asked. */
interface Asked {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly data: Buffer | null;
  readonly tls: { readonly ca?: Buffer; readonly rejectUnauthorized: boolean };
}

/** A member to ask. */
interface Way {
  readonly name: string;
  readonly listen: string;
  readonly tls?: boolean;
}

/** Who to ask, one after the other; news of a leader that came meanwhile goes first. */
interface Ways {
  next(): Promise<Way | null>;
  close(): Promise<void>;
}

/** How long news of the cluster is waited for when every member known has failed. */
const patienceMs = 5000;
const membersMax = 20;

/** Fetches and prints. @throws Failure where no member answers. */
export async function fetchUrl(url: string, options: FetchOptions): Promise<void> {
  const uri = httpUri(url);
  if (uri === null) throw new Failure(`"${url}" is not an http or https URL`, 2);
  const data = options.data === undefined ? null : dataOf(options.data);
  const { method = data === null ? "GET" : "POST" } = options;
  const headers = headersOf(uriText(uri), options.header ?? []);
  const ca = options.ca === undefined ? {} : { ca: fileOf(options.ca, "--ca") };
  const tls = { ...ca, rejectUnauthorized: options.insecure !== true };
  if (data !== null) headers["content-length"] = String(data.length);
  if (!isToken(method)) throw new Failure(`-X "${method}": a method is a token, such as GET`, 2);
  const ways = await waysOf(options);
  try {
    const output = options.output === undefined ? null : outputTo(options.output);
    const fetched = fetchThrough(ways, { url: uriText(uri), method, headers, data, tls }, output, options);
    await (output === null ? fetched : Promise.race([fetched, output.failed]));
  } finally {
    await ways.close();
  }
}

/** A file that content goes to. */
interface Output {
  readonly stream: WriteStream;
  /** Rejects where it cannot be written to any more: a full disk. */
  readonly failed: Promise<never>;
}

/** @throws Failure where there can be no such file. */
function outputTo(path: string): Output {
  const failure = (error: Error, exitCode: 1 | 2): Failure =>
    new Failure(`--output ${path} cannot be written: ${error.message}`, exitCode);
  try {
    const stream = createWriteStream(path, { fd: openSync(path, "w") });
    return { stream, failed: new Promise((_, fail) => stream.once("error", (error) => fail(failure(error, 1)))) };
  } catch (error) {
    throw failure(error as Error, 2);
  }
}

async function fetchThrough(ways: Ways, asked: Asked, output: Output | null, options: FetchOptions): Promise<void> {
  const { method, headers } = asked;
  let failure: Error | null = null;
  let begun: Begun | null = null;
  for (;;) {
    const way = await ways.next();
    if (way === null) break;
    let answer: IncomingMessage;
    try {
      answer = await ask(way, begun === null ? asked : { ...asked, headers: { ...headers, ...begun.continuation } });
    } catch (error) {
      failure = error as Error;
      if (options.verbose === true) note(`${way.name} at ${way.listen}: ${failure.message}`);
      // What may have been carried out must not be asked for again, unless doing it twice is doing it once.
      if (!isIdempotent(method) && (error as NodeJS.ErrnoException).code !== "ECONNREFUSED") break;
      continue;
    }
    if (begun !== null && !begun.continuedBy(answer)) {
      answer.destroy();
      throw new Failure("the answer broke off, and what the next member has is not its continuation");
    }
    begun ??= new Begun(answer, method, headers);
    if (await print(answer, way, begun, { ...options, to: output?.stream ?? process.stdout })) {
      // What fails to be written fails the whole.
      if (output !== null)
        await new Promise<void>((closed) => output.stream.end((error?: Error | null) => error ?? closed()));
      if (begun.isMembersOwn) process.exitCode = 1;
      return;
    }
    failure = new Error(`${way.name} broke off its answer after ${begun.bytes} bytes`);
    if (options.verbose === true) note(failure.message);
    if (!begun.canContinue) throw new Failure(failure.message);
  }
  throw new Failure(`no member answered: ${failure?.message ?? "the cluster has none"}`);
}

/** What has been printed of an answer, and how another member can go on with it. RFC 9110 §13.1.5. */
class Begun {
  bytes = 0;
  /** An error that the member has answered with itself: no origin's. */
  readonly isMembersOwn: boolean;
  readonly #tag: string;
  readonly #length: number;
  readonly canContinue: boolean;

  constructor({ statusCode, headers }: IncomingMessage, method: string, asked: Readonly<Record<string, string>>) {
    // The first to speak was the last to be asked. RFC 9211 §2.
    const [said = ""] = listElements(String(headers["cache-status"] ?? ""));
    this.isMembersOwn = (statusCode ?? 0) >= 500 && said !== "" && !/; hit|; fwd-status=/.test(said);
    this.#tag = headers.etag ?? "";
    this.#length = Number(headers["content-length"] ?? Number.NaN);
    this.canContinue =
      method === "GET" &&
      statusCode === 200 &&
      this.#tag.startsWith('"') &&
      Number.isSafeInteger(this.#length) &&
      asked["range"] === undefined;
  }

  get continuation(): Record<string, string> {
    return { range: `bytes=${this.bytes}-`, "if-range": this.#tag };
  }

  continuedBy({ statusCode, headers }: IncomingMessage): boolean {
    return (
      statusCode === 206 &&
      headers.etag === this.#tag &&
      headers["content-range"] === `bytes ${this.bytes}-${this.#length - 1}/${this.#length}`
    );
  }
}

/** @returns false where the answer broke off. */
async function print(
  answer: IncomingMessage,
  way: Way,
  begun: Begun,
  { to, ...options }: FetchOptions & { readonly to: Writable },
): Promise<boolean> {
  const { "cache-status": status = "no Cache-Status", age = "-", via = "-" } = answer.headers;
  if (options.verbose === true) note(`through ${way.name} at ${way.listen}: ${String(status)}; age ${age}; via ${via}`);
  if (options.include === true) {
    say(`HTTP/${answer.httpVersion} ${answer.statusCode} ${answer.statusMessage}`);
    for (let i = 0; i < answer.rawHeaders.length; i += 2) say(`${answer.rawHeaders[i]}: ${answer.rawHeaders[i + 1]}`);
    answer.destroy();
    return true;
  }
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      begun.bytes += chunk.length;
      if (!to.write(chunk)) await new Promise<void>((drained) => to.once("drain", drained));
    }
    return true;
  } catch {
    return false;
  }
}

async function waysOf(options: FetchOptions): Promise<Ways> {
  if (options.via !== undefined) {
    const listen = options.via.replace(/^http:\/\//, "").replace(/\/$/, "");
    return inOrder([{ name: options.via, listen }]);
  }
  if (options.coordinator !== undefined) return published(options);
  const { status } = await contact(options);
  return inOrder(
    [...status.members].sort(
      (a, b) =>
        Number(b.leader) - Number(a.leader) || Number(a.state === "unreachable") - Number(b.state === "unreachable"),
    ),
  );
}

function inOrder(list: readonly Way[]): Ways {
  const left = [...list];
  return { next: () => Promise.resolve(left.shift() ?? null), close: () => Promise.resolve() };
}

/** As the coordinator publishes them: always the leader of that moment first, never the same process twice. */
async function published(options: FetchOptions): Promise<Ways> {
  const directory = await directoryAt(options);
  const tried = new Set<number | string>();
  const deadline = performance.now() + patienceMs;
  return {
    next: async () => {
      for (;;) {
        const way = leaderFirst(directory).find(({ name, startedMs }) => !tried.has(`${name} ${startedMs}`));
        if (tried.size >= membersMax) return null;
        if (way !== undefined) {
          tried.add(`${way.name} ${way.startedMs}`);
          return way;
        }
        const left = deadline - performance.now();
        if (left <= 0) return null;
        await directory.changed(left);
      }
    },
    close: () => directory.close(),
  };
}

function headersOf(url: string, lines: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = { host: new URL(url).host, "user-agent": "gyre-fetch" };
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(0, colon)).trim().toLowerCase();
    if (!isToken(name) || /[\r\n\0]/.test(line)) throw new Failure(`-H "${line}": write "Name: value"`, 2);
    headers[name] = line.slice(colon + 1).trim();
  }
  return headers;
}

/** Content as `-d` gives it. */
function dataOf(text: string): Buffer {
  if (!text.startsWith("@")) return Buffer.from(text);
  return fileOf(text === "@-" ? "/dev/stdin" : text.slice(1), "-d");
}

/** @throws Failure where it cannot be read. */
function fileOf(path: string, flag: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Failure(`${flag} ${path}: ${(error as Error).message}`, 2);
  }
}

function ask(
  { listen, tls = false }: Way,
  { url, method, headers, data, tls: trust }: Asked,
): Promise<IncomingMessage> {
  const address = hostPortOf(listen);
  if (address === null) throw new Failure(`"${listen}" is not host:port`, 2);
  const { host, port } = address;
  return new Promise((resolve, reject) => {
    const asked = (tls ? requestTls : request)(
      { host, port, path: url, method, headers, timeout: 60_000, ...(tls ? trust : {}) },
      resolve,
    );
    asked.on("error", reject);
    asked.on("timeout", () => asked.destroy(new Error("no answer in 60 s")));
    asked.end(data ?? undefined);
  });
}
