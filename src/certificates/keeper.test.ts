import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Certificate } from "./certificate.ts";
import { CertificateKeeper } from "./keeper.ts";
import { StateFolder } from "./state-folder.ts";

const folder = mkdtempSync(join(tmpdir(), "gyre-keeper-"));
afterAll(() => rmSync(folder, { recursive: true }));

it("a certificate serves also where it cannot be kept, and is kept as soon as it can be", async () => {
  const state = new StateFolder(folder);
  const day = 86_400_000;
  const had = { name: "site.example.com", cert: "a certificate", key: "a key", notBeforeMs: 0, notAfterMs: 90 * day };
  const told: string[] = [];
  let ordered = 0;
  const keeper = new CertificateKeeper({
    folder: state,
    names: () => [had.name],
    asks: () => true,
    authority: () => "https://authority.test/dir",
    fetch: () => {},
    order: async () => {
      ordered++;
      return had as Certificate;
    },
    changed: ({ name }, own) => void told.push(`${name} ${own ? "ordered" : "taken"}`),
    failed: (_name, reason) => void told.push(`failed: ${reason}`),
    unkept: (name, reason) => void told.push(`${name} unkept: ${reason.split(":")[0]}`),
    nowMs: () => day,
  });
  rmSync(join(folder, "certificates"), { recursive: true });
  keeper.look();
  await new Promise((turned) => setImmediate(() => setImmediate(turned)));
  keeper.look();
  expect(told).toEqual(["site.example.com unkept: ENOENT", "site.example.com ordered"]);
  expect(keeper.certificatesFor([had.name])).toEqual([had]);
  mkdirSync(join(folder, "certificates"));
  keeper.look();
  expect(readdirSync(join(folder, "certificates"))).toEqual([`${had.name}.json`]);
  expect(ordered).toBe(1);
});

const dayMs = 86_400_000;
const [one, two, three] = ["https://one.test/dir", "https://two.test/dir", "https://three.test/dir"];
const site = "site.example.com";

/** One that lasts for so many days from now on. */
function certificate(days: number, authority: string): Record<"name" | "cert" | "key" | "authority", string> {
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert];
  execFileSync("openssl", ["req", "-x509", "-subj", `/CN=${site}`, "-days", String(days), ...newKey], {
    stdio: "ignore",
  });
  return { name: site, cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8"), authority };
}

/** A keeper with a folder of its own, and what is so around it. */
function keeperIn(kept: string) {
  const around = { nowMs: Date.now(), leads: false, authority: one, fetched: 0, ordered: 0 };
  const keeper = new CertificateKeeper({
    folder: new StateFolder(join(folder, kept)),
    names: () => [site],
    asks: () => around.leads,
    authority: () => around.authority,
    fetch: () => void around.fetched++,
    order: async () => {
      around.ordered++;
      throw new Error("the authority is busy");
    },
    changed: () => {},
    failed: () => {},
    unkept: () => {},
    nowMs: () => around.nowMs,
  });
  return { keeper, around };
}

describe("a certificate that another member asks for", () => {
  it("is fetched from there when it is due here: what is told reaches those alone who are there", () => {
    const { keeper, around } = keeperIn("follows");
    keeper.look();
    keeper.look();
    expect(around.fetched, "there is none yet").toBe(1);
    keeper.take(certificate(90, one));
    around.nowMs += 2 * dayMs;
    keeper.look();
    expect(around.fetched, "nothing is due").toBe(1);
    around.nowMs += 70 * dayMs;
    keeper.look();
    around.nowMs += 30_000;
    keeper.look();
    expect(around.fetched, "a new one was told to others").toBe(2);
    around.nowMs += 60_000;
    keeper.look();
    expect(around.fetched, "now and then").toBe(3);
    keeper.take(certificate(160, one));
    around.nowMs += 60_000;
    keeper.look();
    expect(around.fetched).toBe(3);
    expect(around.ordered).toBe(0);
  });

  it("is taken where it is of the configured authority and the one here is not, and asked for anew by who asks", () => {
    const { keeper, around } = keeperIn("changes");
    const shown = (): string | undefined => keeper.certificatesFor([site])[0]?.authority;
    keeper.take(certificate(90, one));
    keeper.take(certificate(91, two));
    expect(shown()).toBe(one);
    around.authority = two;
    keeper.again();
    expect(around.fetched, "due at once").toBe(1);
    keeper.take(certificate(80, two));
    expect(shown()).toBe(two);
    Object.assign(around, { authority: three, leads: true });
    keeper.again();
    expect(around.ordered).toBe(1);
    expect(shown(), "the old one serves on").toBe(two);
    expect(new StateFolder(join(folder, "changes")).certificates()[0]?.authority, "kept with it").toBe(two);
  });
});
