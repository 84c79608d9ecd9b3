/** Several places to listen at, each with its own way of speaking. */
import { execFile, execFileSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { promisify } from "node:util";
import { once } from "node:events";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ask, RawClient } from "../support/client.ts";
import { gyre } from "../support/command.ts";
import { freePort } from "../support/free-port.ts";
import {
  endAll,
  settled,
  startCluster,
  startMember,
  statusOf,
  temporaryFolder,
  until,
  type TestMember,
} from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";
import { selfSigned } from "../support/own-authority.ts";

let origin: TestOrigin;
const folder = temporaryFolder();
const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
beforeAll(async () => {
  origin = await startOrigin((asked, response) => {
    response.setHeader("cache-control", "max-age=600");
    response.end(`content of ${asked.url}`);
  });
  const subject = ["-subj", "/CN=localhost", "-days", "2", "-keyout", key, "-out", cert];
  execFileSync(
    "openssl",
    ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", ...subject],
    {
      stdio: "ignore",
    },
  );
});
afterEach(endAll);
afterAll(() => origin.close());

/** A member whose settings are these; its main listener's port is `port`. */
async function configured(text: string): Promise<TestMember> {
  const file = join(folder, `${Math.random()}.yaml`);
  writeFileSync(file, text);
  // Its places to listen at are the file's.
  return startMember(["--config", file], {}, ["--peer", "--admin"]);
}

const run = promisify(execFile);
const curl = async (...parameters: string[]): Promise<string> =>
  (await run("curl", ["-sS", "-k", "--max-time", "10", ...parameters])).stdout;

const connections = async ({ admin }: TestMember): Promise<number> =>
  Number(/^gyre_connections\{.*\} (\d+)$/m.exec(await (await fetch(`http://${admin}/metrics`)).text())![1]);

