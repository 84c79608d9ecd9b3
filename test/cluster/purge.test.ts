/** Purges: everywhere at once, by every kind of name, entered at every member, and what has become of them told. */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { PurgeReport } from "../../src/proxy/invalidation/purges.ts";
import { ask, type Answer } from "../support/client.ts";
import { gyre, type Run } from "../support/command.ts";
import {
  endAll,
  secret,
  settled,
  startCluster,
  startMember,
  statusOf,
  temporaryFolder,
  until,
  type TestMember,
} from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

/** What the origin has to say; everything is tagged by its first segment, and by `all`. */
let version = 1;
let origin: TestOrigin;
const folder = temporaryFolder();

beforeAll(async () => {
  origin = await startOrigin((request, response) => {
    const [, section = "", page = ""] = request.url!.split("/");
    response.setHeader("cache-control", "max-age=3600, stale-while-revalidate=3600");
    response.setHeader("etag", `"${version}"`);
    response.setHeader("surrogate-key", `all ${section}`);
    response.setHeader("cache-groups", `"group ${page}"`);
    if (request.headers["if-none-match"] === `"${version}"`) response.writeHead(304);
    response.end(response.statusCode === 304 ? undefined : String(version));
  });
});
afterEach(endAll);
afterAll(() => origin.close());

const site = (): string[] => ["--origin", origin.url];
const read = (member: TestMember, path: string, fields: Record<string, string> = {}): Promise<Answer> =>
  ask(member.port, path, { headers: { host: "site.test", ...fields } });

