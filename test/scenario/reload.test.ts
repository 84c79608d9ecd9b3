/** A changed configuration, taken up while clients are served: all of it or nothing, and what is known stays known. */
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ask } from "../support/client.ts";
import { gyre, type Run } from "../support/command.ts";
import { freePort } from "../support/free-port.ts";
import { endAll, startMember, statusOf, temporaryFolder, until, type TestMember } from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";
import { selfSigned } from "../support/own-authority.ts";

let origin: TestOrigin;
const folder = temporaryFolder();
let files = 0;
beforeAll(async () => {
  origin = await startOrigin((_, response) => {
    response.setHeader("cache-control", "no-store");
    response.end("content");
  });
});
afterEach(endAll);
afterAll(() => origin.close());

/** A member by a file, and a way to change that and have it taken up. */
async function configured(
  text: string,
): Promise<{ readonly member: TestMember; readonly change: (next: string) => Promise<Run>; readonly file: string }> {
  const file = join(folder, `${++files}.yaml`);
  writeFileSync(file, text);
  const member = await startMember(["--config", file, "--access-log", "all"]);
  return {
    member,
    file,
    change: (next) => {
      writeFileSync(file, next);
      return gyre(["reload", "--admin", member.admin], folder);
    },
  };
}

const saying = (text: string): string => `routes:\n  - { path: /, respond: { status: 200, text: "${text}" } }\n`;

describe("a reload", () => {
  it.each([
    ["a log that cannot be opened", "access-log-file: /nonexistent/x.log\n", "/nonexistent"],
    ["a certificate that is none", "tls: [ { cert: /etc/hostname, key: /etc/hostname } ]\n", "/etc/hostname"],
    ["an origin's authority that is not there", "", "/nonexistent/ca.pem"],
  ])("changes nothing where it meets %s, and says what", async (_, more, named) => {
    const { member, change } = await configured(saying("old"));
    const route = more === "" ? `  - { path: /x, origin: "https://127.0.0.1:1", ca: /nonexistent/ca.pem }\n` : "";
    const { code, output, errors } = await change(saying("new") + route + more);
    expect([code, output + errors]).toEqual([1, expect.stringContaining(named)]);
    expect((await ask(member.port, "/")).text).toContain("old");
    expect((await change(saying("newer"))).code).toBe(0);
    expect((await ask(member.port, "/")).text).toContain("newer");
  });

  it("of a member that has no file says so", async () => {
    const member = await startMember(["--origin", origin.url]);
    const { code, output } = await gyre(["reload", "--admin", member.admin], folder);
    expect([code, output]).toEqual([0, expect.stringContaining("there is no configuration file to reload")]);
    expect(output).not.toContain("configuration reloaded");
  });

  it("that names another access log lets go of the one before, with all of its lines", async () => {
    const [before, after] = [join(folder, "before.log"), join(folder, "after.log")];
    const logging = (path: string): string => `${saying("x")}access-log-file: ${path}\n`;
    const { member, change } = await configured(logging(before));
    const open = (): string[] => {
      const descriptors = `/proc/${member.pid}/fd`;
      // Some are closed while they are looked at.
      const links = readdirSync(descriptors).map((name) => {
        try {
          return readlinkSync(join(descriptors, name));
        } catch {
          return "";
        }
      });
      return links.filter((path) => path === before || path === after);
    };
    expect((await ask(member.port, "/first")).status).toBe(200);
    expect(open()).toEqual([before]);
    expect((await change(logging(after))).code).toBe(0);
    expect((await ask(member.port, "/second")).status).toBe(200);
    await until(() => String(open()) === after, "only the new one is open");
    expect(readFileSync(before, "utf8")).toContain("/first");
    await until(() => readFileSync(after, "utf8").includes("/second"), "the new one is written to");
  });

  it("of a file that is empty just then leaves all as it was", async () => {
    const { member, change } = await configured(saying("old"));
    const { code, output } = await change("");
    expect([code, output]).toEqual([1, expect.stringContaining(".yaml: is empty")]);
    expect((await ask(member.port, "/")).text).toContain("old");
  });

  it("keeps what is known of origins: who rests goes on resting, and what is under way is still counted", async () => {
    const dead = await freePort();
    const routes = (more: string): string =>
      `routes:\n${more}  - { path: /, origins: ["http://127.0.0.1:${dead}", "${origin.url}"], rest-for: 1h, rest-after: 1, balance: first }\n`;
    const { member, change } = await configured(routes(""));
    expect((await ask(member.port, "/x")).status).toBe(200);
    const health = async (): Promise<unknown> => (await statusOf(member)).self.origins.map((one) => one.health);
    expect(await health()).toEqual(["resting", "up"]);
    expect((await change(routes(`  - { path: /new, origin: "${origin.url}" }\n`))).code).toBe(0);
    expect(await health()).toEqual(["up", "resting", "up"]);
    expect((await ask(member.port, "/y")).status).toBe(200);
    const metrics = await (await fetch(`http://${member.admin}/metrics`)).text();
    const errors = /^gyre_origin_requests_total\{route="\*\/",origin="[^"]*",result="error",[^}]*\} (\S+)$/m.exec(
      metrics,
    );
    expect(errors?.[1], "asked once, before").toBe("1");
  });

  it("leaves a weight that was changed meanwhile, and does not call that a change", async () => {
    const { member, change, file } = await configured(saying("old"));
    expect((await gyre(["weight", member.name, "2", "--admin", member.admin], folder)).code).toBe(0);
    await until(async () => (await statusOf(member)).members[0]!.weight === 2, "it weighs more");
    const { output } = await change(saying("old"));
    expect(output).not.toContain("restart");
    expect((await statusOf(member)).members[0]!.weight).toBe(2);
    expect(file).toBeTruthy();
  });
});

