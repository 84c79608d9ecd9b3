/** What an operator asks a cluster, and whether its answers are those that requests get. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { ask } from "../support/client.ts";
import { gyre } from "../support/command.ts";
import { endAll, startCluster, temporaryFolder } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

let origin: TestOrigin;
const folder = temporaryFolder();
beforeAll(async () => {
  origin = await startOrigin((_, response) => {
    response.setHeader("cache-control", "max-age=60");
    response.end("content");
  });
});
afterEach(endAll);
afterAll(() => origin.close());

it("gyre ring names the owner that requests go to, whatever a route leaves out of keys or puts into them", async () => {
  const file = join(folder, "keys.yaml");
  writeFileSync(
    file,
    `routes:
  - { path: /a, origin: "${origin.url}", caching: { query-ignore: [utm] } }
  - { path: /b, origin: "${origin.url}", caching: { query-select: [id] } }
  - { path: /c, origin: "${origin.url}", caching: { key-fields: [x-device] } }
`,
  );
  const [first] = await startCluster(2, ["--config", file]);
  const targets = ["a", "b", "c"].flatMap((path) => [1, 2, 3, 4, 5, 6].map((n) => `/${path}?utm=${n}`));
  const urls = targets.map((target) => `http://site.example${target}`);
  const run = await gyre(["ring", ...urls, "--json", "--admin", first!.admin], folder);
  const located = (JSON.parse(run.output) as { urls: { owner: string }[] }).urls.map(({ owner }) => owner);
  const asked = [];
  for (const target of targets) {
    const { headers } = await ask(first!.port, target, { headers: { host: "site.example" } });
    asked.push(String(headers["cache-status"]).split(";", 1)[0]);
  }
  expect(located).toEqual(asked);
});
