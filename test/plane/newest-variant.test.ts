/** Of several responses for one key the newest that a request selects answers, on the short way as on the whole. */
import { expect, it } from "vitest";
import { codedTypes } from "../../src/http/codings.ts";
import { serve, serveWhole } from "../../src/proxy/serve.ts";
import { FakeExchange, fakePlane, reply, turns } from "../support/plane.ts";

const compression = { codings: ["br", "gzip"], types: codedTypes, leastBytes: 100 } as const;

/** What a German, an English and again the German reader get of a page that has lost its Vary and become longer. */
async function read(way: "short" | "whole"): Promise<readonly string[]> {
  let asked = 0;
  const plane = fakePlane({
    routes: [{ host: null, path: "/", compression }],
    forward: false,
    answer: (call) => {
      const fields = ["content-type", "text/html", "cache-control", "max-age=600"];
      if (asked++ === 0) reply(call, 200, [...fields, "vary", "accept-language"], "short, in German");
      else reply(call, 200, fields, "long, for all ".repeat(50));
    },
  });
  const answers: string[] = [];
  for (const language of ["de", "de", "de", "en", "de", "de", "de"]) {
    const exchange = new FakeExchange(
      `GET /page HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: ${language}\r\n`,
      { local: true },
    );
    if (way === "short") serve(plane, exchange);
    else serveWhole(plane, exchange, null);
    while (!exchange.finished && !exchange.aborted) await new Promise((done) => setImmediate(done));
    // What is coded is stored when its last byte is.
    for (let turn = 0; turn < 5; turn++) await turns(3);
    answers.push(`${exchange.field("content-encoding")} ${exchange.content.length}`);
  }
  return answers;
}

it("also where an older one would do, and what selects the newer is not in the request's own words", async () => {
  const whole = await read("whole");
  expect(whole.slice(0, 3)).toEqual(Array.from({ length: 3 }, () => "undefined 16"));
  expect(whole[4]).toMatch(/^br /);
  expect(await read("short")).toEqual(whole);
});
