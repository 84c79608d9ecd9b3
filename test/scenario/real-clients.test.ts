/**
 * Real clients through the real program to a real origin: every byte the same, forward and reverse, one member and
 * three.
 */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { closeSync, openSync, readdirSync, readFileSync, statSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { documentation, startNginx, type Nginx } from "../support/nginx.ts";
import { ask, through } from "../support/client.ts";
import { endAll, startCluster, startMember, statusOf, type TestMember } from "../support/member.ts";

const largeBytes = 200 * 2 ** 20;
let nginx: Nginx;
let large = "";
let middle: Buffer;

beforeAll(async () => {
  nginx = await startNginx();
  const hash = createHash("sha256");
  const file = openSync(join(nginx.files, "large.bin"), "w");
  for (let written = 0; written < largeBytes; written += 2 ** 20) {
    const piece = randomBytes(2 ** 20);
    hash.update(piece);
    writeSync(file, piece);
  }
  closeSync(file);
  large = hash.digest("hex");
  middle = randomBytes(3 * 2 ** 20 + 12_345);
  writeFileSync(join(nginx.files, "middle.bin"), middle);
  writeFileSync(join(nginx.files, "text.txt"), "line of text\n".repeat(5000));
});

afterAll(async () => {
  await endAll();
  await nginx.stop();
});

/** Real files of the documentation that Debian's packages install. */
function documents(count: number): { path: string; content: Buffer }[] {
  const found: { path: string; content: Buffer }[] = [];
  for (const folder of readdirSync(documentation)) {
    const file = join(documentation, folder, "copyright");
    try {
      if (statSync(file).size > 0) found.push({ path: `/doc/${folder}/copyright`, content: readFileSync(file) });
    } catch {
      continue; // Some packages have no such file.
    }
    if (found.length === count) break;
  }
  return found;
}

interface Run {
  readonly code: number | null;
  readonly output: Buffer;
  readonly errors: string;
}

function run(command: string, parameters: readonly string[], environment: Record<string, string> = {}): Promise<Run> {
  const child = spawn(command, parameters, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...environment },
  });
  const output: Buffer[] = [];
  let errors = "";
  child.stdout.on("data", (chunk: Buffer) => output.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  return new Promise((done) => child.once("close", (code) => done({ code, output: Buffer.concat(output), errors })));
}

