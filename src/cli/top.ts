/** `gyre top`: what the cluster is asked for most just now. */
import { counted } from "../base/counted.ts";
import { bytesText } from "../base/sizes.ts";
import { busyKinds, type Busy, type BusyLists } from "../telemetry/busiest.ts";
import { contact, type WhereOptions } from "./discover.ts";
import { Failure } from "./failure.ts";
import { say, sayAnew, sayJson, styled, table } from "./terminal.ts";

export interface TopOptions extends WhereOptions {
  readonly by?: string;
  readonly count?: string;
  readonly once?: boolean;
  readonly json?: boolean;
}

type Kind = (typeof busyKinds)[number];
interface Answer extends BusyLists {
  readonly cluster: string;
  readonly members: number;
  readonly silent: readonly string[];
}

/** What is counted is counted over so long before it is shown once. */
const onceMs = 5000;
const everyMs = 1000;
const titles: Readonly<Record<Kind, string>> = { uri: "URL", route: "ROUTE", origin: "ORIGIN", client: "CLIENT" };

/** Shows the busiest until Ctrl-C, or once. @throws Failure where the options make no sense. */
export async function top(options: TopOptions): Promise<void> {
  const by = (options.by ?? "uri").replace(/^url$/, "uri") as Kind;
  if (!busyKinds.includes(by)) throw new Failure(`--by ${options.by}: ${busyKinds.join(", ")} are known`, 2);
  const count = Number(options.count ?? 20);
  if (!Number.isInteger(count) || count < 1 || count > 50) throw new Failure("--count: a number from 1 to 50", 2);
  const { get } = await contact(options);
  const ask = async (): Promise<Answer> => (await get(`/api/busiest?count=${count}`)) as Answer;
  // Members begin to count when they are asked first.
  await ask();
  if (options.once === true || options.json === true || process.stdout.isTTY !== true) {
    await new Promise((done) => setTimeout(done, onceMs));
    const answer = await ask();
    return options.json === true ? sayJson(answer) : say(shown(answer, by));
  }
  for (;;) {
    await new Promise((done) => setTimeout(done, everyMs));
    const text = await ask().then(
      (answer) => shown(answer, by),
      (error: Error) => error.message,
    );
    sayAnew(text);
  }
}

function shown({ cluster, members, silent, ...lists }: Answer, by: Kind): string {
  const sum = lists.client.reduce((all, { requests }) => all + requests, 0);
  const missing = silent.length === 0 ? "" : `, without ${silent.join(", ")}`;
  const head = `cluster ${styled("bold", cluster)}   ${counted(members, "member")}${missing}   ${rate(sum)} requests/s of the clients shown, over the last 5 to 10 s`;
  if (lists[by].length === 0) return `${head}\n\nnothing was asked for`;
  const width = Math.max(20, (process.stdout.columns ?? 120) - 46);
  return `${head}\n\n${table(
    ["REQ/S", "BYTES/S", "MISSES/S", "5XX/S", titles[by]],
    lists[by].map((busy) => row(busy, width)),
  )}`;
}

function row({ name, requests, bytes, misses, errors }: Busy, width: number): string[] {
  return [
    rate(requests),
    bytesText(bytes),
    rate(misses),
    rate(errors),
    name.length > width ? `${name.slice(0, width - 1)}…` : name,
  ];
}

function rate(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toFixed(value >= 10 ? 1 : 2);
}
