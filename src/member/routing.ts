/** From the configuration to what the data plane routes by. Made anew on every reload, with its origin clients. */
import type { CachingConfig, Config, RouteConfig } from "../config/schema.ts";
import { parentOf } from "../origin/parent.ts";
import { hostOfOrigin } from "../origin/place.ts";
import { Networks } from "../origin/destinations.ts";
import { HealthChecks, type HealthCheckRules } from "../origin/health-checks.ts";
import { healthRules, OriginChoice, type OriginSpec } from "../origin/origin-choice.ts";
import { originSettings, type OriginNotes, type OriginSettings } from "../origin/fetch.ts";
import { OriginClient } from "../origin/origin-client.ts";
import type { RouteNumbers } from "../proxy/request/route-counts.ts";
import { cachingRules, type CachingRules, type Route, type Routing } from "../proxy/request/routes.ts";
import { originCertificates } from "./origin-certificates.ts";
import { directivesOf } from "./route-directives.ts";
import { murmur3 } from "../ring/murmur3.ts";

export interface BuiltRouting {
  readonly routing: Routing;
  /** Of all settings that decide keys and ways, for people to compare. */
  readonly settings: string;
  /** Begins to check the origins' health, where another has done so until now. */
  readonly begin: (before: BuiltRouting | null) => void;
  readonly stop: () => void;
  /** Requests that wait for an origin. */
  readonly waiting: () => number;
  /** Lets answers under way end; nobody begins another. */
  readonly retire: () => Promise<void>;
  readonly close: () => void;
}

/** What the world tells of itself. */
export interface RoutingContext {
  readonly notes: OriginNotes;
  /** Whether an address is one of this machine's own. */
  readonly own: (address: string) => boolean;
  /** By which routes are counted. */
  readonly numbers: RouteNumbers;
}

/** Origins asked one after the other after the first, where nothing is said of it. */
const turnsMax = 5;
/** Routings made in this process. */
let routings = 0;

/**
 * `before` is what was there until now: what is known of origins goes over. @throws Error where certificates for
 * origins cannot be used.
 */
export function buildRouting(
  config: Config,
  { notes, own, numbers }: RoutingContext,
  before: Routing | null = null,
): BuiltRouting {
  const clients: OriginClient[] = [];
  const checks: HealthChecks[] = [];
  const base = settingsOf(config, {}, null);
  const parent = config.parent === undefined ? null : parentOf(config.parent, config["parent-except"]);
  /** For the forward proxy: routes lead where they say. */
  const beyond = { ...base, parent };
  const allowed = config["allow-destination"].length > 0 ? new Networks(config["allow-destination"]) : null;
  const common = cachingOf(config.caching, cachingRules);
  const given: readonly RouteConfig[] =
    config.routes ??
    (config.origin === undefined
      ? []
      : [{ origin: config.origin, "host-field": config["host-field"], "tls-name": config["tls-name"] }]);
  const routes = given.map((route): Route => {
    const policy = { inner: true, allowed: null, configured: true };
    const name = `${route.host ?? "*"}${route.path ?? "/"}`;
    const settings = settingsOf(config, route, name);
    const client = new OriginClient(policy, settings, notes);
    clients.push(client);
    const specs = (route.origins ?? (route.origin === undefined ? [] : [route.origin])).map(specOf);
    const origins = specs.map(({ origin }) => origin);
    const changes = directivesOf(route, config);
    const caching = cachingOf(route.caching, common);
    const hostField = hostFieldOf(route["host-field"], origins[0] ?? "");
    if (!settings.verifyTls && origins.some((origin) => origin.startsWith("https:"))) notes.unverified(`route ${name}`);
    const choice = new OriginChoice(specs, {
      balance: route.balance ?? "round-robin",
      rules: {
        failuresMax: route["rest-after"] ?? healthRules.failuresMax,
        restMs: route["rest-for"] ?? healthRules.restMs,
        slowStartMs: route["slow-start"] ?? healthRules.slowStartMs,
      },
      changed: ({ origin, why }, health) => notes.health(name, origin, health, why),
      before: before?.routes.find((one) => one.name === name)?.origins.origins ?? [],
      isChecked: route.check !== undefined,
    });
    if (route.check !== undefined) {
      // With slots of its own: who is busy is not ill.
      const checking = new OriginClient(policy, settings, notes);
      clients.push(checking);
      checks.push(new HealthChecks(choice, checking, checkRulesOf(route.check), hostOfOrigin));
    }
    return {
      name,
      number: numbers.of(name),
      host: route.host ?? null,
      path: route.path ?? "/",
      origins: choice,
      turns: {
        // As many as it takes to ask each, where nothing is said; what may be repeated at all is bounded elsewhere.
        retries: route.retries ?? Math.max(originSettings.retries, Math.min(turnsMax, choice.origins.length - 1)),
        retryOn: new Set(route["retry-on"]),
      },
      hostField,
      namesRequests: config["request-id"],
      ...changes,
      client,
      caching,
      settings: fingerprint({ host: route.host, path: route.path, origins, hostField, caching, ...changes }),
    };
  });
  const forwards = config.forward ?? routes.length === 0;
  let forward: Routing["forward"] = null;
  if (forwards) {
    const local = new OriginClient({ inner: true, allowed, configured: false, own }, beyond, notes);
    const remote = new OriginClient({ inner: false, allowed, configured: false, own }, beyond, notes);
    clients.push(local, remote);
    if (!base.verifyTls) notes.unverified("all that the forward proxy reaches");
    forward = { local, remote, caching: common, settings: fingerprint({ caching: common }) };
  }
  const trusted = new Networks(config["trust-forwarded"]);
  const purgers = new Networks(config["purge-allow"]);
  const ports = config["connect-ports"];
  return {
    routing: {
      number: ++routings,
      routes,
      forward,
      trusts: (address) => trusted.has(address),
      purges: config["purge-allow"].length === 0 ? null : (address) => purgers.has(address),
      tunnels: {
        settings: beyond,
        ports: ports === "any" ? "any" : new Set(ports.split(",").map(Number)),
        idleMs: config["tunnel-idle"],
        allowed,
        own,
      },
    },
    settings: fingerprint({ routes: routes.map((route) => route.settings), forward: forward?.settings ?? null })
      .toString(16)
      .padStart(8, "0"),
    begin: (earlier) => {
      earlier?.stop();
      for (const { origins } of routes) origins.settle();
      for (const check of checks) check.begin();
    },
    stop: () => {
      for (const check of checks) check.stop();
    },
    waiting: () => clients.reduce((sum, client) => sum + client.waiting, 0),
    retire: async () => {
      await Promise.all(clients.map((client) => client.retire()));
    },
    close: () => {
      for (const check of checks) check.stop();
      for (const client of clients) client.close();
    },
  };
}

