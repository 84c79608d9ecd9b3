/**
 * Real members on this machine, each a process of its own, and an origin that counts: for what a simulation would only
 * claim.
 */
import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { request } from "undici";
import type { Status } from "../admin/status.ts";
import { asError } from "../base/background.ts";
import { endProcess, spawnMember, type SpawnedMember } from "../member/spawned.ts";

/** A member of an experiment. */
export type RunningProcess = SpawnedMember;

const startMs = 20_000;
const settleMs = 30_000;

/** A cluster of processes; `close` ends all that were started, and nothing else. */
export class Processes {
  readonly members: RunningProcess[] = [];
  readonly #flags: readonly string[];
  readonly #coordinator: string | null;
  readonly #secret: string = randomBytes(24).toString("base64url");
  readonly #folder: string = mkdtempSync(join(tmpdir(), "gyre-eval-"));
  readonly #children = new Set<ChildProcess>();

  /** @param coordinator `zookeeper://…`, or null for an embedded one hosted by the first member. */
  constructor(flags: readonly string[] = [], coordinator: string | null = null) {
    this.#flags = flags;
    this.#coordinator = coordinator;
    process.once("exit", this.#killAll);
  }

  /** Starts members m1 … mN and waits until all see each other. */
  async start(count: number, started: (member: RunningProcess) => void = () => {}): Promise<void> {
    for (let index = this.members.length; index < count; index++) started(await this.join(`m${index + 1}`));
    await this.settled();
  }

  /** Starts one more member, or one again that has left: the coordinator's host comes back where it was. */
  async join(name: string, at: RunningProcess | null = null): Promise<RunningProcess> {
    const first = this.members[0];
    const hosts = this.#coordinator === null && (first === undefined || at?.name === first.name);
    const coordinator = hosts ? "embedded" : (this.#coordinator ?? `http://${first!.peer}`);
    const places = at === null ? ["127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"] : [at.listen, at.peer, at.admin];
    const flags = [
      "--name",
      name,
      "--coordinator",
      coordinator,
      "--access-log",
      "off",
      "--log-level",
      "error",
      "--threads",
      "1",
    ];
    const [listen, peer, admin] = places as [string, string, string];
    const member = await this.#spawn([...flags, "--listen", listen, "--peer", peer, "--admin", admin, ...this.#flags]);
    const index = this.members.findIndex((one) => one.name === name);
    if (index === -1) this.members.push(member);
    else this.members[index] = member;
    return member;
  }

  /** Ends a member in order, which hands over, and resolves when it is gone. */
  async stop({ child }: RunningProcess): Promise<void> {
    await endProcess(child, "SIGTERM");
  }

  /** Ends a member without a word. */
  async kill({ child }: RunningProcess): Promise<void> {
    await endProcess(child, "SIGKILL");
  }

  forget(member: RunningProcess): void {
    this.members.splice(this.members.indexOf(member), 1);
  }

  /** Resolves when these see exactly each other, in one epoch. @throws Error after half a minute. */
  async settled(members: readonly RunningProcess[] = this.members): Promise<void> {
    const names = members
      .map(({ name }) => name)
      .sort()
      .join();
    await waitFor(async () => {
      const views = await Promise.all(members.map((member) => statusOf(member)));
      return views.every(
        (view) =>
          view.epoch === views[0]!.epoch &&
          view.members
            .map(({ name }) => name)
            .sort()
            .join() === names &&
          view.members.every(({ state }) => state === "active"),
      );
    }, `the members ${names} see each other`);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#children].map((child) => endProcess(child, "SIGKILL")));
    process.off("exit", this.#killAll);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  readonly #killAll = (): void => {
    for (const child of this.#children) child.kill("SIGKILL");
  };

  async #spawn(flags: readonly string[]): Promise<RunningProcess> {
    const { child, ready } = spawnMember({
      flags,
      environment: { ...environment(), GYRE_SECRET: this.#secret, GYRE_RUN_DIR: this.#folder },
      output: "pipe",
      detached: true,
      limitMs: startMs,
    });
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    let output = "";
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-4000);
    };
    child.stdout!.on("data", keep);
    child.stderr!.on("data", keep);
    return ready.catch((error: unknown) => {
      throw new Error(`a member did not come up: ${asError(error).message}\n${output}`);
    });
  }
}

/** Without settings that were meant for members of the user's. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GYRE_")));
}

/** What a member says of itself. */
export async function statusOf({ admin }: Pick<RunningProcess, "admin">): Promise<Status> {
  const { body } = await request(`http://${admin}/api/status`);
  return (await body.json()) as Status;
}

/** The member that owns each of the URLs, by name. */
export async function ownersOf({ admin }: Pick<RunningProcess, "admin">, urls: readonly string[]): Promise<string[]> {
  const owners: string[] = [];
  for (let at = 0; at < urls.length; at += 100) {
    const query = urls
      .slice(at, at + 100)
      .map((url) => `url=${encodeURIComponent(url)}`)
      .join("&");
    const { body } = await request(`http://${admin}/api/locate?${query}`);
    owners.push(...((await body.json()) as { urls: { owner: string }[] }).urls.map(({ owner }) => owner));
  }
  return owners;
}

/** Looks again and again until a condition holds. @throws Error with its meaning. */
export async function waitFor(condition: () => Promise<boolean>, meaning: string, limitMs = settleMs): Promise<void> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    if (await condition().catch(() => false)) return;
    if (performance.now() > deadline) throw new Error(`waited ${limitMs / 1000} s in vain until ${meaning}`);
    await new Promise((again) => setTimeout(again, 20));
  }
}

/** An origin on this machine that counts what it is asked for. */
export class CountingOrigin {
  readonly url: string;
  readonly #server: Server;
  readonly #counted: { readonly fetches: number; readonly repeats: number };

  private constructor(server: Server, counted: { readonly fetches: number; readonly repeats: number }) {
    this.#server = server;
    this.#counted = counted;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** Requests so far. */
  get fetches(): number {
    return this.#counted.fetches;
  }

  /** Those for something that had been asked for before. */
  get repeats(): number {
    return this.#counted.repeats;
  }

  /** @param delayMs how long it thinks before it answers. */
  static async start({ delayMs = 0, bodyBytes = 1024, maxAge = 3600 } = {}): Promise<CountingOrigin> {
    const counted = { fetches: 0, repeats: 0 };
    const known = new Set<string>();
    const content = Buffer.alloc(bodyBytes, "gyre eval ");
    const server = createServer((asked, response) => {
      counted.fetches++;
      if (known.has(asked.url!)) counted.repeats++;
      known.add(asked.url!);
      const answer = (): void => {
        response.writeHead(200, {
          "cache-control": `max-age=${maxAge}`,
          etag: '"eval"',
          "content-length": String(content.length),
        });
        response.end(content);
      };
      if (delayMs > 0) setTimeout(answer, delayMs);
      else answer();
    });
    server.keepAliveTimeout = 60_000;
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return new CountingOrigin(server, counted);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((done) => this.#server.close(() => done()));
    this.#server.closeAllConnections();
    await closed;
  }
}
