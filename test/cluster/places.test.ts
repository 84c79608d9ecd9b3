/** What loopback means is a matter of where one stands: two machines, each a network namespace that this test makes. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";

it("a client gets its own machine's loopback services, whoever owns the URL, and never another machine's", async () => {
  const script = join(import.meta.dirname, "../support/two-places.ts");
  const child = spawn("unshare", [process.getuid!() === 0 ? "-n" : "-rn", process.execPath, script], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  const code = await new Promise((done) => child.once("close", done));
  expect(errors).toBe("");
  expect(code).toBe(0);
  expect(JSON.parse(output)).toEqual({ "7000: 502 nobody": 60, "7001: 200 its own": 30, "8082: 200 m1": 30 });
}, 90_000);
