/** What threads answer by themselves: conditions, HEAD and variants, as one thread does, and nothing else. */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { Agent } from "node:http";
import { connect } from "node:http2";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ask, type Answer } from "../support/client.ts";
import { gyre } from "../support/command.ts";
import { endAll, startMember, temporaryFolder, type TestMember } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

let origin: TestOrigin;
beforeAll(async () => {
  origin = await startOrigin((request, response) => {
    const url = request.url!;
    response.setHeader("cache-control", "max-age=600");
    if (["/dated", "/both"].includes(url)) response.setHeader("last-modified", "Wed, 01 Jan 2025 00:00:00 GMT");
    if (["/tagged", "/both"].includes(url)) response.setHeader("etag", '"one"');
    if (url === "/weak") response.setHeader("etag", 'W/"one"');
    if (url === "/page") {
      response.setHeader("etag", '"page"');
      response.setHeader("content-type", "text/html");
      return void response.end("a page of some length, ".repeat(200));
    }
    if (url === "/gone") response.statusCode = 410;
    if (url === "/varied") {
      response.setHeader("vary", "accept-encoding");
      response.end(`for ${String(request.headers["accept-encoding"] ?? null)}`);
      return;
    }
    response.end(`content of ${url}`);
  });
});
afterEach(endAll);
afterAll(() => origin.close());

const threads = 3;
const asH = { headers: { host: "h" } };

async function metricOf({ admin }: TestMember, name: string, labels = ""): Promise<number> {
  const text = await (await fetch(`http://${admin}/metrics`)).text();
  return Number(new RegExp(`^${name}\\{${labels}[^}]*\\} (\\S+)$`, "m").exec(text)?.[1]);
}

/** Of all its threads. */
async function hitsOf({ admin }: TestMember): Promise<number> {
  const text = await (await fetch(`http://${admin}/metrics`)).text();
  const counted = [...text.matchAll(/^gyre_thread_hits_total\{[^}]*\} (\S+)$/gm)];
  return counted.reduce((sum, [, value]) => sum + Number(value), 0);
}

