/** Keys that everybody wants: hot copies, what ends them, and owners that are spared. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Link } from "../../src/peer/link.ts";
import { RawClient, through } from "../support/client.ts";
import {
  endAll,
  secret,
  settled,
  startCluster,
  startMember,
  statusOf,
  until,
  type TestMember,
} from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

let origin: TestOrigin;
let version = 1;
const held: (() => void)[] = [];

beforeAll(async () => {
  origin = await startOrigin((request, response) => {
    const url = request.url!;
    if (request.method === "POST") {
      version++;
      response.end("changed");
      return;
    }
    response.setHeader("cache-control", url.startsWith("/short") ? "max-age=2" : "max-age=600");
    const answer = (): void => void response.end(`${url} version ${version}`);
    if (url.startsWith("/held")) held.push(answer);
    else answer();
  });
});
afterEach(endAll);
afterAll(() => origin.close());

let serial = 0;
/** A URL of `owner`'s. */
async function ownedBy(members: readonly TestMember[], owner: string, kind = "hot"): Promise<string> {
  serial++;
  const urls = Array.from({ length: 60 }, (_, index) => `${origin.url}/${kind}-${serial}-${index}`);
  const query = urls.map((url) => `url=${encodeURIComponent(url)}`).join("&");
  const located = (await (await fetch(`http://${members[0]!.admin}/api/locate?${query}`)).json()) as {
    urls: { url: string; owner: string }[];
  };
  return located.urls.find((one) => one.owner === owner)!.url;
}

/** Asks often enough for a member to keep a copy. */
async function heat(member: TestMember, url: string): Promise<void> {
  for (let count = 0; count < 17; count++) await through(member.port, url);
  expect((await through(member.port, url)).cacheStatus).toMatch(
    new RegExp(`^${member.name}; hit; ttl=\\d+; detail=hot-copy$`),
  );
}

describe("a hot copy", () => {
  it("is made of what is asked for often, answers as the owner would, and keeps the answer's age", async () => {
    const members = await startCluster(3);
    const url = await ownedBy(members, "m2");
    const answers = [];
    for (let count = 0; count < 20; count++) answers.push(await through(members[0]!.port, url));
    expect(answers.every(({ status, text }) => status === 200 && text.endsWith(`version ${version}`))).toBe(true);
    expect(answers[10]!.cacheStatus).toMatch(/^m2; hit; ttl=\d+, m1; fwd=bypass; fwd-status=200; detail=owner-m2$/);
    const made = answers.find(({ cacheStatus }) => cacheStatus.includes("stored"))!;
    expect(answers.slice(1).find(({ cacheStatus }) => cacheStatus.startsWith("m1; fwd=bypass"))!.cacheStatus).toMatch(
      /^m1; fwd=bypass; fwd-status=200; stored; ttl=\d+; detail=owner-m2$/,
    );
    expect(made).toBeDefined();
    expect(answers.at(-1)!.cacheStatus).toMatch(/^m1; hit; ttl=\d+; detail=hot-copy$/);
    expect(origin.count(new URL(url).pathname)).toBe(1);
    const { copyHits, store } = (await statusOf(members[0]!)).self;
    expect(copyHits).toBeGreaterThan(0);
    expect(store.copies).toBe(1);
    const range = await through(members[0]!.port, url, { headers: { range: "bytes=1-3" } });
    expect(range).toMatchObject({ status: 206, text: "hot" });
  });

  it("is gone everywhere before the answer to an unsafe request is given", async () => {
    const members = await startCluster(3);
    const url = await ownedBy(members, "m2");
    await heat(members[0]!, url);
    await heat(members[2]!, url);
    for (const [index, asker] of [members[1]!, members[0]!, members[2]!].entries()) {
      await through(asker.port, url, { method: "POST", body: "new" });
      for (const member of members) {
        const { text } = await through(member.port, url);
        expect(text, `after POST ${index} to ${asker.name}, at ${member.name}`).toMatch(
          new RegExp(`version ${version}$`),
        );
      }
    }
  });

  it("is not used beyond its freshness, nor against a client that wants the origin asked", async () => {
    const members = await startCluster(2);
    const url = await ownedBy(members, "m2", "short");
    await heat(members[0]!, url);
    const asked = origin.count(new URL(url).pathname);
    await through(members[0]!.port, url, { headers: { "cache-control": "no-cache" } });
    expect(origin.count(new URL(url).pathname)).toBe(asked + 1);
    await until(
      async () => Number((await through(members[0]!.port, url)).headers["age"]) === 0,
      "the response has become stale and has been fetched anew",
    );
    for (let count = 0; count < 30; count++)
      expect(Number((await through(members[0]!.port, url)).headers["age"])).toBeLessThan(2);
  });

  it("goes when its key gets another owner, and stays when other keys do", async () => {
    const members = await startCluster(2);
    const urls: string[] = [];
    for (let index = 0; index < 12; index++) urls.push(await ownedBy(members, "m2"));
    for (const url of urls) await heat(members[0]!, url);
    const joiner = await startMember(["--name", "m3", "--coordinator", `http://${members[0]!.peer}`]);
    await settled([...members, joiner]);
    for (const url of urls) {
      const query = `url=${encodeURIComponent(url)}`;
      const [located] = (
        (await (await fetch(`http://${joiner.admin}/api/locate?${query}`)).json()) as {
          urls: { owner: string }[];
        }
      ).urls;
      const { cacheStatus } = await through(members[0]!.port, url);
      expect(cacheStatus).toContain(located!.owner === "m2" ? "detail=hot-copy" : `detail=owner-${located!.owner}`);
    }
  });

  it("has no room where the configuration gives it none", async () => {
    const members = await startCluster(2, ["--hot-copies", "0"]);
    const url = await ownedBy(members, "m2");
    for (let count = 0; count < 40; count++)
      expect((await through(members[0]!.port, url)).cacheStatus).not.toContain("hot-copy");
  });
});

