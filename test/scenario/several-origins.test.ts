/** Several origins of a route, of which some are dead or ill. */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { Agent } from "node:http";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { closing, deadOrigin, folder, memberBefore } from "../support/before-origins.ts";
import { ask } from "../support/client.ts";
import { startMember, statusOf, until } from "../support/member.ts";
import { startOrigin } from "../support/origin.ts";
import { startRawOrigin } from "../support/raw-origin.ts";

describe("several origins", () => {
  it("of which one breaks off within its content: no other's is added to it, and nothing of it is stored", async () => {
    const broken = await startRawOrigin((asked) =>
      asked.socket.write(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nAAAA\r\nnonsense\r\n",
      ),
    );
    const whole = await startRawOrigin((asked) => asked.answer("200 OK", ["Cache-Control: max-age=60"], "BBBB"));
    closing.push(
      () => broken.close(),
      () => whole.close(),
    );
    const member = await memberBefore([broken.url, whole.url], "    balance: first\n    retries: 3\n");
    await expect(ask(member.port, "/x")).rejects.toThrow();
    expect((await ask(member.port, "/x").catch(() => null))?.text ?? "cut").not.toContain("AAAABBBB");
    expect(whole.requests.length).toBeLessThanOrEqual(1);
  });

  it("of which one refuses connections: no request fails, whatever its method", async () => {
    const origin = await startOrigin((_asked, response) => response.end("alive"));
    closing.push(origin.close);
    const member = await memberBefore([await deadOrigin(), origin.url]);
    for (let index = 0; index < 30; index++) {
      const method = ["GET", "POST", "PUT"][index % 3]!;
      const answer = await ask(member.port, `/${index}`, { method, ...(method === "GET" ? {} : { body: "content" }) });
      expect([answer.status, answer.text]).toEqual([200, "alive"]);
    }
    expect(origin.asked.filter(({ body, method }) => method !== "GET" && body.toString() !== "content")).toEqual([]);
  });

  it("of which one breaks off: small content that may be sent twice is, to the other, and no POST is", async () => {
    const broken = await startRawOrigin((asked) => asked.socket.destroy());
    const whole = await startOrigin((_asked, response) => response.end("taken"));
    closing.push(() => broken.close(), whole.close);
    const member = await memberBefore([broken.url, whole.url], "    balance: first\n    rest-after: 1000\n");
    for (let index = 0; index < 5; index++) {
      const put = await ask(member.port, `/${index}`, { method: "PUT", body: `content ${index}` });
      expect([put.status, put.text]).toEqual([200, "taken"]);
    }
    expect(whole.asked.map(({ body, headers }) => [body.toString(), headers["content-length"]])).toEqual(
      [0, 1, 2, 3, 4].map((index) => [`content ${index}`, "9"]),
    );
    expect((await ask(member.port, "/p", { method: "POST", body: "once" })).status).toBe(502);
    expect(whole.asked.filter(({ method }) => method === "POST")).toEqual([]);
  });

  it("of which one is killed under load and comes back: no GET fails, no POST is sent twice", async () => {
    const script = `const http=require("http");http.createServer((q,r)=>{q.resume();q.on("end",()=>{process.stdout.write(q.method+q.url+"\\n");r.setHeader("cache-control","no-store");setTimeout(()=>r.end("ok"),2)})}).listen(PORT,"127.0.0.1",()=>process.stdout.write("ready\\n"))`;
    const ports = await Promise.all([deadOrigin(), deadOrigin()]);
    const lines: string[] = [];
    const begin = async (url: string) => {
      const child = spawn(process.execPath, ["-e", script.replace("PORT", new URL(url).port)], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      closing.push(() => child.kill("SIGKILL"));
      const ready = new Promise<void>((done) =>
        child.stdout.on("data", (data: Buffer) => {
          for (const line of data.toString().split("\n")) {
            if (line === "ready") done();
            else if (line !== "") lines.push(line);
          }
        }),
      );
      await ready;
      return child;
    };
    const [first] = await Promise.all(ports.map(begin));
    const member = await memberBefore(ports, "    retries: 2\n    rest-for: 200ms\n");
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    const failed: string[] = [];
    let [next, stop] = [0, false];
    const load = Promise.all(
      Array.from({ length: 16 }, async () => {
        while (!stop) {
          const index = next++;
          const method = index % 4 === 0 ? "POST" : "GET";
          const { status } = await ask(member.port, `/${index}`, {
            agent,
            method,
            ...(method === "GET" ? {} : { body: "x" }),
          });
          if (method === "GET" && status !== 200) failed.push(`GET ${index}: ${status}`);
        }
      }),
    );
    await until(() => next > 500, "there is load");
    first!.kill("SIGKILL");
    const killedAt = next;
    await until(() => next > killedAt + 500, "load goes on");
    await begin(ports[0]!);
    const backAt = next;
    await until(() => next > backAt + 1500, "it has come back");
    stop = true;
    await load;
    agent.destroy();
    expect(failed).toEqual([]);
    const posts = lines.filter((line) => line.startsWith("POST"));
    expect(posts.length).toBeGreaterThan(100);
    expect(posts.filter((line, index) => posts.indexOf(line) !== index)).toEqual([]);
  }, 60_000);

  it("are left while they answer with a status that says so, and what they say is passed on where no other is left", async () => {
    const [ill, well] = await Promise.all(
      [503, 200].map((status) => startOrigin((_asked, response) => response.writeHead(status).end(String(status)))),
    );
    closing.push(ill!.close, well!.close);
    const member = await memberBefore([ill!.url, well!.url], "    retry-on: [503]\n    rest-after: 1000\n");
    for (let index = 0; index < 10; index++) expect((await ask(member.port, `/${index}`)).text).toBe("200");
    // What may not be sent twice gets what it gets.
    const posts = await Promise.all(
      Array.from({ length: 6 }, (_, index) => ask(member.port, `/p${index}`, { method: "POST", body: "x" })),
    );
    expect(posts.filter(({ status }) => status === 503).length).toBeGreaterThan(0);
    expect(
      ill!.asked.filter(({ method }) => method === "POST").length +
        well!.asked.filter(({ method }) => method === "POST").length,
    ).toBe(6);
    const alone = await memberBefore([ill!.url], "    retry-on: [503]\n");
    expect((await ask(alone.port, "/x")).status).toBe(503);
  });

  it("are asked for their health, taken out and brought back by it; who is a backup waits", async () => {
    let healthy = true;
    const checked = await startOrigin((asked, response) => {
      response
        .writeHead(asked.url === "/health" && !healthy ? 500 : 200, { "cache-control": "no-store" })
        .end("checked");
    });
    const backup = await startOrigin((_asked, response) =>
      response.writeHead(200, { "cache-control": "no-store" }).end("backup"),
    );
    closing.push(checked.close, backup.close);
    const file = join(folder, "checks.yaml");
    writeFileSync(
      file,
      `routes:\n  - origins: ["${checked.url}", { url: "${backup.url}", backup: true }]\n    check: { path: /health, interval: 100ms, rise: 2, fall: 2 }\n`,
    );
    const member = await startMember(["--config", file]);
    closing.push(() => member.stop());
    let index = 0;
    const text = async (): Promise<string> => (await ask(member.port, `/${index++}`)).text;
    expect(await text()).toBe("checked");
    healthy = false;
    await until(async () => (await text()) === "backup", "the backup stands in");
    healthy = true;
    await until(async () => (await text()) === "checked", "it is asked again");
    const { self } = await statusOf(member);
    expect(self.origins).toEqual([
      expect.objectContaining({ origin: checked.url, health: "up" }),
      expect.objectContaining({ origin: backup.url, health: "up", backup: true }),
    ]);
  });
});
