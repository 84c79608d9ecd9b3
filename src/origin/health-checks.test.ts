import { createServer, type AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { originSettings } from "./fetch.ts";
import { HealthChecks } from "./health-checks.ts";
import type { OriginChoice, OriginState } from "./origin-choice.ts";
import { OriginClient } from "./origin-client.ts";

it("a check is not late for the time in which this process stood still", async () => {
  const timeoutMs = 200;
  const server = createServer((socket) =>
    socket.once("data", () => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      const until = performance.now() + 2 * timeoutMs;
      while (performance.now() < until);
    }),
  );
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new OriginClient({ inner: true, allowed: null, configured: false }, originSettings);
  const rules = { path: "/", host: null, intervalMs: 60_000, timeoutMs, statuses: null, rise: 1, fall: 1 };
  const [isDown, why] = await new Promise<[boolean, string]>((told) => {
    const choice: Pick<OriginChoice, "origins" | "checked"> = {
      origins: [{ origin } as OriginState],
      checked: (_state, down, _nowMs, reason) => told([down, reason]),
    };
    new HealthChecks(choice, client, rules, () => "h").begin();
  });
  client.close();
  server.close();
  expect([isDown, why]).toEqual([false, ""]);
});
