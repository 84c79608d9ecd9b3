/**
 * What can be configured: one schema for the file, for GYRE_* variables and for flags. Sizes and times carry their
 * unit.
 */
import { z } from "zod";
import { concealed } from "../base/concealed.ts";
import { placesOf } from "../coordination/places.ts";
import { authority, httpUri } from "../http/uri.ts";
import { wrongParent } from "../origin/parent.ts";
import { weightMax } from "../ring/ring.ts";
import { isMemberName } from "../ring/view.ts";
import { ensembleOf } from "../zookeeper/connect-string.ts";
import { fieldNames, isFieldName } from "../proxy/request/access-fields.ts";
import { listenSchema } from "./listeners.ts";
import { defaultMemory } from "./default-memory.ts";
import { routeHost, routePath } from "./route-place.ts";
import { syslogPlaceOf } from "./syslog-place.ts";
import { caching } from "./caching.ts";
import { compression, directives } from "./directives.ts";
import {
  address,
  bytes,
  connectPorts,
  duration,
  number,
  count,
  positive,
  network,
  networks,
  nameServer,
  flag,
  tooLong,
} from "./values.ts";

const originUrl = z
  .string()
  .describe("http://host:port, or unix:/path/of/a.sock")
  .transform((text, context) => {
    if (text.startsWith("unix:/")) {
      const long = tooLong(text.slice(5));
      if (long !== null) context.addIssue({ code: "custom", message: `${text} ${long}` });
      return text;
    }
    const uri = httpUri(text.replace(/\/$/, ""));
    if (uri === null || (uri.path !== "/" && uri.path !== "")) {
      context.addIssue({
        code: "custom",
        message: `"${concealed(text)}" is not an origin: write scheme, host and port only, as in http://localhost:3000, or unix:/run/app.sock`,
      });
      return "";
    }
    const standard = uri.port === (uri.scheme === "http" ? 80 : 443);
    return `${uri.scheme}://${uri.host}${standard ? "" : `:${uri.port}`}`;
  });
const weightedOrigin = z.strictObject({
  url: originUrl,
  weight: positive.optional().describe("its share beside the others'"),
  backup: flag.optional().describe("asked only where no other can be"),
});
const hostName = z
  .string()
  .refine((text) => authority(text, "http") !== null, "write a host name, perhaps with a port");
const healthCheck = z.strictObject({
  path: z
    .string()
    .regex(/^\/[\x21-\x7e]*$/, "write a path as in /health")
    .default("/")
    .describe("what is asked for"),
  host: hostName.optional().describe("the Host field, where it is not the origin's"),
  interval: duration.refine((ms) => ms >= 100, "origins are not asked more often: 100ms at least").default(5000),
  timeout: duration.refine((ms) => ms > 0, "no answer would come in time").default(2000),
  status: z
    .array(z.number().int().min(100).max(599))
    .optional()
    .describe("statuses of a healthy one; default 200 to 399"),
  rise: positive.default(2).describe("checks running that bring it back"),
  fall: positive.default(3).describe("checks running that take it out"),
});
const coordinator = z.string().superRefine((text, context) => {
  if (text === "embedded" || placesOf(text) !== null) return;
  const ensemble = text.startsWith("zookeeper") ? ensembleOf(text) : null;
  const wrong =
    ensemble === null
      ? "write embedded, http://host:port (the peer port of the member that coordinates; several with commas), or zookeeper://host:2181,…/path"
      : "wrong" in ensemble
        ? ensemble.wrong
        : null;
  if (wrong !== null) context.addIssue({ code: "custom", message: wrong });
});

const originTimes = {
  "connect-timeout": duration.optional(),
  "head-timeout": duration.optional().describe("until the response head has come"),
  "body-timeout": duration.optional().describe("longest silence inside content"),
  retries: number
    .pipe(z.number().int().min(0).max(5))
    .optional()
    .describe("of idempotent requests, on fresh connections"),
  connections: positive
    .optional()
    .describe("requests under way to each origin; what stays open for long is not counted"),
  queue: count.optional().describe("requests that may wait for an origin"),
  "queue-timeout": duration.optional().describe("how long one may wait"),
  "tls-name": z
    .string()
    .optional()
    .describe("name for SNI and the certificate check, where it is not the origin's own"),
  "verify-tls": flag.optional(),
  ca: z.string().optional().describe("file of further trusted certificates"),
  "client-cert": z.string().optional().describe("certificate file for origins that ask for one; with client-key"),
  "client-key": z.string().optional().describe("its key"),
};

