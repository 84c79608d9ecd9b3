/**
 * `gyre purge`: drops, or outdates, what is stored under URLs, prefixes, hosts or tags, at every member, and says what
 * has become of it at each.
 */
import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline/promises";
import type { PurgedMember, PurgeReport } from "../proxy/invalidation/purges.ts";
import { selectorOf, writtenSelector, type Selector } from "../invalidation/selector.ts";
import { counted } from "../base/counted.ts";
import { contact, type Contact, type WhereOptions } from "./discover.ts";
import { Failure } from "./failure.ts";
import { note, say, sayJson, styled, table } from "./terminal.ts";

export interface PurgeOptions extends WhereOptions {
  readonly prefix?: readonly string[];
  readonly host?: readonly string[];
  readonly tag?: readonly string[];
  readonly origin?: string;
  readonly all?: boolean;
  readonly yes?: boolean;
  readonly soft?: boolean;
  readonly wait?: boolean;
  readonly waitFor?: string;
  readonly dryRun?: boolean;
  readonly id?: string;
  readonly json?: boolean;
}

/** How often a purge is looked at again, and how long what is counted is waited for. */
const lookMs = 250;
const countedMs = 1000;
const waitSecondsDefault = 60;
const hurryMs = 60_000;

/**
 * Purges and prints what became of it. @throws Failure where something is wrong, or not every member has applied it.
 */
export async function purge(urls: readonly string[], options: PurgeOptions): Promise<void> {
  const waitSeconds = waitOf(options);
  const selectors = selectorsOf(urls, options).map(writtenSelector);
  const found = await contact(options);
  if (found.secret === null)
    throw new Failure("purging needs the cluster's secret: give it with --secret-file FILE or GYRE_SECRET", 2);
  if (options.all === true && options.yes !== true && options.dryRun !== true) await confirmed(found);
  if (options.dryRun === true) return dryRun(await found.post("/api/purge", { selectors, dryRun: true }), options);
  const by = `gyre purge, ${process.env["USER"] ?? "somebody"}`;
  // With an id of its own, it may be sent again without being done twice.
  const id = options.id ?? randomUUID();
  const order = { selectors, soft: options.soft === true, id, by };
  let report = (await unhurried(() => found.post("/api/purge", order))) as PurgeReport;
  const until = performance.now() + waitSeconds * 1000;
  const countedUntil = performance.now() + countedMs;
  let told = "";
  for (;;) {
    const now = performance.now();
    const isCounted = report.members.every(({ state, swept }) => state !== "applied" || swept);
    if (report.complete ? isCounted || now > countedUntil : now > until) break;
    const pending = report.members.filter(({ state }) => state === "pending").map(({ name }) => name);
    if (pending.length > 0 && pending.join() !== told) note(`waiting for ${(told = pending.join())} …`);
    await new Promise((done) => setTimeout(done, lookMs));
    report = (await found.get(`/api/purge/${encodeURIComponent(id)}`)) as PurgeReport;
  }
  if (options.json === true) sayJson(report);
  else show(report);
  if (!report.complete) throw new Failure("", 1);
}

function selectorsOf(urls: readonly string[], options: PurgeOptions): readonly Selector[] {
  const { prefix = [], host = [], tag = [], origin = null, all = false } = options;
  if (origin !== null && tag.length === 0) throw new Failure("--origin goes with --tag", 2);
  const read: Selector[] = all ? [{ kind: "everything" }] : [];
  const take = (flag: string, written: Readonly<Record<string, unknown>>): void => {
    const selector = selectorOf(written);
    if ("wrong" in selector) throw new Failure(`${flag}${selector.wrong}`, 2);
    read.push(selector);
  };
  for (const uri of urls) {
    take("", { uri });
    if (uri.endsWith("*")) note(`${uri}: there are no wildcards; --prefix names all that begins so`);
  }
  for (const one of prefix) take("--prefix: ", { prefix: one });
  for (const one of host) take("--host: ", { host: one });
  for (const one of tag) {
    if (/^https?:\/\//i.test(one)) throw new Failure(`--tag ${one}: that is a URL, and stands by itself`, 2);
    take("--tag: ", origin === null ? { tag: one } : { tag: one, origin });
  }
  if (read.length === 0)
    throw new Failure("name what to purge: a URL, --prefix, --host, --tag, or --all (see gyre purge --help)", 2);
  if (all && read.length > 1) throw new Failure("--all leaves nothing else to name", 2);
  return read;
}

function waitOf({ wait, waitFor }: PurgeOptions): number {
  if (waitFor === undefined) return wait === true ? waitSecondsDefault : 0;
  const seconds = Number(waitFor);
  if (!Number.isFinite(seconds) || seconds <= 0)
    throw new Failure(`--wait-for ${waitFor}: write seconds, as in --wait-for 30`, 2);
  return seconds;
}

/** Where more is asked of the cluster at a time than it takes, later is soon enough. */
async function unhurried<T>(ask: () => Promise<T>): Promise<T> {
  const until = performance.now() + hurryMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const isTooFast = error instanceof Failure && error.status === 429;
      if (!isTooFast || performance.now() > until) throw error;
      await new Promise((done) => setTimeout(done, 1000));
    }
  }
}

async function confirmed({ status }: Contact): Promise<void> {
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true)
    throw new Failure("--all purges everything at every member: say --yes too", 2);
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const question = `Purge everything that the ${counted(status.members.length, "member")} of ${status.cluster} have stored? [y/N] `;
  // Whoever ends the input, or interrupts, has said no.
  const answer = await new Promise<string>((done) => {
    lines.once("close", () => done("n"));
    lines.once("SIGINT", () => done("n"));
    void lines.question(question).then(done, () => done("n"));
  });
  lines.close();
  if (!/^y(?:es)?$/i.test(answer)) throw new Failure("nothing was purged");
}

function dryRun(value: unknown, { json }: PurgeOptions): void {
  const { members } = value as {
    readonly members: readonly { readonly name: string; readonly named: number | null }[];
  };
  if (json === true) return sayJson(value);
  const rows = members.map(({ name, named }) => [name, named === null ? "no answer" : String(named)]);
  say(table(["MEMBER", "WOULD BE PURGED"], rows));
  return note(
    "nothing was purged (--dry-run); what lies on a disk alone is purged with the rest, and is not counted here",
  );
}

function show({ id, mode, selectors, selectorCount, members, complete }: PurgeReport): void {
  const shown = selectors.slice(0, 5).join(", ");
  say(
    `${mode === "drop" ? "purged" : "outdated"} ${shown}${selectorCount > 5 ? ` and ${selectorCount - 5} more` : ""}`,
  );
  say(
    table(
      ["MEMBER", "STATE", "RESPONSES", "AFTER"],
      members.map((member) => rowOf(member, mode)),
    ),
  );
  if (complete) return undefined;
  say(
    `${styled("yellow", "not every member has applied it yet")}: those that are pending do before they trust what they have stored again.`,
  );
  return note(`gyre purge --wait waits for them; GET /api/purge/${id} tells how it stands`);
}

function rowOf({ name, state, dropped, outdated, swept, afterMs }: PurgedMember, mode: PurgeReport["mode"]): string[] {
  const count = mode === "drop" ? dropped : outdated;
  const counted = count === null ? "-" : `${count}${swept ? "" : " so far"}`;
  return [name, state, counted, afterMs === null ? "-" : `${afterMs} ms`];
}
