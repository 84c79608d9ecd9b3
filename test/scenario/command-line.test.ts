/** The program as users type it: what it prints, how it ends, what it says of mistakes. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { RawClient } from "../support/client.ts";
import { ask } from "../support/client.ts";
import { gyre as run, type Run } from "../support/command.ts";
import { startOrigin } from "../support/origin.ts";
import {
  endAll,
  program,
  secret,
  startMember,
  statusOf,
  temporaryFolder,
  until,
  type TestMember,
} from "../support/member.ts";

const folder = temporaryFolder();

const gyre = (parameters: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Run> =>
  run(parameters, folder, environment);

afterEach(endAll);
afterAll(async () => {
  await gyre(["stop"]);
});

const free = ["--listen", "127.0.0.1:0", "--peer", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

describe("mistakes", () => {
  it.each([
    [["start", "--lisen", "x"], 2, "Did you mean --listen?"],
    [["strat"], 2, "Did you mean start?"],
    [["start", "--listen", "nowhere"], 2, '"nowhere" is no place to listen at: write host:port'],
    [["start", "--listen", "127.0.0.1:99999"], 2, "is no place to listen at"],
    [["start", "--listen", "80,tsl"], 2, '("tsl" is not known)'],
    [["start", "--listen", "80,redirect"], 2, "a listener redirects to https, and none speaks TLS"],
    [["start", "--listen", "443,tls"], 2, "there is no certificate"],
    [["start", "--listen", "127.0.0.1:8081"], 2, "127.0.0.1:8081 is the peer port as well"],
    [["start", "--listen", "8080"], 2, "or listen for this machine alone: 127.0.0.1:8080"],
    [["start", "--memory", "lots"], 2, "is not a size: write a number with B, KB, MB or GB"],
    [["start", "--weight", "heavy"], 2, "--weight: write a number"],
    [["start", "--origin", "localhost:3000"], 2, "is not an origin: write scheme, host and port only"],
    [["start", "--origin", "http://h/path"], 2, "is not an origin"],
    [["start", "--allow", "10.0.0.0/64"], 2, "write a network as in 10.0.0.0/8"],
    [["start", "--listen", "0.0.0.0:0"], 2, "Name its clients with --allow"],
    [["start", "--peer", "0.0.0.0:0"], 2, "name it with --advertise"],
    [["start", "--drain-limit", "600h0"], 2, "is not a time"],
    [["start", "--tls-cert", "/nowhere"], 2, "tls-cert and tls-key go together"],
    [["start", "--tls-cert", "/nowhere", "--tls-key", "/nowhere"], 2, "/nowhere cannot be read"],
    [["start", "--name", "a b"], 2, "letters, digits, dot, dash and underscore"],
    [["start", "--config", "/nowhere.yaml"], 2, "cannot be read"],
    [["cluster", "--members", "many"], 2, "write a number from 1 to 64"],
    [["fetch", "example.com"], 2, "is not an http or https URL"],
    [["fetch", "http://h/", "-H", "nonsense", "--via", "127.0.0.1:1"], 2, 'write "Name: value"'],
    [["fetch", "http://h/", "--via", "127.0.0.1:1"], 1, "no member answered"],
    [["fetch", "http://h/", "--via", "127.0.0.1:1", "-o", "/nowhere/x"], 2, "--output /nowhere/x cannot be written"],
    [["start", "--memory", "65GB"], 2, "--memory: memory is more than a store can have: 64.0 GB"],
    [["ring", "http://a.example/", "example.com"], 2, '"example.com" is not an http or https URL'],
    [["status"], 1, "no member of a cluster runs on this machine"],
    [["status", "--admin", "127.0.0.1:1"], 1, "no member answers at 127.0.0.1:1"],
    [["stop"], 1, "no member of a cluster runs on this machine"],
  ])("%j", async (parameters, code, sentence) => {
    const run = await gyre(parameters);
    expect(run.errors).toContain(sentence);
    expect(run.code).toBe(code);
    expect(run.errors).not.toMatch(/^\s+at /m);
  });

  it("in variables are named by them", async () => {
    const run = await gyre(["check"], { GYRE_LISEN: "x", GYRE_MEMORY: "lots" });
    expect(run.errors).toContain("GYRE_LISEN: is not a setting (did you mean GYRE_LISTEN?)");
    expect(run.errors).toContain('GYRE_MEMORY: "lots" is not a size');
    expect(run.code).toBe(1);
  });

  it("in a file are named by file and line, all at once", async () => {
    const file = join(folder, "wrong.yaml");
    writeFileSync(
      file,
      "listen: 127.0.0.1:8080\nmemroy: 1GB\nroutes:\n  - origin: http://a\n    caching:\n      grase: 5s\n  - path: /x\nweight: true\n",
    );
    const run = await gyre(["check", file]);
    expect(run.errors).toContain(`${file}:2: unknown setting "memroy" (did you mean memory?)`);
    expect(run.errors).toContain(`${file}:6: unknown setting "routes.0.caching.grase" (did you mean grace?)`);
    expect(run.errors).toContain(`${file}:7: routes.1: a route needs one of origin, origins, redirect and respond`);
    expect(run.errors).toContain(`${file}:8: weight: write a number`);
    expect(run.code).toBe(1);
    writeFileSync(file, "a: [1\n");
    expect((await gyre(["check", file])).errors).toMatch(/wrong\.yaml:\d: /);
    writeFileSync(file, "listen: 127.0.0.1:0\nweight: 2\n");
    expect(await gyre(["check", file])).toMatchObject({ code: 0, output: `${file}: valid\n` });
  });

  it("where they are settings of an inner map, lead there", async () => {
    const file = join(folder, "inner.yaml");
    writeFileSync(file, "routes:\n  - origin: http://127.0.0.1:1\n    grace: 5s\nhead-bytes: 5KB\n");
    const { errors } = await gyre(["check", file]);
    expect(errors).toContain(`${file}:3: unknown setting "routes.0.grace" (did you mean caching.grace?)`);
    expect(errors).toContain(`${file}:4: unknown setting "head-bytes" (did you mean limits.head-bytes?)`);
  });

  it("that other servers take for patterns and variables are warned of, and shown nothing of", async () => {
    const file = join(folder, "patterns.yaml");
    const route = (text: string): string => `  - { host: a.example, ${text} }\n`;
    const origin = "origin: 'http://127.0.0.1:1'";
    const warned = [
      ["path: '/static/*', respond: { status: 204 }", "path: a path is a prefix, and no pattern"],
      ["path: '/x.php$', respond: { status: 204 }", "path: a path is a prefix, and no pattern"],
      ["path: /a, redirect: 'https://b.example$request_uri'", "redirect: there are no variables"],
      [`path: /b, rewrite: '/v2/$1', ${origin}`, "rewrite: there are no variables"],
      [
        `path: /c, ${origin}, set-fields: { request: { X-From: 's$remote_addr' } }`,
        "set-fields.request.X-From: there are no",
      ],
      [
        `path: /d, ${origin}, set-fields: { response: { X-Id: '%{req.xid}' } }`,
        "set-fields.response.X-Id: there are no",
      ],
    ] as const;
    const fine = [
      `path: /e, ${origin}, set-fields: { response: { X-Price: 'US$ 5', X-Share: '5 %' } }`,
      `path: /~f, ${origin}`,
    ];
    writeFileSync(file, `routes:\n${[...warned.map(([text]) => text), ...fine].map(route).join("")}`);
    const { code, errors } = await gyre(["check", file]);
    const lines = errors.trimEnd().split("\n");
    expect([code, lines.length], errors).toEqual([0, warned.length]);
    for (const [index, [, said]] of warned.entries())
      expect(lines[index]).toContain(`warning: routes.${index}.${said}`);
    expect(errors).not.toContain("remote_addr");
  });

  it("that a start would trip over are found without one", async () => {
    const file = join(folder, "tripping.yaml");
    const route = "{ host: a.example, path: /x, origin: 'http://127.0.0.1:1' }";
    writeFileSync(file, `routes:\n  - ${route}\n  - ${route}\nlimits:\n  connections: 0\n`);
    expect((await gyre(["check", file])).errors).toContain(`${file}:5: limits.connections: `);
    writeFileSync(file, `routes:\n  - ${route}\n  - ${route}\n`);
    const twice = "routes.1 is for a.example/x, and so is routes.0: it would never be asked";
    expect((await gyre(["check", file])).errors).toContain(`${file}:3: ${twice}`);
    writeFileSync(file, "secret-file: /nowhere/secret\norigin: http://127.0.0.1:1\npeer: 0.0.0.0:8081\n");
    const { code, errors } = await gyre(["check", file]);
    expect(errors).toContain(`${file}:1: ENOENT`);
    expect(errors).toContain(`${file}:3: --peer 0.0.0.0:8081 listens on every address`);
    expect(code).toBe(1);
  });

  it("can be looked for: every setting, and where it is from", async () => {
    const file = join(folder, "shown.yaml");
    writeFileSync(file, "memory: 1GB\nzone: here\nroutes:\n  - origin: http://127.0.0.1:1\n");
    const run = await gyre(["config", "--json", "--config", file, "--zone", "there"], { GYRE_DRAIN_LIMIT: "5s" });
    const settings = JSON.parse(run.output) as { name: string; value: unknown; from: string }[];
    const of = (name: string): unknown => settings.find((setting) => setting.name === name);
    expect(of("memory")).toEqual({ name: "memory", value: "1GB", from: `${file}:1` });
    expect(of("zone")).toEqual({ name: "zone", value: "there", from: "--zone" });
    expect(of("drain-limit")).toEqual({ name: "drain-limit", value: "5s", from: "GYRE_DRAIN_LIMIT" });
    expect(of("routes")).toEqual({ name: "routes", value: [{ origin: "http://127.0.0.1:1" }], from: `${file}:3` });
    expect(of("peer")).toEqual({ name: "peer", value: "127.0.0.1:8081", from: "default" });
    expect((await gyre(["config", "--show"])).output).toMatch(/^setting +value +from\n/);
    const parent = ["--parent", "http://me:secret@proxy:3128"];
    for (const form of [[], ["--json"]]) {
      const { output } = await gyre(["config", ...parent, ...form]);
      expect(output).toContain("http://me:***@proxy:3128");
      expect(output).not.toContain("secret@");
    }
  });

  it("of an explicit port in use are named", async () => {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address() as AddressInfo;
    const run = await gyre(["start", ...free, "--listen", `127.0.0.1:${port}`]);
    expect(run.errors).toContain(`the proxy (--listen) cannot listen on 127.0.0.1:${port}: the port is in use`);
    expect(run.code).toBe(1);
    const cluster = await gyre([
      "cluster",
      "--members",
      "2",
      "--detach",
      "--cluster",
      "taken",
      "--listen",
      `127.0.0.1:${port}`,
      "--peer",
      "127.0.0.1:0",
      "--admin",
      "127.0.0.1:0",
    ]);
    expect(cluster.errors).toContain(`127.0.0.1:${port}: the port is in use`);
    expect(cluster.code).toBe(1);
    server.close();
  });
});

describe("what is shown again and again", () => {
  it("is a line of JSON each time where a program reads it", async () => {
    const member = await startMember();
    const watching = spawn(process.execPath, [program, "status", "--watch", "--json", "--admin", member.admin], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, GYRE_SECRET: secret },
    });
    let text = "";
    watching.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    await until(() => text.split("\n").length > 2, "there are two lines");
    watching.kill();
    for (const line of text.split("\n").slice(0, 2))
      expect(JSON.parse(line)).toMatchObject({ cluster: "gyre", members: [{ name: member.name }], starting: [] });
  });
});

describe("precedence", () => {
  it("is flag, variable, file, default", async () => {
    const file = join(folder, "precedence.yaml");
    writeFileSync(file, "weight: 2\nzone: file\ncluster: from-file\n");
    const member = await startMember(["--config", file, "--zone", "flag"], { GYRE_ZONE: "variable", GYRE_WEIGHT: "3" });
    const [self] = (
      (await (await fetch(`http://${member.admin}/api/status`)).json()) as {
        cluster: string;
        members: { weight: number; zone: string }[];
      }
    ).members;
    expect(self).toMatchObject({ weight: 3, zone: "flag" });
    expect((await statusOf(member)).epoch).toBe(1);
  });
});

describe("a cluster in the background", () => {
  it("is started, shown, used and ended by what it recorded, and by nothing else", async () => {
    const bystander = await startMember();
    const origin = await startOrigin((request, response) => {
      response.setHeader("cache-control", "max-age=60");
      response.end(`you asked for ${request.url}\n`);
    });
    const started = await gyre(["cluster", "--members", "3", "--detach", ...free]);
    expect(started.errors).toContain("[###] m3 has joined");
    expect(started.code).toBe(0);
    const status = JSON.parse((await gyre(["status", "--json"])).output) as {
      cluster: string;
      epoch: number;
      leader: string;
      coordinator: string;
      members: {
        name: string;
        state: string;
        listen: string;
        peer: string;
        admin: string;
        pid: number;
        share: number;
      }[];
    };
    expect(status).toMatchObject({ cluster: "gyre", leader: "m1" });
    expect(status.epoch).toBeGreaterThan(0);
    expect(status.coordinator).toBe(`http://${status.members[0]!.peer}`);
    for (const member of status.members) {
      expect(member.state).toBe("active");
      for (const address of [member.listen, member.peer, member.admin]) expect(address).toMatch(/^127\.0\.0\.1:\d+$/);
      expect(member.share).toBeGreaterThan(0.25);
      expect(readFileSync(`/proc/${member.pid}/cmdline`, "utf8")).toContain(member.name);
    }
    expect((await gyre(["status"])).output).toMatch(/MEMBER +STATE +ROLE +SHARE/);
    const url = `${origin.url}/page`;
    const first = await gyre(["fetch", url, "-v"]);
    expect(first).toMatchObject({ code: 0, output: "you asked for /page\n" });
    expect(first.errors).toContain("through m1");
    expect((await gyre(["fetch", url, "-v"])).errors).toContain("; hit; ");
    expect((await gyre(["fetch", url, "-i"])).output).toMatch(/^HTTP\/1\.1 200 OK\n[^]*cache-status: /);
    expect((await gyre(["fetch", url, "--coordinator", status.coordinator])).output).toBe("you asked for /page\n");
    const file = join(temporaryFolder(), "answer");
    expect(await gyre(["fetch", `${origin.url}/form`, "-d", "some words", "-o", file])).toMatchObject({
      code: 0,
      output: "",
    });
    expect(readFileSync(file, "utf8")).toBe("you asked for /form\n");
    expect(origin.asked.at(-1)).toMatchObject({ method: "POST", body: Buffer.from("some words") });
    // Nobody listens there: the answer is the member's own.
    const refused = await gyre(["fetch", "http://127.0.0.1:1/"]);
    expect(refused.code).toBe(1);
    expect(refused.output).toMatch(/^502 Bad Gateway/);
    expect(await gyre(["fetch", url, "-o", "/dev/full"])).toMatchObject({
      code: 1,
      errors: expect.stringMatching(/^gyre: --output \/dev\/full cannot be written: ENOSPC[^\n]*\n$/),
    });
    expect((await gyre(["fetch", url, "--ca", "/nowhere/ca.pem"])).errors).toContain("--ca /nowhere/ca.pem: ENOENT");
    const located = JSON.parse((await gyre(["ring", url, "--json"])).output) as { urls: { owner: string }[] };
    const explained = JSON.parse((await gyre(["explain", url, "--json"])).output) as {
      owner: string;
      member: string;
      variants: { status: number; decision: string; clause: string }[];
    };
    expect(explained.owner).toBe(located.urls[0]!.owner);
    expect(explained.member).toBe(explained.owner);
    expect(explained.variants[0]).toMatchObject({ status: 200, decision: "hit" });
    expect(explained.variants[0]!.clause).toContain("RFC 9111 §4.2");
    const again = await gyre(["cluster", "--members", "2", "--detach", ...free]);
    expect(again).toMatchObject({ code: 1 });
    expect(again.errors).toContain("runs on this machine already");
    const beside = ["--cluster", "beside"];
    // Whatever is said of the listener holds for the members.
    const forward = ["--listen", "127.0.0.1:0,forward", "--forward", "true", "--origin", origin.url, ...free.slice(2)];
    expect((await gyre(["cluster", "--members", "1", "--detach", ...beside, ...forward])).code).toBe(0);
    const [only] = (JSON.parse((await gyre(["status", "--json", ...beside])).output) as typeof status).members;
    expect((await ask(Number(only!.listen.split(":").at(-1)), "/page")).status).toBe(400);
    expect((await gyre(["stop", ...beside])).code).toBe(0);
    const stopped = JSON.parse((await gyre(["stop", "--json"])).output) as { name: string; result: string }[];
    expect(stopped.map(({ result }) => result)).toEqual(["drained", "drained", "drained"]);
    expect(stopped.at(-1)!.name).toBe("m1");
    for (const { pid } of status.members) expect(hasEnded(pid), `pid ${pid}`).toBe(true);
    expect((await statusOf(bystander)).members.length).toBe(1);
    await origin.close();
  }, 60_000);
});

/**
 * Gone, or a zombie that nobody has collected: its parent has left, and not every machine has an init that collects.
 */
