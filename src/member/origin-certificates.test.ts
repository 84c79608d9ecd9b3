import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadConfig } from "../config/load.ts";
import { originCertificates } from "./origin-certificates.ts";

const folder = mkdtempSync(join(tmpdir(), "gyre-origin-certificates-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function selfSigned(name: string): { readonly cert: string; readonly key: string } {
  const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
  const newKey = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(" ");
  execFileSync("openssl", [...newKey, "-subj", `/CN=${name}`, "-keyout", key, "-out", cert], { stdio: "ignore" });
  return { cert, key };
}
function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

const config = loadConfig({ flags: {}, environment: {} });
const [one, other] = [selfSigned("one"), selfSigned("other")];
const garbage = file("garbage.pem", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
const cut = file("cut.pem", readFileSync(one.cert, "utf8").slice(0, 300));
const half = file("half.pem", readFileSync(one.cert, "utf8") + readFileSync(other.cert, "utf8").slice(0, 300));

describe("originCertificates", () => {
  it.each([
    [
      { "client-cert": one.cert, "client-key": other.key },
      `client-key ${other.key} does not fit client-cert ${one.cert}`,
    ],
    [{ "client-cert": garbage, "client-key": one.key }, `client-cert ${garbage} cannot be used: `],
    [{ "client-cert": one.cert, "client-key": garbage }, `client-key ${garbage} cannot be used: `],
    [{ "client-cert": one.cert, "client-key": "/nonexistent" }, "client-key /nonexistent cannot be read: ENOENT"],
    [{ "client-cert": one.cert }, "client-cert and client-key go together"],
    [{ ca: garbage }, `ca ${garbage} cannot be used: `],
    [{ ca: cut }, `ca ${cut} cannot be used: a certificate in it has no end`],
    [{ ca: half }, `ca ${half} cannot be used: a certificate in it has no end`],
    [{ ca: one.key }, `ca ${one.key} holds no PEM certificate`],
  ])("refuses %j by route, setting and file", (route, said) => {
    expect(() => originCertificates(config, route, "a.test/")).toThrow(`route a.test/: ${said}`);
  });

  it("names no route where a fault is not one route's", () => {
    expect(() => originCertificates({ ...config, ca: garbage }, {}, "a.test/")).toThrow(/^ca /);
  });

  it("gives what the files hold, a route's own authorities before those for all", () => {
    const route = { "client-cert": one.cert, "client-key": one.key, ca: other.cert };
    expect(originCertificates({ ...config, ca: garbage }, route, "a.test/")).toEqual({
      ca: readFileSync(other.cert, "utf8"),
      certificate: { cert: readFileSync(one.cert, "utf8"), key: readFileSync(one.key, "utf8") },
    });
  });
});