describe("several threads", () => {
  it("answer conditions and HEAD by themselves, as one thread does, in HTTP/1.1 and HTTP/2", async () => {
    const flags = ["--origin", origin.url, "--listen", "127.0.0.1:0,http2", "--threads"];
    const [one, several] = [await startMember([...flags, "1"]), await startMember([...flags, String(threads)])];
    const agent = new Agent({ keepAlive: true });
    const paths = ["/dated", "/tagged", "/weak", "/both", "/gone"];
    const modified = "Wed, 01 Jan 2025 00:00:00 GMT";
    const conditions: readonly Record<string, string>[] = [
      {},
      { "if-none-match": '"one"' },
      { "if-none-match": 'W/"one"' },
      { "if-none-match": '"two", "one"' },
      { "if-none-match": '"two"' },
      { "if-none-match": "*" },
      { "if-none-match": "nonsense" },
      { "if-modified-since": modified },
      { "if-modified-since": "Wed, 01 Jan 2031 00:00:00 GMT" },
      { "if-modified-since": "Tue, 31 Dec 2024 23:59:59 GMT" },
      { "if-modified-since": "no date" },
      { "if-none-match": '"two"', "if-modified-since": modified },
      { "if-none-match": '"one"', "if-modified-since": "Tue, 31 Dec 2024 23:59:59 GMT" },
    ];
    /** What is told of an answer, but for what differs between members and moments. */
    const told = (status: number, fields: Record<string, unknown>, text: string): string => {
      const { date, age, via, ...rest } = fields;
      for (const name of ["connection", "keep-alive"]) delete rest[name];
      expect([typeof date, typeof age, typeof via]).toEqual(["string", "string", "string"]);
      rest["cache-status"] = String(rest["cache-status"]).replace(/ttl=\d+/, "ttl=…");
      return JSON.stringify([status, Object.entries(rest).toSorted(([a], [b]) => (a < b ? -1 : 1)), text]);
    };
    const overHttp2 = async (member: TestMember, method: string, path: string, fields: object): Promise<string> => {
      const session = connect(`http://127.0.0.1:${member.port}`);
      const stream = session.request({ ":method": method, ":path": path, ":authority": "h", ...fields });
      const [head] = (await once(stream, "response")) as [Record<string, unknown>];
      let text = "";
      stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
      await once(stream, "end");
      session.destroy();
      const { ":status": status, ...rest } = head;
      return told(Number(status), { ...rest }, text);
    };
    for (const member of [one, several])
      for (const path of paths) for (let turn = 0; turn < 3; turn++) await ask(member.port, path, asH);
    const before = await metricOf(several, "gyre_origin_fetches_total");
    let asked = 0;
    for (const path of paths)
      for (const method of ["GET", "HEAD"])
        for (const fields of conditions) {
          const answers = await Promise.all(
            [one, several].map(async ({ port }) => {
              const { status, headers, text } = await ask(port, path, {
                method,
                headers: { host: "h", ...fields },
                agent,
              });
              return told(status, headers, text);
            }),
          );
          const what = `${method} ${path} ${JSON.stringify(fields)}`;
          expect(answers[1], what).toBe(answers[0]);
          const second = await Promise.all([one, several].map((member) => overHttp2(member, method, path, fields)));
          expect(second[1], `${what} in HTTP/2`).toBe(second[0]);
          expect(second[0], `${what}: both versions say the same`).toBe(answers[0]);
          asked += 2;
        }
    expect(await metricOf(several, "gyre_origin_fetches_total")).toBe(before);
    agent.destroy();
    // What the threads have answered themselves: all of it.
    expect(await hitsOf(several)).toBeGreaterThanOrEqual(asked);
    expect(await metricOf(several, "gyre_responses_total", 'status="304",')).toBe(
      await metricOf(one, "gyre_responses_total", 'status="304",'),
    );
  }, 60_000);

  it("answer with the variant that a request selects, and with none that it does not", async () => {
    const member = await startMember(["--origin", origin.url, "--threads", String(threads)]);
    const agent = new Agent({ keepAlive: true });
    const asking = (coding: string | null): Promise<Answer> =>
      ask(member.port, "/varied", {
        agent,
        headers: { host: "h", ...(coding === null ? {} : { "accept-encoding": coding }) },
      });
    const codings = ["gzip, br", "br", null, "identity;q=0.5"];
    for (const coding of codings) for (let turn = 0; turn < 3; turn++) await asking(coding);
    const [asked, before] = [origin.asked.length, await hitsOf(member)];
    for (let turn = 0; turn < 10; turn++)
      for (const coding of [...codings, "br , GZIP;q=1"]) {
        const expected = coding === "br , GZIP;q=1" ? "gzip, br" : String(coding);
        expect((await asking(coding)).text, String(coding)).toBe(`for ${expected}`);
      }
    expect(origin.asked.length).toBe(asked);
    expect((await hitsOf(member)) - before).toBe(50);
    // One more, that nobody has asked for yet; and all are gone at once.
    expect((await asking("zstd")).text).toBe("for zstd");
    expect((await gyre(["purge", "http://h/varied", "--admin", member.admin], temporaryFolder())).code).toBe(0);
    for (const coding of codings) expect((await asking(coding)).cacheStatus).toContain("fwd=");
    agent.destroy();
  });

  it("answer with the coding that a client takes, where the member compresses, also after the order has changed", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "gyre.yaml");
    const configured = (compress: string): void =>
      writeFileSync(file, `routes:\n  - origin: ${origin.url}\n    compress: ${compress}\n    compress-least: 100B\n`);
    configured("[br, gzip]");
    const flags = ["--config", file, "--listen", "127.0.0.1:0,http2", "--threads"];
    const [one, several] = [await startMember([...flags, "1"]), await startMember([...flags, String(threads)])];
    const agent = new Agent({ keepAlive: true });
    const asked: readonly (string | null)[] = [
      "gzip, deflate, br, zstd",
      "gzip",
      "x-gzip",
      "br;q=0.1, gzip",
      "br;q=0",
      "*",
      "identity",
      "deflate",
      "",
      null,
    ];
    const asking = (member: TestMember, coding: string | null, more = {}): Promise<Answer> =>
      ask(member.port, "/page", {
        agent,
        headers: { host: "h", ...(coding === null ? {} : { "accept-encoding": coding }), ...more },
      });
    const told = ({ status, headers, body }: Answer): string =>
      JSON.stringify([status, headers["content-encoding"], headers["vary"], headers["etag"], body.toString("latin1")]);
    const compared = async (): Promise<void> => {
      for (const coding of asked)
        for (const member of [one, several]) for (let turn = 0; turn < 2; turn++) await asking(member, coding);
      const before = await hitsOf(several);
      for (let turn = 0; turn < 5; turn++)
        for (const coding of asked) {
          const [expected, got] = [await asking(one, coding), await asking(several, coding)];
          expect(told(got), String(coding)).toBe(told(expected));
          expect(got.cacheStatus).toContain("; hit;");
        }
      expect((await hitsOf(several)) - before).toBe(5 * asked.length);
    };
    await compared();
    const coded = await asking(several, "br");
    expect([coded.headers["content-encoding"], coded.body.length < 1000]).toEqual(["br", true]);
    const again = await asking(several, "br", { "if-none-match": coded.headers["etag"] });
    expect([again.status, again.headers["etag"]]).toEqual([304, coded.headers["etag"]]);
    // What is asked for in part, or as it is, is home's affair.
    expect((await asking(several, "br", { range: "bytes=0-9" })).body.toString()).toBe("a page of ");
    expect((await asking(several, "br", { "cache-control": "no-transform" })).headers["content-encoding"]).toBe(
      undefined,
    );
    configured("[gzip, br]");
    for (const { admin } of [one, several])
      expect((await gyre(["reload", "--admin", admin], temporaryFolder())).code).toBe(0);
    await compared();
    expect((await asking(several, "gzip, deflate, br, zstd")).headers["content-encoding"]).toBe("gzip");
    agent.destroy();
  });
});
