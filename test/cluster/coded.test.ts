/** What members compress, between them: a part, which is of the uncoded response, is made of nothing coded. */
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { ask } from "../support/client.ts";
import { endAll, settled, startCluster, startMember, type TestMember } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

let origin: TestOrigin;
const content = "a line of a text that is worth it\n".repeat(100);

beforeAll(async () => {
  origin = await startOrigin((_request, response) => {
    response.setHeader("cache-control", "max-age=600");
    response.setHeader("content-type", "text/plain");
    response.end(content);
  });
});
afterEach(endAll);
afterAll(() => origin.close());

const host = "site.test";
const gzip = { "accept-encoding": "gzip" };
const part = { ...gzip, range: "bytes=2-11" };
const compressing = (): readonly string[] => ["--origin", origin.url, "--compress", "gzip"];

/** What clients get who take a coding and want a part, and then those who take no coding. */
async function expectUncoded(member: TestMember, path: string): Promise<void> {
  const some = await ask(member.port, path, { headers: { ...part, host } });
  expect(some, `the part of ${path}`).toMatchObject({ status: 206, text: content.slice(2, 12) });
  expect(some.headers["content-range"]).toBe(`bytes 2-11/${content.length}`);
  const whole = await ask(member.port, path, { headers: { host } });
  expect(whole.headers["content-encoding"], `${path} for who takes no coding`).toBeUndefined();
  expect(whole.text).toBe(content);
}

it("a new owner that is asked for a part gets the uncoded response from the previous one (RFC 9110 §14)", async () => {
  const members = await startCluster(2, compressing());
  const paths = Array.from({ length: 24 }, (_, index) => `/peeked-${index}`);
  const headers = { ...gzip, host };
  for (const path of paths) {
    const { headers: given } = await ask(members[0]!.port, path, { headers });
    expect(given["content-encoding"]).toBe("gzip");
  }
  const before = origin.asked.length;
  const joiner = await startMember([...compressing(), "--name", "m3", "--coordinator", `http://${members[0]!.peer}`]);
  await settled([...members, joiner]);
  for (const path of paths) await expectUncoded(joiner, path);
  expect(origin.asked.length, "they had it").toBe(before);
});
