/** Gyre within programs of one's own: a member that is embedded, and the client, as their packages give them. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { request, upgrade } from "undici";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { connect } from "../../src/client/connect.ts";
import { gyre } from "../support/command.ts";
import { freePort } from "../support/free-port.ts";
import { endAll, root, secret, startMember, temporaryFolder, until } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

let origin: TestOrigin;
beforeAll(async () => {
  origin = await startOrigin((request, response, { body }) => {
    response.setHeader("x-method", request.method!);
    response.setHeader("x-type", request.headers["content-type"] ?? "");
    response.end(body.length > 0 ? body : "content");
  });
});
afterEach(endAll);
afterAll(() => origin.close());

describe("a member that is embedded", () => {
  it("runs as the example says", () => {
    const output = execFileSync(process.execPath, [join(root, "examples/embedded.mjs")], { encoding: "utf8" });
    const lines = output.trim().split("\n");
    expect(lines[0]).toMatch(/; fwd=uri-miss.*: answer 1 to \/page$/);
    expect(lines[1]).toMatch(/; hit.*: answer 1 to \/page$/);
    expect(lines[2]).toMatch(/; hit.*: answer 1 to \/page$/);
    expect(lines[3]).toBe("the application was asked 1 times");
  });

  it("takes settings as a file does: wrong ones are errors, changed ones are taken up", () => {
    const folder = temporaryFolder();
    const file = join(folder, "program.mjs");
    writeFileSync(
      file,
      `import { startMember } from "gyre";
const wrong = await startMember({ orign: "http://127.0.0.1:1" }).catch((error) => error.message);
console.log(wrong);
const member = await startMember({ origin: ${JSON.stringify(origin.url)}, listen: "127.0.0.1:0", "log-level": "error" });
console.log(member.reload({ origin: ${JSON.stringify(origin.url)}, listen: "127.0.0.1:0", weight: 2, "log-level": "error" }).join());
console.log((await member.stop()).cut);
`,
    );
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(root, join(folder, "node_modules/gyre"));
    const { stdout, stderr } = spawnSync(process.execPath, [file], { encoding: "utf8" });
    const [wrong, kept, cut] = stdout.split("\n");
    expect(wrong, stderr).toMatch(/orign/);
    expect([kept, cut]).toEqual(["weight", "0"]);
  });

  it("that cannot be started leaves nothing behind: its program may try again, or end", async () => {
    const host = await startMember([]);
    const folder = temporaryFolder();
    const file = join(folder, "program.mjs");
    const [listen, peer, admin] = await Promise.all([freePort(), freePort(), freePort()]);
    writeFileSync(
      file,
      `import { startMember } from "gyre";
import { createServer } from "node:net";
const places = { listen: "127.0.0.1:${listen}", peer: "127.0.0.1:${peer}", admin: "127.0.0.1:${admin}" };
const start = (more) => startMember({ ...places, memory: "64MB", "log-level": "error", ...more });
const message = (error) => error.message;
for (const threads of ["1", "2"]) {
  const other = createServer().listen(${listen}, "127.0.0.1");
  await new Promise((listening) => other.once("listening", listening));
  console.log(await start({ threads }).catch(message));
  await new Promise((closed) => other.close(closed));
  console.log(await start({ threads, secret: "not what the cluster has", coordinator: "http://${host.peer}" }).catch(message));
}
const member = await start({});
console.log((await member.stop()).cut);
`,
    );
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(root, join(folder, "node_modules/gyre"));
    const { status, stdout, stderr } = spawnSync(process.execPath, [file], { encoding: "utf8", timeout: 30_000 });
    const told = stdout.trim().split("\n");
    expect(told, stderr).toEqual([
      expect.stringContaining("the port is in use"),
      expect.stringContaining("does not know the secret"),
      expect.stringContaining("the port is in use"),
      expect.stringContaining("does not know the secret"),
      "0",
    ]);
    expect(status).toBe(0);
  }, 60_000);

  it("is typed: a strict program that uses both packages compiles", () => {
    const folder = temporaryFolder();
    writeFileSync(
      join(folder, "program.mts"),
      `import { startMember, type EmbeddedMember } from "gyre";
import { connect, type GyreClient } from "gyre/client";
const member: EmbeddedMember = await startMember({ listen: "127.0.0.1:0" });
const client: GyreClient = await connect({ coordinator: \`http://\${member.addresses.peer}\`, secret: member.secret });
const response: Response = await client.fetch(new Request("http://example.com/"));
const text: string = await response.text();
console.log(text, client.leader);
await client.close();
await member.stop();
`,
    );
    mkdirSync(join(folder, "node_modules/@types"), { recursive: true });
    symlinkSync(root, join(folder, "node_modules/gyre"));
    symlinkSync(join(root, "node_modules/@types/node"), join(folder, "node_modules/@types/node"));
    const flags = [
      "--noEmit",
      "--strict",
      "--module",
      "nodenext",
      "--target",
      "es2023",
      "--types",
      "node",
      "--skipLibCheck",
    ];
    const { status, stdout } = spawnSync(
      process.execPath,
      [join(root, "node_modules/typescript/bin/tsc"), ...flags, join(folder, "program.mts")],
      { encoding: "utf8", cwd: folder },
    );
    expect([status, stdout]).toEqual([0, ""]);
  });
});

describe("the client's fetch", () => {
  it("takes what fetch takes, and gives what fetch gives", async () => {
    const member = await startMember([]);
    const client = await connect({ coordinator: `http://${member.peer}`, secret });
    const url = `${origin.url}/x`;
    const plain = await client.fetch(url);
    expect(plain).toBeInstanceOf(Response);
    expect(await plain.text()).toBe("content");
    expect(await (await client.fetch(new URL(url))).text()).toBe("content");
    const asked = await client.fetch(new Request(url, { method: "POST", body: "posted" }));
    expect([asked.headers.get("x-method"), await asked.text()]).toEqual(["POST", "posted"]);
    const form = new FormData();
    form.set("name", "value");
    const formed = await client.fetch(url, { method: "POST", body: form });
    expect(formed.headers.get("x-type")).toMatch(/^multipart\/form-data; boundary=/);
    expect(await formed.text()).toContain('name="name"');
    await client.close();
  });

  it("gets what comes after interim answers, as undici's own functions do, which get these as well", async () => {
    const member = await startMember([]);
    const client = await connect({ coordinator: `http://${member.peer}`, secret });
    const hinting = await startOrigin((_request, response) => {
      response.writeEarlyHints({ link: "</a.css>; rel=preload" });
      response.writeProcessing();
      response.end("hinted");
    });
    expect(await (await client.fetch(`${hinting.url}/fetched`)).text()).toBe("hinted");
    const interim: number[] = [];
    const onInfo = ({ statusCode }: { statusCode: number }): void => void interim.push(statusCode);
    const asked = await request(`${hinting.url}/asked`, { dispatcher: client.dispatcher, onInfo });
    expect([asked.statusCode, await asked.body.text(), interim[0]]).toEqual([200, "hinted", 103]);
    await client.close();
    await hinting.close();
  });
});

describe("the client's dispatcher", () => {
  it("opens WebSockets, and ends once however often it is closed", async () => {
    const member = await startMember([]);
    const client = await connect({ coordinator: `http://${member.peer}`, secret });
    const sockets = createServer((_request, response) => response.end()).on("upgrade", (_request, socket) =>
      socket.end("HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\nConnection: Upgrade\r\n\r\nhello"),
    );
    await new Promise<void>((done) => sockets.listen(0, "127.0.0.1", done));
    const url = `http://127.0.0.1:${(sockets.address() as AddressInfo).port}/chat`;
    const { headers, socket } = await upgrade(url, { dispatcher: client.dispatcher, protocol: "chat" });
    const [said] = (await once(socket, "data")) as [Buffer];
    expect([headers["upgrade"], String(said)]).toEqual(["chat", "hello"]);
    await Promise.all([client.close(), client.close()]);
    await client.close();
    sockets.close();
  });
});

describe("a secret that was made up", () => {
  it("is in no log: where nobody looks it is in a file for this user alone", async () => {
    const folder = temporaryFolder();
    const flags = ["--listen", "127.0.0.1:0", "--peer", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    const child = spawn(process.execPath, [join(root, "bin/gyre"), "start", ...flags], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: process.env["PATH"], GYRE_RUN_DIR: folder, GYRE_THREADS: "1" },
    });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (said += chunk.toString()));
    await until(() => said.includes("secret"), "it is told");
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGTERM");
    await ended;
    const file = /secret in (\S+), for this user alone/.exec(said)?.[1];
    expect(file, said).toBe(join(folder, "secret-gyre"));
    expect(statSync(file!).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toContain("secret-gyre");
    expect(said).not.toContain(readFileSync(file!, "utf8").trim());
  });
});

describe("what the shell and the manual are told", () => {
  it("is made of the commands as they are", async () => {
    const folder = temporaryFolder();
    for (const shell of ["bash", "zsh", "fish"]) {
      const { code, output } = await gyre(["completion", shell], folder);
      expect(code).toBe(0);
      for (const word of ["purge", "explain", "compress"]) expect(output, shell).toContain(word);
    }
    const { output: script } = await gyre(["completion", "bash"], folder);
    const completed = (words: string): string =>
      execFileSync(
        "bash",
        [
          "-c",
          `${script}\nCOMP_WORDS=(${words}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _gyre; echo "\${COMPREPLY[@]}"`,
        ],
        { encoding: "utf8" },
      ).trim();
    expect(completed("gyre sta")).toBe("start status");
    expect(completed("gyre purge --ta")).toBe("--tag");
    expect((await gyre(["completion", "tcsh"], folder)).code).toBe(2);
    const { output: page } = await gyre(["man"], folder);
    expect(page).toMatch(/^\.TH GYRE 1 "\d{4}-\d\d-\d\d"/);
    for (const name of ["start", "purge [URL...]", "explain URL"]) expect(page).toContain(`.SS ${name}`);
    expect(page).not.toMatch(/^[.'](?![A-Z]{1,2}\b|br\b)/m);
  });
});