function hasEnded(pid: number): boolean {
  try {
    return / Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return true; // There is no such process any more.
  }
}

describe("signals", () => {
  it("SIGTERM lets an answer in progress end and then exits 0", async () => {
    let finish = (): void => {};
    const origin = await startOrigin((_request, response) => {
      response.setHeader("cache-control", "no-store");
      response.write("first ");
      finish = () => response.end("last");
    });
    const member = await startMember();
    const client = await RawClient.open(member.port);
    client.send(`GET ${origin.url}/ HTTP/1.1\r\nHost: ${new URL(origin.url).host}\r\n\r\n`);
    await client.until((text) => text.includes("first"), "the answer has begun");
    const stopped = member.stop();
    await until(async () => (await fetch(`http://${member.admin}/readyz`)).status === 503, "it drains");
    expect((await fetch(`http://${member.admin}/healthz`)).status).toBe(200);
    finish();
    await client.until((text) => text.includes("last"), "the answer ends");
    expect(await stopped).toBe(0);
    client.close();
    await origin.close();
  });

  it("a second signal does not wait", async () => {
    const origin = await startOrigin((_request, response) => void response.write("never ends"));
    const member = await startMember();
    const asked = fetch(`http://${member.listen}/`).catch(() => null);
    const client = await RawClient.open(member.port);
    client.send(`GET ${origin.url}/ HTTP/1.1\r\nHost: ${new URL(origin.url).host}\r\n\r\n`);
    await client.until((text) => text.includes("never"), "the answer has begun");
    const stopped = member.stop();
    await until(async () => (await fetch(`http://${member.admin}/readyz`)).status === 503, "it drains");
    member.child.kill("SIGTERM");
    expect(await stopped).toBe(1);
    await asked;
    client.close();
    await origin.close();
  });

  it("SIGHUP takes up a changed list of clients, and a wrong file changes nothing", async () => {
    const file = join(folder, "reload.yaml");
    writeFileSync(file, "access-log: off\n");
    const member: TestMember = await startMember(["--config", file]);
    writeFileSync(file, "access-log: off\nallow: [127.0.0.0/8]\nmemory: 100MB\n");
    member.child.kill("SIGHUP");
    await until(
      () => /taken up only with a restart: memory(?:, object-max)?/.test(member.output()),
      "what needs a restart is said",
    );
    writeFileSync(file, "nonsense: 1\n");
    member.child.kill("SIGHUP");
    await until(() => member.output().includes('unknown setting \\"nonsense\\"'), "the mistake is said");
    expect((await fetch(`http://${member.admin}/readyz`)).status).toBe(200);
  });
});

