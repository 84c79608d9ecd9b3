import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { deniedIn, listenSchema, shortForm } from "./listeners.ts";
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
      ['host: "*"', /leave host out: a route without one is for all hosts/],
      ['host: "a.*.example"', /write a host name, or \*\.example\.com/],
      ['host: "**.example"', /write a host name, or \*\.example\.com/],
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

  it("has no route that another one takes all requests of", () => {
    const file = join(folder, "twice.yaml");
    const route = (host: string): string => `  - { host: ${host}, origin: "http://127.0.0.1:1" }\n`;
    writeFileSync(file, `routes:\n${route("a.test")}${route("A.TEST.")}`);
    expect(() => loadConfig({ file, flags: {}, environment: {} })).toThrow(
      `${file}:3: routes.1 is for a.test/, and so is routes.0: it would never be asked`,
    );
  });

  it("takes lifetimes that no timer could wait for", () => {
    const file = join(folder, "long.yaml");
    writeFileSync(
      file,
      "caching: { freshness: 365d, default-freshness: 30d, negative-freshness: 30d, grace: 10000d }\n",
    );
    const config = loadConfig({ file, flags: {}, environment: {} });
    expect(Object.values(config.caching ?? {})).toEqual([365, 30, 30, 10_000].map((days) => days * 86_400));
  });

  it("takes a lifetime of errors as one, or by status", () => {
    const file = join(folder, "negative.yaml");
    writeFileSync(file, "caching: { negative-freshness: { 404: 1m, 410: 1h } }\n");
    const config = loadConfig({ file, flags: {}, environment: {} });
    expect(config.caching?.["negative-freshness"]).toEqual({ 404: 60, 410: 3600 });
  });

  it("says what to write, not what was expected", () => {
    const file = join(folder, "kinds.yaml");
    for (const [text, said] of [
      [
        "caching: { freshness: 60 }",
        "caching.freshness: 60 is not a time: write a number with ms, s, m, h or d, as in 30s",
      ],
      ["caching: { freshness: 25000d }", 'caching.freshness: "25000d" is too long: 68 years at most'],
      ["caching: { negative-freshness: { 403: 1m } }", 'unknown setting "caching.negative-freshness.403"'],
      [
        "caching: { negative-freshness: 5 }",
        "caching.negative-freshness: write a time, as in 1m, or one for each status",
      ],
      [
        "caching: { query-ignore: ['*_id'] }",
        "caching.query-ignore.0: write names of parameters: one that ends in * is all that begin so",
      ],
      ["caching: { negative-freshness: { 404: soon } }", "caching.negative-freshness: write a time"],
      ["drain-limit: 30d", 'drain-limit: "30d" is too long: 24 days at most'],
      ["memory: true", "memory: true is not a size: write a number with B, KB, MB or GB, as in 512MB"],
      ["allow: all", "allow: write a list of networks, as in [10.0.0.0/8, 192.0.2.7]"],
      ["caching: { store: maybe }", "caching.store: write true or false"],
      ["caching: { cookies: all }", "caching.cookies: write safe or rfc"],
      ["name: 5", 'name: write text: in quotes, as in "5", it is some'],
      ["tls: { cert: x }", "tls: write a list, as in [one, another]"],
      ["tls: [ { cert: x } ]", "tls.0.key: it is missing: write text"],
      ["limits: 5", "limits: write a map of settings"],
      ["routes: [ { redirect: 5 } ]", "routes.0.redirect: write text, or a map of settings"],
      ["compress: gzip", "compress: write a list, as in [one, another], or off"],
      ["compress: [gz]", "compress.0: write "],
      ["load-bound: high", "load-bound: write a number up to 10, or off"],
      ["still-after: 10ms", "still-after: write a time from 50ms to 1500ms"],
      ["threads: 1.5", "threads: write a whole number"],
      ["threads: 0", "threads: write a number from 1 up"],
      ["weight: -1", "weight: write a number above 0"],
      ["log-level: loud", "log-level: write debug, info, warn or error"],
      ["listen: null", "listen: write text, or a number"],
      ["{ drain-limit: 5s, drain-notice: 3s }", "drain-notice is a part of drain-limit, half of it at most"],
      ["listen: 'unix:/run/g,shared'", "listen: shared is for a port that is named, as in 127.0.0.1:8080"],
      ["listen: [ { address: '127.0.0.1:0', shared: true } ]", "listen.0.shared: shared is for a port that is named"],
      ["listen: '127.0.0.1:0,forward,reverse'", 'listen: "127.0.0.1:0,forward,reverse": a listener is for both'],
      [
        "tls: [ { names: [a.test], cert: a, key: a }, { names: [b.test, A.test], cert: b, key: b } ]",
        "two certificates are for a.test: one would never be shown",
      ],
      ["listen: '80:80'", 'listen: "80:80" is no place to listen at: write host:port'],
      ['routes: [ { path: x, origin: "http://a" } ]', "routes.0.path: it begins with /"],
    ] as const) {
      writeFileSync(file, `${text}\n`);
      expect(() => loadConfig({ file, flags: {}, environment: {} }), text).toThrow(`${file}:1: ${said}`);
    }
  });

  it.each([
    [
      "resolver: dns.example:53",
      "is no DNS server: write its address, not its name, and its port, as in 192.0.2.53:53",
    ],
    ["resolver: 192.0.2.53", "is no DNS server"],
    ['routes: [ { origin: "http://a", check: { interval: 0s } } ]', "origins are not asked more often: 100ms at least"],
    ['routes: [ { origin: "http://a", check: { timeout: 0s } } ]', "no answer would come in time"],
    ["compress: [gzip, gzip]", "name each coding once"],
    ["__proto__: { memory: 1GB }", '"__proto__" is no name of a setting'],
    ["routes: [ { respond: { status: 205, text: abc } } ]", "204 and 205 have no content: leave text out"],
    ["routes: [ { respond: { status: 204, text: abc } } ]", "204 and 205 have no content"],
    ["parent: http://proxy:3128/path", "a parent has no path"],
    ["parent: http://%ff:secret@proxy:3128", "parent: its credentials cannot be read"],
    ["parent: https://proxy:3128", "write http://host:port"],
  ])("refuses %s", (text, said) => {
    const file = join(folder, "refused.yaml");
    writeFileSync(file, `${text}\n`);
    const load = (): unknown => loadConfig({ file, flags: {}, environment: {} });
    expect(load).toThrow(said);
    expect(load).toThrow(`${file}:1: `);
    expect(load).not.toThrow("secret");
  });

  it("names a DNS server as the system wants it", () => {
    for (const [given, taken] of [
      ["192.0.2.53:53", "192.0.2.53:53"],
      ["[::1]:5353", "[::1]:5353"],
      [":53", "127.0.0.1:53"],
    ] as const)
      expect(loadConfig({ flags: { resolver: given }, environment: {} }).resolver).toBe(taken);
  });

  it("says a listener in the short form again, at another place", () => {
    const options = ["tls", "http2", "redirect", "proxy-protocol", "forward", "reverse", "shared"];
    for (const said of [[], ...options.map((one) => [one]), ["tls", "proxy-protocol", "shared"]]) {
      const [given] = listenSchema(z.boolean(), z.string()).parse(["127.0.0.1:80", ...said].join(","));
      expect(shortForm(given!, "127.0.0.1:81")).toBe(["127.0.0.1:81", ...said].join(","));
    }
    const denying = { address: "127.0.0.1:80", tls: true, http2: false, "proxy-protocol": false };
    expect(deniedIn(listenSchema(z.boolean(), z.string()).parse(denying)[0]!)).toEqual(["http2", "proxy-protocol"]);
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
    for (const flag of ["origin", "access-log-syslog"]) {
      const naming = (path: string) => (): unknown =>
        loadConfig({ flags: { [flag]: `unix:${path}` }, environment: {} });
      expect(naming(`/${"x".repeat(106)}`), flag).not.toThrow();
      expect(naming(`/${"x".repeat(107)}`), flag).toThrow("the path of a Unix socket has 107 bytes at most");
    }
    const file = join(folder, "long.yaml");
    const long = `unix:/${"x".repeat(107)}`;
    writeFileSync(file, `routes:\n  - origins:\n      - ${long}\n      - { url: "${long}" }\n`);
    for (const line of [3, 4])
      expect(() => loadConfig({ file, flags: {}, environment: {} })).toThrow(
        new RegExp(`long.yaml:${line}: .*107 bytes at most`),
      );
  });

  it("is never turned into a forward proxy by a list of routes that is empty", () => {
    const file = join(folder, "empty.yaml");
    writeFileSync(file, "listen: 127.0.0.1:8080\nroutes: []\n");
    expect(() => loadConfig({ file, flags: {}, environment: {} })).toThrow(/:2: routes is empty/);
    writeFileSync(file, "routes: []\nforward: true\n");
    expect(loadConfig({ file, flags: {}, environment: {} }).forward).toBe(true);
  });

  it("is not a file that is empty, as one is while another is written in its place", () => {
    const file = join(folder, "emptied.yaml");
    for (const text of ["", "\n \n", "\uFEFF"]) {
      writeFileSync(file, text);
      expect(() => loadConfig({ file, flags: {}, environment: {} }), JSON.stringify(text)).toThrow(/yaml: is empty: /);
    }
    writeFileSync(file, "# all as it is by itself\n");
    expect(() => loadConfig({ file, flags: {}, environment: {} })).not.toThrow();
  });

  it("takes the ports of CONNECT with commas or as one number, and says so of anything else", () => {
    const file = join(folder, "ports.yaml");
    for (const [written, ports] of [
      ["443", "443"],
      ["443,8443", "443,8443"],
      ["any", "any"],
    ] as const) {
      writeFileSync(file, `connect-ports: ${written}\n`);
      expect(loadConfig({ file, flags: {}, environment: {} })["connect-ports"]).toBe(ports);
    }
    for (const written of ["[443, 8443]", "443-8443", "0", "65536", "443,", "https"]) {
      writeFileSync(file, `connect-ports: ${written}\n`);
      expect(() => loadConfig({ file, flags: {}, environment: {} }), written).toThrow(
        "ports.yaml:1: connect-ports: write ports as in 443,8443, or any",
      );
    }
  });

  it("is one document", () => {
    const file = join(folder, "documents.yaml");
    writeFileSync(file, "memory: 1GB\n---\nmemory: 2GB\n");
    expect(() => loadConfig({ file, flags: {}, environment: {} })).toThrow(/yaml:2: a second document begins/);
  });

  it("names file and line also of what is wrong only beside something else", () => {
    const file = join(folder, "beside.yaml");
    for (const [text, where] of [
      ["memory: 64MB\nlisten: '127.0.0.1:8443,tls'\n", "2: 127.0.0.1:8443 is to speak TLS"],
      ["memory: 64MB\ntls-key: x\n", "2: tls-cert and tls-key go together"],
      ["memory: 64MB\nadmin: 127.0.0.1:8080\n", "2: 127.0.0.1:8080 is the admin port as well"],
      ["zone: a\nroutes: []\n", "2: routes is empty"],
      ["disk: x\ndisk-size: 1MB\n", "2: disk-size is less"],
      ["zone: a\nmemory: 100KB\n", "2: memory is less"],
      ["memory: 64MB\nobject-max: 1GB\n", "2: object-max is larger"],
      ["zone: a\ncertificates: auto\n", "2: certificates: auto needs a folder"],
      ["zone: a\npeer-tls-key: x\n", "2: peer-tls-cert, peer-tls-key and peer-tls-ca belong together"],
      ["zone: &z a\nname: *y\n", "2: *y stands for nothing"],
    ] as const) {
      writeFileSync(file, text);
      expect(() => loadConfig({ file, flags: {}, environment: {} }), text).toThrow(`${file}:${where}`);
    }
  });
});