const route = z
  .strictObject({
    host: routeHost.optional(),
    path: routePath.optional(),
    origin: originUrl.optional(),
    origins: z
      .array(z.union([originUrl, weightedOrigin]))
      .min(1)
      .optional()
      .describe("several: each a URL, or a map with url, weight, backup"),
    balance: z
      .enum(["round-robin", "least-requests", "hash", "first"])
      .optional()
      .describe("which of several origins is asked: in turn, the least busy, by the URL, or the first that is well"),
    "retry-on": z
      .array(z.number().int().min(400).max(599))
      .optional()
      .describe("statuses for which another origin is asked, while there is one"),
    check: healthCheck.optional().describe("asks each origin at intervals whether it is well"),
    "host-field": hostName.optional().describe("preserve, origin, or a fixed name"),
    ...originTimes,
    "rest-after": positive.optional().describe("failures running after which an origin is left alone"),
    "rest-for": duration.optional().describe("for how long, at first; twice as long each time after that"),
    "slow-start": duration.optional().describe("how long an origin that is well again takes to get its full share"),
    ...directives,
    ...compression,
    caching: caching.optional(),
  })
  .refine(
    ({ origin, origins, redirect, respond }) =>
      [origin, origins, redirect, respond].filter((given) => given !== undefined).length === 1,
    "a route needs one of origin, origins, redirect and respond",
  );

const some = bytes.refine((size) => size > 0, "0 would let nothing through");
const limits = z.strictObject({
  "head-bytes": some.optional(),
  fields: positive.optional(),
  "uri-bytes": some.optional(),
  "body-bytes": bytes.optional(),
  "idle-timeout": duration.optional(),
  "head-timeout": duration.optional(),
  "body-timeout": duration.optional(),
  "rate-bytes": bytes.optional().describe("least bytes a second"),
  "rate-window": duration.optional(),
  connections: positive.optional(),
  "connections-per-client": positive.optional(),
  "requests-per-connection": positive.optional(),
  "pipelined-bytes": some.optional(),
});