/** The machine's own Node, where it is an older one that Gyre runs on. */
function olderNode(): string | null {
  for (const folder of ["/usr/local/bin", "/usr/bin", "/bin"]) {
    const node = join(folder, "node");
    if (!existsSync(node)) continue;
    const [major = 0, minor = 0] = execFileSync(node, ["-p", "process.versions.node"])
      .toString()
      .split(".")
      .map(Number);
    const own = Number(process.versions.node.split(".")[0]);
    if (major < own && (major > 20 || (major === 20 && minor >= 19))) return node;
  }
  return null;
}
const older = olderNode();

/** A member that this Node has been asked for, when it is ready. */
async function startUnder(node: string, environment: Readonly<Record<string, string>>) {
  const runs = temporaryFolder();
  // Not every Node can share a port between threads.
  const { GYRE_THREADS: _threads, ...inherited } = process.env;
  const flags = ["--listen", "--peer", "--admin"].flatMap((flag) => [flag, "127.0.0.1:0"]);
  const child = spawn(node, [program, "start", ...flags], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...inherited, GYRE_RUN_DIR: runs, GYRE_SECRET: secret, ...environment },
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (bytes: Buffer) => (printed += bytes.toString()));
  const ended = once(child, "exit");
  await until(() => /admin\s+http:/.test(printed), `it is ready:\n${printed}`);
  const [, admin] = /admin\s+http:\/\/(\S+)/.exec(printed)!;
  return { child, admin: admin!, ended, printed: () => printed };
}

describe.skipIf(older === null)("a checkout", () => {
  it.each([
    ["goes on under its own Node, which is newer, and ends as that does", {}, process.versions.node],
    ["stays with the one that it was started with where that is said", { GYRE_NODE: "own" }, null],
  ])("%s", async (_, environment, version) => {
    const { child, admin, ended } = await startUnder(older!, environment);
    const metrics = await (await fetch(`http://${admin}/metrics`)).text();
    const runsOn = /^gyre_build_info\{[^}]*node="([^"]*)"/m.exec(metrics)![1];
    if (version === null) expect(runsOn).not.toBe(process.versions.node);
    else expect(runsOn).toBe(version);
    child.kill("SIGTERM");
    expect(await ended).toEqual([0, null]);
    await expect(fetch(`http://${admin}/healthz`)).rejects.toThrow();
  });

  it("leaves nothing behind where the process that was started is killed: its member stops in order", async () => {
    const { child, admin, ended, printed } = await startUnder(older!, {});
    child.kill("SIGKILL");
    await ended;
    await until(() => printed().includes("drained and left"), "the member has left");
    await expect(fetch(`http://${admin}/healthz`)).rejects.toThrow();
  });
});