describe("listeners", () => {
  it("speak TLS here and send on to it there, but for what certificate authorities ask", async () => {
    const [plain, secure] = [await freePort(), await freePort()];
    await configured(
      `listen: [ "127.0.0.1:${plain},redirect", "127.0.0.1:${secure},tls" ]\ntls-cert: ${cert}\ntls-key: ${key}\norigin: ${origin.url}\n`,
    );
    for (let turn = 0; turn < 3; turn++) {
      const sent = await ask(plain, "/page?x=1", { headers: { host: `example.com:${plain}` } });
      expect([sent.status, sent.headers.location]).toEqual([308, `https://example.com:${secure}/page?x=1`]);
      expect(await curl(`https://127.0.0.1:${secure}/page?x=1`)).toBe("content of /page?x=1");
    }
    expect((await ask(plain, "/.well-known/acme-challenge/token")).text).toBe(
      "content of /.well-known/acme-challenge/token",
    );
    const absolute = await ask(plain, "http://example.com/there", { headers: { host: "example.com" } });
    expect([absolute.status, absolute.headers.location]).toEqual([308, `https://example.com:${secure}/there`]);
    expect(await curl("-L", "--resolve", `localhost:${plain}:127.0.0.1`, `http://localhost:${plain}/page?x=1`)).toBe(
      "content of /page?x=1",
    );
  });

  it("resume a client's sessions, whichever thread gets him, and after a reload", async () => {
    const port = await freePort();
    const text = `listen: "127.0.0.1:${port},tls"\ntls-cert: ${cert}\ntls-key: ${key}\norigin: ${origin.url}\n`;
    const member = await configured(text);
    // One is issued to who brings none, after the handshake.
    const shake = (session: Buffer | null): Promise<{ reused: boolean; issued: Buffer | null }> =>
      new Promise((done, fail) => {
        let issued: Buffer | null = null;
        let reused = false;
        const place = { host: "127.0.0.1", port, servername: "localhost", rejectUnauthorized: false };
        const socket = connectTls({ ...place, ...(session === null ? {} : { session }) }, () => {
          reused = socket.isSessionReused();
        });
        socket.on("session", (given: Buffer) => (issued = given));
        socket.on("error", fail);
        socket.on("close", () => done({ reused, issued }));
        socket.on("end", () => socket.end());
        socket.resume();
        socket.write("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
      });
    const first = await shake(null);
    expect([first.reused, first.issued === null]).toEqual([false, false]);
    for (let turn = 0; turn < 8; turn++) expect((await shake(first.issued)).reused, `connection ${turn}`).toBe(true);
    member.child.kill("SIGHUP");
    await until(() => member.output().includes("configuration reloaded"), "it is taken up");
    for (let turn = 0; turn < 8; turn++) expect((await shake(first.issued)).reused).toBe(true);
  });

  it("show openssl the certificate of the name that it asks for, and resume its session", async () => {
    const { cert: other, key: otherKey } = selfSigned("other.test");
    const port = await freePort();
    const certificates = `tls: [ { names: [localhost], cert: ${cert}, key: ${key} }, { names: [other.test], cert: ${other}, key: ${otherKey} } ]`;
    await configured(`listen: "127.0.0.1:${port},tls"\n${certificates}\norigin: ${origin.url}\n`);
    const session = join(folder, "session.pem");
    const asks = "GET / HTTP/1.1\\r\\nHost: h\\r\\nConnection: close\\r\\n\\r\\n";
    const shake = async (...flags: string[]): Promise<string> => {
      const client = `timeout 10 openssl s_client -connect 127.0.0.1:${port} -ign_eof ${flags.join(" ")}`;
      return (await run("sh", ["-c", `printf '${asks}' | ${client} 2>/dev/null`])).stdout;
    };
    expect(await shake("-servername", "other.test")).toContain("subject=CN = other.test");
    expect(await shake("-servername", "other.test.")).toContain("subject=CN = other.test");
    expect(await shake("-servername", "nobody.test")).toContain("subject=CN = localhost");
    const first = await shake("-servername", "localhost", "-sess_out", session);
    expect(first).toContain("subject=CN = localhost");
    expect(first).toMatch(/^New, TLSv1\.3/m);
    expect(await shake("-servername", "localhost", "-sess_in", session)).toMatch(/^Reused, TLSv1\.3/m);
  });

  it("show the certificate in which the name is that a client asks for, where nobody says whose it is", async () => {
    const made = (names: string): string => {
      const file = join(folder, `${names}.pem`);
      const alternative = `subjectAltName=${names.split(" ").join(",")}`;
      const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", file];
      const subject = ["-subj", `/CN=${names.split(" ")[0]!.slice(4)}`, "-addext", alternative];
      execFileSync("openssl", ["req", "-x509", "-days", "2", ...newKey, ...subject, "-out", `${file}.cert`], {
        stdio: "ignore",
      });
      return `cert: "${file}.cert", key: "${file}"`;
    };
    const port = await freePort();
    const first = `{ ${made("DNS:first.test DNS:said.test")} }`;
    const second = `{ ${made("DNS:second.test IP:127.0.0.1 DNS:*.second.test DNS:first.test")} }`;
    const said = `{ names: [said.test, www.second.test], ${made("DNS:said.test")} }`;
    await configured(`listen: "127.0.0.1:${port},tls"\ntls: [ ${first}, ${second}, ${said} ]\norigin: ${origin.url}\n`);
    const shown = async (name: string): Promise<string | undefined> => {
      const client = `echo | timeout 10 openssl s_client -connect 127.0.0.1:${port} -servername ${name} 2>/dev/null`;
      return /subject=CN = (\S+)/.exec((await run("sh", ["-c", client])).stdout)?.[1];
    };
    const names = ["first.test", "second.test", "a.second.test", "said.test", "www.second.test", "nobody.test"];
    expect(await Promise.all(names.map((name) => shown(name)))).toEqual([
      "first.test",
      "second.test",
      "second.test",
      "said.test",
      "said.test",
      "first.test",
    ]);
  });

  it("show, and tell of, the certificate that was taken up, whatever lies in its file by now", async () => {
    const [first, second] = [selfSigned("first.test"), selfSigned("second.test")];
    const [shownFile, shownKey] = [join(folder, "shown.pem"), join(folder, "shown.key")];
    const put = (pair: { readonly cert: string; readonly key: string }): void => {
      copyFileSync(pair.cert, shownFile);
      copyFileSync(pair.key, shownKey);
    };
    put(first);
    const port = await freePort();
    const member = await configured(
      `listen: "127.0.0.1:${port},tls"\ntls-cert: ${shownFile}\ntls-key: ${shownKey}\norigin: ${origin.url}\n`,
    );
    const told = async (): Promise<readonly (string | undefined)[]> => {
      const [known] = (await statusOf(member)).self.certificates;
      const metrics = await (await fetch(`http://${member.admin}/metrics`)).text();
      const subject = await run("sh", [
        "-c",
        `echo | timeout 10 openssl s_client -connect 127.0.0.1:${port} 2>/dev/null`,
      ]);
      return [
        known?.name,
        /gyre_certificate_expiry_seconds\{[^}]*name="([^"]*)"[^}]*\} \d+$/m.exec(metrics)?.[1],
        /subject=CN = (\S+)/.exec(subject.stdout)?.[1],
      ];
    };
    const reload = (): ReturnType<typeof gyre> => gyre(["reload", "--admin", member.admin], folder);
    expect(await told()).toEqual(["first.test", "first.test", "first.test"]);
    put(second);
    expect(await told(), "another, without a reload").toEqual(["first.test", "first.test", "first.test"]);
    for (const spoil of [
      () => writeFileSync(shownFile, "no certificate"),
      () => writeFileSync(shownFile, readFileSync(second.cert, "utf8").slice(0, 200)),
      () => rmSync(shownFile),
    ]) {
      spoil();
      const { code, output, errors } = await reload();
      expect([code, output + errors]).toEqual([1, expect.stringContaining(shownFile)]);
      expect(await told()).toEqual(["first.test", "first.test", "first.test"]);
    }
    put(second);
    expect((await reload()).code).toBe(0);
    // Threads hear of it when they come to it.
    await until(async () => (await told()).every((name) => name === "second.test"), "the new one is shown");
  });

  it("are for one proxy alone where they say so, whatever the other has stored", async () => {
    const [both, forward, reverse] = [await freePort(), await freePort(), await freePort()];
    await configured(
      `listen: [ "127.0.0.1:${both}", "127.0.0.1:${forward},forward", "127.0.0.1:${reverse},reverse" ]\nforward: true\norigin: ${origin.url}\n`,
    );
    const host = `127.0.0.1:${origin.port}`;
    for (let turn = 0; turn < 3; turn++) {
      // The same URL, by the one way and by the other.
      for (const path of [`http://${host}/x`, "/x"])
        expect((await ask(both, path, { headers: { host } })).status).toBe(200);
      expect((await ask(forward, `http://${host}/x`, { headers: { host } })).status).toBe(200);
      expect((await ask(forward, "/x", { headers: { host } })).status).toBe(400);
      expect((await ask(reverse, "/x", { headers: { host } })).status).toBe(200);
    }
    const tunnel = await RawClient.open(reverse);
    expect(
      await tunnel
        .send(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
        .until((text) => text.includes("\r\n\r\n"), "a head"),
    ).toMatch(/^HTTP\/1.1 405 /);
    tunnel.close();
  });

  it("may be a Unix socket, whose permissions are as configured, and which goes with the member", async () => {
    const [port, path] = [await freePort(), join(folder, "gyre.sock")];
    const text = `listen:\n  - 127.0.0.1:${port}\n  - { address: "unix:${path}", mode: "660" }\norigin: ${origin.url}\n`;
    const member = await configured(text);
    expect(statSync(path).mode & 0o777).toBe(0o660);
    for (const expected of ["stored", "hit"]) {
      const [status, cacheStatus] = await new Promise<[number, string]>((resolve, reject) => {
        request({ socketPath: path, path: "/unix", headers: { host: "h" } }, (response) => {
          response.resume();
          resolve([response.statusCode!, String(response.headers["cache-status"])]);
        })
          .on("error", reject)
          .end();
      });
      expect([status, cacheStatus]).toEqual([200, expect.stringContaining(expected) as string]);
    }
    // One that was left by a member that was killed is no obstacle, one that lives is.
    await member.kill();
    expect(existsSync(path)).toBe(true);
    const again = await configured(text);
    await expect(configured(text.replace(String(port), String(await freePort())))).rejects.toThrow(
      "somebody listens there already",
    );
    expect(await again.stop()).toBe(0);
    expect(existsSync(path)).toBe(false);
  });

  it.skipIf(process.getuid!() !== 0)("may be a Unix socket that is somebody else's", async () => {
    const path = join(folder, "owned.sock");
    const text = (owner: string): string =>
      `listen:\n  - 127.0.0.1:0\n  - { address: "unix:${path}", mode: "600", owner: "${owner}" }\norigin: ${origin.url}\n`;
    await configured(text("nobody:1234"));
    const { uid, gid, mode } = statSync(path);
    expect([uid, gid, mode & 0o777]).toEqual([65_534, 1234, 0o600]);
    await endAll();
    const file = join(folder, "owned.yaml");
    writeFileSync(file, text("no-such-user"));
    expect((await gyre(["check", file], folder)).errors).toContain("there is no user no-such-user on this machine");
    await expect(configured(text("no-such-user"))).rejects.toThrow("no user no-such-user");
    writeFileSync(file, `listen: { address: "127.0.0.1:0", owner: root }\norigin: ${origin.url}\n`);
    expect((await gyre(["check", file], folder)).errors).toContain("mode and owner are for Unix sockets");
  });

  it("that this machine does not have are told by a check as by a start", async () => {
    const path = join(folder, "none", "a.sock");
    const file = join(folder, "nowhere.yaml");
    const listen = (place: string): void =>
      writeFileSync(file, `listen: [ "127.0.0.1:0", "${place}" ]\norigin: ${origin.url}\n`);
    for (const [place, why] of [
      [`unix:${path}`, `there is no folder ${join(folder, "none")}`],
      [`unix:${cert}/a.sock`, `${cert} is no folder`],
      [`unix:${cert}`, "it is there already, and is no socket"],
    ] as const) {
      listen(place);
      const { code, errors } = await gyre(["check", file], folder);
      expect([code, errors]).toEqual([1, `gyre: ${file}:1: ${place} cannot be listened at: ${why}\n`]);
      await expect(startMember(["--config", file], {}, ["--peer", "--admin"])).rejects.toThrow(
        `the proxy (--listen) cannot listen on ${place}: ${why}`,
      );
    }
    // Whoever starts it may open what is not open here.
    listen("fd:77");
    const { code, errors } = await gyre(["check", file], folder);
    const why = "it is not open: whoever starts Gyre has to open it";
    expect([code, errors]).toEqual([0, `${file}:1: warning: fd:77 cannot be listened at: ${why}\n`]);
    await expect(startMember(["--config", file], {}, ["--peer", "--admin"])).rejects.toThrow(
      `cannot listen on fd:77: ${why}`,
    );
    const held = join(folder, "held.sock");
    const server = createServer().listen(held);
    await once(server, "listening");
    listen(`unix:${held}`);
    await expect(startMember(["--config", file], {}, ["--peer", "--admin"])).rejects.toThrow(
      `cannot listen on unix:${held}: somebody listens there already`,
    );
    server.close();
  });

  it("admit whom they are for", async () => {
    const [all, few] = [await freePort(), await freePort()];
    await configured(
      `listen: [ "127.0.0.1:${all}", { address: "127.0.0.1:${few}", proxy-protocol: true, allow: [ 192.0.2.0/24 ] } ]\norigin: ${origin.url}\n`,
    );
    expect((await ask(all, "/x")).status).toBe(200);
    const from = async (address: string): Promise<string> => {
      const client = await RawClient.open(few);
      client.send(`PROXY TCP4 ${address} 127.0.0.1 5000 80\r\nGET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
      return client.end();
    };
    expect(await from("192.0.2.7")).toMatch(/^HTTP\/1.1 200 /);
    expect(await from("198.51.100.7")).toBe("");
  });

  it.each([1, 3])(
    "take up whom they are for with a reload, and nobody for what they are not yet (threads: %i)",
    async (threads) => {
      const [balanced, plain, other] = [await freePort(), await freePort(), await freePort()];
      const file = join(folder, `reloaded-${threads}.yaml`);
      const write = (listener: string, more = ""): void =>
        writeFileSync(
          file,
          `listen: [ "127.0.0.1:${plain}", { address: "127.0.0.1:${balanced}", proxy-protocol: true, ${listener} } ${more} ]\nthreads: ${threads}\nroutes: [ { path: /x, origin: "${origin.url}" } ]\n${listener.includes("role") ? "forward: true" : ""}\n`,
        );
      write("allow: [ 192.0.2.0/24, 203.0.113.5 ]");
      const member = await startMember(["--config", file], {}, ["--peer", "--admin"]);
      const reload = async (): Promise<string> => (await gyre(["reload", "--admin", member.admin], folder)).output;
      const from = async (address: string): Promise<string> => {
        const client = await RawClient.open(balanced);
        client.send(
          `PROXY TCP4 ${address} 127.0.0.1 5000 80\r\nGET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`,
        );
        return (await client.end()).slice(0, 12);
      };
      const answers = async (): Promise<string[]> =>
        Promise.all(["192.0.2.7", "203.0.113.5", "198.51.100.7"].map((address) => from(address)));
      const ok = "HTTP/1.1 200";
      expect(await answers()).toEqual([ok, ok, ""]);
      write("allow: [ 198.51.100.0/24, 203.0.113.0/24 ]");
      expect(await reload()).toBe("m1: configuration reloaded\n");
      await until(async () => (await from("198.51.100.7")) === ok, "it is taken up by all threads");
      expect(await answers()).toEqual(["", ok, ok]);
      // Who may use a listener for one proxy alone may not use it while it is for both.
      write("allow: [ 192.0.2.0/24, 203.0.113.5 ], shared: true");
      expect(await reload()).toBe("m1: configuration reloaded; taken up only with a restart: listen\n");
      await until(async () => (await from("198.51.100.7")) === "", "who may not any more is out");
      expect(await answers()).toEqual(["", ok, ""]);
      // Nor is what has been for the reverse proxy alone made one for the forward proxy too.
      write("role: reverse, allow: [ 192.0.2.0/24 ]", `, "127.0.0.1:${other},forward"`);
      expect(await reload()).toContain("the forward proxy is to begin");
      expect((await ask(plain, `${origin.url}/elsewhere`)).status).toBe(404);
    },
  );

  it("may be one for the members of a machine, which all say so: each gets its part of the connections", async () => {
    const port = await freePort();
    const flags = ["--origin", origin.url, "--listen", `127.0.0.1:${port},shared`];
    const [one, other] = (await startCluster(2, flags, undefined, ["--peer", "--admin"])) as [TestMember, TestMember];
    const before = origin.asked.length;
    // That one of them gets all of 64 happens once in 2^63 times.
    const clients = await Promise.all(Array.from({ length: 64 }, () => RawClient.open(port)));
    for (const client of clients) client.send("GET /shared HTTP/1.1\r\nHost: h\r\n\r\n");
    for (const client of clients)
      await client.until((received) => received.endsWith("content of /shared"), "it has been answered");
    expect(origin.asked.length).toBe(before + 1);
    const [ours, theirs] = [await connections(one), await connections(other)];
    expect(ours + theirs).toBe(64);
    expect(Math.min(ours, theirs)).toBeGreaterThan(0);
    for (const client of clients) client.socket.destroy();
    const flagsAlone = ["--origin", origin.url, "--listen", `127.0.0.1:${port}`, "--cluster", "another"];
    await expect(startMember(flagsAlone, {}, ["--peer", "--admin"])).rejects.toThrow("the port is in use");
    expect(await other.stop()).toBe(0);
    await settled([one]);
    for (let asked = 0; asked < 10; asked++)
      expect((await ask(port, "/shared")).cacheStatus).toMatch(/^m1; (?:hit|fwd)/);
  });

  it("let go whoever ends before anything is said, and answer who ends behind a request", async () => {
    const [plain, behind, secure, both] = [await freePort(), await freePort(), await freePort(), await freePort()];
    const places = `"127.0.0.1:${plain}", { address: "127.0.0.1:${behind}", proxy-protocol: true }, "127.0.0.1:${both},http2"`;
    const member = await configured(
      `listen: [ ${places}, "127.0.0.1:${secure},tls" ]\ntls-cert: ${cert}\ntls-key: ${key}\norigin: ${origin.url}\nlimits: { head-timeout: 60s }\n`,
    );
    // As balancers do that look whether somebody listens.
    for (const port of [plain, behind, secure, both]) {
      const client = await RawClient.open(port);
      client.socket.end();
      expect(await client.end()).toBe("");
    }
    // Node's client leaves before it has said its last word of the handshake.
    const doubting = connectTls({ port: secure, host: "127.0.0.1", ca: [] });
    await new Promise((refused) => doubting.once("error", refused));
    const brief = connectTls({ port: secure, host: "127.0.0.1", rejectUnauthorized: false });
    brief.once("secureConnect", () => brief.end("GET /x HTTP/1.1\r\nHost: h\r\n\r\n"));
    let received = "";
    brief.on("data", (bytes: Buffer) => (received += bytes.toString()));
    await once(brief, "end");
    expect(received).toContain("content of /x");
    await until(async () => (await connections(member)) === 0, "all have gone");
  });

  it("tell of those whom they turn away, by reason, and say in clear text that they speak TLS", async () => {
    const [plain, behind, secure] = [await freePort(), await freePort(), await freePort()];
    const places = `"127.0.0.1:${plain}", { address: "127.0.0.1:${behind}", proxy-protocol: true, allow: [ 192.0.2.0/24 ] }`;
    const member = await configured(
      `listen: [ ${places}, "127.0.0.1:${secure},tls" ]\ntls-cert: ${cert}\ntls-key: ${key}\norigin: ${origin.url}\nlimits: { connections-per-client: 3 }\n`,
    );
    const request = "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    const answer = async (port: number, bytes: string): Promise<string> => {
      const client = await RawClient.open(port);
      return client.send(bytes).end();
    };
    expect(await answer(behind, `PROXY TCP4 198.51.100.7 127.0.0.1 5000 80\r\n${request}`)).toBe("");
    expect(await answer(behind, request)).toBe("");
    expect(await answer(secure, request)).toMatch(
      /^HTTP\/1\.1 400 Bad Request\r\n(?:[^\r]+\r\n)*\r\nThis port speaks TLS: write https:\/\//,
    );
    const old = connectTls({ port: secure, host: "127.0.0.1", rejectUnauthorized: false, maxVersion: "TLSv1.1" });
    await new Promise((refused) => old.once("error", refused));
    // What only looks whether somebody listens is nobody to tell of.
    (await RawClient.open(secure)).close();
    (await RawClient.open(behind)).close();
    const counts = async (): Promise<Record<string, number>> => {
      const text = await (await fetch(`http://${member.admin}/metrics`)).text();
      const lines = text.matchAll(/^gyre_connections_turned_away_total\{reason="([^"]+)".*\} (\d+)$/gm);
      return Object.fromEntries([...lines].map(([, reason, count]) => [reason, Number(count)]));
    };
    await until(async () => (await connections(member)) === 0, "all have gone");
    // Which of them depends on which thread looks first.
    const held = await Promise.all([1, 2, 3, 4].map(() => RawClient.open(plain)));
    await Promise.race(held.map((client) => client.end()));
    for (const client of held) client.close();
    // Each thread tells of those that it has turned away, once a second.
    const each = ["not-allowed", "too-many", "no-proxy-header", "clear-text", "no-handshake"];
    await until(async () => Object.values(await counts()).every((count) => count > 0), "they are counted");
    expect(await counts()).toEqual(Object.fromEntries(each.map((reason) => [reason, 1])));
    const { output: events } = await gyre(["events", "--admin", member.admin, "--json"], folder);
    expect(events).toContain("closed a connection of clients that `allow` does not name, from 198.51.100.7");
    expect(events).toContain("closed a connection in clear text where TLS is spoken, from 127.0.0.1");
  });

  it.each([1, 3])("are not those that have gone before they were looked at (threads: %i)", async (threads) => {
    const flags = ["--origin", origin.url, "--proxy-protocol", "true", "--threads", String(threads)];
    const member = await startMember(flags);
    const told = async (reason: string): Promise<string | undefined> => {
      const text = await (await fetch(`http://${member.admin}/metrics`)).text();
      return new RegExp(`^gyre_connections_turned_away_total\\{reason="${reason}".*\\} (\\d+)$`, "m").exec(text)?.[1];
    };
    // A balancer that only looks whether somebody listens resets what it has opened: then nobody can say who it was.
    process.kill(member.pid, "SIGSTOP");
    for (let count = 0; count < 12; count++) {
      const client = connect(member.port, "127.0.0.1");
      await once(client, "connect");
      client.resetAndDestroy();
    }
    process.kill(member.pid, "SIGCONT");
    for (let count = 0; count < 12; count++)
      await (await RawClient.open(member.port)).send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").end();
    await until(async () => (await told("no-proxy-header")) === "12", "what came after them is counted");
    expect(await told("not-allowed")).toBe("0");
    await until(async () => (await connections(member)) === 0, "all have gone");
  });
});
