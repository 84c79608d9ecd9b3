/** The client's parts without a server: encoding, framing, watches, connect strings. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ensembleOf, isPath } from "./connect-string.ts";
import { FrameSplitter } from "./frame-splitter.ts";
import { JuteError, JuteReader, JuteWriter } from "./jute.ts";
import {
  createBody,
  helloFrame,
  helloOf,
  multiBody,
  multiResults,
  notificationOf,
  openAcl,
  replyOf,
  requestFrame,
  setWatchesBody,
} from "./protocol.ts";
import { Watches } from "./watches.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("golden frames", () => {
  it("a hello for a new session", () => {
    expect(hex(helloFrame(0n, 6000, 0n, Buffer.alloc(16)))).toBe(
      "0000002d" +
        "00000000" +
        "0000000000000000" +
        "00001770" +
        "0000000000000000" +
        "00000010" +
        "00".repeat(16) +
        "00",
    );
  });

  it("the answer to a hello, with and without the read-only flag", () => {
    const answer = new JuteWriter().int(0).int(4000).long(-5n).buffer(Buffer.alloc(16, 7));
    for (const bytes of [answer.bytes, new JuteWriter().raw(answer.bytes).bool(false).bytes]) {
      const hello = helloOf(Buffer.from(bytes));
      expect(hello.timeoutMs).toBe(4000);
      expect(hello.sessionId).toBe(-5n);
      expect(hello.password.length).toBe(16);
    }
  });

  it("create, with the open access list", () => {
    const { type, body } = createBody({
      kind: "create",
      path: "/a",
      data: Buffer.from("x"),
      mode: "ephemeral-sequential",
      acl: openAcl,
    });
    expect(hex(requestFrame(7, type, body))).toBe(
      "00000032" +
        "00000007" +
        "0000000f" +
        "000000022f61" +
        "0000000178" +
        "00000001" +
        "0000001f" +
        "00000005776f726c64" +
        "00000006616e796f6e65" +
        "00000003",
    );
  });

  it("containers and times to live have types of their own", () => {
    const node = { kind: "create", path: "/a", data: Buffer.alloc(0), acl: openAcl } as const;
    expect(createBody({ ...node, mode: "container" }).type).toBe(19);
    const lasting = createBody({ ...node, mode: "persistent-ttl", ttlMs: 5000 });
    expect(lasting.type).toBe(21);
    expect(hex(lasting.body).endsWith("00000005" + "0000000000001388")).toBe(true);
  });

  it("a check of version 0 is sent as 0", () => {
    expect(hex(multiBody([{ kind: "check", path: "/e", version: 0 }]))).toBe(
      "0000000d" + "00" + "ffffffff" + "000000022f65" + "00000000" + "ffffffff" + "01" + "ffffffff",
    );
  });

  it("a failed transaction names the operation at fault", () => {
    const part = (type: number, done: boolean, error: number, writer: JuteWriter): JuteWriter =>
      writer.int(type).bool(done).int(error);
    const writer = new JuteWriter();
    for (const error of [0, -103, -2]) part(-1, false, error, writer).int(error);
    part(-1, true, -1, writer);
    const operations = ["/a", "/b", "/c"].map((path) => ({ kind: "check", path, version: 1 }) as const);
    expect(() => multiResults(new JuteReader(writer.bytes), operations)).toThrow(
      expect.objectContaining({ code: "BAD_VERSION", path: "/b", index: 1 }),
    );
  });

  it("a notification", () => {
    const bytes = new JuteWriter().int(-1).long(-1n).int(0).int(3).int(3).text("/a/b").bytes;
    const reply = replyOf(Buffer.from(bytes));
    expect(reply.xid).toBe(-1);
    expect(notificationOf(reply.body)).toEqual({ kind: "changed", path: "/a/b" });
  });

  it("watches are armed with the old request unless some are persistent", () => {
    const none = { data: ["/a"], exist: [], child: [], persistent: [], recursive: [] };
    expect(setWatchesBody(1n, none).type).toBe(101);
    expect(setWatchesBody(1n, { ...none, recursive: ["/b"] }).type).toBe(105);
  });
});

describe("what a server sends is never believed", () => {
  it("a reader of any bytes answers or says JuteError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const read of [
          (): unknown => helloOf(Buffer.from(bytes)),
          (): unknown => notificationOf(replyOf(Buffer.from(bytes)).body),
          (): unknown => multiResults(new JuteReader(Buffer.from(bytes)), [{ kind: "check", path: "/", version: 0 }]),
          (): unknown => new JuteReader(Buffer.from(bytes)).vector(() => 1),
        ])
          try {
            read();
          } catch (error) {
            expect(["JuteError", "ZooKeeperError"]).toContain((error as Error).name);
          }
      }),
    );
  });

  it("frames come out the same however the bytes are split", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
        (bodies, cuts) => {
          const bytes = Buffer.concat(bodies.map((body) => new JuteWriter().raw(body).frame));
          const splitter = new FrameSplitter(1000);
          const out: Buffer[] = [];
          for (let at = 0, turn = 0; at < bytes.length; turn++) {
            const size = cuts[turn % cuts.length]!;
            out.push(...splitter.push(bytes.subarray(at, at + size)));
            at += size;
          }
          expect(out.map(hex)).toEqual(bodies.map(hex));
        },
      ),
    );
  });

  it("a length beyond the limit, or below zero, ends it before anything is kept", () => {
    for (const length of [-1, 1001, 0x7fff_ffff])
      expect(() => new FrameSplitter(1000).push(new JuteWriter().int(length).bytes)).toThrow(JuteError);
  });
});

describe("watches", () => {
  it("fire once for data, existence and children, for ever when persistent", () => {
    const watches = new Watches();
    const seen: string[] = [];
    for (const kind of ["data", "exist", "child", "persistent", "recursive"] as const)
      watches.add(kind, "/a", () => seen.push(kind));
    const fire = (kind: "changed" | "children" | "deleted", path = "/a"): void => {
      for (const listener of watches.fire({ kind, path })) listener({ kind, path });
    };
    fire("changed");
    expect(seen.splice(0)).toEqual(["data", "exist", "persistent", "recursive"]);
    fire("children");
    expect(seen.splice(0)).toEqual(["child", "persistent"]);
    fire("changed", "/a/b/c");
    expect(seen.splice(0)).toEqual(["recursive"]);
    fire("deleted");
    expect(seen).toEqual(["persistent", "recursive"]);
    expect(watches.size).toBe(2);
  });

  it("are armed again in pieces of at most 128 KiB, none lost", () => {
    const watches = new Watches();
    for (let index = 0; index < 5000; index++) watches.add("data", `/${"x".repeat(90)}/${index}`, () => {});
    const pieces = [...watches.rearmed()];
    expect(pieces.flatMap(({ data }) => data).length).toBe(5000);
    for (const piece of pieces) expect(setWatchesBody(0n, piece).body.length).toBeLessThanOrEqual(128 * 1024 + 32);
  });
});

describe("connect strings", () => {
  it("name hosts, a chroot and the session", () => {
    expect(ensembleOf("zookeeper://a:2181,b,[::1]:9/gyre/x/?session=8s")).toEqual({
      tls: false,
      servers: [
        { host: "a", port: 2181 },
        { host: "b", port: 2181 },
        { host: "::1", port: 9 },
      ],
      chroot: "/gyre/x",
      sessionMs: 8000,
    });
    expect(ensembleOf("zookeeper+tls://a/")).toMatchObject({ tls: true, chroot: "", sessionMs: 6000 });
  });

  it.each([
    ["zookeeper://u:p@a:1/", "credentials"],
    ["zookeeper://a:99999/", "host:port"],
    ["zookeeper://", "host:port"],
    ["zookeeper://a/x/../y", "not a path"],
    ["zookeeper://a/?session=1s", "outside"],
    ["zookeeper://a/?sesion=6s", "not a setting"],
    ["http://a/", "write zookeeper://"],
  ])("%s is refused with a sentence", (text, sentence) => {
    expect(ensembleOf(text)).toMatchObject({ wrong: expect.stringContaining(sentence) as string });
  });

  it("paths are absolute and plain", () => {
    for (const good of ["/", "/a", "/a/b-c_1.2", "/ä"]) expect(isPath(good)).toBe(true);
    for (const bad of ["", "a", "/a/", "//", "/a//b", "/./a", "/a\u0000"]) expect(isPath(bad)).toBe(false);
  });
});