describe("what is hot and cannot be kept", () => {
  it("reaches its clients as it comes, however often it is asked for", async () => {
    const endless = await startOrigin((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      response.write("data: first\n\n");
    });
    try {
      const members = await startCluster(2);
      const target = new URL(await ownedBy(members, "m2"));
      // The path of m2's on another origin may be anybody's: both members are asked.
      const url = `${endless.url}${target.pathname}`;
      for (let count = 0; count < 25; count++)
        for (const { port } of members) {
          const client = await RawClient.open(port);
          client.send(`GET ${url} HTTP/1.1\r\nHost: ${new URL(url).host}\r\n\r\n`);
          await client.until((received) => received.includes("data: first"), "the first event");
          client.close();
        }
    } finally {
      await endless.close();
    }
  });
});

describe("the request that would make a copy, and whose answer nobody may keep", () => {
  it("has this member's name at the origin, whatever its client calls it, and hears what comes ahead of the answer", async () => {
    const own = await startOrigin((request, response) => {
      response.writeEarlyHints({ link: "</style.css>; rel=preload" });
      response.setHeader("cache-control", "private");
      response.end(request.url);
    });
    try {
      const members = await startCluster(2, ["--origin", own.url, "--access-log", "all"]);
      const host = "own.test";
      const query = Array.from({ length: 60 }, (_, index) => `url=http://${host}/unkept-${index}`).join("&");
      const { urls } = (await (await fetch(`http://${members[0]!.admin}/api/locate?${query}`)).json()) as {
        urls: { url: string; owner: string }[];
      };
      const asked = new URL(urls.find(({ owner }) => owner === "m2")!.url).pathname;
      const hints: boolean[] = [];
      for (let count = 0; count < 20; count++) {
        const client = await RawClient.open(members[0]!.port);
        client.send(
          `GET ${asked} HTTP/1.1\r\nHost: ${host}\r\nX-Request-Id: mine-${count}\r\nConnection: close\r\n\r\n`,
        );
        await client.until((received) => received.endsWith(asked), "the answer");
        hints.push(client.received.startsWith("HTTP/1.1 103 "));
        client.close();
      }
      expect(hints).toEqual(hints.map(() => true));
      const lines = (): string[] =>
        members[0]!
          .output()
          .split("\n")
          .filter((line) => line.includes('"kind":"access"') && line.includes(asked));
      await until(() => lines().length === 20, "all are logged");
      const named = lines().map((line) => (JSON.parse(line) as { requestId?: string }).requestId);
      // A member that gets no processor for a while is gone round, and may ask nevertheless.
      expect([...new Set(own.asked.map(({ headers }) => headers["x-request-id"]))]).toEqual(named);
      expect(named.filter((name) => name === undefined || name.startsWith("mine-"))).toEqual([]);
    } finally {
      await own.close();
    }
  });
});

describe("a response that nobody waits for together", () => {
  it("is not stored where its key was invalidated while it was under way", async () => {
    const member = await startMember();
    let content = 1;
    let release: (() => void) | null = null;
    let answers = 0;
    const slow = await startOrigin((request, response) => {
      if (request.method === "POST") {
        content++;
        response.end();
        return;
      }
      response.setHeader("cache-control", answers++ === 0 ? "no-store" : "max-age=600");
      const old = `version ${content}`;
      if (answers === 2) release = () => void response.end(old);
      else response.end(old);
    });
    try {
      const url = `${slow.url}/alone`;
      await through(member.port, url);
      const pending = through(member.port, url);
      await until(() => release !== null, "the origin holds the answer back");
      await through(member.port, url, { method: "POST" });
      release!();
      expect((await pending).text).toBe("version 1");
      expect((await through(member.port, url)).text).toBe("version 2");
    } finally {
      await slow.close();
    }
  });
});

