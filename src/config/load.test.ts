import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { isServiceLink, loadConfig } from "./load.ts";

const folder = mkdtempSync(join(tmpdir(), "gyre-load-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a configuration", () => {
  it("takes no notice of what Kubernetes says of services called gyre, and of nothing else", () => {
    const links: readonly [string, string][] = [
      ["GYRE_SERVICE_HOST", "10.96.0.7"],
      ["GYRE_SERVICE_PORT", "8080"],
      ["GYRE_SERVICE_PORT_HTTP", "8080"],
      ["GYRE_PORT", "tcp://10.96.0.7:8080"],
      ["GYRE_PORT_8080_TCP", "tcp://10.96.0.7:8080"],
      ["GYRE_PORT_8080_TCP_ADDR", "10.96.0.7"],
      ["GYRE_PEERS_SERVICE_HOST", "10.96.0.8"],
      ["GYRE_PEERS_PORT", "tcp://10.96.0.8:8081"],
    ];
    for (const [variable, value] of links) expect([variable, isServiceLink(variable, value)]).toEqual([variable, true]);
    expect(() => loadConfig({ flags: {}, environment: Object.fromEntries(links) })).not.toThrow();
    for (const [variable, value] of [
      ["GYRE_PORT", "8080"],
      ["GYRE_LISTEN", "tcp://10.96.0.7:8080"],
      ["GYRE_CONNECT_PORTS", "443"],
    ] as const)
      expect([variable, isServiceLink(variable, value)]).toEqual([variable, false]);
    expect(() => loadConfig({ flags: {}, environment: { GYRE_PORT: "8080" } })).toThrow("GYRE_PORT: is not a setting");
  });

  it("has no route that no request could match", () => {
    const file = join(folder, "routes.yaml");
    for (const [place, message] of [
      ["path: /café", /no request would match it: write \/caf%C3%A9/],
      ["path: /caf%c3%a9", /no request would match it: write \/caf%C3%A9/],
      ["path: /%61dmin", /write \/admin/],
      ["path: /a/../b", /write \/b/],
      ['path: "/a b"', /write \/a%20b/],
      ["path: /x?y", /leave the query out/],
      ['host: "site.example:8080"', /without a port/],
    ] as const) {
      writeFileSync(file, `routes:\n  - { ${place}, origin: "http://127.0.0.1:1" }\n`);
      expect(() => loadConfig({ file, flags: {}, environment: {} }), place).toThrow(message);
    }
    writeFileSync(
      file,
      'routes:\n  - { host: "[::1]", path: "/caf%C3%A9/~x%20y[1]|{a}^", origin: "http://127.0.0.1:1" }\n',
    );
    expect(() => loadConfig({ file, flags: {}, environment: {} })).not.toThrow();
  });

  it("listens at each place once, however it is written", () => {
    const listening = (...listen: string[]): (() => unknown) => {
      return () => loadConfig({ flags: { listen, allow: ["0.0.0.0/0"] }, environment: {} });
    };
    for (const places of [
      ["127.0.0.1:8000", "127.0.0.1:8000"],
      ["127.0.0.1:8000", ":8000"],
      ["127.0.0.1:8000", "8000"],
      ["127.0.0.1:8000", "localhost:8000"],
      ["[::1]:8000", "LOCALHOST:8000"],
      ["[::1]:8000", "[0:0::1]:8000"],
      ["[::1]:8000", "[::]:8000"],
      ["0.0.0.0:8000", "[::]:8000"],
      ["127.0.0.2:8000", "0.0.0.0:8000"],
      ["127.0.0.1:1", "unix:/run/a.sock", "unix:/run//a.sock"],
      ["127.0.0.1:1", "fd:3", "fd:3"],
    ])
      expect(listening(...places), places.join(" ")).toThrow(/is listened at (?:twice|already, by )/);
    expect(listening("127.0.0.1:8000", ":8000")).toThrow("--listen: :8000 is listened at already, by 127.0.0.1:8000");
    for (const place of ["localhost:8081", ":8081", "0.0.0.0:8082"])
      expect(listening(place), place).toThrow(/is the (?:peer|admin) port as well/);
    for (const places of [
      ["127.0.0.1:8000", "127.0.0.2:8000", "[::1]:8000"],
      ["0.0.0.0:8000", "[::1]:8000"],
      ["127.0.0.1:0", "127.0.0.1:0", ":0"],
      ["127.0.0.1:8000", "127.0.0.1:8001", "fd:3", "fd:4"],
    ])
      expect(listening(...places), places.join(" ")).not.toThrow();
  });

  it("has no Unix socket whose path is longer than such a path can be", () => {
    const listening = (path: string): (() => unknown) => {
      return () => loadConfig({ flags: { listen: ["127.0.0.1:0", `unix:${path}`] }, environment: {} });
    };
    expect(listening(`/${"x".repeat(106)}`)).not.toThrow();
    expect(listening(`/${"x".repeat(107)}`)).toThrow("the path of a Unix socket has 107 bytes at most");
    expect(listening(`/${"é".repeat(54)}`)).toThrow("107 bytes at most");
  });

  it("is never turned into a forward proxy by a list of routes that is empty", () => {
    const file = join(folder, "empty.yaml");
    writeFileSync(file, "listen: 127.0.0.1:8080\nroutes: []\n");
    expect(() => loadConfig({ file, flags: {}, environment: {} })).toThrow(/routes: routes is empty/);
    writeFileSync(file, "routes: []\nforward: true\n");
    expect(loadConfig({ file, flags: {}, environment: {} }).forward).toBe(true);
  });
});
