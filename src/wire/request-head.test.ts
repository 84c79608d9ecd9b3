import { Duplex } from "node:stream";
import { createServer } from "node:http";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { wireLimits } from "./limits.ts";
import { chunked, isRefusal, requestHead, type ParsedHead } from "./request-head.ts";

/** The head as the connection hands it over: without the empty line. */
const parse = (text: string) => requestHead(text.replace(/\r\n\r\n$/, "\r\n"), wireLimits);
const accepted = (text: string): ParsedHead => {
  const head = parse(text);
  if (isRefusal(head)) throw new Error(`${head.status} ${head.reason}`);
  return head;
};
const status = (text: string): number => {
  const head = parse(text);
  return isRefusal(head) ? head.status : 0;
};

describe("requestHead accepts", () => {
  it.each([
    ["origin form (§3.2.1)", "GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n", "origin"],
    ["absolute form (§3.2.2)", "GET http://h:80/a HTTP/1.1\r\nHost: h\r\n\r\n", "absolute"],
    ["absolute form without a path", "GET http://h HTTP/1.1\r\nHost: h\r\n\r\n", "absolute"],
    ["authority form (§3.2.3)", "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", "authority"],
    ["asterisk form (§3.2.4)", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "asterisk"],
    ["an unknown method (RFC 9110 §9.1)", "BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n", "origin"],
    ["HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", "origin"],
    ["an IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "origin"],
    ["obs-text in a value (RFC 9110 §5.5)", "GET / HTTP/1.1\r\nHost: h\r\nX: \xe9\xff\r\n\r\n", "origin"],
    ["blanks around a value (§5.1)", "GET / HTTP/1.1\r\nHost: \t h \t\r\n\r\n", "origin"],
    ["an empty value", "GET / HTTP/1.1\r\nHost: h\r\nX:\r\n\r\n", "origin"],
  ] as const)("%s", (_, text, form) => {
    expect(accepted(text).form).toBe(form);
  });

  it("field names in any case, given in lower case (RFC 9110 §5.1)", () => {
    expect(accepted("GET / HTTP/1.1\r\nHOST: h\r\nX-TeSt: v\r\n\r\n").fields).toEqual(["host", "h", "x-test", "v"]);
  });

  it.each([
    ["Content-Length: 10", 10],
    ["Content-Length: 0", 0],
    ["Transfer-Encoding: chunked", chunked],
    ["Transfer-Encoding: Chunked", chunked],
  ])("%s", (line, bytes) => {
    expect(accepted(`POST / HTTP/1.1\r\nHost: h\r\n${line}\r\n\r\n`).contentBytes).toBe(bytes);
  });

  it.each([
    ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", true],
    ["GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false],
    ["GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n", false],
    ["GET / HTTP/1.0\r\nHost: h\r\n\r\n", false],
    ["GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", true],
  ])("persistence as §9.3 says: %j is %s", (text, keepAlive) => {
    expect(accepted(text).keepAlive).toBe(keepAlive);
  });

  it.each([
    "Cache-Control: no-cache",
    "Range: bytes=0-1",
    "If-None-Match: *",
    "Authorization: x",
    "Upgrade: h2c",
    "Connection: upgrade",
    "Via: 1.1 x",
  ])("%s as not plain", (line) => {
    expect(accepted(`GET / HTTP/1.1\r\nHost: h\r\n${line}\r\n\r\n`).plain).toBe(false);
    expect(accepted("GET / HTTP/1.1\r\nHost: h\r\nAccept: x\r\n\r\n").plain).toBe(true);
  });
});

describe("requestHead reads", () => {
  it("the authority of an absolute target, whatever Host says (§3.2.2)", () => {
    for (const host of ["b", "a:81", "a"]) {
      const { host: place, target } = accepted(`GET http://a/x HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      expect([place, target]).toEqual(["a", "http://a/x"]);
    }
  });

  it("bytes above 127 in a target as their escapes (RFC 3986 §2.1), and a stray percent sign as it is", () => {
    expect(accepted("GET /\xc3\xa4?q=100%&\xe9 HTTP/1.1\r\nHost: h\r\n\r\n").target).toBe("/%C3%A4?q=100%&%E9");
  });

  it("the last byte of a UTF-8 character that looks like a blank (RFC 9110 §5.6.3)", () => {
    expect(accepted("GET / HTTP/1.1\r\nHost: h\r\nX: \t caf\xc3\xa0 \t\r\n\r\n").fields).toContain("caf\xc3\xa0");
  });
});

describe("requestHead refuses", () => {
  it.each([
    [400, "no Host in HTTP/1.1 (§3.2)", "GET / HTTP/1.1\r\n\r\n"],
    [400, "two Hosts (§3.2)", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"],
    [400, "an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"],
    [400, "a Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"],
    [400, "a Host with user information", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"],
    [400, "a Host with a list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"],
    [400, "two Hosts beside an absolute target", "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
    [400, "white space before the colon (§5.1)", "GET / HTTP/1.1\r\nHost : h\r\n\r\n"],
    [400, "a tab before the colon", "GET / HTTP/1.1\r\nHost: h\r\nX\t: y\r\n\r\n"],
    [400, "obs-fold (§5.2)", "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n"],
    [400, "a field line that begins with a blank", "GET / HTTP/1.1\r\n Host: h\r\n\r\n"],
    [400, "a field line without a colon", "GET / HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n"],
    [400, "an empty field name", "GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n"],
    [400, "a NUL in a value (RFC 9110 §5.5)", "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n"],
    [400, "a bare CR in a value (§2.2)", "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n"],
    [400, "a bare LF in a value (§2.2)", "GET / HTTP/1.1\r\nHost: h\r\nX: a\nEvil: b\r\n\r\n"],
    [400, "a bare CR in the request line", "GET /\r HTTP/1.1\r\nHost: h\r\n\r\n"],
    [400, "a control character in a name", "GET / HTTP/1.1\r\nHost: h\r\nX\x01: a\r\n\r\n"],
    [400, "obs-text in a name", "GET / HTTP/1.1\r\nHost: h\r\nX\xe9: a\r\n\r\n"],
    [400, "two blanks in the request line (§3)", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n"],
    [400, "a blank in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"],
    [400, "a fragment in the target", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n"],
    [400, "a control character in the target", "GET /a\x01b HTTP/1.1\r\nHost: h\r\n\r\n"],
    [400, "no version", "GET /\r\nHost: h\r\n\r\n"],
    [400, "a version in lower case", "GET / http/1.1\r\nHost: h\r\n\r\n"],
    [400, "a version of more digits", "GET / HTTP/1.10\r\nHost: h\r\n\r\n"],
    [505, "HTTP/2.0", "PRI * HTTP/2.0\r\nHost: h\r\n\r\n"],
    [505, "HTTP/1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n"],
    [400, "an asterisk for GET (§3.2.4)", "GET * HTTP/1.1\r\nHost: h\r\n\r\n"],
    [400, "CONNECT without a port (§3.2.3)", "CONNECT h HTTP/1.1\r\nHost: h\r\n\r\n"],
    [400, "CONNECT with a path", "CONNECT h:1/x HTTP/1.1\r\nHost: h\r\n\r\n"],
    [400, "a method that is no token", "G@T / HTTP/1.1\r\nHost: h\r\n\r\n"],
    [
      400,
      "two Content-Lengths, even if alike (§6.3)",
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
    ],
    [400, "a list in Content-Length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\n"],
    [400, "a signed Content-Length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n"],
    [400, "a negative Content-Length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n"],
    [400, "a hexadecimal Content-Length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x1\r\n\r\n"],
    [400, "a huge Content-Length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n"],
    [400, "an empty Content-Length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n"],
    [
      400,
      "Content-Length with Transfer-Encoding (§6.1)",
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    [400, "Transfer-Encoding in HTTP/1.0 (§6.1)", "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"],
    [400, "a coding after chunked (§6.1)", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"],
    [400, "chunked twice (§6.1)", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n"],
    [
      400,
      "chunked on two lines",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    [400, "a coding other than chunked alone", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n"],
    [400, "a coding that looks like chunked", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n"],
    [400, "chunked in quotes", 'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "chunked"\r\n\r\n'],
    [
      501,
      "gzip before chunked (§6.1: not understood)",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    ],
    [
      417,
      "an expectation other than 100-continue (RFC 9110 §10.1.1)",
      "POST / HTTP/1.1\r\nHost: h\r\nExpect: miracles\r\n\r\n",
    ],
    [414, "a target beyond the limit", `GET /${"a".repeat(wireLimits.uriBytesMax)} HTTP/1.1\r\nHost: h\r\n\r\n`],
    [431, "too many fields", `GET / HTTP/1.1\r\nHost: h\r\n${"X: y\r\n".repeat(wireLimits.fieldsMax)}\r\n`],
  ])("%d %s", (code, _, text) => {
    expect(status(text)).toBe(code);
  });

  it("content above a configured limit with 413", () => {
    const head = requestHead("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n", {
      ...wireLimits,
      bodyBytesMax: 10,
    });
    expect(isRefusal(head) && head.status).toBe(413);
  });
});

/** What Node's own strict parser makes of a head: what it saw, or null where it refused. */
function nodesOpinion(text: string): Promise<{ method: string; url: string; fields: readonly string[] } | null> {
  return new Promise((done) => {
    const server = createServer({ insecureHTTPParser: false }, (request) =>
      done({ method: request.method!, url: request.url!, fields: request.rawHeaders }),
    );
    server.on("clientError", () => done(null));
    server.on("connect", (request) => done({ method: request.method!, url: request.url!, fields: request.rawHeaders }));
    server.on("upgrade", (request) => done({ method: request.method!, url: request.url!, fields: request.rawHeaders }));
    server.on("checkContinue", (request) =>
      done({ method: request.method!, url: request.url!, fields: request.rawHeaders }),
    );
    server.on("checkExpectation", (request) =>
      done({ method: request.method!, url: request.url!, fields: request.rawHeaders }),
    );
    const socket = new Duplex({
      read() {},
      write: (chunk: Buffer, _encoding, written) => {
        if (chunk.toString("latin1").startsWith("HTTP/1.1 400")) done(null);
        written();
      },
    });
    socket.on("error", () => done(null));
    server.emit("connection", socket);
    socket.push(Buffer.from(text, "latin1"));
    socket.push(null);
    setImmediate(() => setImmediate(() => done(null)));
  });
}

/** Heads put together from right and wrong pieces. */
const heads = fc
  .record({
    method: fc.constantFrom("GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "G\tT", "GET\0", ""),
    target: fc.constantFrom("/", "/a?b=c", "http://h/x", "*", "/\x7f", "/a b", "h:80", "/%zz", "http://"),
    version: fc.constantFrom("HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1", "HTTP/1.1 "),
    lines: fc.array(
      fc.tuple(
        fc.constantFrom(
          "Host",
          "host",
          "Content-Length",
          "Transfer-Encoding",
          "Connection",
          "X",
          "X ",
          " X",
          "X\0",
          "",
          "Expect",
          "TE",
          "Upgrade",
        ),
        fc.constantFrom(":", " :", ": ", ":\t", ""),
        fc.constantFrom(
          "h",
          "1",
          "0",
          "chunked",
          "gzip, chunked",
          "close",
          "a\0b",
          "a\rb",
          "a\nb",
          "\xff",
          "1, 1",
          "+1",
          "",
          "100-continue",
          "\x0b",
        ),
      ),
      { maxLength: 5 },
    ),
  })
  .map(
    ({ method, target, version, lines }) =>
      `${method} ${target} ${version}\r\n${lines.map(([name, colon, value]) => `${name}${colon}${value}\r\n`).join("")}\r\n`,
  );

describe("requestHead and Node's own parser", () => {
  it("agree on every head that we accept: what we would forward means the same to the next reader", async () => {
    await fc.assert(
      fc.asyncProperty(heads, async (text) => {
        const head = parse(text);
        if (isRefusal(head)) return;
        const other = await nodesOpinion(text);
        // Node knows no methods but those on its list, and takes a target form by the method: it refuses more there,
        // which is no ambiguity.
        if (other === null) {
          expect(head.method).toMatch(/^(?:GET|POST|PUT|HEAD|DELETE|OPTIONS)$/);
          throw new Error(`Node refuses what we accept: ${JSON.stringify(text)}`);
        }
        expect(other.method).toBe(head.method);
        expect(other.url).toBe(head.target);
        expect(other.fields.map((part, index) => (index % 2 === 0 ? part.toLowerCase() : part))).toEqual(head.fields);
      }),
      { numRuns: 1500 },
    );
  });

  it("never throws, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary-ascii", maxLength: 300 }), (noise) => {
        parse(`${noise}\r\n\r\n`);
        parse(`GET / HTTP/1.1\r\n${noise}\r\n\r\n`);
      }),
      { numRuns: 2000 },
    );
  });
});
