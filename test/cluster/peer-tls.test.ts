/** Members whose links are encrypted. */
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { through } from "../support/client.ts";
import { endAll, secret, settled, startCluster, startMember, type TestMember } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

let origin: TestOrigin;
beforeAll(async () => {
  origin = await startOrigin((_, response) => {
    response.setHeader("cache-control", "max-age=600");
    response.end("content");
  });
});
afterEach(endAll);
afterAll(() => origin.close());

const urls = Array.from({ length: 30 }, (_, index) => `/k${index}`);

async function fetchAll(members: readonly TestMember[]): Promise<void> {
  const before = origin.asked.length;
  for (const member of members)
    for (const path of urls) expect((await through(member.port, `${origin.url}${path}`)).text).toBe("content");
  expect(origin.asked.length - before).toBeLessThanOrEqual(urls.length);
}

it("are one cluster like any other: joins, hops, a death", async () => {
  const members = await startCluster(3, ["--peer-tls", "on"]);
  await fetchAll(members);
  await members[2]!.kill();
  for (const path of urls) expect((await through(members[1]!.port, `${origin.url}${path}`)).status).toBe(200);
});

it("change their secret one after the other, and nothing is refused meanwhile", async () => {
  const next = "the secret that comes after this one";
  const flags = ["--peer-tls", "on"];
  let members = await startCluster(3, flags);
  const restart = async (index: number, secrets: string): Promise<void> => {
    const { name, listen, peer, admin } = members[index]!;
    await members[index]!.stop();
    const own = ["--name", name, "--listen", listen, "--peer", peer, "--admin", admin];
    const where = index === 0 ? [] : ["--coordinator", `http://${members[0]!.peer}`];
    const returned = await startMember([...flags, ...own, ...where], { GYRE_SECRET: secrets });
    members = members.map((member, place) => (place === index ? returned : member));
    await settled(members);
  };
  // First all take the new one, then all use it, then nobody takes the old one.
  for (const secrets of [`${secret}\n${next}`, `${next}\n${secret}`, next])
    for (const index of [1, 2, 0]) await restart(index, secrets);
  await fetchAll(members);
}, 90_000);