async function api(member: TestMember, path: string, body?: unknown, token = secret): Promise<[number, unknown]> {
  const answer = await fetch(`http://${member.admin}${path}`, {
    headers: { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  return [answer.status, await answer.json()];
}

const statesOf = (report: unknown): Record<string, string> =>
  Object.fromEntries((report as PurgeReport).members.map(({ name, state }) => [name, state]));
const sumOf = (report: unknown, what: "dropped" | "outdated"): number =>
  (report as PurgeReport).members.reduce((sum, member) => sum + (member[what] ?? 0), 0);

describe("a purge", () => {
  it("reaches all five members by every kind of name, whichever is asked, and nobody answers from before", async () => {
    const members = await startCluster(5, site());
    const paths = Array.from({ length: 40 }, (_, index) => `/s${index % 4}/p${index}`);
    const fill = async (): Promise<void> => {
      for (const path of paths) await Promise.all(members.map((member) => read(member, path)));
    };
    const cases: readonly [object, number][] = [
      [{ uri: "http://site.test/s1/p1" }, 1],
      [{ prefix: "http://site.test/s2/" }, 10],
      [{ tag: "s3" }, 10],
      [{ tag: "group p8", origin: "http://site.test" }, 1],
      [{ host: "site.test" }, 40],
      [{ everything: true }, 40],
    ];
    for (const [index, [selector, count]] of cases.entries()) {
      await fill();
      const stored = await Promise.all(members.map((member) => statusOf(member)));
      // One more here and there: whoever has heard of a purge before an owner answers for it meanwhile.
      const owned = stored.reduce((sum, { self }) => sum + self.store.responses - self.store.copies, 0);
      expect(owned).toBeGreaterThanOrEqual(40);
      version++;
      // Readers all the while: what they are given after the acknowledgement is new.
      let acknowledgedAt = Infinity;
      const old: string[] = [];
      let reading = true;
      const readers = members.map(async (member, which) => {
        for (let turn = which; reading; turn++) {
          const path = paths[turn % paths.length]!;
          const askedAt = performance.now();
          const { text } = await read(member, path);
          const named = await isNamed(selector, path);
          if (named && askedAt > acknowledgedAt && Number(text) < version) old.push(`${member.name} ${path} ${text}`);
        }
      });
      const asked = members[index % members.length]!;
      const [status, report] = await api(asked, "/api/purge", { selectors: [selector] });
      acknowledgedAt = performance.now();
      expect([status, (report as PurgeReport).complete]).toEqual([200, true]);
      expect(Object.values(statesOf(report))).toEqual(new Array<string>(5).fill("applied"));
      for (const path of paths)
        if (await isNamed(selector, path))
          for (const member of members)
            expect([path, (await read(member, path)).text]).toEqual([path, String(version)]);
      reading = false;
      await Promise.all(readers);
      expect(old).toEqual([]);
      await until(async () => {
        const [, later] = await api(members[(index + 1) % 5]!, `/api/purge/${(report as PurgeReport).id}`);
        const copies = sumOf(later, "dropped") - count;
        return (later as PurgeReport).members.every(({ swept }) => swept) && copies >= 0;
      }, "all that was named is counted");
    }
  }, 90_000);

  it("is refused by a member that has not joined yet: the others would not hear of it", async () => {
    const [m1] = (await startCluster(1, site())) as [TestMember];
    m1.child.kill("SIGSTOP");
    const flags = ["--name", "late", "--coordinator", `http://${m1.peer}`, ...site(), "--admin", "127.0.0.1:0"];
    const joining = startMember(flags, { GYRE_RUN_DIR: folder });
    let late: { readonly admin: string } | undefined;
    await until(() => {
      const record = readdirSync(folder).find((name) => name.startsWith("member-"));
      late = record === undefined ? undefined : (JSON.parse(readFileSync(join(folder, record), "utf8")) as TestMember);
      return late !== undefined;
    }, "it listens");
    const asked = { selectors: [{ uri: "http://site.test/s1/p1" }] };
    for (const body of [asked, { ...asked, dryRun: true }, { ...asked, id: "known" }]) {
      const [status, value] = await api(late as TestMember, "/api/purge", body);
      expect([status, (value as { error: string }).error]).toEqual([503, expect.stringMatching(/just joining/)]);
    }
    expect((await api(late as TestMember, "/api/purge/known"))[0]).toBe(503);
    m1.child.kill("SIGCONT");
    const member = await joining;
    await settled([m1, member]);
    const [status, report] = await api(member, "/api/purge", { ...asked, id: "known" });
    expect([status, statesOf(report)]).toEqual([200, { m1: "applied", late: "applied" }]);
  }, 30_000);

  it("is pending for one that stands still, gone for one that has died, applied when it goes on", async () => {
    const members = await startCluster(4, site());
    for (let index = 0; index < 20; index++) for (const member of members) await read(member, `/s/p${index}`);
    const [m1, , m3, m4] = members as [TestMember, TestMember, TestMember, TestMember];
    m3.child.kill("SIGSTOP");
    await m4.kill();
    version++;
    const startedAt = performance.now();
    const [, report] = await api(m1, "/api/purge", { selectors: [{ tag: "all" }], id: "halting" });
    expect(performance.now() - startedAt).toBeLessThan(2500);
    expect(statesOf(report)).toMatchObject({ m1: "applied", m2: "applied", m3: "pending" });
    expect((report as PurgeReport).complete).toBe(false);
    m3.child.kill("SIGCONT");
    await until(async () => {
      const [, later] = await api(m1, "/api/purge/halting");
      return statesOf(later)["m3"] === "applied" && (later as PurgeReport).complete;
    }, "m3 has applied it, and m4 is no member any more");
    for (let index = 0; index < 20; index++)
      for (const member of members.slice(0, 3)) expect((await read(member, `/s/p${index}`)).text).toBe(String(version));
  }, 60_000);

  it("softly outdates: used stale once where that is allowed, while it is validated", async () => {
    const members = await startCluster(2, site());
    const [m1] = members as [TestMember, TestMember];
    await read(m1, "/soft/a");
    version++;
    const [, report] = await api(m1, "/api/purge", { selectors: [{ tag: "soft" }], soft: true });
    const { id, mode } = report as PurgeReport;
    expect(mode).toBe("outdate");
    await until(async () => sumOf((await api(m1, `/api/purge/${id}`))[1], "outdated") > 0, "it is counted");
    expect((await read(m1, "/soft/a")).text, "stale-while-revalidate").toBe(String(version - 1));
    await until(async () => (await read(m1, "/soft/a")).text === String(version), "it has been validated");
  });

  it("is done once, however often it is sent; what is wrong with it is said", async () => {
    const [m1, m2] = (await startCluster(2, site())) as [TestMember, TestMember];
    await read(m1, "/once/a");
    const order = { selectors: [{ uri: "http://site.test/once/a" }], id: "once" };
    const [, first] = await api(m1, "/api/purge", order);
    await read(m1, "/once/a");
    const [, again] = await api(m1, "/api/purge", order);
    expect([(again as PurgeReport).at, sumOf(again, "dropped")]).toEqual([(first as PurgeReport).at, 1]);
    expect((await read(m1, "/once/a")).cacheStatus).toContain("hit");
    // An id means the same at every member.
    const [, atAnother] = await api(m2, "/api/purge", order);
    expect((atAnother as PurgeReport).at).toBe((first as PurgeReport).at);
    expect((await api(m2, "/api/purge", { selectors: [{ everything: true }], id: "once" }))[0]).toBe(409);
    const [, elsewhere] = await api(m2, "/api/purge/once");
    expect((elsewhere as PurgeReport).selectors).toEqual(["http://site.test/once/a"]);
    const errors = await Promise.all(
      [
        { selectors: [{ everything: true }], id: "once" },
        "{",
        { selectors: [] },
        { selectors: [{ uri: "site.test/a" }] },
        { selectors: [{ uri: "http://a/", tag: "b" }] },
        { selectors: [{ prefix: "/blog" }] },
        { selectors: [{ tag: "news", orgin: "https://example.com" }] },
        { selectors: [{ everything: false }] },
        { selectors: [{ host: "*.example.com" }] },
        { selector: [] },
        { selectors: new Array<object>(1001).fill({ tag: "a" }) },
      ].map(async (body) => {
        const [status, { error }] = (await api(m1, "/api/purge", body)) as [number, { error: string }];
        return `${status} ${error}`;
      }),
    );
    expect(errors).toEqual([
      "409 the id once belongs to another purge",
      expect.stringMatching(/^400 the content is not JSON/),
      expect.stringMatching(/^400 name what to purge/),
      '400 selectors[0]: "site.test/a" is not an http or https URL: it begins with http:// or https://',
      "400 selectors[0]: name one of uri, prefix, host, tag, everything",
      '400 selectors[0]: "/blog" is no prefix: write scheme and host, as in https://example.com/blog/',
      '400 selectors[0]: "orgin" is not known: uri, prefix, host, tag, everything are, and origin with tag',
      "400 selectors[0]: everything is true, or is not named",
      expect.stringContaining("there are no wildcards"),
      '400 "selector" is not known: selectors, soft, id, by, dryRun are',
      "400 1001 selectors: 1000 at most in one purge",
    ]);
    expect((await api(m1, "/api/purge", order, "not the secret"))[0]).toBe(401);
    expect((await api(m1, "/api/purge/unknown"))[0]).toBe(404);
    const many = { selectors: new Array<object>(1000).fill({ tag: "a" }) };
    const statuses = await Promise.all(Array.from({ length: 4 }, () => api(m1, "/api/purge", many)));
    expect(statuses.filter(([status]) => status === 429).length).toBeGreaterThanOrEqual(2);
    const told = /"kind":"purge","when":"told","id":"once".*"by":"the admin port, from 127\.0\.0\.1"/;
    await until(() => told.test(m1.output()), "who and what is in the log");
    await until(() => m1.output().includes('"when":"counted","id":"once"'), "how many is in the log as well");
  }, 60_000);
});

/** Whether a purge names what is under a path here. */
function isNamed(selector: object, path: string): Promise<boolean> {
  const named = selector as { uri?: string; prefix?: string; tag?: string };
  const url = `http://site.test${path}`;
  const [, section, page] = path.split("/");
  return Promise.resolve(
    named.uri === url ||
      (named.prefix !== undefined && url.startsWith(named.prefix)) ||
      named.tag === section ||
      named.tag === `group ${page}` ||
      "host" in selector ||
      "everything" in selector,
  );
}

describe("names", () => {
  it("beyond ASCII are what clients and origins send: UTF-8; of a route that leaves out parameters, what is left", async () => {
    const config = `${folder}/named.yaml`;
    writeFileSync(config, `routes:\n  - origin: ${origin.url}\n    caching: { query-ignore: [utm] }\n`);
    const member = await startMember(["--config", config]);
    const post = async (body: object): Promise<number> => {
      const [, report] = await api(member, "/api/purge", body);
      const { id } = report as PurgeReport;
      await until(async () => (await api(member, `/api/purge/${id}`))[1] !== null, "it is known");
      let dropped = 0;
      await until(async () => {
        const [, now] = await api(member, `/api/purge/${id}`);
        dropped = sumOf(now, "dropped");
        return (now as PurgeReport).members.every(({ swept }) => swept);
      }, "it is counted");
      return dropped;
    };
    await read(member, "/caf%C3%A9/1");
    expect(await post({ selectors: [{ uri: "http://site.test/café/1#part" }] })).toBe(1);
    await read(member, "/page?a=1&utm=x");
    const [, dry] = await api(member, "/api/purge", {
      selectors: [{ uri: "http://site.test/page?a=1&utm=y" }],
      dryRun: true,
    });
    expect((dry as { members: unknown }).members).toEqual([{ name: "m1", named: 1 }]);
    expect(await post({ selectors: [{ uri: "http://site.test/page?a=1&utm=y" }] })).toBe(1);
  });

  it("are never forgotten into a doubt: what is purged by a thousand others too is not used stale", async () => {
    const member = await startMember(site());
    await read(member, "/many/1");
    await api(member, "/api/purge", { selectors: [{ prefix: "http://site.test/many/" }] });
    // In one turn of the member's loop with those before: no sweep in between.
    const others = Array.from({ length: 11 }, (_, batch) =>
      api(member, "/api/purge", {
        selectors: Array.from({ length: batch < 1 ? 90 : 9 }, (_unused, index) => ({
          host: `h${batch}-${index}.test`,
        })),
      }),
    );
    await Promise.all(others);
    const answer = await read(member, "/many/1");
    expect(answer.cacheStatus).toContain("fwd=uri-miss");
  });
});

describe("the ways in that people have today", () => {
  it("gyre purge: a deploy purges a prefix, and fails when a member is pending", async () => {
    const members = await startCluster(3, site());
    const [m1, m2] = members as [TestMember, TestMember, TestMember];
    for (let index = 0; index < 12; index++) await read(m1, `/assets/${index}`);
    const run = (...parameters: string[]): Promise<Run> => gyre(["purge", "--admin", m1.admin, ...parameters], folder);
    const dry = await run("--prefix", "http://site.test/assets/", "--dry-run", "--json");
    const counted = (JSON.parse(dry.output) as { members: { named: number }[] }).members;
    expect(counted.reduce((sum, { named }) => sum + named, 0)).toBe(12);
    const done = await run("--prefix", "http://site.test/assets/");
    expect([done.code, done.output]).toEqual([
      0,
      expect.stringMatching(
        /^purged prefix http:\/\/site\.test\/assets\/\nMEMBER +STATE +RESPONSES +AFTER\nm1 +applied/,
      ),
    ]);
    m2.child.kill("SIGSTOP");
    const pending = await run("--prefix", "http://site.test/assets/");
    expect([pending.code, pending.output]).toEqual([1, expect.stringMatching(/m2 +pending/)]);
    const waiting = run("--tag", "assets", "--wait-for", "30", "--json");
    m2.child.kill("SIGCONT");
    const waited = await waiting;
    expect([waited.code, (JSON.parse(waited.output) as PurgeReport).complete]).toEqual([0, true]);
    const wrong = await Promise.all([run(), run("--all"), run("--origin", "http://a"), run("site.test")]);
    expect(wrong.map(({ code, errors }) => [code, errors.split("\n")[0]])).toEqual([
      [2, "gyre: name what to purge: a URL, --prefix, --host, --tag, or --all (see gyre purge --help)"],
      [2, "gyre: --all purges everything at every member: say --yes too"],
      [2, "gyre: --origin goes with --tag"],
      [2, 'gyre: "site.test" is not an http or https URL: it begins with http:// or https://'],
    ]);
    expect((await run("--all", "--yes")).code).toBe(0);
  }, 60_000);

  it("curl -X PURGE, and the tags of a content system, for those whom purge-allow names", async () => {
    const [m1, m2] = (await startCluster(2, [...site(), "--purge-allow", "127.0.0.1"])) as [TestMember, TestMember];
    const curl = (path: string, ...parameters: string[]): Promise<string> =>
      new Promise((done) => {
        const child = spawn("curl", [
          "-s",
          "-o",
          "/dev/null",
          "-w",
          "%{http_code}",
          "-H",
          "Host: site.test",
          ...parameters,
          `http://127.0.0.1:${m2.port}${path}`,
        ]);
        let output = "";
        child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
        child.once("close", () => done(output));
      });
    const fresh = async (path: string): Promise<string> => (await read(m1, path)).text;
    for (const path of ["/news/1", "/news/2", "/other/1"]) await fresh(path);
    version++;
    expect(await curl("/news/1", "-X", "PURGE")).toBe("200");
    expect([await fresh("/news/1"), await fresh("/news/2")]).toEqual([String(version), String(version - 1)]);
    // As a content system does: one request to any address of the cache, tags in a field.
    expect(await curl("/", "-X", "PURGE", "-H", "Surrogate-Key: nothing news")).toBe("200");
    expect([await fresh("/news/2"), await fresh("/other/1")]).toEqual([String(version), String(version - 1)]);
    expect(await curl("/other/1", "-X", "PURGE", "-H", "Soft-Purge: 1")).toBe("200");
    await until(async () => (await fresh("/other/1")) === String(version), "what was outdated is validated");
    expect(await curl("/", "-X", "PURGE", "-H", "Cache-Tag;")).toBe("400");
    expect(origin.asked.filter(({ method }) => method === "PURGE")).toEqual([]);
  }, 60_000);

  it("PURGE is refused to everybody else, and is the origin's where nobody may", async () => {
    const closed = await startMember([...site(), "--purge-allow", "10.0.0.0/8"]);
    const refused = await ask(closed.port, "/a/1", { method: "PURGE", headers: { host: "site.test" } });
    expect([refused.status, refused.text]).toEqual([403, expect.stringContaining("purge-allow names who may")]);
    const open = await startMember([...site(), "--name", "open"]);
    const before = origin.asked.length;
    expect((await ask(open.port, "/a/1", { method: "PURGE", headers: { host: "site.test" } })).status).toBe(200);
    expect(origin.asked.slice(before).map(({ method }) => method)).toEqual(["PURGE"]);
  });
});

describe("tags", () => {
  it("are not shown to clients where the route says so, and are known to every member all the same", async () => {
    const config = `${folder}/strip.yaml`;
    writeFileSync(config, `routes:\n  - origin: ${origin.url}\n    caching:\n      strip-tags: true\n`);
    const [m1, m2] = (await startCluster(2, ["--config", config])) as [TestMember, TestMember];
    const members = [m1, m2];
    // Asked for so often that the other one keeps a copy.
    for (let turn = 0; turn < 60; turn++) for (const member of members) await read(member, "/hot/1");
    const answers = await Promise.all(members.map((member) => read(member, "/hot/1")));
    for (const { headers } of answers) {
      expect(headers["surrogate-key"] ?? headers["cache-groups"] ?? headers["gyre-tags"]).toBeUndefined();
    }
    expect(answers.some(({ cacheStatus }) => cacheStatus.includes("hot-copy"))).toBe(true);
    version++;
    const [, report] = await api(m1, "/api/purge", { selectors: [{ tag: "hot" }] });
    const { id } = report as PurgeReport;
    await until(async () => sumOf((await api(m2, `/api/purge/${id}`))[1], "dropped") >= 1, "it is counted");
    for (const member of members) expect((await read(member, "/hot/1")).text).toBe(String(version));
    const explained = await gyre(["explain", "http://site.test/hot/1", "--admin", m1.admin], folder);
    expect(explained.output).toMatch(/tags {5}group 1, all, hot/);
    expect(explained.output).toMatch(/dropped {2}by a purge of tag hot/);
    await settled(members);
  }, 60_000);
});
