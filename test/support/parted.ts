/**
 * Run by purge-parted.test.ts inside `unshare -n`: three machines as network namespaces on one bridge, a member on
 * each, and an origin that all reach by another way. One member is cut off from the others while its clients go on,
 * things are purged and changed meanwhile, then the wire is mended. Refuses to run where there is any other network
 * device.
 */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { Agent, createServer, request } from "node:http";
import type { PurgeReport } from "../../src/proxy/invalidation/purges.ts";
import { program, secret, temporaryFolder, until } from "./member.ts";
import { isApart, refuseOtherDevices } from "./own-network.ts";

refuseOtherDevices();

const children: ChildProcess[] = [];
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});
const ip = (...parameters: string[]): void => void execFileSync("ip", parameters);
ip("link", "set", "lo", "up");
/** Between members; and to the origin, and for this test to ask them. */
for (const [bridge, address] of [
  ["members", "10.77.0.254"],
  ["ways", "10.78.0.254"],
] as const) {
  ip("link", "add", bridge, "type", "bridge");
  ip("addr", "add", `${address}/24`, "dev", bridge);
  ip("link", "set", bridge, "up");
}

/** The origin: what a path has, as a number that grows. */
const versions = new Map<string, number>();
let asked = 0;
const origin = createServer((request, response) => {
  asked++;
  const path = request.url!;
  const version = (versions.get(path) ?? 0) + (request.method === "POST" ? 1 : 0);
  versions.set(path, version);
  response.setHeader("cache-control", "max-age=3600");
  response.setHeader("etag", `"${version}"`);
  response.setHeader("cache-tag", path.split("/")[1]!);
  if (request.headers["if-none-match"] === `"${version}"`) response.writeHead(304);
  response.end(response.statusCode === 304 ? undefined : String(version));
});
await new Promise<void>((done) => origin.listen(9000, "10.78.0.254", done));

const folder = temporaryFolder();
interface Machine {
  readonly name: string;
  readonly way: string;
  readonly child: ChildProcess;
}
async function startAt(number: number): Promise<Machine> {
  const place = spawn("unshare", ["-n", "sleep", "300"], { stdio: "ignore" });
  children.push(place);
  const inside = ["nsenter", "-t", String(place.pid), "-n"] as const;
  await until(() => isApart(place.pid!), "the place is there");
  for (const [bridge, net] of [
    ["members", 77],
    ["ways", 78],
  ] as const) {
    const wire = `${bridge}${number}`;
    ip("link", "add", wire, "type", "veth", "peer", "name", bridge, "netns", String(place.pid));
    ip("link", "set", wire, "master", bridge);
    ip("link", "set", wire, "up");
    execFileSync(inside[0], [
      ...inside.slice(1),
      "sh",
      "-c",
      `ip link set lo up; ip addr add 10.${net}.0.${number}/24 dev ${bridge}; ip link set ${bridge} up`,
    ]);
  }
  const way = `10.78.0.${number}`;
  const joins = number === 1 ? [] : ["--coordinator", "http://10.77.0.1:8081"];
  const ports = ["--listen", `${way}:8080`, "--peer", `10.77.0.${number}:8081`, "--admin", `${way}:8082`];
  const site = ["--origin", "http://10.78.0.254:9000", "--allow", "10.78.0.0/24", "--access-log", "off"];
  const command = [...inside, process.execPath, program, "start", "--name", `m${number}`, ...ports, ...site, ...joins];
  const env = { ...process.env, GYRE_SECRET: secret, GYRE_RUN_DIR: `${folder}/m${number}` };
  const child = spawn(command[0]!, command.slice(1), { env, stdio: "ignore" });
  children.push(child);
  await until(async () => (await fetch(`http://${way}:8082/readyz`)).status === 200, `m${number} is ready`);
  return { name: `m${number}`, way, child };
}

const machines: Machine[] = [];
for (const number of [1, 2, 3, 4, 5]) machines.push(await startAt(number));
const [m1, m2, m3, m4, m5] = machines as [Machine, Machine, Machine, Machine, Machine];
const authorized = { authorization: `Bearer ${secret}` };
async function seenBy({ way }: Machine): Promise<{ readonly inTouch: boolean; readonly members: number }> {
  const answer = await fetch(`http://${way}:8082/api/status`, { headers: authorized });
  const { members, self } = (await answer.json()) as { members: unknown[]; self: { inTouch: boolean } };
  return { inTouch: self.inTouch, members: members.length };
}
const allSee = (some: readonly Machine[], count: number): Promise<void> =>
  until(
    async () => {
      const seen = await Promise.all(some.map(seenBy));
      return seen.every(({ inTouch, members }) => inTouch && members === count);
    },
    `${count} are in touch`,
    30_000,
  );
await allSee(machines, 5);

