/** Certificates from an authority: one member asks, all serve, an old one serves on, and what is kept is kept to itself. */
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { X509Certificate } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ask } from "../support/client.ts";
import { gyre } from "../support/command.ts";
import {
  endAll,
  startCluster,
  startMember,
  statusOf,
  temporaryFolder,
  until,
  type TestMember,
} from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";
import { freePort } from "../support/free-port.ts";
import { hasPebble, startPebble, type Pebble } from "../support/pebble.ts";

let origin: TestOrigin;
let pebble: Pebble;
/** Where the authority asks. */
let httpPort = 0;
let tlsPort = 0;
const folder = temporaryFolder();
let files = 0;

beforeAll(async () => {
  origin = await startOrigin((_request, response) => response.end("content"));
  [httpPort, tlsPort] = [await freePort(), await freePort()];
  if (hasPebble) pebble = await startPebble(httpPort, tlsPort);
});
afterEach(endAll);
afterAll(async () => {
  await origin.close();
  await pebble?.stop();
});

/** Flags of a member that listens at these ports. */
function flags(
  http: number,
  https: number,
  hosts: readonly string[],
  state = join(folder, `state-${++files}`),
  more = "",
): string[] {
  const file = join(folder, `gyre-${++files}.yaml`);
  writeFileSync(
    file,
    `certificates: auto
acme-directory: ${pebble.directory}
acme-ca: ${pebble.ca}
acme-contact: operator@example.com
state: ${state}
${more}
listen: ["127.0.0.1:${https},tls", "127.0.0.1:${http},redirect"]
routes:
  - { path: /any, origin: "${origin.url}" }
${hosts.map((host) => `  - { host: ${host}, origin: "${origin.url}" }`).join("\n")}
`,
  );
  return ["--config", file];
}

const listening = ["--peer", "--admin"];

/** The certificate that a member shows for a name; null where it shows none. */
function shown(port: number, name: string, protocols?: readonly string[]): Promise<X509Certificate | null> {
  return new Promise((done) => {
    const place = { host: "127.0.0.1", port, servername: name, rejectUnauthorized: false };
    const ALPNProtocols = protocols === undefined ? {} : { ALPNProtocols: [...protocols] };
    const socket = connect({ ...place, ...ALPNProtocols }, () => {
      done(socket.getPeerX509Certificate() ?? null);
      socket.destroy();
    });
    socket.on("error", () => done(null));
  });
}

const certified = async (port: number, name: string): Promise<boolean> =>
  (await shown(port, name))?.subjectAltName === `DNS:${name}`;

