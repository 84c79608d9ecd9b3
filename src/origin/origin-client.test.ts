import { readdirSync } from "node:fs";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { Readable } from "node:stream";
import { afterEach, describe, expect, it, vi } from "vitest";
import { originSettings, type OriginHandler } from "./fetch.ts";
import { OriginClient } from "./origin-client.ts";

const policy = { inner: true, allowed: null, configured: false };
const silent: OriginHandler = { interim: () => {}, head: () => {}, data: () => {}, end: () => {}, failed: () => {} };
const request = (origin: string) => ({ origin, method: "GET", path: "/", fields: ["host", "h"], body: null });
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function listener(
  accepted: (socket: Socket) => void = () => {},
): Promise<{ readonly url: string; readonly server: Server }> {
  const server = createServer(accepted);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  closing.push(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}
const descriptors = (): number => readdirSync("/proc/self/fd").length;

describe("OriginClient", () => {
  it("reads what has come before it finds an origin late: while this process stood still, nobody could be heard", async () => {
    const headMs = 200;
    const { url } = await listener((socket) =>
      socket.once("data", () => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        const until = performance.now() + 2 * headMs;
        while (performance.now() < until);
      }),
    );
    const client = new OriginClient(policy, { ...originSettings, headMs, bodyMs: headMs });
    closing.push(() => client.close());
    const heard = await new Promise((done) =>
      client.fetch(request(url), { ...silent, end: () => done("an answer"), failed: (error) => done(error.code) }),
    );
    expect(heard).toBe("an answer");
  });

  it("gives an origin what is left of its time where this process stood still twice, one time after the other", async () => {
    const headMs = 400;
    const stands = (): void => {
      const until = performance.now() + headMs;
      while (performance.now() < until);
    };
    const { url } = await listener((socket) =>
      socket.once("data", () => {
        stands();
        // Timers come between the two, and behind the second one, before what it has sent is read.
        setImmediate(() =>
          setImmediate(() => {
            socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            stands();
          }),
        );
      }),
    );
    const client = new OriginClient(policy, { ...originSettings, headMs, bodyMs: headMs });
    closing.push(() => client.close());
    const heard = await new Promise((done) =>
      client.fetch(request(url), { ...silent, end: () => done("an answer"), failed: (error) => done(error.code) }),
    );
    expect(heard).toBe("an answer");
  });

  it.each([["first", "6\r\nfirst.\r\n5\r\nlast.\r\n0\r\n\r\n"] as const, ["nothing", "0\r\n\r\n"] as const])(
    "sends all of a request's content where an idle connection has ended, and %s of it comes before there is another",
    async (what, expected) => {
      let connections = 0;
      let [last, heard] = ["", ""];
      const { url } = await listener((socket) => {
        const isFirst = ++connections === 1;
        socket.on("error", () => {});
        socket.on("data", (bytes) => {
          const text = bytes.toString();
          if (isFirst && text.startsWith("PUT")) return void socket.destroy();
          heard += text;
          if (!text.startsWith("GET") && !heard.endsWith("0\r\n\r\n")) return;
          last = heard.slice(heard.indexOf("\r\n\r\n") + 4);
          heard = "";
          socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        });
      });
      const client = new OriginClient(policy, { ...originSettings, retries: 0 });
      closing.push(() => client.close());
      const answered = (method: string, body: Readable | null): Promise<string> =>
        new Promise((done) =>
          client.fetch(
            { ...request(url), method, body },
            { ...silent, end: () => done("an answer"), failed: (error) => done(error.message) },
          ),
        );
      await answered("GET", null);
      const body = new Readable({ read: () => {} });
      if (what === "nothing") body.push(null);
      // The connection is lost: this is the moment at which nobody listens.
      body.on("removeListener", (name) => {
        if (name !== "data" || connections > 1 || what === "nothing") return;
        process.nextTick(() => {
          body.push("first.");
          setImmediate(() => {
            body.push("last.");
            body.push(null);
          });
        });
      });
      expect(await answered("PUT", body)).toBe("an answer");
      expect([connections, last]).toEqual([2, expected]);
    },
  );

  it("counts a cancelled fetch until nothing is left of it: clients that leave cannot open connections without bound", async () => {
    const { url } = await listener();
    const client = new OriginClient(policy, { ...originSettings, connectionsMax: 4, queueMax: 10_000 });
    closing.push(() => client.close());
    const before = descriptors();
    let most = 0;
    for (let count = 0; count < 300; count++) {
      client.fetch(request(url), silent).cancel();
      most = Math.max(most, descriptors());
    }
    await new Promise((done) => setImmediate(done));
    // Both ends of each are in this process.
    expect(Math.max(most, descriptors()) - before).toBeLessThan(40);
  });

  it("lets whatever follows in where a fetch fails at once, and says so to each", async () => {
    const client = new OriginClient(
      { ...policy, inner: false },
      { ...originSettings, connectionsMax: 2, queueMax: 10_000 },
    );
    closing.push(() => client.close());
    let failed = 0;
    for (let count = 0; count < 3000; count++)
      client.fetch(request("http://169.254.1.1"), { ...silent, failed: () => void failed++ });
    for (let turn = 0; turn < 200 && failed < 3000; turn++) await new Promise((done) => setImmediate(done));
    expect([failed, client.waiting]).toEqual([3000, 0]);
  });

  it("asks once more where an idle connection is given up with 408 as a request goes out (RFC 9110 §15.5.9)", async () => {
    const seen: string[] = [];
    let connections = 0;
    const { url } = await listener((socket) => {
      const connection = connections++;
      let requests = 0;
      socket.on("data", (bytes: Buffer) => {
        seen.push(`${bytes.toString().split(" ", 1)[0]} on ${connection}`);
        if (requests++ === 0) return socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        return socket.end("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlate");
      });
    });
    const client = new OriginClient(policy, originSettings);
    closing.push(() => client.close());
    const ask = (method: string) =>
      new Promise((done) => {
        let status = 0;
        client.fetch(
          { ...request(url), method },
          { ...silent, head: (one) => (status = one), end: () => done(status) },
        );
      });
    expect([await ask("GET"), await ask("GET")]).toEqual([200, 200]);
    // What may not be sent twice is told to its client, who may.
    expect(await ask("POST")).toBe(408);
    expect(seen).toEqual(["GET on 0", "GET on 0", "GET on 1", "POST on 1"]);
  });

  it("takes a host that no URL can have for an origin that fails, not for a reason to end", async () => {
    const client = new OriginClient(policy, { ...originSettings, connectionsMax: 1, resolver: "127.0.0.1:9" });
    closing.push(() => client.close());
    const failures = await Promise.all(
      Array.from(
        { length: 4 },
        () => new Promise((done) => client.fetch(request("https://xn--a"), { ...silent, failed: done })),
      ),
    );
    expect(failures).toHaveLength(4);
    expect(client.waiting).toBe(0);
  });

  it("fails for certificates that cannot be used, at once and each time, and does not end by them", async () => {
    const certificate = { cert: "no certificate", key: "no key" };
    const client = new OriginClient(policy, { ...originSettings, connectionsMax: 1, certificate });
    closing.push(() => client.close());
    for (let time = 0; time < 3; time++)
      expect(
        await new Promise((done) => client.fetch(request("https://127.0.0.1:9"), { ...silent, failed: done })),
      ).toMatchObject({ phase: "tls", status: 502, message: expect.stringContaining("TLS with") as string });
    expect(client.waiting).toBe(0);
  });

  it("looks for an origin anew in five minutes at most, however busy it is: its name may lead elsewhere by then", async () => {
    let accepted = 0;
    const { url } = await listener((socket) => {
      accepted++;
      socket.on("error", () => {});
      socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    });
    const client = new OriginClient(policy, originSettings);
    vi.useFakeTimers({ toFake: ["performance"] });
    closing.push(
      () => client.close(),
      () => vi.useRealTimers(),
    );
    const atSeconds = async (seconds: number): Promise<number> => {
      for (let at = 0; at < seconds; at += 9) {
        await new Promise((done) => client.fetch(request(url), { ...silent, end: done, failed: done }));
        vi.advanceTimersByTime(9000);
      }
      return accepted;
    };
    expect(await atSeconds(230)).toBe(1);
    expect(await atSeconds(75)).toBe(2);
  });

  it("does not open all connections of one burst anew at once", async () => {
    const together = 40;
    let accepted = 0;
    const held: Socket[] = [];
    const { url } = await listener((socket) => {
      accepted++;
      socket.on("error", () => {});
      // As many connections as requests: none is answered before all have come.
      socket.on("data", () => {
        if (held.push(socket) < together) return;
        for (const one of held.splice(0)) one.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      });
    });
    const client = new OriginClient(policy, originSettings);
    vi.useFakeTimers({ toFake: ["performance"] });
    closing.push(
      () => client.close(),
      () => vi.useRealTimers(),
    );
    const burst = async (): Promise<number> => {
      const before = accepted;
      const one = () => new Promise((done) => client.fetch(request(url), { ...silent, end: done, failed: done }));
      await Promise.all(Array.from({ length: together }, one));
      vi.advanceTimersByTime(5000);
      return accepted - before;
    };
    expect(await burst()).toBe(together);
    let most = 0;
    for (let seconds = 5; seconds < 310; seconds += 5) most = Math.max(most, await burst());
    expect(accepted, "each has been renewed").toBeGreaterThanOrEqual(2 * together);
    expect(most).toBeLessThan(together / 2);
  });

  it("retires when those under way have ended, and not before", async () => {
    const { url } = await listener();
    const client = new OriginClient(policy, originSettings);
    closing.push(() => client.close());
    const fetch = client.fetch(request(url), silent);
    let retired = false;
    const retiring = client.retire().then(() => (retired = true));
    for (let turn = 0; turn < 5; turn++) await new Promise((done) => setImmediate(done));
    expect(retired).toBe(false);
    fetch.cancel();
    await retiring;
    expect(retired).toBe(true);
  });
});
