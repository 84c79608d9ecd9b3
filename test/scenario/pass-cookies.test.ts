/** Cookies that mark requests of one user: at one thread and several, over HTTP/2, compressed, in a cluster. */
import { once } from "node:events";
import { connect } from "node:http2";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { ask } from "../support/client.ts";
import { endAll, startCluster, startMember, temporaryFolder, type TestMember } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

let origin: TestOrigin;
let file: string;
beforeAll(async () => {
  // It says nothing of caching, as applications do not that another cache was told of by its own configuration.
  origin = await startOrigin((request, response) => {
    response.setHeader("content-type", "text/html");
    const who = /session=(\w+)/.exec(request.headers.cookie ?? "")?.[1] ?? "nobody";
    response.end(`hello ${who}, this is ${request.url}. `.repeat(60));
  });
  file = join(temporaryFolder(), "pass.yaml");
  writeFileSync(
    file,
    `compress: [gzip]\nroutes: [ { origin: "${origin.url}", caching: { default-freshness: 10m, pass-cookies: [session] } } ]\n`,
  );
});
afterEach(endAll);
afterAll(() => origin.close());

/** To whom the page says hello, and whether that is from the store. */
async function greeted(port: number, cookie?: string, coding?: string): Promise<string> {
  const headers = { host: "h", ...(cookie && { cookie }), ...(coding && { "accept-encoding": coding }) };
  const { headers: fields, body, cacheStatus } = await ask(port, "/page", { headers });
  const text = String(fields["content-encoding"] === "gzip" ? gunzipSync(body) : body);
  expect(fields["content-encoding"]).toBe(coding);
  return `${/hello (\w+)/.exec(text)![1]} ${/(?:^|, )m1; (\w+(?:=[\w-]+)?)/.exec(cacheStatus)?.[1]}`;
}

async function overHttp2({ port }: TestMember, cookies: readonly string[]): Promise<string> {
  const session = connect(`http://127.0.0.1:${port}`);
  const stream = session.request({
    ":path": "/page",
    ":authority": "h",
    ...(cookies.length > 0 && { cookie: [...cookies] }),
  });
  let text = "";
  stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
  await once(stream, "end");
  session.destroy();
  return /hello (\w+)/.exec(text)![1]!;
}

it.each(["1", "3"])("with %s threads nobody gets another's page, nor the page of nobody", async (threads) => {
  const member = await startMember(["--config", file, "--listen", "127.0.0.1:0,http2", "--threads", threads]);
  const { port } = member;
  expect(await greeted(port, "session=alice")).toBe("alice fwd=bypass");
  expect(await greeted(port)).toBe("nobody fwd=uri-miss");
  for (let turn = 0; turn < 4; turn++) {
    expect(await greeted(port)).toBe("nobody hit");
    expect(await greeted(port, "seen=1")).toBe("nobody hit");
    expect(await greeted(port, "seen=1; session=bob")).toBe("bob fwd=bypass");
    expect(await overHttp2(member, [])).toBe("nobody");
    expect(await overHttp2(member, ["seen=1", "session=carol"])).toBe("carol");
    expect(await overHttp2(member, ["seen=1"])).toBe("nobody");
  }
  // Each coding is made of what is stored; of what passes, on its way.
  await greeted(port, undefined, "gzip");
  for (let turn = 0; turn < 3; turn++) {
    expect(await greeted(port, "session=dora", "gzip")).toBe("dora fwd=bypass");
    expect(await greeted(port, undefined, "gzip")).toBe("nobody hit");
  }
});

it("at every member of a cluster, also where copies are kept", async () => {
  const members = await startCluster(2, ["--config", file]);
  for (let turn = 0; turn < 20; turn++)
    for (const { port } of members) {
      expect(await greeted(port)).toMatch(/^nobody /);
      expect(await greeted(port, `session=user${turn}`)).toMatch(new RegExp(`^user${turn} `));
    }
});
