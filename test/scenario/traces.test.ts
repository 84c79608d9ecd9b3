/** Traces that others follow, or that begin here: what goes on with requests, and what a collector is told. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { ask } from "../support/client.ts";
import { freePort } from "../support/free-port.ts";
import { endAll, startCluster, startMember, statusOf, until } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { key: string; value: Record<string, unknown> }[];
  readonly member: string;
}

let origin: TestOrigin;
let collector: Server;
let to: string;
let spans: Span[] = [];
beforeAll(async () => {
  origin = await startOrigin((request, response) => {
    const stale = request.url!.startsWith("/old") ? "max-age=0, stale-while-revalidate=600" : "max-age=600";
    response.setHeader("cache-control", stale);
    response.statusCode = request.url === "/broken" ? 500 : 200;
    response.end("content");
  });
  collector = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { resourceSpans } = JSON.parse(Buffer.concat(chunks).toString()) as {
        resourceSpans: {
          resource: { attributes: Span["attributes"] };
          scopeSpans: { spans: Omit<Span, "member">[] }[];
        }[];
      };
      for (const { resource, scopeSpans } of resourceSpans) {
        const member = String(valueOf(resource.attributes, "service.instance.id"));
        spans.push(...scopeSpans.flatMap((scope) => scope.spans.map((span) => ({ ...span, member }))));
      }
      response.setHeader("content-type", "application/json");
      response.end("{}");
    });
  }).listen(0, "127.0.0.1");
  await once(collector, "listening");
  to = `http://127.0.0.1:${(collector.address() as AddressInfo).port}/v1/traces`;
});
beforeEach(() => {
  spans = [];
});
afterEach(endAll);
afterAll(async () => {
  collector.close();
  await origin.close();
});

function valueOf(attributes: Span["attributes"], key: string): unknown {
  const value = attributes.find((one) => one.key === key)?.value;
  return value === undefined ? undefined : Object.values(value)[0];
}

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const parentId = "00f067aa0ba902b7";
const followed = { host: "site.test", traceparent: `00-${traceId}-${parentId}-01`, tracestate: "vendor=1" };
const believing = ["--trust-forwarded", "127.0.0.0/8"];

it.each([1, 3])("that a believed client follows: each part is told, hits too (threads: %i)", async (threads) => {
  const flags = ["--origin", origin.url, "--trace-export", to, "--threads", String(threads), ...believing];
  const member = await startMember(flags);
  const before = origin.asked.length;
  for (let turn = 0; turn < 3; turn++) await ask(member.port, "/page?x=1", { headers: followed });
  await ask(member.port, "/page?x=1", { headers: { host: "site.test" } });
  await ask(member.port, "/broken", { headers: followed });
  await until(() => spans.length === 4, "all are told");
  expect(spans.map(({ traceId: id, parentSpanId, kind }) => [id, parentSpanId, kind])).toEqual(
    Array.from({ length: 4 }, () => [traceId, parentId, 2]),
  );
  expect(spans.map(({ attributes }) => valueOf(attributes, "gyre.outcome"))).toEqual([
    "uri-miss",
    "hit",
    "hit",
    "uri-miss",
  ]);
  const [first] = spans;
  expect(Object.fromEntries(first!.attributes.map(({ key }) => [key, valueOf(first!.attributes, key)]))).toMatchObject({
    "http.request.method": "GET",
    "http.response.status_code": 200,
    "url.path": "/page",
    "url.query": "x=1",
    "gyre.origin": origin.url,
    "gyre.route": "*/",
  });
  expect(BigInt(first!.endTimeUnixNano) >= BigInt(first!.startTimeUnixNano)).toBe(true);
  const asked = origin.asked.slice(before);
  expect(asked.map(({ headers }) => [headers["traceparent"], headers["tracestate"]])).toEqual([
    [`00-${traceId}-${first!.spanId}-01`, "vendor=1"],
    [`00-${traceId}-${spans[3]!.spanId}-01`, "vendor=1"],
  ]);
});

it("goes on from the entry member to the owner, and from there to the origin", async () => {
  const members = await startCluster(2, [
    "--origin",
    origin.url,
    "--trace-export",
    to,
    "--hot-copies",
    "0",
    ...believing,
  ]);
  const before = origin.asked.length;
  const paths = Array.from({ length: 8 }, (_, index) => `/key${index}`);
  for (const path of paths) await ask(members[0]!.port, path, { headers: followed });
  const isAtOwner = ({ attributes }: Span): boolean => Number(valueOf(attributes, "gyre.hop")) === 1;
  const forwarded = (await statusOf(members[1]!)).self.requests;
  expect(forwarded).toBeGreaterThan(0);
  await until(() => spans.length === paths.length + forwarded, "both members' parts are told");
  for (const owner of spans.filter(isAtOwner)) {
    const path = valueOf(owner.attributes, "url.path");
    const entry = spans.find((span) => !isAtOwner(span) && valueOf(span.attributes, "url.path") === path)!;
    expect([entry.member, owner.member]).toEqual(["m1", "m2"]);
    expect([entry.parentSpanId, owner.parentSpanId]).toEqual([parentId, entry.spanId]);
    const asked = origin.asked.slice(before).find(({ url }) => url === path)!;
    expect(asked.headers["traceparent"]).toBe(`00-${traceId}-${owner.spanId}-01`);
  }
});

