/**
 * `gyre ring`: how the key space is shared, where URLs live, and what would move if members came, went or weighed
 * otherwise.
 */
import type { Location } from "../admin/locate.ts";
import { httpUri } from "../http/uri.ts";
import { ringOf, type RingMember } from "../ring/ring.ts";
import { moves, shares, type Move } from "../ring/shares.ts";
import { newcomers, whatIf } from "../ring/what-if.ts";
import { contact, type WhereOptions } from "./discover.ts";
import { Failure } from "./failure.ts";
import { note, percent, say, sayJson, table } from "./terminal.ts";

export interface RingOptions extends WhereOptions {
  readonly json?: boolean;
  /** A ring of so many members, instead of a cluster's. */
  readonly members?: string;
  readonly whatIf?: string;
}

const membersMax = 10_000;

/** Prints shares, owners where URLs are given, or what a change would move. */
export async function ring(urls: readonly string[], options: RingOptions): Promise<void> {
  if (urls.length > 0) {
    if (options.whatIf !== undefined || options.members !== undefined)
      throw new Failure("URLs are looked up in a cluster that runs: leave out --members and --what-if", 2);
    return printOwners(urls, options);
  }
  const { epoch, members } = options.members === undefined ? await liveMembers(options) : imagined(options.members);
  const before = ringOf(members);
  const owned = shares(before);
  const list = before.members.map(({ name, weight }) => ({ name, share: owned.get(name)!, weight }));
  const json = epoch === null ? { members: list } : { epoch, members: list };
  if (options.whatIf === undefined) {
    if (options.json === true) return sayJson(json);
    return say(
      table(
        ["MEMBER", "SHARE", "WEIGHT"],
        list.map(({ name, share, weight }) => [name, percent(share, 2), String(weight)]),
      ),
    );
  }
  const changed = whatIf(members, options.whatIf);
  if ("wrong" in changed) throw new Failure(`--what-if ${options.whatIf}: ${changed.wrong}`, 2);
  const after = ringOf(changed.members);
  const ownedAfter = shares(after);
  const moved = moves(before, after);
  const movedTotal = moved.reduce((sum, { fraction }) => sum + fraction, 0);
  if (options.json === true) {
    return sayJson({
      ...json,
      after: after.members.map(({ name, weight }) => ({ name, share: ownedAfter.get(name)!, weight })),
      moved,
      movedTotal,
    });
  }
  const names = [...new Set([...owned.keys(), ...ownedAfter.keys()])];
  const cell = (share: number | undefined): string => (share === undefined ? "-" : percent(share, 2));
  say(
    table(
      ["MEMBER", "NOW", "THEN", "GAINS", "LOSES"],
      names.map((name) => [
        name,
        cell(owned.get(name)),
        cell(ownedAfter.get(name)),
        percent(sumOf(moved, "to", name), 2),
        percent(sumOf(moved, "from", name), 2),
      ]),
    ),
  );
  say(
    `\n${table(
      ["FROM", "TO", "MOVES"],
      moved.map(({ from, to, fraction }) => [from, to, percent(fraction, 2)]),
    )}`,
  );
  note(`\n${percent(movedTotal, 2)} of the key space changes hands.`);
}

async function printOwners(urls: readonly string[], options: RingOptions): Promise<void> {
  const wrong = urls.find((url) => httpUri(url) === null);
  if (wrong !== undefined) throw new Failure(`"${wrong}" is not an http or https URL`, 2);
  const { get } = await contact(options);
  const query = urls.map((url) => `url=${encodeURIComponent(url)}`).join("&");
  const located = (await get(`/api/locate?${query}`)) as { epoch: number; urls: Location[] };
  if (options.json === true) return sayJson(located);
  return say(
    table(
      ["URL", "OWNER", "THEN"],
      located.urls.map(({ url, owner, successors }) => [url, owner ?? "-", successors.join(", ")]),
    ),
  );
}

interface Members {
  readonly epoch: number | null;
  readonly members: readonly RingMember[];
}

/** Those that own something: draining members do not, unless nobody else is left. */
async function liveMembers(options: RingOptions): Promise<Members> {
  const { status } = await contact(options);
  const owning = status.members.filter(({ share }) => share > 0);
  return { epoch: status.epoch, members: owning.map(({ name, weight }) => ({ name, weight })) };
}

function imagined(text: string): Members {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > membersMax)
    throw new Failure(`--members ${text}: write a number from 1 to ${membersMax}`, 2);
  return { epoch: null, members: newcomers([], count) };
}

function sumOf(moved: readonly Move[], side: "from" | "to", name: string): number {
  return moved.reduce((sum, move) => sum + (move[side] === name ? move.fraction : 0), 0);
}
