import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { wireLimits } from "../limits.ts";
import { isRefusal, requestHead } from "../request-head.ts";
import { requestText, trailerText } from "./request-text.ts";

const place = { scheme: "https" } as const;
const get = [":method", "GET", ":scheme", "https", ":authority", "h", ":path", "/x"];
const why = (raw: readonly string[], isWhole = true): string => {
  const text = requestText(raw, place, isWhole);
  return "malformed" in text ? text.malformed : "";
};

describe("a request of HTTP/2 as one of HTTP/1.1", () => {
  it("has the same method, target, host and fields", () => {
    expect(requestText([...get, "accept", "*/*", "cookie", "a=1", "cookie", "b=2"], place, true)).toEqual({
      method: "GET",
      text: "GET /x HTTP/1.1\r\nhost: h\r\naccept: */*\r\ncookie: a=1; b=2\r\n",
      framing: { kind: "none" },
    });
    expect(requestText([":method", "GET", ":scheme", "https", ":path", "/", "host", "h"], place, true)).toMatchObject({
      text: "GET / HTTP/1.1\r\nhost: h\r\n",
    });
  });

  it("is read in time that grows with its fields, whatever blanks they have", () => {
    const begunMs = performance.now();
    const long = `x${" ".repeat(100_000)}x`;
    expect(requestText([...get, "x-a", long], place, true)).toMatchObject({ framing: { kind: "none" } });
    expect(performance.now() - begunMs).toBeLessThan(1000);
  });

  it("is framed by its length, or in chunks", () => {
    const post = [":method", "POST", ...get.slice(2)];
    expect(requestText([...post, "content-length", "5"], place, false)).toMatchObject({
      framing: { kind: "length", bytes: 5 },
    });
    expect(requestText(post, place, false)).toMatchObject({
      text: "POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n",
      framing: { kind: "chunked" },
    });
  });

  it("is for a proxy where its scheme is another, or where only that is", () => {
    const http = [":method", "GET", ":scheme", "http", ":authority", "example.com", ":path", "/x"];
    expect(requestText(http, place, true)).toMatchObject({
      text: "GET http://example.com/x HTTP/1.1\r\nhost: example.com\r\n",
    });
    expect(requestText(get, { scheme: "https", role: "forward" }, true)).toMatchObject({
      text: "GET https://h/x HTTP/1.1\r\nhost: h\r\n",
    });
  });

  it("may be a tunnel: CONNECT, or a WebSocket", () => {
    expect(requestText([":method", "CONNECT", ":authority", "h:443"], place, false)).toEqual({
      method: "CONNECT",
      text: "CONNECT h:443 HTTP/1.1\r\nhost: h:443\r\n",
      framing: { kind: "tunnel", by: "connect" },
    });
    const asking = [":method", "CONNECT", ":protocol", "websocket", ...get.slice(2), "sec-websocket-version", "13"];
    // A key of the client's own means nothing here (RFC 8441 §5), and two would be none to an origin.
    const key = ["sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="];
    const socket = requestText([...asking, ...key], place, false);
    expect(socket).toMatchObject({ method: "GET", framing: { kind: "tunnel", by: "websocket" } });
    expect("text" in socket && socket.text).toMatch(
      /^GET \/x HTTP\/1\.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: [\w+/]{22}==\r\nsec-websocket-version: 13\r\n$/,
    );
  });

  it.each([
    [[...get, ":path", "/y"], ":path comes twice"],
    [[...get, "accept", "a", ":status", "200"], '":status" is no pseudo-field of a request'],
    [["accept", "a", ...get], ":method comes behind a field"],
    [[...get, "host", "other"], ":authority and host differ"],
    [[...get, "host", "h", "host", "h"], "more than one host"],
    [[...get, "X-Upper", "a"], '"X-Upper" is no field name in lower case'],
    [[...get, "a:b", "c"], '"a:b" is no field name in lower case'],
    [[...get, "a b", "c"], '"a b" is no field name in lower case'],
    [[...get, "", "c"], '"" is no field name in lower case'],
    [[...get, "a", "b\r\nc: d"], '"a" holds a character that no field may hold'],
    [[...get, "a", "b\nc"], '"a" holds a character that no field may hold'],
    [[...get, "a", " b"], '"a" holds a character that no field may hold'],
    [[...get, "a", "b\0"], '"a" holds a character that no field may hold'],
    [[...get, "transfer-encoding", "chunked"], "transfer-encoding belongs to a connection, not to a request"],
    [[...get, "connection", "close"], "connection belongs to a connection, not to a request"],
    [[...get, "te", "gzip"], "te can only be trailers"],
    [[...get, "content-length", "5"], "content-length, and no content"],
    [[...get, "content-length", "5", "content-length", "5"], "more than one content-length"],
    [[...get, "content-length", "+5"], "content-length is not one plain number"],
    [[":method", "GET", ":scheme", "https", ":authority", "h", ":path", "/x y"], ":method or :path holds a blank"],
    [[":method", "G T", ":scheme", "https", ":authority", "h", ":path", "/x"], ":method or :path holds a blank"],
    [[":method", "GET", ":scheme", "https", ":authority", "h", ":path", "x"], ":path does not begin with /"],
    [[":method", "GET", ":scheme", "ftp", ":authority", "h", ":path", "/x"], ':scheme "ftp" is not http or https'],
    [[":method", "GET", ":scheme", "https", ":authority", "a/b", ":path", "/x"], ":authority is not host[:port]"],
    [[":method", "GET", ":scheme", "https", ":authority", "u@h", ":path", "/x"], ":authority is not host[:port]"],
    [[":method", "GET", ":scheme", "https", ":path", "/x"], "neither :authority nor host"],
    [[":method", "GET", ":authority", "h", ":path", "/x"], "a request has :method, :scheme and :path"],
    [[":method", "CONNECT", ":authority", "h:1", ":path", "/"], "CONNECT has neither :path nor :scheme"],
    [[":method", "CONNECT", ":protocol", "raw", ...get.slice(2)], ':protocol "raw" is not known'],
  ])("refuses %j", (raw, expected) => {
    expect(why(raw)).toBe(expected);
  });

  it("never becomes more lines than it has fields, whatever they hold", () => {
    const character = fc.constantFrom(..."abz:/ ?#\r\n\0\t,;@%é\x7f".split(""));
    const text = fc.string({ unit: character, maxLength: 8 });
    const fields = fc.array(fc.tuple(fc.oneof(text, fc.constantFrom("host", "x", ":path", ":method", "te")), text), {
      maxLength: 5,
    });
    fc.assert(
      fc.property(text, text, text, fields, fc.boolean(), (method, path, authority, more, isWhole) => {
        const raw = [":method", method, ":scheme", "https", ":authority", authority, ":path", path, ...more.flat()];
        const request = requestText(raw, place, isWhole);
        if ("malformed" in request) return;
        expect(request.text.split("\r\n").length - 1).toBeLessThanOrEqual(3 + more.length);
        expect(/[\0\n]/.test(request.text.replaceAll("\r\n", ""))).toBe(false);
        const head = requestHead(request.text, wireLimits);
        if (isRefusal(head)) return;
        expect([head.method, head.host.toLowerCase()]).toEqual([method, authority.toLowerCase()]);
        expect(head.contentBytes === 0).toBe(isWhole || request.framing.kind === "length");
      }),
      { numRuns: 5000 },
    );
  });

  it("has trailers that are fields and nothing else", () => {
    expect(trailerText(["a", "1", "b", "2"])).toBe("a: 1\r\nb: 2\r\n");
    const long = Array.from({ length: 1000 }, () => ["a", "x".repeat(4000)]).flat();
    expect(trailerText(long)).toEqual({ malformed: "trailers without end" });
    for (const raw of [
      [":status", "200"],
      ["a", "b\r\nc: d"],
      ["A", "b"],
      ["transfer-encoding", "chunked"],
    ])
      expect(trailerText(raw)).toHaveProperty("malformed");
  });
});