describe.each([
  ["one member", 1],
  ["three members", 3],
] as const)("%s", (_, count) => {
  let forward: TestMember[];
  let reverse: TestMember[];

  beforeAll(async () => {
    forward = await startCluster(count);
    reverse = await startCluster(count, ["--origin", nginx.url]);
  });
  afterAll(endAll);

  it("serves Debian's documentation byte for byte, first as misses and then as hits, to curl on every entry", async () => {
    const files = documents(25);
    expect(files.length).toBeGreaterThan(5);
    for (const entry of forward) {
      for (const { path, content } of files) {
        const got = await run("curl", ["-sS", "-f", "-x", `http://${entry.listen}`, `${nginx.url}${path}`]);
        expect(got.errors).toBe("");
        expect(got.output.equals(content), path).toBe(true);
      }
    }
    const again = await through(forward[0]!.port, `${nginx.url}${files[0]!.path}`);
    expect(again.cacheStatus).toContain("hit");
    for (const entry of reverse) {
      for (const { path, content } of files.slice(0, 8)) {
        const got = await run("curl", ["-sS", "-f", `http://${entry.listen}${path}`]);
        expect(got.output.equals(content), path).toBe(true);
      }
    }
  });

  it("serves wget through http_proxy", async () => {
    const got = await run("wget", ["-q", "-O", "-", `${nginx.url}/files/middle.bin`], {
      http_proxy: `http://${forward.at(-1)!.listen}`,
      no_proxy: "",
    });
    expect(got.code).toBe(0);
    expect(got.output.equals(middle)).toBe(true);
  });

  it("serves Python's urllib through a proxy handler", async () => {
    const script =
      "import sys, urllib.request as u; o = u.build_opener(u.ProxyHandler({'http': sys.argv[1]})); sys.stdout.buffer.write(o.open(sys.argv[2]).read())";
    const got = await run("python3", ["-c", script, `http://${forward[0]!.listen}`, `${nginx.url}/files/middle.bin`]);
    expect(got.errors).toBe("");
    expect(got.output.equals(middle)).toBe(true);
  });

  it("passes chunked content on, and stores it (RFC 9112 §7)", async () => {
    const url = `${nginx.url}/chunked/text.txt`;
    const headers = { "accept-encoding": "gzip" };
    const first = await through(forward[0]!.port, url, { headers });
    const second = await through(forward.at(-1)!.port, url, { headers });
    expect(first.headers["content-encoding"]).toBe("gzip");
    expect(second.body.equals(first.body)).toBe(true);
    expect(second.cacheStatus).toContain("hit");
  });

  it("answers HEAD from a stored GET, and a client's validator with 304", async () => {
    const url = `${nginx.url}/files/text.txt`;
    const whole = await through(forward[0]!.port, url);
    const head = await through(forward[0]!.port, url, { method: "HEAD" });
    expect(head.status).toBe(200);
    expect(head.body.length).toBe(0);
    expect(head.headers["content-length"]).toBe(String(whole.body.length));
    expect(head.cacheStatus).toContain("hit");
    const known = await through(forward[0]!.port, url, { headers: { "if-none-match": whole.headers.etag! } });
    expect(known.status).toBe(304);
    expect(known.body.length).toBe(0);
  });

  it("passes POST on with its content, and stores nothing of it", async () => {
    const body = "x".repeat(100_000);
    const answer = await through(forward.at(-1)!.port, `${nginx.url}/echo`, { method: "POST", body });
    expect(answer.text).toBe("POST 100000\n");
    expect(answer.cacheStatus).toContain("fwd=method");
  });

  it("serves a range of a stored response", async () => {
    const url = `${nginx.url}/files/middle.bin`;
    await through(forward[0]!.port, url);
    const part = await through(forward[0]!.port, url, { headers: { range: "bytes=1000000-1000099" } });
    expect(part.status).toBe(206);
    expect(part.body.equals(middle.subarray(1_000_000, 1_000_100))).toBe(true);
    expect(part.cacheStatus).toContain("hit");
  });

  it("marks every answer with Cache-Status, Age and Via", async () => {
    for (const url of [`${nginx.url}/files/text.txt`, `${nginx.url}/echo`, `${nginx.url}/files/none`]) {
      const answer = await through(forward[0]!.port, url);
      expect(answer.headers["cache-status"], url).toBeDefined();
      expect(answer.headers.age, url).toMatch(/^\d+$/);
      expect(answer.headers.via, url).toContain("gyre");
    }
  });
});

describe("a file larger than the budget allows", () => {
  afterAll(endAll);

  it("streams 200 MB byte for byte, to a fast and a slow client, within the budget and 100 MB", async () => {
    const budget = 64 * 2 ** 20;
    const members = await startCluster(2, ["--memory", String(budget), "--object-max", "32MB"]);
    const base = rssBytes(members);
    let peak = 0;
    const sampler = setInterval(
      () => (peak = Math.max(peak, ...members.map(({ pid }, index) => rss(pid) - base[index]!))),
      50,
    );
    const url = `${nginx.url}/files/large.bin`;
    const [fast, slow] = await Promise.all([
      run("sh", ["-c", `curl -sS -f -x http://${members[0]!.listen} ${url} | sha256sum`]),
      run("sh", ["-c", `curl -sS -f --limit-rate 40M -x http://${members[1]!.listen} ${url} | sha256sum`]),
    ]);
    clearInterval(sampler);
    expect(fast.output.toString().slice(0, 64)).toBe(large);
    expect(slow.output.toString().slice(0, 64)).toBe(large);
    expect(peak).toBeLessThan(budget + 100 * 2 ** 20);
    const { self } = await statusOf(members[0]!);
    expect(self.store.bytes).toBeLessThan(budget);
  }, 120_000);

  it("keeps to its budget while more is asked for than fits, and goes on serving", async () => {
    const budget = 16 * 2 ** 20;
    const member = await startMember(["--memory", String(budget), "--object-max", "4MB"]);
    for (let round = 0; round < 30; round++) {
      const answer = await through(member.port, `${nginx.url}/files/middle.bin?round=${round % 12}`);
      expect(answer.body.equals(middle)).toBe(true);
      const { self } = await statusOf(member);
      expect(self.store.bytes).toBeLessThanOrEqual(budget);
    }
    expect(
      (await ask(member.port, `${nginx.url}/files/none`, { headers: { host: `127.0.0.1:${nginx.port}` } })).status,
    ).toBe(404);
  });
});

function rssBytes(members: readonly TestMember[]): number[] {
  return members.map(({ pid }) => rss(pid));
}

function rss(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) * 1024;
}
