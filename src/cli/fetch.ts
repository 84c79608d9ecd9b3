/** `gyre fetch URL`: asks the cluster who leads, and sends the request through it. */
import { request, type IncomingMessage } from "node:http";
import { pipeline } from "node:stream/promises";
import { hostPortOf } from "../base/host-port.ts";
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
  let failure: Error | null = null;
  for (const { name, listen } of ways) {
    try {
      const answer = await ask(listen, uriText(uri), options);
      if (options.verbose === true)
        note(
          `through ${name} at ${listen}: ${String(answer.headers["cache-status"] ?? "no Cache-Status")}; age ${answer.headers.age ?? "-"}; via ${answer.headers.via ?? "-"}`,
        );
      if (options.include === true) {
        say(`HTTP/${answer.httpVersion} ${answer.statusCode} ${answer.statusMessage}`);
        for (let i = 0; i < answer.rawHeaders.length; i += 2)
          say(`${answer.rawHeaders[i]}: ${answer.rawHeaders[i + 1]}`);
        answer.resume();
        return;
      }
      await pipeline(answer, process.stdout, { end: false });
      return;
    } catch (error) {
      // Nothing has been printed where there was no answer: the next member may have one.
      if ((error as NodeJS.ErrnoException).code === "ERR_STREAM_PREMATURE_CLOSE")
        throw new Failure(`${name} broke off its answer`);
      failure = error as Error;
      if (options.verbose === true) note(`${name} at ${listen}: ${failure.message}`);
    }
  }
  throw new Failure(`no member answered: ${failure?.message ?? "the cluster has none"}`);
}

/** The leader first, then the others. */
async function waysThrough(options: WhereOptions): Promise<readonly { name: string; listen: string }[]> {
  const { status } = await contact(options);
  return [...status.members].sort(
    (a, b) =>
      Number(b.leader) - Number(a.leader) || Number(a.state === "unreachable") - Number(b.state === "unreachable"),
  );
}

function ask(listen: string, url: string, { method = "GET", header = [] }: FetchOptions): Promise<IncomingMessage> {
  const address = hostPortOf(listen);
  if (address === null) throw new Failure(`"${listen}" is not host:port`, 2);
  const headers: Record<string, string> = {
    host: url.slice(url.indexOf("//") + 2).split("/", 1)[0]!,
    "user-agent": "gyre-fetch",
  };
  for (const line of header) {
    const colon = line.indexOf(":");
    if (colon <= 0) throw new Failure(`-H "${line}": write "Name: value"`, 2);
    headers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
  }
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