describe.skipIf(!hasPebble)("a certificate", () => {
  it("is had for each host of a route, shown at once, and kept for the next start", async () => {
    const https = await freePort();
    const state = join(folder, "kept");
    const own = flags(httpPort, https, ["one.test", "two.test", "'*.wild.test'"], state);
    const member = await startMember(own, {}, listening);
    await until(
      async () => (await certified(https, "one.test")) && certified(https, "two.test"),
      "both are shown",
      30_000,
    );
    const { certificates } = (await statusOf(member)).self;
    expect(certificates.map(({ name, problem }) => [name, problem])).toEqual([
      ["one.test", null],
      ["two.test", null],
      ["*.wild.test", null],
    ]);
    expect(member.output()).toContain("*.wild.test cannot be certified over http");
    const metrics = await (await fetch(`http://${member.admin}/metrics`)).text();
    expect(
      Number(/gyre_certificate_expiry_seconds\{[^}]*name="one.test"[^}]*\} (\S+)/.exec(metrics)?.[1]),
    ).toBeGreaterThan(86_400);
    const redirected = await ask(httpPort, "/page", { headers: { host: "one.test" } });
    expect([redirected.status, redirected.headers["location"]]).toEqual([308, `https://one.test:${https}/page`]);
    for (const file of [
      join(state, "acme-account.pem"),
      ...readdirSync(join(state, "certificates")).map((name) => join(state, "certificates", name)),
    ])
      expect(statSync(file).mode & 0o777, file).toBe(0o600);
    const serial = (await shown(https, "one.test"))!.serialNumber;
    await member.stop();
    const again = await startMember(own, {}, listening);
    expect((await shown(https, "one.test"))!.serialNumber, "the same").toBe(serial);
    expect(again.output()).not.toContain("asks https");
  }, 90_000);

  it("is asked for by one member of three and served by all, whoever the authority asks", async () => {
    const ports = await Promise.all(Array.from({ length: 6 }, () => freePort()));
    const [https, http] = [ports.slice(0, 3), [ports[3]!, ports[4]!, httpPort]];
    // The authority's requests come to the last one, which does not lead.
    const configs = https.map((port, index) => flags(http[index]!, port, [], join(folder, `three-${index}`)));
    const members = await startClusterOf(3, (index) => configs[index]!);
    for (const [index, [, file]] of configs.entries())
      writeFileSync(
        file!,
        readFileSync(flags(http[index]!, https[index]!, ["three.test"], join(folder, `three-${index}`))[1]!),
      );
    expect((await gyre(["reload", "--admin", members[0]!.admin], folder)).code).toBe(0);
    await until(
      async () => (await Promise.all(https.map((port) => certified(port, "three.test")))).every(Boolean),
      "all show it",
      40_000,
    );
    const serials = await Promise.all(https.map(async (port) => (await shown(port, "three.test"))!.serialNumber));
    expect(new Set(serials).size, "one certificate").toBe(1);
    expect(members.filter(({ output }) => output().includes("asks https"))).toHaveLength(1);
    // One that comes later is given it.
    const late = await freePort();
    const joiner = await startMember(
      ["--name", "m4", "--coordinator", `http://${members[0]!.peer}`, ...flags(await freePort(), late, ["three.test"])],
      {},
      listening,
    );
    await until(() => certified(late, "three.test"), "the joiner shows it");
    expect((await shown(late, "three.test"))!.serialNumber).toBe(serials[0]);
    expect(joiner.output()).not.toContain("asks https");
  }, 120_000);

  it.each([1, 3])(
    "is had by a handshake alone, whoever is asked, and with clients at the same port: threads %s",
    async (threads) => {
      // The authority's connections come to the second one, which does not lead; nobody listens at its port for http.
      const names = [`hand${threads}.test`, `shake${threads}.test`];
      const inThreads = ["--threads", String(threads)];
      const https = [await freePort(), tlsPort];
      const configs = https.map((port) => {
        const state = join(folder, `state-${++files}`);
        const [, file] = flags(0, port, names, state, "acme-challenge: tls-alpn-01");
        return {
          file: file!,
          text: readFileSync(file!, "utf8").replace(/^listen: .*$/m, `listen: "127.0.0.1:${port},tls"`),
        };
      });
      for (const { file, text } of configs) writeFileSync(file, text.replaceAll(/^.*host: .*$/gm, ""));
      const members = await startClusterOf(2, (index) => ["--config", configs[index]!.file, ...inThreads]);
      for (const { file, text } of configs) writeFileSync(file, text);
      expect((await gyre(["reload", "--admin", members[0]!.admin], folder)).code).toBe(0);
      await until(
        async () =>
          (await Promise.all(https.flatMap((port) => names.map((name) => certified(port, name))))).every(Boolean),
        "both show both",
        60_000,
      );
      expect(members.map(({ output }) => output()).join("")).not.toContain("no certificate for");
      // When nobody is to be proved anything, its protocol is nobody's.
      expect(await shown(tlsPort, names[0]!, ["acme-tls/1"]), "no handshake").toBeNull();
    },
    120_000,
  );

  it("is tried for in the other way where the first has failed", async () => {
    const member = await startMember(flags(await freePort(), tlsPort, ["other.test"]), {}, listening);
    await until(() => member.output().includes("no certificate for other.test"), "the first way fails", 60_000);
    expect(member.output()).toMatch(/asked again in \d min, by tls-alpn-01/);
    expect((await gyre(["reload", "--admin", member.admin], folder)).code).toBe(0);
    await until(() => certified(tlsPort, "other.test"), "the other way works", 90_000);
  }, 180_000);

  it("that cannot be had is asked for later, and said; another's serves on meanwhile", async () => {
    const https = await freePort();
    // Nobody answers where the authority asks: this member listens elsewhere.
    const member = await startMember(flags(await freePort(), https, ["four.test"]), {}, listening);
    await until(() => member.output().includes("no certificate for four.test"), "the failure is told", 60_000);
    expect(member.output()).toMatch(/asked again in \d min/);
    const { output } = await gyre(["status", "--admin", member.admin], folder);
    expect(output).toContain("no certificate for four.test yet");
    expect(await shown(https, "four.test"), "no handshake without one").toBeNull();
  }, 90_000);

  it("is had again by an account that names nobody to write to, and anew where the authority is another", async () => {
    const https = await freePort();
    const [, file] = flags(httpPort, https, ["five.test"]);
    const text = readFileSync(file!, "utf8").replace(/^acme-contact: .*$/m, "");
    writeFileSync(file!, text);
    const member = await startMember(["--config", file!], {}, listening);
    await until(() => certified(https, "five.test"), "the first is had", 30_000);
    const more = `${text}  - { host: six.test, origin: "${origin.url}" }\n`;
    writeFileSync(file!, more);
    expect((await gyre(["reload", "--admin", member.admin], folder)).code).toBe(0);
    await until(() => certified(https, "six.test"), "another is had", 30_000);
    expect(member.output()).not.toContain("no certificate for");
    const { issuer } = (await shown(https, "five.test"))!;
    const other = await startPebble(httpPort);
    try {
      writeFileSync(file!, more.replace(pebble.directory, other.directory).replace(pebble.ca, other.ca));
      expect((await gyre(["reload", "--admin", member.admin], folder)).code).toBe(0);
      for (const name of ["five.test", "six.test"])
        await until(
          async () => (await certified(https, name)) && (await shown(https, name))!.issuer !== issuer,
          `${name} is the other's`,
          30_000,
        );
    } finally {
      await other.stop();
    }
  }, 120_000);

  it("wants a folder, and links that are not in clear text", async () => {
    const file = join(folder, "wrong.yaml");
    writeFileSync(file, `certificates: auto\npeer-tls: "off"\norigin: ${origin.url}\n`);
    const { code, output, errors } = await gyre(["check", file], folder);
    expect(code).toBe(1);
    expect(output + errors).toContain("needs a folder to keep them in: give state");
    expect(output + errors).toContain("peer-tls may not be off");
  });
});

function startClusterOf(count: number, each: (index: number) => readonly string[]): Promise<TestMember[]> {
  return startCluster(count, [], (index) => each(index), listening);
}
