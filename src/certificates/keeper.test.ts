import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
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
