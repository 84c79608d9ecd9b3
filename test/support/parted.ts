/**
 * Run by purge-parted.test.ts inside `unshare -n`: three machines as network namespaces on one bridge, a member on
 * each, and an origin that all reach by another way. One member is cut off from the others while its clients go on,
 * things are purged and changed meanwhile, then the wire is mended. Refuses to run where there is any other network
 * device.
 */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { PurgeReport } from "../../src/proxy/invalidation/purges.ts";
import { program, secret, temporaryFolder, until } from "./member.ts";

const devices = [...readFileSync("/proc/self/net/dev", "utf8").matchAll(/^\s*([^\s:]+):/gm)].map(
  ([, device]) => device!,
);
if (devices.some((device) => device !== "lo"))
  throw new Error(`refused: this is no empty network namespace (${devices.join(", ")})`);

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
  response.setHeader("cache-tag", "all");
  if (request.headers["if-none-match"] === `"${version}"`) response.writeHead(304);
  response.end(response.statusCode === 304 ? undefined : String(version));
});
await new Promise<void>((done) => origin.listen(9000, "10.78.0.254", done));

const folder = temporaryFolder();
async function startAt(number: number): Promise<string> {
  const place = spawn("unshare", ["-n", "sleep", "300"], { stdio: "ignore" });
  children.push(place);
  const inside = ["nsenter", "-t", String(place.pid), "-n"] as const;
  await until(
    () =>
      execFileSync(inside[0], [...inside.slice(1), "cat", "/proc/self/net/dev"])
        .toString()
        .match(/:/g)!.length === 1,
    "the place is there",
  );
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
  children.push(spawn(command[0]!, command.slice(1), { env, stdio: "ignore" }));
  await until(async () => (await fetch(`http://${way}:8082/readyz`)).status === 200, `m${number} is ready`);
  return way;
}

const ways: string[] = [];
for (const number of [1, 2, 3]) ways.push(await startAt(number));
const authorized = { authorization: `Bearer ${secret}` };
interface Seen {
  readonly inTouch: boolean;
  readonly members: number;
}
async function seenBy(way: string): Promise<Seen> {
  const answer = await fetch(`http://${way}:8082/api/status`, { headers: authorized });
  const { members, self } = (await answer.json()) as { members: unknown[]; self: { inTouch: boolean } };
  return { inTouch: self.inTouch, members: members.length };
}
await until(async () => {
  const seen = await Promise.all(ways.map(seenBy));
  return seen.every(({ inTouch, members }) => inTouch && members === 3);
}, "all three are in touch");

const read = async (way: string, path: string): Promise<{ readonly version: number; readonly how: string }> => {
  const answer = await fetch(`http://${way}:8080${path}`, { headers: { host: "site.test" } });
  return { version: Number(await answer.text()), how: answer.headers.get("cache-status")!.split(", ").at(-1)! };
};
const purge = async (way: string, body: object): Promise<PurgeReport> => {
  const answer = await fetch(`http://${way}:8082/api/purge`, {
    method: "POST",
    headers: authorized,
    body: JSON.stringify(body),
  });
  return (await answer.json()) as PurgeReport;
};
const stateOf = ({ members }: PurgeReport): Record<string, string> =>
  Object.fromEntries(members.map(({ name, state }) => [name, state]));

const paths = Array.from({ length: 30 }, (_, index) => `/p${index}`);
for (const way of ways) for (const path of paths) await read(way, path);

// Cut off: m3 stores what it owns, and copies nothing of the others any more.
ip("link", "set", "members3", "down");
const cutAt = performance.now();
for (const path of paths)
  await fetch(`http://${ways[0]}:8080${path}`, { method: "POST", headers: { host: "site.test" } });
for (const path of paths) versions.set(path, versions.get(path)! + 1);
const during = await purge(ways[1]!, { selectors: [{ tag: "all" }], id: "during" });
const toldAt = performance.now();
const others = await Promise.all(paths.flatMap((path) => ways.slice(0, 2).map((way) => read(way, path))));
const isOld = ({ version }: { version: number }): boolean => version < 2;
let lastOld = 0;
let reads = 0;
while (performance.now() - toldAt < 7000) {
  for (const path of paths.slice(0, 10)) {
    const askedAt = performance.now();
    reads++;
    if (isOld(await read(ways[2]!, path))) lastOld = Math.max(lastOld, askedAt - cutAt);
  }
  await new Promise((done) => setTimeout(done, 20));
}
const alone = await seenBy(ways[2]!);
const askedBefore = asked;
const validated = await Promise.all(paths.map((path) => read(ways[2]!, path)));
const askedFor = asked - askedBefore;
ip("link", "set", "members3", "up");
await until(
  async () => (await seenBy(ways[2]!)).inTouch && (await seenBy(ways[2]!)).members === 3,
  "m3 is back",
  30_000,
);
const after = (await (
  await fetch(`http://${ways[1]}:8082/api/purge/during`, { headers: authorized })
).json()) as PurgeReport;
const healed = await Promise.all(paths.flatMap((path) => ways.map((way) => read(way, path))));
const result = {
  during: stateOf(during),
  complete: during.complete,
  othersOld: others.filter(isOld).length,
  lastOldMs: Math.round(lastOld),
  reads,
  alone: alone.inTouch,
  validatedOld: validated.filter(isOld).length,
  askedFor,
  after: stateOf(after),
  healedOld: healed.filter(isOld).length,
};
process.stdout.write(JSON.stringify(result), () => process.exit(0));
