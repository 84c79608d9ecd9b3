/** What tests of origins set up again and again; all of it is taken down when a test has ended. */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import type { Server as HttpServer } from "node:http";
import type { AddressInfo, Server } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach } from "vitest";
import { endAll, startMember, temporaryFolder, type TestMember } from "./member.ts";
import { freePort } from "./nginx.ts";

/** For files of this test file's. */
export const folder: string = temporaryFolder();
/** What ends what a test has begun. */
export const closing: (() => unknown)[] = [];

afterEach(async () => {
  // Whoever came last goes first.
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(endAll);

let files = 0;

/** A member before these origins, with more settings for the route: lines of YAML, four blanks in. */
export async function memberBefore(origins: readonly string[], more = ""): Promise<TestMember> {
  const file = join(folder, `routes-${files++}.yaml`);
  writeFileSync(file, `routes:\n  - origins: [${origins.map((one) => `"${one}"`).join(", ")}]\n${more}`);
  const member = await startMember(["--config", file]);
  closing.push(() => member.stop());
  return member;
}

/** Lets a server listen. @returns its URL. */
export async function listening(server: Server | HttpServer): Promise<string> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  closing.push(
    () =>
      new Promise((done) => {
        server.close(done);
        if ("closeAllConnections" in server) server.closeAllConnections();
      }),
  );
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** An origin where nobody listens. */
export async function deadOrigin(): Promise<string> {
  return `http://127.0.0.1:${await freePort()}`;
}

/** A certificate for a name, which `ca` is the file of. */
export function certificateFor(name: string): { readonly key: string; readonly cert: string; readonly ca: string } {
  const [ca, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
  const subject = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name}`];
  const made = spawnSync("openssl", [
    ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(" "),
    ...subject,
    "-keyout",
    key,
    "-out",
    ca,
  ]);
  if (made.status !== 0) throw new Error(made.stderr.toString());
  return { key: readFileSync(key, "utf8"), cert: readFileSync(ca, "utf8"), ca };
}
