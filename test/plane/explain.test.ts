/** What is explained of a URL is what the next request finds. */
import { expect, it } from "vitest";
import { explain, type Explanation } from "../../src/admin/explain.ts";
import { randomOf } from "../../src/eval/random.ts";
import { serve } from "../../src/proxy/serve.ts";
import { FakeExchange, fakePlane, reply, turns, type FakePlane } from "../support/plane.ts";

const url = "http://a.test/x";

/** A GET of these fields; what the log says of it. */
async function ask(plane: FakePlane, fields: readonly string[], answer: readonly string[]): Promise<string> {
  let told = "";
  plane.desk.recorder.log = ({ outcome, reason }) => (told = `${outcome} ${reason}`);
  const lines = fields.map((text, index) => (index % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join("");
  const before = plane.calls.length;
  serve(plane, new FakeExchange(`GET ${url} HTTP/1.1\r\nHost: a.test\r\n${lines}`));
  await turns();
  for (const call of plane.calls.slice(before)) {
    const { fields: sent } = call.request;
    const range = /^bytes=(\d)-(\d)$/.exec(sent[sent.indexOf("range") + 1] ?? "");
    const [first, last] = [Number(range?.[1]), Number(range?.[2])];
    if (sent.includes("if-none-match")) reply(call, 304, answer);
    else if (sent.includes("range") && range !== null)
      reply(call, 206, [...answer, "content-range", `bytes ${first}-${last}/10`], "0123456789".slice(first, last + 1));
    else reply(call, 200, answer, "0123456789");
  }
  await turns();
  return told;
}

const next = (plane: FakePlane, fields: readonly string[] = []): string =>
  (explain(plane, url, fields) as Explanation).next;

it("tells a miss where what is stored is for others, or a part, and of the variant that is selected", async () => {
  const varied = fakePlane();
  const answer = ["cache-control", "max-age=600", "etag", '"1"', "vary", "accept-language"];
  await ask(varied, ["accept-language", "de"], answer);
  expect(next(varied)).toBe(
    "miss: what is stored is for requests that say something else (it varies by accept-language)",
  );
  expect(next(varied, ["accept-language", "de"])).toMatch(/^hit /);
  const overriding = ["accept-language", "de", "x-http-method-override", "DELETE"];
  expect(next(varied, overriding)).toBe("goes to the origin, past the store: it asks to be taken for another method");
  expect(await ask(varied, overriding, answer)).toBe("request method");
  expect(await ask(varied, [], answer)).toBe("vary-miss vary-miss");
  varied.now += 601;
  await ask(varied, ["accept-language", "de"], answer);
  expect([next(varied), next(varied, ["accept-language", "de"])].map((text) => text.split(" ")[0])).toEqual([
    "validate",
    "hit",
  ]);
  expect((explain(varied, url) as Explanation).variants.map(({ variant, selected }) => [variant, selected])).toEqual(
    expect.arrayContaining([
      ["accept-language\n", true],
      ["accept-language:de\n", false],
    ]),
  );

  const parted = fakePlane();
  const plain = ["cache-control", "max-age=600", "etag", '"1"'];
  await ask(parted, ["range", "bytes=0-3"], plain);
  expect(next(parted)).toBe("miss: only a part of it is stored");
  expect(next(parted, ["range", "bytes=1-2"])).toMatch(/^hit /);
  expect(await ask(parted, [], plain)).toBe("partial partial");
});

it.each(Array.from({ length: 60 }, (_, seed) => seed))("promises what then happens, seed %i", async (seed) => {
  const chance = randomOf(seed);
  const pick = <One>(some: readonly One[]): One => some[Math.floor(chance() * some.length)]!;
  const plane = fakePlane();
  const lifetime = pick(["max-age=60", "max-age=3", "max-age=3, stale-while-revalidate=4", "no-cache", "s-maxage=3"]);
  const vary = pick(["", "", "accept-language", "cookie", "accept-language, cookie"]);
  const answer = ["cache-control", lifetime, "etag", '"1"', ...(vary === "" ? [] : ["vary", vary])];
  for (let step = 0; step < 12; step++) {
    plane.now += pick([0, 0, 1, 2, 5]);
    if (chance() < 0.1) plane.invalidations.make([{ kind: "uri", uri: url }], pick(["drop", "outdate"]), "purge");
    if (chance() < 0.05) plane.store.doubtAll();
    const fields = [
      ...pick([[], ["accept-language", "de"], ["accept-language", "en"]]),
      ...pick([[], [], ["cookie", "a=1"]]),
      ...pick([[], [], ["range", "bytes=0-3"], ["range", "bytes=2-6"], ["cache-control", "no-cache"]]),
      ...pick([[], [], [], ["cache-control", "max-stale"], ["cache-control", "only-if-cached"]]),
    ];
    const promised = next(plane, fields);
    const done = await ask(plane, fields, answer);
    const [outcome] = done.split(" ");
    const meant = promised.startsWith("refused with 504") || /only-if-cached/.test(fields.join()) ? "none" : "";
    const expected: Record<string, readonly string[]> = {
      hit: ["hit"],
      "stale-while-revalidate": ["hit"],
      validate: ["stale", "request", meant],
      refused: ["none"],
      miss: promised.includes("only a part")
        ? ["partial"]
        : promised.includes("something else")
          ? ["vary-miss"]
          : ["uri-miss"],
    };
    expect(expected[promised.split(/[ :]/)[0]!], `${promised}; ${fields.join()}`).toContain(outcome);
  }
});
