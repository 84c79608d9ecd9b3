/** Members whose links are encrypted. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { hostPortOf } from "../../src/base/host-port.ts";
import { PeerIdentity } from "../../src/peer/identity.ts";
import { Link } from "../../src/peer/link.ts";
import { through } from "../support/client.ts";
import { gyre } from "../support/command.ts";
import {
  endAll,
  program,
  secret,
  settled,
  startCluster,
  startMember,
  statusOf,
  temporaryFolder,
  until,
  type TestMember,
} from "../support/member.ts";
import { ownAuthority, type OwnAuthority } from "../support/own-authority.ts";
import { runApart } from "../support/own-network.ts";
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

/** Nobody is gone round, and asks the origin, where a busy machine lets a member wait for its processor. */
const patient = ["--still-after", "1500ms"];

async function fetchAll(members: readonly TestMember[]): Promise<void> {
  const before = origin.asked.length;
  for (const member of members)
    for (const path of urls) expect((await through(member.port, `${origin.url}${path}`)).text).toBe("content");
  expect(origin.asked.length - before).toBeLessThanOrEqual(urls.length);
}

it("are one cluster like any other: joins, hops, a death", async () => {
  const members = await startCluster(3, ["--peer-tls", "on", ...patient]);
  await fetchAll(members);
  await members[2]!.kill();
  for (const path of urls) expect((await through(members[1]!.port, `${origin.url}${path}`)).status).toBe(200);
});

it("refuse who has another secret, and tell it so at once, as they do in clear text", async () => {
  const [first] = await startCluster(1, ["--peer-tls", "on"]);
  for (const tls of ["on", "off"]) {
    const stranger = ["--name", "m2", "--coordinator", `http://${first!.peer}`, "--peer-tls", tls];
    await expect(startMember(stranger, { GYRE_SECRET: "the secret of somebody else" }), tls).rejects.toThrow(
      /refuses this member: it does not know the secret/,
    );
  }
});