/** Of the site, whichever member is asked: fetch would send each member's own address as Host. */
function ask({ way }: Machine, path: string, method = "GET"): Promise<string> {
  return new Promise((done, fail) => {
    const asked = request(
      { host: way, port: 8080, path, method, headers: { host: "site.test" }, agent },
      (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => (text += chunk.toString()));
        response.on("error", fail);
        response.on("end", () => (response.statusCode === 200 ? done(text) : fail(new Error(text))));
      },
    );
    asked.on("error", fail);
    asked.end();
  });
}
const agent = new Agent({ keepAlive: true });
const read = async (machine: Machine, path: string): Promise<number> => Number(await ask(machine, path));
async function purge({ way }: Machine, body: object): Promise<PurgeReport> {
  const answer = await fetch(`http://${way}:8082/api/purge`, {
    method: "POST",
    headers: authorized,
    body: JSON.stringify(body),
  });
  return (await answer.json()) as PurgeReport;
}

/** A section for each way of ending what is stored; what is asked for after that must be of version 2. */
const sections = ["uri", "prefix", "host", "tag", "post"] as const;
type Section = (typeof sections)[number];
const pathsOf = (section: Section): string[] => Array.from({ length: 12 }, (_, index) => `/${section}/${index}`);
const paths = sections.flatMap(pathsOf);
for (const machine of machines) for (const path of paths) await read(machine, path);

/** When each path's change had been acknowledged. */
const acknowledged = new Map<string, number>();
/** Reads of before, by member: how many, of how many, and the latest since the cut. */
const old = new Map<string, { reads: number; old: number; lastOldMs: number }>();
let cutAt = Infinity;
let reading = true;
async function reader(machine: Machine): Promise<void> {
  const seen = { reads: 0, old: 0, lastOldMs: 0 };
  old.set(machine.name, seen);
  for (let turn = 0; reading; turn++) {
    const path = paths[turn % paths.length]!;
    const askedAt = performance.now();
    const version = await read(machine, path).catch(() => null);
    if (version === null) continue;
    seen.reads++;
    if (askedAt > (acknowledged.get(path) ?? Infinity) && version < 2) {
      seen.old++;
      seen.lastOldMs = Math.max(seen.lastOldMs, Math.round(askedAt - cutAt));
    }
    await new Promise((done) => setTimeout(done, 2));
  }
}
const readers = [m1, m2, m3].map(reader);

ip("link", "set", "members3", "down");
cutAt = performance.now();
m4.child.kill("SIGSTOP");
m5.child.kill("SIGKILL");
const reports: PurgeReport[] = [];
for (const [index, section] of sections.entries()) {
  const at = [m1, m2][index % 2]!;
  const some = pathsOf(section);
  if (section === "post") {
    for (const path of some) {
      versions.set(path, 1);
      await ask(at, path, "POST");
      acknowledged.set(path, performance.now());
    }
    continue;
  }
  for (const path of some) versions.set(path, 2);
  const selectors = {
    uri: some.map((path) => ({ uri: `http://site.test${path}` })),
    prefix: [{ prefix: "http://site.test/prefix/" }],
    host: [{ host: "site.test" }],
    tag: [{ tag: "tag" }],
  }[section];
  reports.push(await purge(at, { selectors, id: section }));
  for (const path of some) acknowledged.set(path, performance.now());
}
// Beyond every session time.
await until(() => performance.now() - cutAt > 7000, "the session time is over", 10_000);
const alone = await seenBy(m3);
const askedBefore = asked;
const validated = await Promise.all(paths.map((path) => read(m3, path)));
const askedFor = asked - askedBefore;
m4.child.kill("SIGCONT");
ip("link", "set", "members3", "up");
const mendedAt = performance.now();
await allSee([m1, m2, m3, m4], 4);
const togetherMs = performance.now() - mendedAt;
const lookAgain = (): Promise<PurgeReport[]> =>
  Promise.all(
    reports.map(async ({ id }, index) => {
      const { way } = [m1, m2][index % 2]!;
      const answer = await fetch(`http://${way}:8082/api/purge/${id}`, { headers: authorized });
      return (await answer.json()) as PurgeReport;
    }),
  );
// Who has heard through another is asked as soon as its own links are there again.
await until(async () => (await lookAgain()).every(({ complete }) => complete), "all have applied all", 10_000);
const later = await lookAgain();
const healed = await Promise.all(paths.flatMap((path) => [m1, m2, m3, m4].map((machine) => read(machine, path))));
reading = false;
await Promise.all(readers);
const statesOf = ({ members }: PurgeReport): string => members.map(({ name, state }) => `${name} ${state}`).join(", ");
const result = {
  during: [...new Set(reports.map(statesOf))],
  complete: reports.map(({ complete }) => complete),
  old: Object.fromEntries(old),
  alone: alone.inTouch,
  validatedOld: validated.filter((version) => version < 2).length,
  askedFor,
  later: [...new Set(later.map(statesOf))],
  healedOld: healed.filter((version) => version < 2).length,
  togetherMs: Math.round(togetherMs),
};
process.stdout.write(JSON.stringify(result), () => process.exit(0));