/**
 * A number that differs where what decides a request's key or way does; never 0, which means that it does not matter.
 */
function fingerprint(settings: unknown): number {
  const plain = (_name: string, value: unknown): unknown =>
    value instanceof Set ? [...(value as Set<string>)].toSorted((a, b) => (a < b ? -1 : 1)) : value;
  return murmur3(JSON.stringify(settings, plain)) || 1;
}

function specOf(given: NonNullable<RouteConfig["origins"]>[number]): OriginSpec {
  return typeof given === "string"
    ? { origin: given, weight: 1, backup: false }
    : { origin: given.url, weight: given.weight ?? 1, backup: given.backup ?? false };
}

function checkRulesOf({
  path,
  host,
  interval,
  timeout,
  status,
  rise,
  fall,
}: NonNullable<RouteConfig["check"]>): HealthCheckRules {
  return {
    path,
    host: host ?? null,
    intervalMs: interval,
    timeoutMs: timeout,
    statuses: status === undefined ? null : new Set(status),
    rise,
    fall,
  };
}

function settingsOf(config: Config, route: Partial<RouteConfig>, name: string | null): OriginSettings {
  return {
    connectMs: route["connect-timeout"] ?? config["origin-connect-timeout"],
    headMs: route["head-timeout"] ?? config["origin-head-timeout"],
    bodyMs: route["body-timeout"] ?? config["origin-body-timeout"],
    retries: route.retries ?? originSettings.retries,
    connectionsMax: route.connections ?? config["origin-connections"],
    queueMax: route.queue ?? config["origin-queue"],
    queueMs: route["queue-timeout"] ?? config["origin-queue-timeout"],
    tlsName: route["tls-name"],
    verifyTls: route["verify-tls"] ?? config["verify-tls"],
    resolver: config.resolver,
    parent: null,
    ...originCertificates(config, route, name),
  };
}

function cachingOf(config: CachingConfig | undefined, base: CachingRules): CachingRules {
  if (config === undefined) return base;
  const query =
    config["query-select"] !== undefined
      ? { select: new Set(config["query-select"]) }
      : config["query-ignore"] !== undefined
        ? { ignore: new Set(config["query-ignore"]) }
        : base.query;
  return {
    freshness: {
      lifetimeSeconds: config.freshness ?? base.freshness.lifetimeSeconds,
      defaultSeconds: config["default-freshness"] ?? base.freshness.defaultSeconds,
      negativeSeconds: config["negative-freshness"] ?? base.freshness.negativeSeconds,
    },
    graceSeconds: config.grace ?? base.graceSeconds,
    cookies: config.cookies ?? base.cookies,
    store: config.store ?? base.store,
    disk: config.disk ?? base.disk,
    honourReload: config["honour-reload"] ?? base.honourReload,
    passCookies: config["pass-cookies"] ?? base.passCookies,
    query,
    keyFields: config["key-fields"] ?? base.keyFields,
    tagFields: config.tags ?? base.tagFields,
    stripTags: config["strip-tags"] ?? base.stripTags,
  };
}

/** An https origin serves many names and wants its own; a plain one behind us is usually set up for the site's. */
function hostFieldOf(given: string | undefined, origin: string): Route["hostField"] {
  if (given === undefined) return origin.startsWith("https:") ? "origin" : "preserve";
  return given === "preserve" || given === "origin" ? given : { name: given };
}
