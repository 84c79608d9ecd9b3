/**
 * `node bench/many-clients.mjs [--minutes N] [--seed N] [--show N]`: many clients at once ask for what changes all the
 * time, through one to three members, and every answer is compared with what the origin has said: each byte, fields,
 * freshness, who may share it, what had been purged or changed before it was asked for. Each round takes its settings
 * (members, threads, TLS, disk, compression, restarts, members that stand still, links that are cut, ZooKeeper that goes
 * away, …) and all that is asked for and answered from its seed, which it prints: `--seed N --rounds 1` is that round
 * again, but for the moments at which things happen. `--set members=3` makes a setting one's own, any number of them.
 * WebSockets and CONNECT carry bytes through it all (`tunnels`); routes have rules of their own, pipelines are deep.
 * When nobody asks any more, members must hold on to nothing and see each other. Ends with 1 where something was wrong.
 * Loopback only. With `zookeeper` it needs Debian's libzookeeper-java.
 */
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Askers } from "./many-clients/askers.mjs";
import { chanceOf } from "./many-clients/chance.mjs";
import { Events } from "./many-clients/events.mjs";
import { Judge } from "./many-clients/judge.mjs";
import { Links } from "./many-clients/links.mjs";
import { freePort, Member } from "./many-clients/member.mjs";
import { expectRest } from "./many-clients/rest.mjs";
import { Site } from "./many-clients/site.mjs";
import { Tunnels } from "./many-clients/tunnels.mjs";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    rounds: { type: "string", default: "Infinity" },
    seconds: { type: "string", default: "20" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    set: { type: "string", multiple: true, default: [] },
    show: { type: "string", default: "3" },
  },
});
/** What is not to be left behind where this ends early. */
const folders = new Set();
process.once("exit", () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

/** How a round goes. */
function settingsOf(seed) {
  const chance = chanceOf(`${seed} settings`);
  const members = chance.one([1, 1, 2, 3]);
  const disk = chance.is(0.3);
  const settings = {
    seed,
    members,
    threads: chance.one([1, 3]),
    memory: chance.one(["6MB", "8MB", "16MB"]),
    tls: chance.is(0.4),
    disk,
    compress: chance.is(0.3),
    reloads: chance.is(0.3),
    // Of these alone: a single member has nobody to answer meanwhile, but may come back with its disk.
    restarts: (members > 1 || disk) && chance.is(0.4),
    kills: members > 1 && chance.is(0.2),
    h1: 10,
    h2: 5,
    resources: chance.one([8, 12, 24, 60]),
    big: chance.one([0.1, 0.3, 0.6]),
    slow: chance.one([0.04, 0.3]),
    faults: chance.one([0, 0.02, 0.06]),
    leaving: chance.one([0.03, 0.15]),
    unsafe: chance.one([0.03, 0.08, 0.25]),
    purges: 0.02,
    ranges: chance.one([0.1, 0.4]),
    // Members stand still, links between them are cut, silent or late, members come and leave for good, change their
    // weight; the coordinator's host dies and another one takes its place.
    stalls: chance.is(0.25),
    links: members > 1 && chance.is(0.25),
    comings: members > 1 && chance.is(0.2),
    weights: members > 1 && chance.is(0.2),
    moves: members > 1 && chance.is(0.15),
    zookeeper: members > 1 && chance.is(0.1) && existsSync("/usr/share/java/zookeeper.jar"),
    soft: chance.is(0.3),
    hot: chance.is(0.3),
    forward: chance.is(0.15),
    origins: chance.one([1, 1, 1, 2]),
    query: chance.is(0.25),
    // WebSockets, and CONNECT through the forward proxy.
    tunnels: chance.one([0, 0, 0, 4]),
    // More than one route, each with rules of its own.
    routes: chance.one([1, 1, 3]),
    // Servers of ZooKeeper.
    servers: chance.one([1, 3]),
    // Requests that are sent before the first is answered, at most.
    depth: chance.one([4, 4, 60]),
  };
  for (const one of values.set) {
    const [name, value] = one.split("=");
    if (!Object.hasOwn(settings, name)) throw new Error(`no setting ${name}: ${Object.keys(settings).join(", ")}`);
    settings[name] = typeof settings[name] === "string" ? value : JSON.parse(value);
  }
  // A forward proxy has no routes; over HTTP/2 in clear, nothing says that a URL is another's.
  if (settings.forward) Object.assign(settings, { compress: false, origins: 1, query: false, routes: 1 });
  if (settings.routes > 1) settings.query = true;
  if (settings.forward && !settings.tls) settings.h2 = 0;
  return settings;
}

/** A member's configuration file. */
function configuration({ compress, forward, origins, query, keyed, routes }, site, number) {
  const lines = ["purge-allow: [127.0.0.0/8]"];
  if (forward) return `${lines[0]}\nconnect-ports: any\n`;
  lines.push("routes:");
  const route = (path, caching) => {
    lines.push(`  - origins: [${site.urls.join(", ")}]`);
    if (path !== null) lines.push(`    path: ${path}`);
    lines.push(`    set-fields: { response: { X-Settings: "${number}" } }`);
    if (origins > 1) lines.push("    retry-on: [502, 503]", "    head-timeout: 700ms", "    rest-for: 500ms");
    if (caching.length > 0) lines.push(`    caching: { ${caching.join(", ")} }`);
    if (!compress) return;
    lines.push("    compress: [zstd, br, gzip]", "    compress-types: [text/plain, text/html]");
    lines.push("    compress-least: 100");
  };
  const keyedBy = (name) => (keyed ? [`key-fields: [${name}]`] : []);
  route(null, query ? ["query-ignore: [utm]", ...keyedBy("x-v")] : []);
  if (routes === 1) return `${lines.join("\n")}\n`;
  route("/r/1", ["query-select: [id]", ...keyedBy("accept-language")]);
  route("/r/2", ["query-ignore: [utm]", "disk: false"]);
  return `${lines.join("\n")}\n`;
}

/** Servers of ZooKeeper's, of Debian's jars. */
async function zooKeeper(servers) {
  const { startZooKeeper } = await import("../test/support/zookeeper.ts");
  const ensemble = await startZooKeeper({ servers, tickMs: 500 });
  return Object.assign(ensemble, { coordinator: `zookeeper://${ensemble.addresses}/many` });
}

/** @returns how much was wrong. */
async function round(settings) {
  const { seed, tls } = settings;
  const kinds = new Map();
  const wrong = (kind, about) => {
    const count = (kinds.get(kind) ?? 0) + 1;
    kinds.set(kind, count);
    if (count <= Number(values.show)) console.log(`WRONG: ${kind} ${JSON.stringify(about)}`);
  };
  const folder = mkdtempSync(join(tmpdir(), "gyre-many-"));
  folders.add(folder);
  const secret = randomUUID();
  const site = new Site(settings, wrong);
  await site.start();
  let configured = 0;
  const configuring = chanceOf(`${seed} configuration`);
  const configure = () => {
    const changed = { ...settings, compress: settings.compress && (configured === 0 || configuring.is(0.7)) };
    const text = configuration({ ...changed, keyed: configuring.is(0.5) }, site, ++configured);
    writeFileSync(join(folder, "gyre.yaml"), text);
  };
  configure();
  if (tls) {
    const files = [
      "-keyout",
      join(folder, "key.pem"),
      "-out",
      join(folder, "cert.pem"),
      "-subj",
      "/CN=site",
      "-days",
      "2",
    ];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    execFileSync("openssl", ["req", "-x509", ...curve, ...files], { stdio: "ignore" });
  }
  const links = settings.links ? new Links() : null;
  const ensemble = settings.zookeeper ? await zooKeeper(settings.servers) : null;
  const place = { folder, secret, links, coordinator: ensemble === null ? null : ensemble.coordinator };
  const members = [];
  for (let number = 1; number <= settings.members; number++) {
    const own = { name: `m${number}`, port: await freePort(), peerPort: await freePort() };
    members.push(new Member(settings, { ...own, place }, wrong));
    await links?.add(own.name, own.peerPort);
  }
  const events = new Events({ settings, site, members, links, place, ensemble, configure, wrong });
  const judge = new Judge(site, { wrong, events, settings });
  events.judge = judge;
  for (const member of members) {
    await member.start();
    place.coordinator ??= `http://${member.peer}`;
  }
  const up = () => members.filter(({ isUp }) => isUp);
  const askers = new Askers({ options: settings, site, judge, members: up, wrong, events });
  const tunnels = new Tunnels({ options: settings, site, members: up, wrong, events });
  await events.happen(performance.now() + Number(values.seconds) * 1000);
  await Promise.all([askers.end(), tunnels.end()]);
  await expectRest(up(), wrong);
  await Promise.all(members.map((member) => member.end("SIGTERM")));
  links?.end();
  await ensemble?.stop();
  rmSync(folder, { recursive: true, force: true });
  const said =
    kinds.size === 0 ? "right" : `WRONG: ${[...kinds].map(([kind, count]) => `${kind} ${count}×`).join(", ")}`;
  if (tunnels.opened > 0) events.counts.set("tunnels", tunnels.opened);
  console.log([...events.counts].map(([name, count]) => `${name} ${count}×`).join(", "));
  console.log(`seed ${seed}: ${askers.asked} requests, ${site.answers.length} at the origin: ${said}`);
  return kinds.size;
}

const end = performance.now() + Number(values.minutes) * 60_000;
let wrongs = 0;
for (let number = 0; number < Number(values.rounds) && performance.now() < end; number++) {
  const settings = settingsOf(String(Number(values.seed) + number));
  console.log(
    Object.entries(settings)
      .map(([name, value]) => `${name}=${value}`)
      .join(" "),
  );
  wrongs += await round(settings);
}
process.exit(wrongs === 0 ? 0 : 1);
