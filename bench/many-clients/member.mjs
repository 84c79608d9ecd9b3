/** A member's process: started, stopped for a while, ended; and what is asked at its admin port. */
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { node } from "../node.mjs";
import { after } from "./chance.mjs";
import { Troubles } from "./troubles.mjs";

const program = resolve(import.meta.dirname, "../../bin/gyre");
const dialling = resolve(import.meta.dirname, "dialling.mjs");

/** What is not to be left behind where this ends early. */
const children = new Set();
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

/** One member. */
export class Member {
  isUp = false;
  isEnding = false;
  /** When it stood still. */
  stalls = new Troubles(1500);
  #settings;
  #place;
  #wrong;
  #child = null;

  /** `place` is what all have and what may change: coordinator, folder, secret, links. */
  constructor(settings, { name, port, peerPort, place }, wrong) {
    this.name = name;
    this.listen = `127.0.0.1:${port}`;
    this.peer = `127.0.0.1:${peerPort}`;
    this.admin = "";
    this.#settings = settings;
    this.#place = place;
    this.#wrong = wrong;
  }

  async start() {
    const { threads, memory, tls, disk, forward, hot } = this.#settings;
    const { coordinator, folder, secret, links } = this.#place;
    const places = [
      "--listen",
      `${this.listen},${tls ? "tls" : "http2"}`,
      "--peer",
      this.peer,
      "--admin",
      "127.0.0.1:0",
    ];
    const flags = ["--name", this.name, ...places, "--config", join(folder, "gyre.yaml"), "--access-log", "off"];
    flags.push("--memory", memory, "--threads", String(threads), "--drain-limit", "2s");
    if (tls) flags.push("--tls-cert", join(folder, "cert.pem"), "--tls-key", join(folder, "key.pem"));
    if (disk) flags.push("--disk", join(folder, this.name), "--disk-size", "64MB");
    if (forward) flags.push("--forward", "true");
    if (hot) flags.push("--hot-copies", "1MB");
    if (coordinator !== null && coordinator !== `http://${this.peer}`) flags.push("--coordinator", coordinator);
    const env = { ...process.env, GYRE_SECRET: secret, GYRE_RUN_DIR: join(folder, "run") };
    const before = links === null ? [] : ["--import", dialling];
    if (links !== null) env.MANY_CLIENTS_LINKS = JSON.stringify(links.of(this.name));
    const child = spawn(node, [...before, program, "start", ...flags], {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env,
    });
    children.add(child);
    child.once("exit", () => children.delete(child));
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (bytes) => {
        output = (output + bytes.toString()).slice(-20_000);
        if (/"level":"(error|fatal)"|unhandled|uncaught/i.test(bytes.toString()))
          this.#wrong("an error in the log", { member: this.name, lines: bytes.toString().slice(0, 1000) });
      });
    this.#child = child;
    this.isEnding = false;
    const started = await new Promise((done, failed) => {
      child.once("message", done);
      child.once("exit", (code) => failed(new Error(`${this.name} ended with ${code}\n${output}`)));
    });
    this.admin = started.admin;
    this.isUp = true;
    child.once("exit", (code, signal) => {
      this.isUp = false;
      if (!this.isEnding)
        this.#wrong("a member that ended", { member: this.name, code, signal, output: output.slice(-2000) });
    });
  }

  reload() {
    if (this.isUp) this.#child.kill("SIGHUP");
  }

  /** It stands still for so long. */
  stand(ms) {
    return this.stalls.during(async () => {
      const child = this.#child;
      child.kill("SIGSTOP");
      await after(ms);
      child.kill("SIGCONT");
    });
  }

  /** What the admin port answers: status and text, or null where there is no answer. */
  async operate(path, content) {
    const asked = {
      method: "POST",
      headers: { authorization: `Bearer ${this.#place.secret}` },
      body: JSON.stringify(content),
    };
    const answer = await fetch(`http://${this.admin}${path}`, asked).catch(() => null);
    const text = (await answer?.text().catch(() => null)) ?? null;
    return text === null ? null : { status: answer.status, text };
  }

  /** What it says at its admin port, or null. */
  async ask(path) {
    const answer = await fetch(`http://${this.admin}${path}`).catch(() => null);
    return (await answer?.text().catch(() => null)) ?? null;
  }

  /** Resolves when it is gone: it was asked to go. */
  async ended() {
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) return;
    const ended = new Promise((done) => this.#child.once("exit", () => done("ended")));
    if ((await Promise.race([ended, after(15_000)])) === "ended") return;
    this.#wrong("a member that does not stop", { member: this.name });
    this.#child.kill("SIGKILL");
    await ended;
  }

  async end(signal) {
    this.isEnding = true;
    this.isUp = false;
    if (this.#child === null) return;
    this.#child.kill(signal);
    await this.ended();
  }
}

/** A port that is free now: a member that comes back wants the one that it had. */
export async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}