it("change their secret one after the other, and nothing is refused meanwhile", async () => {
  const next = "the secret that comes after this one";
  const flags = ["--peer-tls", "on", ...patient];
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

it("are encrypted one member after the other, and nobody is out of reach meanwhile", async () => {
  const { output, errors } = await runApart("off-and-encrypted.ts");
  expect(errors).toBe("");
  const steps = ["auto", "off"].flatMap((tls) => ["m1", "m2", "m3"].map((name) => `${name} ${tls}: 0 0 0`));
  expect(JSON.parse(output)).toEqual(steps);
}, 120_000);

describe("by certificates", () => {
  const authority = ownAuthority();
  const flagsOf = (name: string, from: OwnAuthority = authority, ca = authority.ca): string[] => {
    const { cert, key } = from.issue(name);
    return ["--peer-tls-cert", cert, "--peer-tls-key", key, "--peer-tls-ca", ca];
  };
  const joining = (first: TestMember, name: string): string[] => [
    "--name",
    name,
    "--coordinator",
    `http://${first.peer}`,
  ];

  it("are one cluster like any other, and take renewed ones up", async () => {
    const members = await startCluster(3, [], (index) => flagsOf(`m${index + 1}`));
    await fetchAll(members);
    const { code, output } = await gyre(["status", "--coordinator", `http://${members[0]!.peer}`], temporaryFolder(), {
      GYRE_SECRET: secret,
    });
    expect([code, output], "tools have the secret alone").toEqual([0, expect.stringContaining("m3")]);
    // The second is started anew, and the others' are renewed meanwhile: new links begin with those.
    const { name, listen, peer, admin } = members[1]!;
    await members[1]!.stop();
    for (const index of [0, 2]) {
      authority.issue(`m${index + 1}`);
      expect((await gyre(["reload", "--admin", members[index]!.admin], temporaryFolder())).code).toBe(0);
    }
    const own = ["--name", name, "--listen", listen, "--peer", peer, "--admin", admin];
    const back = await startMember([...own, "--coordinator", `http://${members[0]!.peer}`, ...flagsOf(name)]);
    const now = [members[0]!, back, members[2]!];
    await settled(now);
    await fetchAll(now);
  }, 60_000);

  it("are refused without one, with another authority's, with another member's", async () => {
    const [first] = await startCluster(1, [], () => flagsOf("m1"));
    // Who trusts the cluster's authority, and has a certificate of another.
    const [stranger, both] = [ownAuthority(), join(temporaryFolder(), "both.pem")];
    writeFileSync(both, [authority.ca, stranger.ca].map((file) => readFileSync(file, "utf8")).join(""));
    const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
      ["bare", ["--peer-tls", "on", ...patient], /bare: it has shown no certificate/],
      ["strange", flagsOf("strange", stranger, both), /strange: its certificate is not taken/],
    ];
    for (const [name, flags, reason] of cases) {
      const ports = ["--listen", "--peer", "--admin"].flatMap((flag) => [flag, "127.0.0.1:0"]);
      const member = spawn(process.execPath, [program, "start", ...ports, ...joining(first!, name), ...flags], {
        stdio: "ignore",
        env: { ...process.env, GYRE_SECRET: secret, GYRE_RUN_DIR: temporaryFolder() },
      });
      const ended = once(member, "exit");
      await until(() => reason.test(first!.output()), `${name} is refused`);
      member.kill("SIGKILL");
      await ended;
    }
    // The name that it says is not the one in its certificate: it does not even start so.
    const none = join(temporaryFolder(), "none.pem");
    writeFileSync(none, "# to be written\n");
    for (const [ca, reason] of [
      [none, "peer-tls-ca has no certificate in it"],
      [ownAuthority().ca, "not from an authority in peer-tls-ca"],
    ] as const) {
      const { cert, key } = authority.issue("m9");
      const own = ["--peer-tls-cert", cert, "--peer-tls-key", key, "--peer-tls-ca", ca];
      const refused = await gyre(["start", ...joining(first!, "m9"), ...own], temporaryFolder());
      expect([refused.code, refused.errors]).toEqual([2, expect.stringContaining(reason)]);
    }
    const wrong = await gyre(["start", ...joining(first!, "m9"), ...flagsOf("m8")], temporaryFolder(), {
      GYRE_SECRET: secret,
    });
    expect([wrong.code, wrong.errors]).toEqual([2, expect.stringContaining("not for this member's name, m9")]);
    expect((await statusOf(first!)).members.map(({ name }) => name)).toEqual(["m1"]);
  }, 60_000);

  it("let a member announce itself, and nobody else", async () => {
    const [first] = await startCluster(1, [], () => flagsOf("m1"));
    const { cert, key } = authority.issue("m9");
    const read = (file: string): string => readFileSync(file, "utf8");
    const identity = new PeerIdentity("m9", true, () => ({ cert: read(cert), key: read(key), ca: read(authority.ca) }));
    const view = (await (await fetch(`http://${first!.admin}/api/status`)).json()) as { members: object[] };
    const announce = (name: string): Promise<unknown> =>
      new Promise((done, fail) => {
        const address = hostPortOf(first!.peer)!;
        const link = new Link(
          { cluster: "gyre", secret, identity, self: "m9", purpose: "coordinator", expected: null, address },
          {
            up: () => {
              const member = { ...view.members[0], name, startedMs: 1, settings: "0", state: "active", tls: false };
              const asked = link.call("coordination.open", { session: "a session of some length", member });
              void asked.then(done, fail).finally(() => link.close());
            },
            gone: fail,
            note: () => {},
          },
        );
      });
    await expect(announce("m1")).rejects.toThrow("m9 may not announce m1");
    await expect(announce("m9")).resolves.toMatchObject({ session: expect.any(String) as string });
  });

  it("give tools that have the secret alone the view, and nothing of members'", async () => {
    const [first] = await startCluster(1, [], () => flagsOf("m1"));
    const call = (method: string): Promise<unknown> =>
      new Promise((done, fail) => {
        const link = new Link(
          { cluster: "gyre", secret, self: "?", purpose: "tool", expected: null, address: hostPortOf(first!.peer)! },
          { up: () => void link.call(method, null).then(done, fail), gone: () => {}, note: () => {} },
        );
      });
    expect(await call("coordination.view")).toMatchObject({ leader: "m1" });
    for (const method of ["certificates", "coordination.leave", "coordination.publish"])
      await expect(call(method), method).rejects.toThrow(/is for members/);
  });

  it.each(["on", "auto"])(
    "can be handed out one member after the other, and then be asked for (peer-tls: %s)",
    async (tls) => {
      const names = ["m1", "m2", "m3"];
      let members = await startCluster(3, ["--peer-tls", tls, ...patient]);
      const restart = async (index: number, flags: readonly string[]): Promise<void> => {
        const { name, listen, peer, admin } = members[index]!;
        await members[index]!.stop();
        const own = ["--name", name, "--listen", listen, "--peer", peer, "--admin", admin];
        const where = index === 0 ? [] : ["--coordinator", `http://${members[0]!.peer}`];
        const returned = await startMember(["--peer-tls", tls, ...patient, ...own, ...where, ...flags]);
        members = members.map((member, place) => (place === index ? returned : member));
        await settled(members);
      };
      // In another order each time: who has dialled whom without certificates must find back to them.
      for (const [required, order] of [
        ["false", [0, 1, 2]],
        ["true", [1, 2, 0]],
      ] as const)
        for (const index of order) await restart(index, [...flagsOf(names[index]!), "--peer-tls-require", required]);
      await fetchAll(members);
    },
    90_000,
  );
});