describe("content from a loopback address", () => {
  it("is told as such to other members, whichever way it is answered", async () => {
    let answers = 0;
    const failing = await startOrigin((request, response) => {
      answers++;
      response.setHeader("etag", '"x"');
      response.setHeader("cache-control", "max-age=0, stale-if-error=600");
      if (request.headers["if-none-match"] !== undefined) response.statusCode = answers > 2 ? 500 : 304;
      response.end(response.statusCode === 200 ? "secret of loopback" : undefined);
    });
    const member = await startMember();
    try {
      const [host, port] = member.peer.split(":") as [string, string];
      const ask = (): Promise<boolean> =>
        new Promise((resolve, reject) => {
          const link = new Link(
            {
              cluster: "gyre",
              secret,
              self: "m9",
              purpose: "member",
              expected: null,
              address: { host, port: Number(port) },
            },
            {
              up: () =>
                void link.request(
                  {
                    asking: "answer",
                    hops: 1,
                    epoch: 1,
                    method: "GET",
                    uri: `${failing.url}/inner`,
                    client: "127.0.0.1",
                    local: true,
                    secure: false,
                    plain: true,
                    forward: true,
                    settings: 0,
                    heard: "",
                    keeps: false,
                    fields: [],
                    content: null,
                  },
                  {
                    interim: () => {},
                    head: ({ inner }) => {
                      resolve(inner);
                      link.close();
                    },
                    data: () => {},
                    end: () => {},
                    failed: (reason) => reject(new Error(reason)),
                  },
                ),
              gone: () => {},
              note: () => {},
            },
          );
        });
      // A miss, a 304, and a stale answer for an error.
      expect([await ask(), await ask(), await ask()]).toEqual([true, true, true]);
      expect(answers).toBe(3);
    } finally {
      await failing.close();
    }
  });
});

describe("the load that a member tells", () => {
  it("does not count upgrades whose client has left", async () => {
    const silent = await startOrigin(() => {});
    const sockets: { destroy(): void }[] = [];
    silent.server.on("upgrade", (_request, socket) => sockets.push(socket));
    const member = await startMember();
    try {
      const clients = await Promise.all(Array.from({ length: 10 }, () => RawClient.open(member.port)));
      for (const client of clients)
        client.send(
          `GET ${silent.url}/ws HTTP/1.1\r\nHost: ${new URL(silent.url).host}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n`,
        );
      await until(async () => (await statusOf(member)).self.inFlight === 10, "all are in flight");
      for (const client of clients) client.socket.resetAndDestroy();
      await until(async () => (await statusOf(member)).self.inFlight === 0, "none is in flight");
      expect(await (await fetch(`http://${member.admin}/metrics`)).text()).toMatch(/^gyre_load\{[^}]*\} 0$/m);
    } finally {
      for (const socket of sockets) socket.destroy();
      await silent.close();
    }
  });
});

describe("an owner that is busy", () => {
  it(
    "is spared: its keys are answered by the next on the ring, which asks it once and remembers whose they are",
    { timeout: 60_000 },
    async () => {
      held.splice(0);
      const attempt = ++serial;
      const members = await startCluster(3, ["--hot-copies", "64MB"]);
      // Keys of m2 whose successor is m3: m1 passes them on.
      const urls: string[] = [];
      for (let round = 0; urls.length < 3; round++) {
        const candidates = Array.from(
          { length: 60 },
          (_, index) => `${origin.url}/passed-${attempt}-${round}-${index}`,
        );
        const query = candidates.map((url) => `url=${encodeURIComponent(url)}`).join("&");
        const located = (await (await fetch(`http://${members[0]!.admin}/api/locate?${query}`)).json()) as {
          urls: { url: string; owner: string; successors: string[] }[];
        };
        urls.push(
          ...located.urls
            .filter(({ owner, successors }) => owner === "m2" && successors[0] === "m3")
            .map(({ url }) => url),
        );
      }
      const [passed] = urls as [string];
      await through(members[0]!.port, passed);
      // Fetches that the origin holds keep m2 busy.
      const busy: Promise<unknown>[] = [];
      for (let index = 0; index < 60; index++) {
        const url = await ownedBy(members, "m2", "held");
        busy.push(through(members[1]!.port, url).catch(() => null));
      }
      await until(() => held.length === 60, "m2 waits for the origin");
      // An answer of m2's tells m1 of it. A ping may have told it already: a GET would then go to the stand-in, and be
      // a copy there; HEAD is never passed to one.
      await through(members[0]!.port, await ownedBy(members, "m2"), { method: "HEAD" });
      const answers = await Promise.all(Array.from({ length: 20 }, () => through(members[0]!.port, passed)));
      expect(answers.every(({ status }) => status === 200)).toBe(true);
      const byStandIn = answers.filter(({ cacheStatus }) => cacheStatus.includes("detail=owner-m3"));
      expect(byStandIn.length).toBeGreaterThan(10);
      expect(byStandIn[0]!.cacheStatus).toMatch(/^m3; /);
      const standing = (await statusOf(members[2]!)).self;
      expect(standing.stoodIn).toBeGreaterThan(0);
      expect(standing.store.copies, "copies at the stand-in").toBe(1);
      expect(origin.count(new URL(passed).pathname)).toBe(1);
      for (const answer of held.splice(0)) answer();
      await Promise.all(busy);
      // What stood in is a copy: an invalidation ends it.
      await through(members[0]!.port, passed, { method: "POST", body: "new" });
      for (const member of members)
        expect((await through(member.port, passed)).text).toMatch(new RegExp(`version ${version}$`));
    },
  );
});
