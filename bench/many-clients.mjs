/**
 * `node bench/many-clients.mjs [--minutes N] [--seed N] [--show N]`: many clients at once ask for what changes all the
 * time, through one to three members, and every answer is compared with what the origin has said: each byte, fields,
 * freshness, who may share it, what had been purged or changed before it was asked for. Each round takes its settings
 * (members, threads, TLS, disk, compression, restarts, …) and all that is asked for and answered from its seed, which it
 * prints: `--seed N --rounds 1` is that round again, but for the moments at which things happen. `--set members=3`
 * makes a setting one's own, any number of them. Ends with 1 where something was wrong. Loopback only.
 */
import { execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { Askers } from "./many-clients/askers.mjs";
import { after, chanceOf } from "./many-clients/chance.mjs";
import { Judge } from "./many-clients/judge.mjs";
import { Site } from "./many-clients/site.mjs";
import { node } from "./node.mjs";

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
const program = resolve(import.meta.dirname, "../bin/gyre");
/** Milliseconds after a member has come back in which a connection may still end. */
const settlingMs = 1500;

/** What is not to be left behind where this ends early. */
const children = new Set();
const folders = new Set();
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
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
  };
  for (const one of values.set) {
    const [name, value] = one.split("=");
    if (!Object.hasOwn(settings, name)) throw new Error(`no setting ${name}: ${Object.keys(settings).join(", ")}`);
    settings[name] = typeof settings[name] === "string" ? value : JSON.parse(value);
  }
  return settings;
}

/** A member's process. */
class Member {
  isUp = false;
  isEnding = false;
  #settings;
  #wrong;
  #child = null;

  constructor(settings, { name, port, peerPort, coordinator, folder, secret }, wrong) {
    this.name = name;
    this.first = `127.0.0.1:${port}`;
    this.second = this.first;
    this.peer = `127.0.0.1:${peerPort}`;
    this.admin = "";
    this.#settings = { ...settings, coordinator, folder, secret };
    this.#wrong = wrong;
  }

  async start() {
    const { threads, memory, tls, disk, coordinator, folder, secret } = this.#settings;
    const places = [
      "--listen",
      `${this.first},${tls ? "tls" : "http2"}`,
      "--peer",
      this.peer,
      "--admin",
      "127.0.0.1:0",
    ];
    const flags = ["--name", this.name, ...places, "--config", join(folder, "gyre.yaml"), "--access-log", "off"];
    flags.push("--memory", memory, "--threads", String(threads), "--drain-limit", "2s");
    if (tls) flags.push("--tls-cert", join(folder, "cert.pem"), "--tls-key", join(folder, "key.pem"));
    if (disk) flags.push("--disk", join(folder, this.name), "--disk-size", "64MB");
    if (coordinator !== null) flags.push("--coordinator", coordinator);
    const env = { ...process.env, GYRE_SECRET: secret, GYRE_RUN_DIR: join(folder, "run") };
    const child = spawn(node, [program, "start", ...flags], { stdio: ["ignore", "pipe", "pipe", "ipc"], env });
    children.add(child);
    child.once("exit", () => children.delete(child));
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (bytes) => {
        output = (output + bytes.toString()).slice(-20_000);
        if (/"level":"(error|fatal)"|unhandled|uncaught/i.test(bytes.toString()))
          this.#wrong("an error in the log", { member: this.name, lines: bytes.toString().slice(0, 1000) });
      });
    const started = await new Promise((done, failed) => {
      child.once("message", done);
      child.once("exit", (code) => failed(new Error(`${this.name} ended with ${code}\n${output}`)));
    });
    this.admin = started.admin;
    this.#child = child;
    this.isUp = true;
    this.isEnding = false;
    child.once("exit", (code, signal) => {
      this.isUp = false;
      if (!this.isEnding)
        this.#wrong("a member that ended", { member: this.name, code, signal, output: output.slice(-2000) });
    });
  }

  reload() {
    if (this.isUp) this.#child.kill("SIGHUP");
  }

  async end(signal) {
    this.isEnding = true;
    this.isUp = false;
    if (this.#child === null || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((done) => this.#child.once("exit", () => done("ended")));
    this.#child.kill(signal);
    if ((await Promise.race([ended, after(15_000)])) === "ended") return;
    this.#wrong("a member that does not stop", { member: this.name });
    this.#child.kill("SIGKILL");
    await ended;
  }
}

