/**
 * Faults that real use found, each as the kind that it was: nobody gets what was meant for another. Pairs of clients,
 * real sockets.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { ask, RawClient, rawExchange, statuses } from "../support/client.ts";
import { endAll, startMember, statusOf, temporaryFolder, until, type TestMember } from "../support/member.ts";
import { startRawOrigin, type RawOrigin, type RawRequest } from "../support/raw-origin.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});
afterAll(endAll);

async function site(
  answer: (request: RawRequest) => void,
  ...flags: string[]
): Promise<{ origin: RawOrigin; member: TestMember }> {
  const origin = await startRawOrigin(answer);
  const member = await startMember(["--origin", origin.url, ...flags]);
  closing.push(
    () => member.stop(),
    () => origin.close(),
  );
  return { origin, member };
}

async function configured(answer: (request: RawRequest) => void, caching: string) {
  const origin = await startRawOrigin(answer);
  const file = join(temporaryFolder(), "gyre.yaml");
  writeFileSync(file, `routes:\n  - origin: ${origin.url}\n    caching: { ${caching} }\n`);
  const member = await startMember(["--config", file]);
  closing.push(
    () => member.stop(),
    () => origin.close(),
  );
  return { origin, member };
}

const fresh = "Cache-Control: max-age=60";

describe("a variant", () => {
  it.each([
    ["one weak tag for both forms", 'W/"1"', 'W/"1"'],
    ["one strong tag for both forms", '"1"', '"1"'],
    ["a strong and a weak one", '"1"', 'W/"1"'],
  ])("is never answered by another's 304: %s", async (_, plainTag, codedTag) => {
    const { member } = await site((request) => {
      const coded = request.field("accept-encoding") === "gzip";
      const tag = coded ? codedTag : plainTag;
      const fields = [fresh, "Vary: Accept-Encoding", `ETag: ${tag}`];
      if (request.field("if-none-match")?.includes(tag.replace("W/", "")) === true)
        return void request.socket.write(`HTTP/1.1 304 Not Modified\r\n${fields.join("\r\n")}\r\n\r\n`);
      const text = "plain text";
      return coded
        ? request.answer("200 OK", [...fields, "Content-Encoding: gzip"], gzipSync(text).toString("latin1"))
        : request.answer("200 OK", fields, text);
    });
    const gzip = await ask(member.port, "/", { headers: { host: "h", "accept-encoding": "gzip" } });
    expect(gzip.headers["content-encoding"]).toBe("gzip");
    const plain = await ask(member.port, "/", { headers: { host: "h" } });
    expect([plain.headers["content-encoding"], plain.text]).toEqual([undefined, "plain text"]);
  });

  it("keeps the field by which it admits one site, whoever else asks (CORS)", async () => {
    const { member } = await site((request) => {
      const site = request.field("origin") ?? "none";
      request.answer("200 OK", [fresh, "Vary: Origin", 'ETag: "x"', `Access-Control-Allow-Origin: ${site}`], site);
    });
    for (const from of ["https://a.test", "https://b.test", "https://a.test"]) {
      const { headers } = await ask(member.port, "/", { headers: { host: "h", origin: from } });
      expect(headers["access-control-allow-origin"]).toBe(from);
    }
  });

  it("is selected by what the origin was sent, not by what the client claims (RFC 9111 §4.1, RFC 7239)", async () => {
    const { member, origin } = await site((request) =>
      request.answer("200 OK", [fresh, "Vary: X-Forwarded-For"], request.field("x-forwarded-for") ?? ""),
    );
    const one = await ask(member.port, "/", { headers: { host: "h" } });
    const same = await ask(member.port, "/", { headers: { host: "h", "x-forwarded-for": "6.6.6.6" } });
    expect([one.text, same.text, origin.requests.length]).toEqual(["127.0.0.1", "127.0.0.1", 1]);
    const other = await rawExchangeFrom(
      "127.0.0.5",
      member.port,
      "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    );
    expect(other.endsWith("127.0.0.5")).toBe(true);
  });
});

describe("a claim about who asks", () => {
  it.each([
    "X-Forwarded-Port",
    "X-Forwarded-Ssl",
    "X-Forwarded-Scheme",
    "X-Forwarded-Prefix",
    "X-Forwarded-Server",
    "X-Forwarded-By",
    "X-Real-IP",
    "X-Original-URL",
    "Forwarded",
    "X-Forwarded-Host",
    // CGI would make HTTP_PROXY of it (CVE-2016-5385).
    "Proxy",
  ])("%s reaches the origin from nobody but a trusted proxy", async (name) => {
    const { member, origin } = await site((request) => request.answer("200 OK", ["Cache-Control: no-store"]));
    await rawExchange(member.port, `GET / HTTP/1.1\r\nHost: h\r\n${name}: zz66zz\r\nConnection: close\r\n\r\n`);
    expect(origin.requests[0]!.head).not.toContain("zz66zz");
  });

  it("is passed on whole where the client is trusted", async () => {
    const { member, origin } = await site((request) => request.answer("200 OK", []), "--trust-forwarded", "127.0.0.1");
    await rawExchange(
      member.port,
      "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Port: 8443\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: close\r\n\r\n",
    );
    expect(origin.requests[0]!.field("x-forwarded-port")).toBe("8443");
    expect(origin.requests[0]!.field("x-forwarded-for")).toBe("1.2.3.4, 127.0.0.1");
  });
});

describe("a Host in another spelling", () => {
  it("is told to the origin as the key has it: what it makes of a spelling goes to nobody else", async () => {
    const { member, origin } = await site((request) => request.answer("200 OK", [fresh], request.field("host")));
    for (const spelling of ["Site.TEST:", "site.test:80", "SITE.test"])
      expect(
        await rawExchange(member.port, `GET /x HTTP/1.1\r\nHost: ${spelling}\r\nConnection: close\r\n\r\n`),
      ).toMatch(/site\.test$/);
    expect(origin.requests).toHaveLength(1);
    expect(origin.requests[0]!.field("x-forwarded-host")).toBe("site.test");
  });
});

describe("a GET with content (RFC 9110 §9.3.1)", () => {
  it.each(["GET", "HEAD"])("is passed through: nothing stored, nothing reused, by %s", async (method) => {
    const { member, origin } = await site((request) =>
      request.answer("200 OK", [fresh], method === "HEAD" ? "" : "for content"),
    );
    const fat = `${method} /fat HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc`;
    expect(statuses(await rawExchange(member.port, fat))).toEqual([200]);
    const plain = await ask(member.port, "/fat", { headers: { host: "h" } });
    expect(plain.cacheStatus).toContain("uri-miss");
    const before = origin.requests.length;
    await rawExchange(member.port, fat);
    expect(origin.requests.length).toBe(before + 1);
    expect((await ask(member.port, "/fat", { headers: { host: "h" } })).cacheStatus).toContain("; hit");
  });
});

describe("configured freshness", () => {
  it("keeps no challenge, no temporary redirect and no error for an hour", async () => {
    let first = true;
    const { member } = await configured((request) => {
      if (!first) return request.answer("200 OK", [], "good");
      first = false;
      return request.answer(`${/\/(\d+)/.exec(request.line)![1]} X`, [
        "Location: /x",
        'WWW-Authenticate: Basic realm="r"',
      ]);
    }, "default-freshness: 1h");
    for (const status of [302, 307, 401, 403, 429, 500, 503]) {
      first = true;
      expect((await ask(member.port, `/${status}`, { headers: { host: "h" } })).status).toBe(status);
      expect((await ask(member.port, `/${status}`, { headers: { host: "h" } })).text).toBe("good");
    }
  });

  it("lets no error take the place of what can still answer (RFC 5861)", async () => {
    let state = "good";
    const { member, origin } = await configured(
      (request) =>
        state === "good"
          ? request.answer("200 OK", ["Cache-Control: max-age=1, stale-while-revalidate=60"], "good")
          : request.answer("503 Down", [], "down"),
      "negative-freshness: 60s",
    );
    await ask(member.port, "/", { headers: { host: "h" } });
    state = "down";
    await until(
      async () => (await ask(member.port, "/", { headers: { host: "h" } })).cacheStatus.includes("ttl=-"),
      "it is stale",
    );
    await until(() => origin.requests.length >= 2, "it is validated behind the answer");
    for (let time = 0; time < 3; time++) {
      const { status, text } = await ask(member.port, "/", { headers: { host: "h" } });
      expect([status, text]).toEqual([200, "good"]);
    }
  });
});

describe("a transfer coding that is not understood (RFC 9112 §6.1)", () => {
  it.each(["gzip, chunked", "x-gzip, chunked", "br, chunked", "gzip"])(
    "%s is 502, and nothing is stored",
    async (coding) => {
      const { member } = await site((request) => {
        const content = gzipSync("text").toString("latin1");
        const body = coding.includes("chunked") ? `${content.length.toString(16)}\r\n${content}\r\n0\r\n\r\n` : content;
        request.socket.end(
          Buffer.from(`HTTP/1.1 200 OK\r\n${fresh}\r\nTransfer-Encoding: ${coding}\r\n\r\n${body}`, "latin1"),
        );
      });
      for (let time = 0; time < 2; time++)
        expect(
          statuses(await rawExchange(member.port, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")),
        ).toEqual([502]);
    },
  );
});

describe("bytes", () => {
  it("of a value keep their last one, though it looks like a blank (RFC 9110 §5.6.3)", async () => {
    const { member, origin } = await site((request) => request.answer("302 Found", ["Location: /caf\xc3\xa0"]));
    const answer = await rawExchange(
      member.port,
      "GET / HTTP/1.1\r\nHost: h\r\nX-Name: caf\xc3\xa0\r\nConnection: close\r\n\r\n",
    );
    expect(answer).toContain("location: /caf\xc3\xa0\r\n");
    expect(origin.requests[0]!.head).toContain("x-name: caf\xc3\xa0");
  });

  it.each([
    "/s?discount=50%",
    "/s?q=%u2019",
    "/s?d=%%CB%%",
    "/a%2fb?x=%2f&y=%41",
    "/a/../b",
    "/a/./b",
    "//c",
    "/x|y?[]={}",
    "/~u?sig=%2D%2d",
  ])("of a target reach the origin as they were sent: %s, and are the key (RFC 9110 §7.7)", async (target) => {
    const { member, origin } = await site((request) => request.answer("200 OK", [fresh], request.line));
    const get = (what: string): Promise<string> =>
      rawExchange(member.port, `GET ${what} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
    expect(await get(target)).toContain(`\r\n\r\nGET ${target}`);
    expect(await get(target)).toContain("; hit");
    expect(origin.requests).toHaveLength(1);
  });

  it("of one spelling do not answer another", async () => {
    const { member } = await site((request) => request.answer("200 OK", [fresh], request.line));
    for (const target of ["/a%2fb", "/a%2Fb", "/%61", "/a", "/a/../a"])
      expect(
        await rawExchange(member.port, `GET ${target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`),
      ).toContain(`\r\n\r\nGET ${target}`);
  });
});

describe("several ranges whose asker leaves (RFC 9110 §14.6)", () => {
  it("leave nothing in flight", async () => {
    const { member } = await site((request) => request.answer("200 OK", [fresh, 'ETag: "l"'], "x".repeat(8 * 2 ** 20)));
    await ask(member.port, "/large", { headers: { host: "h" } });
    for (let time = 0; time < 5; time++) {
      const client = await RawClient.open(member.port);
      client.send("GET /large HTTP/1.1\r\nHost: h\r\nRange: bytes=0-3000000,4000000-8000000\r\n\r\n");
      await client.until((text) => text.includes("206"), "the answer has begun");
      client.close();
    }
    await until(async () => (await statusOf(member)).self.inFlight === 0, "nothing is in flight");
  });
});

describe("an unsafe request (RFC 9111 §4.4)", () => {
  it("drops all that lies under its URI: other key fields, and QUERY", async () => {
    let version = 1;
    const { member } = await configured((request) => {
      if (request.line.startsWith("POST")) version++;
      request.answer("200 OK", [fresh], `version ${version}`);
    }, "key-fields: [x-tenant]");
    const tenant = () => ask(member.port, "/k", { headers: { host: "h", "x-tenant": "a" } });
    const query = () =>
      ask(member.port, "/k", { method: "QUERY", headers: { host: "h", "content-type": "text/plain" }, body: "q" });
    await tenant();
    await query();
    expect((await query()).cacheStatus).toContain("; hit");
    await ask(member.port, "/k", { method: "POST", headers: { host: "h" }, body: "new" });
    expect([(await tenant()).text, (await query()).text]).toEqual(["version 2", "version 2"]);
  });

  it("drops what WebDAV has written elsewhere: a file that is saved under another name and moved is read as it is now", async () => {
    let content = "old";
    const { member } = await configured((request) => {
      if (/^(?:MOVE|COPY)/.test(request.line)) content = request.line.slice(0, 4);
      request.answer("200 OK", [fresh], content);
    }, "");
    const read = () => ask(member.port, "/file", { headers: { host: "h" } });
    const write = (method: string, destination: string) =>
      ask(member.port, "/file.part", { method, headers: { host: "h", destination } });
    await read();
    expect((await read()).cacheStatus).toContain("; hit");
    for (const [method, destination] of [
      ["MOVE", "http://h/file"],
      ["COPY", "/file"],
    ] as const) {
      await write(method, destination);
      expect((await read()).text).toBe(method);
      expect((await read()).cacheStatus).toContain("; hit");
    }
  });
});

describe("stale use beside s-maxage (RFC 5861)", () => {
  it("follows the extension that the origin gave", async () => {
    let count = 0;
    const { member, origin } = await site((request) =>
      request.answer("200 OK", ["Cache-Control: s-maxage=1, stale-while-revalidate=60"], String(++count)),
    );
    await ask(member.port, "/", { headers: { host: "h" } });
    const answers: string[] = [];
    await until(async () => {
      answers.push((await ask(member.port, "/", { headers: { host: "h" } })).cacheStatus);
      return origin.requests.length === 2;
    }, "it is validated behind an answer");
    expect(answers.every((answer) => answer.includes("; hit"))).toBe(true);
  });
});

async function rawExchangeFrom(from: string, port: number, bytes: string): Promise<string> {
  const { connect } = await import("node:net");
  return new Promise((done, fail) => {
    let received = "";
    const socket = connect({ host: "127.0.0.1", port, localAddress: from }, () => socket.write(bytes));
    socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    socket.on("end", () => done(received));
    socket.on("error", fail);
  });
}
