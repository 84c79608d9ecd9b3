/** `gyre status`: the cluster as a member sees it, each member's own figures beside it. */
import type { MemberStatus, SelfStatus, Status } from "../admin/status.ts";
import { counted } from "../base/counted.ts";
import { bytesText } from "../base/sizes.ts";
import type { MemberRecord } from "../member/records.ts";
import { contact, recordsOf, type WhereOptions } from "./discover.ts";
import { note, percent, say, sayAnew, sayJson, styled, table } from "./terminal.ts";

export interface StatusOptions extends WhereOptions {
  readonly json?: boolean;
  readonly watch?: boolean;
}

/** Prints the status, once or again and again. @throws Failure where no cluster is found. */
export async function status(options: StatusOptions): Promise<void> {
  if (options.watch !== true) return show(options);
  for (;;) {
    if (options.json === true)
      await found(options).then(
        (value) => say(JSON.stringify(value)),
        (error: Error) => note(error.message),
      );
    else {
      const text = await rendered(options).catch((error: Error) => error.message);
      if (process.stdout.isTTY === true) sayAnew(text);
      else say(text);
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

async function show(options: StatusOptions): Promise<void> {
  if (options.json === true) sayJson(await found(options));
  else say(await rendered(options));
}

/** What programs get. */
async function found(options: WhereOptions): Promise<Status & { readonly starting: ReturnType<typeof startingOf> }> {
  const { status } = await contact(options);
  return { ...status, starting: startingOf(status, options) };
}

/** The status of the cluster whose member's admin port is said, with all members' own figures. */
export async function rendered(options: WhereOptions): Promise<string> {
  const { status: seen, secret } = await contact(options);
  const selves = await Promise.all(seen.members.map((member) => selfOf(member, secret)));
  const starting = startingOf(seen, options);
  const texts = starting.map(
    ({ name, pid, coordinator, admin }) => `\n${startingText(`${name} (pid ${pid}, admin ${admin})`, coordinator)}`,
  );
  const isTold = seen.epoch === 0 && starting.some(({ name }) => name === seen.self.name);
  const text = isTold ? headText(seen, selves) : statusText(seen, selves);
  return `${text}${texts.length === 0 ? "" : `\n${texts.join("")}`}`;
}

function startingText(who: string, coordinator: string): string {
  // Whoever is to host it looks first whether one of those that it knew does by now.
  const where = coordinator === "embedded" || coordinator === "" ? "" : ` at ${coordinator}`;
  return `${who} listens and has not joined yet: it looks for the others${where}`;
}

/** Members of this machine that have not joined yet, where it is this machine that is asked about. */
function startingOf(
  { cluster }: Status,
  { admin, coordinator }: WhereOptions,
): readonly Pick<MemberRecord, "name" | "pid" | "admin" | "coordinator">[] {
  if (admin !== undefined || coordinator !== undefined) return [];
  return recordsOf(cluster)
    .filter(({ state }) => state === "starting")
    .map((record) => ({
      name: record.name,
      pid: record.pid,
      admin: record.admin,
      coordinator: record.coordinator,
    }));
}

/** What the member says of itself, or null where it does not answer. */
async function selfOf({ admin }: MemberStatus, secret: string | null): Promise<SelfStatus | null> {
  try {
    return (await contact({ admin, secret })).status.self;
  } catch {
    return null; // It is being shown as unreachable: that is the answer.
  }
}

/** The status as a table; `selves` are the members' own figures in the order of the view. */
export function statusText(found: Status, selves: readonly (SelfStatus | null)[]): string {
  const head = headText(found, selves);
  // What it has until then is a view of itself, which nobody has published.
  if (found.epoch === 0) return `${head}\n\n${startingText(found.self.name, found.coordinator)}`;
  const total = totalText(found, selves);
  const hasDisk = selves.some((self) => self?.disk != null);
  const rows = found.members.map((member, index) => {
    const self = selves[index] ?? null;
    return [
      member.name,
      self === null || self.session === "connected" ? member.state : `${member.state}, ${self.session}`,
      self?.leads === true ? "leads" : "",
      percent(member.share),
      self?.hitRatio == null ? "-" : percent(self.hitRatio),
      self === null ? "-" : String(self.requests),
      self === null ? "-" : `${bytesText(self.store.bytes)} of ${bytesText(self.store.bytesMax)}`,
      ...(hasDisk
        ? [self?.disk == null ? "-" : `${bytesText(self.disk.bytes)} of ${bytesText(self.disk.bytesMax)}`]
        : []),
      self === null ? "-" : bytesText(self.residentBytes),
      member.listen,
      member.peer,
      member.admin,
      String(member.pid),
    ];
  });
  const ill = selves.flatMap((self, index) =>
    (self?.origins ?? [])
      .filter(({ health }) => health !== "up")
      .map(
        ({ route, origin, health, why }) =>
          `\n${found.members[index]!.name}: ${origin} of route ${route} is ${health}: ${why}`,
      ),
  );
  const lacking = selves.flatMap((self, index) =>
    (self?.certificates ?? [])
      .filter(({ until, problem }) => until === null || problem !== null || Date.parse(until) < Date.now())
      .map(
        ({ name, until, problem }) =>
          `\n${found.members[index]!.name}: ${until === null ? `no certificate for ${name} yet` : `the certificate for ${name} ends ${until}`}${problem === null ? "" : `: ${problem}`}`,
      ),
  );
  const cutOff = selves
    .filter((self) => self?.inTouch === false)
    .map(
      (self) =>
        `\n${self!.name} is cut off and validates everything: it has not heard of ${self!.silent.join(", ") || "the others"}`,
    );
  const left = selves
    .filter((self) => self?.disk?.off != null)
    .map((self) => `\n${self!.name} does not use its disk: ${self!.disk!.off}`);
  const differing = [...new Set(found.members.map(({ settings }) => settings))];
  const note =
    differing.length < 2
      ? ""
      : `\n\nsettings differ: ${differing
          .map((settings) => `${settings ?? "unknown"} at ${namesWith(found, settings)}`)
          .join(", ")}; where they do for a request, members do not answer it for each other`;
  const stored = hasDisk ? ["STORED", "ON DISK"] : ["STORED"];
  const heading = [
    "MEMBER",
    "STATE",
    "ROLE",
    "SHARE",
    "HITS",
    "REQUESTS",
    ...stored,
    "MEMORY",
    "PROXY",
    "PEER",
    "ADMIN",
    "PID",
  ];
  const notes = [...ill, ...lacking, ...cutOff, ...left];
  return `${head}\n${total}\n\n${table(heading, rows)}${notes.length === 0 ? "" : `\n${notes.join("")}`}${note}`;
}

function headText(found: Status, selves: readonly (SelfStatus | null)[]): string {
  const { cluster, epoch, coordinator, session } = found;
  return `cluster ${styled("bold", cluster)}   epoch ${epoch}   leader ${leaderText(found, selves)}   coordinator ${coordinator} (session ${session})`;
}

/** The view names who led when it was published; whether anybody leads now, and who, only the members know. */
function leaderText({ leader, members }: Status, selves: readonly (SelfStatus | null)[]): string {
  const acting = members.filter((_, index) => selves[index]?.leads === true).map(({ name }) => name);
  if (leader === null || acting.includes(leader)) return leader ?? "none";
  return acting.length === 0 ? `${leader} (nobody leads now)` : `${acting.join(", ")} (in this view: ${leader})`;
}

/** All members together, on a line that fits 80 columns. */
function totalText({ members }: Status, selves: readonly (SelfStatus | null)[]): string {
  const known = selves.filter((self) => self !== null);
  const sum = (one: (self: SelfStatus) => number): number => known.reduce((all, self) => all + one(self), 0);
  const requests = sum((self) => self.requests);
  const there =
    known.length === members.length
      ? counted(members.length, "member")
      : `${known.length} of ${counted(members.length, "member")}`;
  return [
    there,
    `${requests} requests`,
    `hits ${requests === 0 ? "-" : percent(sum((self) => self.hits) / requests)}`,
    `stored ${bytesText(sum((self) => self.store.bytes))} of ${bytesText(sum((self) => self.store.bytesMax))}`,
    `memory ${bytesText(sum((self) => self.residentBytes))}`,
  ].join("   ");
}

function namesWith({ members }: Status, settings: string | null): string {
  return members
    .filter((member) => member.settings === settings)
    .map(({ name }) => name)
    .join(" ");
}