it.each([
  ["follows", followed, []],
  ["samples", { host: "site.test" }, ["--trace-sample", "all"]],
] as const)("is whole behind an answer that is stale, too, where somebody %s", async (_, headers, flags) => {
  const members = await startCluster(2, ["--origin", origin.url, "--trace-export", to, ...believing, ...flags]);
  const before = origin.asked.length;
  const paths = Array.from({ length: 8 }, (_, index) => `/old${index}`);
  for (let turn = 1; turn < 4; turn++) {
    for (const path of paths) await ask(members[0]!.port, path, { headers });
    await until(() => origin.asked.length === before + turn * paths.length, "all are asked for, or validated");
  }
  for (const member of members) await member.stop();
  const told = new Set([parentId, "", ...spans.map(({ spanId }) => spanId)]);
  const named = origin.asked
    .slice(before)
    .map(({ headers: sent }) => String(sent["traceparent"] ?? "--").split("-")[2]!);
  expect(named.filter((id) => !told.has(id))).toEqual([]);
  expect(spans.filter(({ parentSpanId }) => !told.has(parentSpanId ?? ""))).toEqual([]);
});

it("that a stranger follows passes through as it is, through all members; others begin where sampling says so", async () => {
  const flags = ["--origin", origin.url, "--trace-export", to, "--hot-copies", "0"];
  const members = await startCluster(2, flags);
  for (let key = 0; key < 8; key++) {
    await ask(members[0]!.port, `/strange${key}`, { headers: followed });
    expect(origin.asked.at(-1)!.headers).toMatchObject({ traceparent: followed.traceparent, tracestate: "vendor=1" });
  }
  const sampling = await startMember([...flags, "--trace-sample", "all"]);
  await ask(sampling.port, "/sampled", { headers: followed });
  expect(origin.asked.at(-1)!.headers["traceparent"]).toBe(followed.traceparent);
  for (let turn = 0; turn < 3; turn++) await ask(sampling.port, "/begun", { headers: { host: "site.test" } });
  await until(() => spans.length > 0, "one is told");
  await sampling.stop();
  for (const member of members) await member.stop();
  expect(spans, "hits begin none, and nobody else is told").toHaveLength(1);
  const [begun] = spans;
  expect([begun!.traceId === traceId, begun!.parentSpanId ?? ""]).toEqual([false, ""]);
  expect(origin.asked.at(-1)!.headers["traceparent"]).toBe(`00-${begun!.traceId}-${begun!.spanId}-01`);
});

it("is begun once, where the client came in", async () => {
  const flags = ["--origin", origin.url, "--trace-export", to, "--trace-sample", "1/2", "--hot-copies", "0"];
  const members = await startCluster(2, flags);
  for (let key = 0; key < 80; key++) await ask(members[0]!.port, `/once${key}`, { headers: { host: "site.test" } });
  for (const member of members) await member.stop();
  const begun = spans.filter(({ parentSpanId }) => (parentSpanId ?? "") === "");
  expect(begun.length).toBeGreaterThan(10);
  expect(new Set(begun.map(({ member }) => member))).toEqual(new Set(["m1"]));
  for (const span of spans.filter(({ member }) => member === "m2"))
    expect(begun.map(({ spanId }) => spanId)).toContain(span.parentSpanId);
});

it("begins without a collector too, and one that is not there costs nobody an answer", async () => {
  const alone = await startMember(["--origin", origin.url, "--trace-sample", "all"]);
  await ask(alone.port, "/alone", { headers: { host: "site.test" } });
  expect(origin.asked.at(-1)!.headers["traceparent"]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  await ask(alone.port, "/kept", { headers: followed });
  expect(origin.asked.at(-1)!.headers["traceparent"], "another's is left alone").toBe(followed.traceparent);
  const nowhere = `http://127.0.0.1:${await freePort()}/v1/traces`;
  const member = await startMember(["--origin", origin.url, "--trace-export", nowhere, "--trace-sample", "all"]);
  for (let turn = 0; turn < 5; turn++) expect((await ask(member.port, `/n${turn}`)).status).toBe(200);
  await until(() => member.output().includes("parts of traces could not be told"), "the loss is said", 30_000);
  // What waits when it ends is spoken of too.
  await ask(member.port, "/last");
  expect(await member.stop()).toBe(0);
  expect(member.output()).toContain(`1 part of traces was not told to ${nowhere} before the end`);
});
