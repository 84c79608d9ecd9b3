/** What is packaged for containers: read as those read it who run it, and what it says to Gyre is what Gyre takes. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { gyre } from "../support/command.ts";
import { root, temporaryFolder } from "../support/member.ts";

const packaging = join(root, "packaging");
const secret = "0123456789abcdef";

interface Kubernetes {
  readonly kind: string;
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly terminationGracePeriodSeconds: number;
        readonly containers: readonly {
          readonly lifecycle?: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } };
          readonly resources: { readonly limits: { readonly memory: string } };
          readonly args: readonly string[];
          readonly env: readonly { readonly name: string; readonly value?: string }[];
        }[];
      };
    };
  };
}

describe("containers", () => {
  it("of a compose file are members that Gyre would start", async () => {
    const text = readFileSync(join(packaging, "docker/compose.yaml"), "utf8");
    const { services } = parse(text, { merge: true }) as {
      services: Record<string, { command: string[]; environment: Record<string, string> }>;
    };
    for (const name of ["m1", "m2", "m3"]) {
      const { command, environment } = services[name]!;
      expect(command[0]).toBe("start");
      const run = await gyre(["config", ...command.slice(1)], temporaryFolder(), {
        ...environment,
        GYRE_SECRET: secret,
      });
      expect([run.code, run.errors], name).toEqual([0, ""]);
      expect(run.output).toMatch(new RegExp(`advertise +${name}`));
    }
  });

  it("of a StatefulSet are, the first and the others", async () => {
    const text = readFileSync(join(packaging, "kubernetes/gyre.yaml"), "utf8");
    const documents = parseAllDocuments(text).map((document) => {
      expect(document.errors).toEqual([]);
      return document.toJS() as Kubernetes;
    });
    const set = documents.find(({ kind }) => kind === "StatefulSet")!;
    const [container] = set.spec.template.spec.containers;
    const environment = Object.fromEntries(
      container!.env.filter(({ value }) => value !== undefined).map(({ name, value }) => [name, value!]),
    );
    expect(container!.args[0]).toContain('--advertise "$POD_NAME.gyre"');
    for (const pod of ["gyre-0", "gyre-1"]) {
      const coordinator = pod === "gyre-0" ? [] : ["--coordinator", "http://gyre-0.gyre:8081"];
      const flags = ["--name", pod, "--advertise", `${pod}.gyre`, ...coordinator];
      const run = await gyre(["config", ...flags], temporaryFolder(), { ...environment, GYRE_SECRET: secret });
      expect([run.code, run.errors], pod).toEqual([0, ""]);
    }
  });

  it("of a StatefulSet leave the service before they refuse its clients, and end within their time and memory", () => {
    const set = parseAllDocuments(readFileSync(join(packaging, "kubernetes/gyre.yaml"), "utf8"))
      .map((document) => document.toJS() as Kubernetes)
      .find(({ kind }) => kind === "StatefulSet")!;
    const { containers, terminationGracePeriodSeconds } = set.spec.template.spec;
    const [{ env, lifecycle, resources }] = containers as [(typeof containers)[0]];
    const said = (name: string): number =>
      Number.parseInt(env.find((variable) => variable.name === name)?.value ?? "", 10);
    const [command, seconds] = lifecycle?.preStop.exec.command ?? [];
    expect([command, Number(seconds) >= 5]).toEqual(["sleep", true]);
    expect(terminationGracePeriodSeconds).toBeGreaterThan(Number(seconds) + said("GYRE_DRAIN_LIMIT") + 2);
    // As docs/performance.md has it, in MB: idle, under load, threads; a tenth for what the kernel counts of sockets.
    const taken = said("GYRE_MEMORY") + 90 + 130 + 40 * said("GYRE_THREADS");
    expect(resources.limits.memory).toBe("1Gi");
    expect(taken * 1.1).toBeLessThan(1024);
  });
});
