/** A real certificate authority that speaks ACME: Debian's pebble, on loopback, with a DNS of its own. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { Agent, get } from "node:https";
import { join } from "node:path";
import { freePort } from "./free-port.ts";
import { temporaryFolder, until } from "./member.ts";

const program = "/usr/bin/pebble";
export const hasPebble: boolean = existsSync(program);
if (!hasPebble && process.env["CI"] === "true") throw new Error("pebble is missing: apt-get install pebble");

export interface Pebble {
  readonly directory: string;
  /** File with what its own certificate is checked with. */
  readonly ca: string;
  /** Orders that it was asked for so far, as its log has them. */
  readonly log: () => string;
  readonly stop: () => Promise<void>;
}

/** Starts it; it looks names up as loopback, and asks them at `httpPort`, or in TLS at `tlsPort`. */
export async function startPebble(httpPort: number, tlsPort: number = 1): Promise<Pebble> {
  const folder = temporaryFolder();
  const [listen, management, dns, control] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  execFileSync(
    "openssl",
    [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-days",
      "2",
      "-subj",
      "/CN=localhost",
      "-addext",
      "subjectAltName=DNS:localhost,IP:127.0.0.1",
      "-keyout",
      key,
      "-out",
      cert,
    ],
    { stdio: "ignore" },
  );
  const config = join(folder, "pebble.json");
  writeFileSync(
    config,
    JSON.stringify({
      pebble: {
        listenAddress: `127.0.0.1:${listen}`,
        managementListenAddress: `127.0.0.1:${management}`,
        certificate: cert,
        privateKey: key,
        httpPort,
        tlsPort,
        ocspResponderURL: "",
        externalAccountBindingRequired: false,
      },
    }),
  );
  const children: ChildProcess[] = [];
  let text = "";
  const run = (command: string, parameters: readonly string[]): void => {
    const child = spawn(command, parameters, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, PEBBLE_VA_NOSLEEP: "1", PEBBLE_WFE_NONCEREJECT: "10" },
    });
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
    children.push(child);
  };
  run("/usr/bin/pebble-challtestsrv", [
    "-defaultIPv6",
    "",
    "-dns01",
    `127.0.0.1:${dns}`,
    "-http01",
    "",
    "-https01",
    "",
    "-tlsalpn01",
    "",
    "-management",
    `127.0.0.1:${control}`,
  ]);
  run(program, ["-config", config, "-dnsserver", `127.0.0.1:${dns}`, "-strict"]);
  const directory = `https://127.0.0.1:${listen}/dir`;
  const agent = new Agent({ ca: readFileSync(cert) });
  await until(
    () =>
      new Promise<boolean>((done) =>
        get(directory, { agent }, (response) => {
          response.resume();
          done(response.statusCode === 200);
        }).on("error", () => done(false)),
      ),
    `pebble answers:\n${text}`,
  );
  return {
    directory,
    ca: cert,
    log: () => text,
    stop: async () => {
      await Promise.all(
        children.map((child) => {
          const ended = new Promise((done) => child.once("exit", done));
          child.kill("SIGTERM");
          return ended;
        }),
      );
    },
  };
}