/** A port that is free now: a member that comes back wants the one that it had. */
async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** @returns how much was wrong. */
async function round(settings) {
  const { seed, tls, compress } = settings;
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
  let [disturbedFrom, disturbedTo] = [Infinity, 0];
  const disturbed = (at) => disturbedFrom < performance.now() && at < disturbedTo + settlingMs;
  const judge = new Judge(site, { wrong, disturbed, compress });
  const configure = (number) => {
    const compression =
      "    compress: [zstd, br, gzip]\n    compress-types: [text/plain, text/html]\n    compress-least: 100\n";
    const route = `  - origin: ${site.url}\n    set-fields: { response: { X-Settings: "${number}" } }\n`;
    writeFileSync(
      join(folder, "gyre.yaml"),
      `purge-allow: [127.0.0.0/8]\nroutes:\n${route}${compress ? compression : ""}`,
    );
  };
  configure(0);
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
  const members = [];
  for (let number = 1; number <= settings.members; number++) {
    const coordinator = number === 1 ? null : `http://${members[0].peer}`;
    const place = {
      port: await freePort(),
      peerPort: await freePort(),
      folder,
      secret,
      coordinator,
      name: `m${number}`,
    };
    const member = new Member(settings, place, wrong);
    members.push(member);
    await member.start();
  }
  const up = () => members.filter(({ isUp }) => isUp);
  const askers = new Askers({ options: settings, site, judge, members: up, wrong, disturbed });
  const chance = chanceOf(`${seed} events`);
  const until = performance.now() + Number(values.seconds) * 1000;
  for (let number = 1; performance.now() < until; number++) {
    await after(200 + chance.below(800));
    if (chance.is(0.5)) site.change(site.pathBy(chance));
    if (chance.is(0.3))
      await purge(chance, { member: chance.one(up()), site, judge, secret, scheme: tls ? "https" : "http", wrong });
    if (settings.reloads && chance.is(0.3)) {
      configure(number);
      for (const member of members) member.reload();
    }
    if (!(settings.restarts || settings.kills) || !chance.is(0.25)) continue;
    const member = members.length === 1 ? members[0] : members[1 + chance.below(members.length - 1)];
    [disturbedFrom, disturbedTo] = [performance.now(), Infinity];
    await member.end(settings.kills && (!settings.restarts || chance.is(0.5)) ? "SIGKILL" : "SIGTERM");
    await after(chance.below(1000));
    await member.start();
    disturbedTo = performance.now();
  }
  await askers.end();
  await Promise.all(members.map((member) => member.end("SIGTERM")));
  rmSync(folder, { recursive: true, force: true });
  const said =
    kinds.size === 0 ? "right" : `WRONG: ${[...kinds].map(([kind, count]) => `${kind} ${count}×`).join(", ")}`;
  console.log(`seed ${seed}: ${askers.asked} requests, ${site.answers.length} at the origin: ${said}`);
  return kinds.size;
}

/** By tag, prefix, host, or all: what only the API can name. */
async function purge(chance, { member, site, judge, secret, scheme, wrong }) {
  if (member === undefined) return;
  const [group, prefix] = [`g${chance.below(3)}`, `/r/${chance.below(3)}`];
  const selector = chance.one([
    { tag: group },
    { tag: group },
    { prefix: `${scheme}://site${prefix}` },
    { host: "site" },
    { everything: true },
  ]);
  const since = performance.now();
  const asked = {
    method: "POST",
    headers: { authorization: `Bearer ${secret}` },
    body: JSON.stringify({ selectors: [selector] }),
  };
  const answer = await fetch(`http://${member.admin}/api/purge`, asked).catch(() => null);
  const text = (await answer?.text().catch(() => null)) ?? null;
  // A member that is just leaving; or one that nobody reaches: nothing is promised then.
  if (answer === null || text === null || answer.status === 503 || text.includes('"pending"')) return;
  if (answer.status !== 200) return wrong("a purge's status", { status: answer.status, text });
  if ("tag" in selector) return judge.endedGroup(group, since);
  for (const path of site.paths())
    if (!("prefix" in selector) || path.startsWith(prefix)) judge.ended(path, since, "purged");
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
