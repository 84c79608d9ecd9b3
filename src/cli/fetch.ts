/** `gyre fetch URL`: asks the cluster who leads, and sends the request through it. */
import { request, type IncomingMessage } from "node:http";
import { pipeline } from "node:stream/promises";
import { hostPortOf } from "../base/host-port.ts";
import { isToken } from "../http/grammar.ts";
import { isIdempotent } from "../http/messages.ts";
import { httpUri, uriText } from "../http/uri.ts";
import { contact, type WhereOptions } from "./discover.ts";
import { Failure } from "./failure.ts";
import { note, say } from "./terminal.ts";

export interface FetchOptions extends WhereOptions {
  readonly via?: string;
  readonly include?: boolean;
  readonly verbose?: boolean;
  readonly method?: string;
  readonly header?: readonly string[];
}

/** Fetches and prints. @throws Failure where no member answers. */
export async function fetchUrl(url: string, options: FetchOptions): Promise<void> {
  const uri = httpUri(url);
  if (uri === null) throw new Failure(`"${url}" is not an http or https URL`, 2);
  const ways =
    options.via === undefined
      ? await waysThrough(options)
      : [{ name: options.via, listen: options.via.replace(/^http:\/\//, "").replace(/\/$/, "") }];
  const { method = "GET" } = options;
  const headers = headersOf(uriText(uri), options.header ?? []);
  if (!isToken(method)) throw new Failure(`-X "${method}": a method is a token, such as GET`, 2);
  let failure: Error | null = null;
  for (const { name, listen } of ways) {
    let answer: IncomingMessage;
    try {
      answer = await ask(listen, uriText(uri), method, headers);
    } catch (error) {
      failure = error as Error;
      if (options.verbose === true) note(`${name} at ${listen}: ${failure.message}`);
      // What may have been carried out must not be asked for again, unless doing it twice is doing it once.
      if (!isIdempotent(method) && (error as NodeJS.ErrnoException).code !== "ECONNREFUSED") break;
      continue;
    }
    await print(answer, name, listen, options);
    return;
  }
  throw new Failure(`no member answered: ${failure?.message ?? "the cluster has none"}`);
}

/** From the first byte on there is no other try: what has been printed cannot be taken back. */
async function print(answer: IncomingMessage, name: string, listen: string, options: FetchOptions): Promise<void> {
  const { "cache-status": status = "no Cache-Status", age = "-", via = "-" } = answer.headers;
  if (options.verbose === true) note(`through ${name} at ${listen}: ${String(status)}; age ${age}; via ${via}`);
  if (options.include === true) {
    say(`HTTP/${answer.httpVersion} ${answer.statusCode} ${answer.statusMessage}`);
    for (let i = 0; i < answer.rawHeaders.length; i += 2) say(`${answer.rawHeaders[i]}: ${answer.rawHeaders[i + 1]}`);
    answer.resume();
    return;
  }
  try {
    await pipeline(answer, process.stdout, { end: false });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EPIPE") return;
    throw new Failure(`${name} broke off its answer`);
  }
}

/** The leader first, then the others. */
async function waysThrough(options: WhereOptions): Promise<readonly { name: string; listen: string }[]> {
  const { status } = await contact(options);
  return [...status.members].sort(
    (a, b) =>
      Number(b.leader) - Number(a.leader) || Number(a.state === "unreachable") - Number(b.state === "unreachable"),
  );
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

function ask(listen: string, url: string, method: string, headers: Record<string, string>): Promise<IncomingMessage> {
  const address = hostPortOf(listen);
  if (address === null) throw new Failure(`"${listen}" is not host:port`, 2);
  return new Promise((resolve, reject) => {
    const asked = request(
      { host: address.host, port: address.port, path: url, method, headers, timeout: 60_000 },
      resolve,
    );
    asked.on("error", reject);
    asked.on("timeout", () => asked.destroy(new Error("no answer in 60 s")));
    asked.end();
  });
}