describe("what a start would refuse", () => {
  it.each<[string, string]>([
    ["access-log-file: /nonexistent/x.log", "access-log-file"],
    [`access-log-file: ${folder}`, "is a folder"],
    ["certificates: auto\nstate: /etc/hostname", "is no folder"],
    ["peer-tls-cert: /nonexistent\npeer-tls-key: /nonexistent\npeer-tls-ca: /nonexistent", "/nonexistent"],
    ["acme-ca: /nonexistent", "/nonexistent"],
    ["coordinator: zookeeper://127.0.0.1:1/x\ncoordinator-ca: /nonexistent", "/nonexistent"],
    ["trace-export: 127.0.0.1:4318", "write a URL"],
    ["acme-directory: http://example.com/", "https"],
    ["trace-sample: 0.5", "all, off, or 1/N"],
  ])("%s", async (text, said) => {
    const file = join(folder, `${++files}.yaml`);
    writeFileSync(file, `origin: ${origin.url}\n${text}\n`);
    const { code, output, errors } = await gyre(["check", file], folder);
    expect([code, output + errors]).toEqual([1, expect.stringContaining(said)]);
  });

  it("certificates for origins that cannot be used, by route, setting and file: nor does a reload take them", async () => {
    const [one, other] = [selfSigned("one.test"), selfSigned("other.test")];
    const { member, change, file } = await configured(saying("old"));
    const pair = `client-cert: ${one.cert}, client-key: ${other.key}`;
    for (const [text, said] of [
      [
        `routes:\n  - { host: a.test, origin: "https://127.0.0.1:1", ${pair} }\n`,
        `route a.test/: client-key ${other.key} does not fit client-cert ${one.cert}`,
      ],
      [`origin: https://127.0.0.1:1\nca: ${one.key}\n`, `ca ${one.key} holds no PEM certificate`],
    ] as const) {
      const reloaded = await change(text);
      expect([reloaded.code, reloaded.output + reloaded.errors]).toEqual([1, expect.stringContaining(said)]);
      const checked = await gyre(["check", file], folder);
      expect([checked.code, checked.errors.split("\n")]).toEqual([1, [expect.stringContaining(`: ${said}`), ""]]);
      await expect(startMember(["--config", file])).rejects.toThrow(said);
    }
    expect((await ask(member.port, "/")).text).toBe("old");
  });

  it("or would work in vain, is found", async () => {
    const file = join(folder, `${++files}.yaml`);
    writeFileSync(file, `certificates: auto\nstate: ${folder}\nlisten: 127.0.0.1:1\norigin: ${origin.url}\n`);
    const { errors } = await gyre(["check", file], folder);
    expect(errors).toContain("neither a route's host nor certificate-names can be certified");
  });
});

it("a cluster's name that is not here is told, with those that are", async () => {
  const runs = temporaryFolder();
  const member = await startMember(["--cluster", "one"], { GYRE_RUN_DIR: runs });
  const { code, errors } = await gyre(["status", "--cluster", "two"], runs);
  expect([code, errors]).toEqual([2, expect.stringContaining("there are those of one")]);
  expect((await gyre(["status", "--cluster", "one"], runs)).code).toBe(0);
  expect(member.name).toBe("m1");
});