export const configSchema = z.strictObject({
  name: z
    .string()
    .refine(isMemberName, "letters, digits, dot, dash and underscore, 63 at most")
    .optional()
    .describe("this member's name"),
  cluster: z
    .string()
    .refine(isMemberName, "letters, digits, dot, dash and underscore")
    .default("gyre")
    .describe("the cluster's name"),
  listen: listenSchema(flag, network)
    .prefault("127.0.0.1:8080")
    .describe(
      "client traffic: HOST:PORT, perhaps with ,tls ,http2 ,redirect ,proxy-protocol ,forward ,reverse; several make a list",
    ),
  peer: address.default("127.0.0.1:8081").describe("other members, and the embedded coordinator"),
  admin: address.default("127.0.0.1:8082").describe("API and metrics"),
  coordinator: coordinator
    .default("embedded")
    .describe("embedded, http://host:port of the member that coordinates, or zookeeper://host:2181,…/path"),
  "coordinator-credentials": z
    .string()
    .optional()
    .describe("file with user:password for ZooKeeper's digest authentication"),
  "coordinator-ca": z.string().optional().describe("file of certificates that zookeeper+tls:// trusts"),
  "secret-file": z
    .string()
    .optional()
    .describe("file with the cluster's secret; further lines are older ones that are still taken"),
  "peer-tls": z
    .enum(["auto", "on", "off"])
    .default("auto")
    .describe("links between members are encrypted: auto, to other machines; on, all of them; off, none"),
  "peer-tls-cert": z
    .string()
    .optional()
    .describe("file with this member's certificate, for its name: links between members want one on both ends"),
  "peer-tls-key": z.string().optional().describe("its key"),
  "peer-tls-ca": z
    .string()
    .optional()
    .describe("file with the authority's certificates that members' are checked with"),
  "peer-tls-require": flag
    .default(true)
    .describe("members without certificates are refused; false while they are being handed out"),
  weight: number
    .pipe(z.number().positive().max(weightMax))
    .default(1)
    .describe("share of the key space relative to other members"),
  advertise: z
    .string()
    .min(1)
    .optional()
    .describe("host that other members dial, where this one listens on all addresses"),
  zone: z.string().max(64).default("").describe("where this member stands"),
  memory: bytes
    .default(defaultMemory())
    .describe("budget of the store, 64GB at most; default a quarter of what this machine, or its container, has"),
  threads: positive
    .pipe(z.number().max(64))
    .optional()
    .describe(
      "threads that serve clients; default one for each processor, 8 at most, where they can share a port and take less memory than the store",
    ),
  disk: z.string().min(1).optional().describe("folder in which what is stored outlives memory, and a restart"),
  "disk-size": bytes.default(10 * 2 ** 30).describe("room that it may take there, all files together"),
  "hot-copies": bytes
    .optional()
    .describe("memory for hot copies of other members' keys, 0 for none; default an eighth of --memory"),
  "load-bound": z
    .union([z.literal("off"), number.pipe(z.number().positive().max(10))], { error: "write a number up to 10, or off" })
    .default(0.25)
    .describe("how far above the mean of requests in flight a member may be before its successor is asked; or off"),
  "still-after": duration
    .refine((ms) => ms >= 50 && ms <= 1500, "write a time from 50ms to 1500ms")
    .default(100)
    .describe(
      "a member that owes answers is gone round after such a silence, later where it is usually slow to answer",
    ),
  "object-max": bytes.default(64 * 2 ** 20).describe("larger responses pass through unstored"),
  origin: originUrl.optional().describe("reverse proxy before this origin"),
  "host-field": hostName.optional().describe("Host for --origin: preserve, origin, or a fixed name"),
  forward: flag.optional().describe("forward proxy; default true where there are no routes"),
  allow: networks.default([]).describe("clients that may use the proxy, beside those on this machine"),
  "purge-allow": networks
    .default([])
    .describe("clients that may purge by the PURGE method; none: it is passed on to the origin like any other"),
  "allow-destination": networks
    .default([])
    .describe("loopback and private networks that clients elsewhere may reach through the forward proxy"),
  parent: z
    .string()
    .superRefine((text, context) => {
      const message = wrongParent(text);
      if (message !== null) context.addIssue({ code: "custom", message });
    })
    .optional()
    .describe("another proxy through which the forward proxy reaches everything"),
  "parent-except": z
    .array(
      z
        .string()
        .regex(/^(?:\*|(?:\*?\.)?[\w.-]+|\[?[0-9a-f:.]+\]?)$/i, "write a name, an address, or *; no port, no network"),
    )
    .default([])
    .describe("hosts that are reached without the parent: names, each with all names below it, addresses, or *"),
  "connect-ports": connectPorts.default("443,563,8443").describe("ports that CONNECT may reach: 443,8443, or any"),
  "tunnel-idle": duration
    .default(600_000)
    .describe("a tunnel, or a WebSocket, where nothing moves for so long is closed"),
  resolver: nameServer.optional().describe("DNS server, address:port, instead of the system's"),
  "request-id": flag
    .default(true)
    .describe("requests to the origins of routes carry X-Request-Id, the client's own where trust-forwarded names it"),
  "trust-forwarded": networks.default([]).describe("clients whose X-Forwarded-For and X-Request-Id are believed"),
  "proxy-protocol": flag.default(false).describe("expect a PROXY header (v1 or v2) on client connections"),
  "tls-cert": z.string().optional().describe("certificate file: clients speak TLS"),
  "tls-key": z.string().optional().describe("its key"),
  certificates: z
    .enum(["files", "auto"])
    .default("files")
    .describe("auto: had from an authority by ACME for the hosts of routes, beside those of tls; needs state"),
  "certificate-names": z.array(hostName).default([]).describe("further names to be certified"),
  state: z.string().min(1).optional().describe("folder for what outlives a member: certificates, the ACME account"),
  "acme-directory": z
    .url({ protocol: /^https$/, error: "write the https URL of the authority's directory" })
    .default("https://acme-v02.api.letsencrypt.org/directory")
    .describe("the authority; using it agrees to its terms"),
  "acme-contact": z.email().optional().describe("where it may write to"),
  "acme-challenge": z
    .enum(["auto", "http-01", "tls-alpn-01"])
    .default("auto")
    .describe(
      "how names are proved: http-01, at port 80; tls-alpn-01, at port 443; auto, one after the other until one works",
    ),
  "acme-ca": z.string().optional().describe("file of certificates that the authority's own is checked with"),
  tls: z
    .array(z.strictObject({ names: z.array(z.string()).optional(), cert: z.string(), key: z.string() }))
    .optional()
    .describe("certificates by server name: by names, or those that are in them"),
  "verify-tls": flag.default(true).describe("check origins' certificates"),
  ca: z.string().optional().describe("file of further trusted certificates for origins"),
  "access-log": z
    .string()
    .default("all")
    .refine(
      (text) => text === "all" || text === "off" || /^1\/[1-9]\d*$/.test(text),
      "all, off, or 1/N for one request in N",
    )
    .describe("all, off, or 1/N"),
  "trace-sample": z
    .union([z.string(), z.number().transform(String)])
    .default("off")
    .refine((text) => text === "off" || text === "all" || /^1\/[1-9]\d*$/.test(text), "all, off, or 1/N")
    .describe("requests that bring no traceparent, and go on from here, begin a trace: all, off, or 1/N of them"),
  "trace-export": z
    .url({ protocol: /^https?$/, error: "write a URL, as in http://127.0.0.1:4318/v1/traces" })
    .optional()
    .describe("OTLP/HTTP URL that is told of traces, as in http://127.0.0.1:4318/v1/traces (OpenTelemetry's packages)"),
  "access-log-format": z
    .enum(["auto", "json", "common", "combined", "squid"])
    .default("auto")
    .describe("auto: one short line on a terminal, json elsewhere"),
  "access-log-fields": z
    .array(z.string().refine(isFieldName, `one of ${fieldNames.join(", ")}, or request:NAME for a field of requests`))
    .refine((names) => new Set(names).size === names.length, "each field once")
    .default([])
    .describe("an object of JSON with these alone, instead of a format"),
  "access-log-syslog": z
    .string()
    .superRefine((text, context) => {
      const place = syslogPlaceOf(text);
      const long = place !== null && "path" in place ? tooLong(place.path) : null;
      const form = "write udp:HOST:PORT, as in udp:127.0.0.1:514, or unix:/path of a stream";
      if (place === null) context.addIssue({ code: "custom", message: form });
      else if (long !== null) context.addIssue({ code: "custom", message: `${text} ${long}` });
    })
    .optional()
    .describe("a syslog server (RFC 5424), instead: udp:HOST:PORT, or unix:/path"),
  "access-log-file": z.string().min(1).optional().describe("where it goes instead of standard output"),
  "log-level": z.enum(["debug", "info", "warn", "error"]).default("info"),
  "log-format": z.enum(["auto", "json", "pretty"]).default("auto").describe("auto: pretty on a terminal"),
  "drain-limit": duration.default(10_000).describe("how long a stop waits for answers in progress"),
  "drain-notice": duration
    .default(0)
    .describe("of it, how long clients may still come while /readyz says that they should not: for balancers"),
  ...compression,
  caching: caching.optional().describe("for the forward proxy and for routes that say nothing else"),
  routes: z.array(route).optional().describe("by host and path prefix to origins"),
  limits: limits.optional(),
  "origin-connect-timeout": duration.default(5_000),
  "origin-head-timeout": duration.default(60_000),
  "origin-body-timeout": duration.default(60_000),
  "origin-connections": positive
    .default(256)
    .describe("requests under way to one origin; what stays open for long is not counted"),
  "origin-queue": count.default(1024).describe("requests that may wait for one origin; beyond it they get 503"),
  "origin-queue-timeout": duration.default(10_000).describe("how long one may wait before it gets 503"),
  "tls-name": z.string().optional().describe("name for SNI and the certificate check of --origin"),
});

export type Config = z.output<typeof configSchema>;
export type RouteConfig = NonNullable<Config["routes"]>[number];
export type CachingConfig = NonNullable<Config["caching"]>;

/** Keys that flags and variables can set: those whose value fits on one line. */
export const flagKeys: readonly (keyof Config)[] = (Object.keys(configSchema.shape) as (keyof Config)[]).filter(
  (key) => !["caching", "routes", "limits", "tls"].includes(key),
);
