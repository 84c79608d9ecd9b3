/**
 * The admin port: health, metrics, status. Reading is open to this machine; everything else, and everybody else, needs
 * the cluster's secret as a bearer token. Health alone is for all, since balancers ask for it.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { asError, background } from "../base/background.ts";
import { listening } from "../base/listen.ts";
import { hostPortOf, isLoopbackHost, type HostPort } from "../base/host-port.ts";
import { purgeApi } from "./purge-api.ts";
import type { AdministeredPlane } from "./administered.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { explain } from "./explain.ts";
import { statusOf, type AdministeredMember, type Status } from "./status.ts";
import { locate } from "./locate.ts";

export interface AdminOptions {
  readonly listen: HostPort;
  /** All that are taken. */
  readonly secrets: readonly string[];
  readonly member: AdministeredMember;
  readonly plane: AdministeredPlane;
  /** Requests that wait for an origin. */
  readonly originsWaiting: () => number;
  readonly version: string;
  readonly failed: (error: Error) => void;
}

/** Connections without a request, and twice as many in all; more, and the oldest is closed. */
const connectionsMax = 256;
const jsonType = "application/json; charset=utf-8";

/** The admin port of one member. */
export class AdminServer {
  readonly #options: AdminOptions;
  readonly #server: Server;
  /** Loaded when somebody scrapes: who does not, does not pay for the library. */
  #metrics: Promise<Metrics> | null = null;
  readonly #all = new Set<Socket>();
  /** Connections on which no request is under way, the one that has been so for longest first. */
  readonly #silent = new Set<Socket>();

  constructor(options: AdminOptions) {
    this.#options = options;
    this.#server = createServer(
      { requestTimeout: 10_000, headersTimeout: 5_000, connectionsCheckingInterval: 1_000, maxHeaderSize: 16 * 1024 },
      (request, response) => {
        background(this.#serve(request, response), (error) => {
          options.failed(error);
          response.destroy();
        });
      },
    );
    // Health must be answered whoever holds connections: beyond the bound the one that has been silent for longest
    // goes.
    this.#server.on("connection", (socket) => {
      this.#all.add(socket);
      this.#silent.add(socket);
      socket.once("close", () => {
        this.#all.delete(socket);
        this.#silent.delete(socket);
      });
      if (this.#all.size > connectionsMax * 2) this.#all.values().next().value!.destroy();
      if (this.#silent.size > connectionsMax) this.#silent.values().next().value!.destroy();
    });
    this.#server.on("request", ({ socket }: IncomingMessage, response: ServerResponse) => {
      this.#silent.delete(socket);
      response.once("close", () => {
        if (!socket.destroyed) this.#silent.add(socket);
      });
    });
  }

  listen(): Promise<HostPort> {
    return listening(this.#server, this.#options.listen);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  status(): Status {
    return statusOf(this.#options.member, this.#options.plane, this.#options.version);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = URL.canParse(request.url ?? "", "http://admin") ? new URL(request.url!, "http://admin") : null;
    if (url === null) return give(response, 400, { error: "the target is not a URL" });
    const { member } = this.#options;
    const ready = member.state === "ready";
    const reads = request.method === "GET" || request.method === "HEAD";
    if (reads && url.pathname === "/healthz") return give(response, 200, { status: "alive" });
    if (reads && url.pathname === "/readyz") return give(response, ready ? 200 : 503, { status: member.state });
    if (!this.#admits(request)) {
      response.setHeader("www-authenticate", 'Bearer realm="gyre"');
      const isGiven = request.headers.authorization !== undefined;
      return give(response, 401, {
        error: isGiven
          ? "that is not this cluster's secret"
          : "send the cluster's secret: Authorization: Bearer SECRET",
      });
    }
    if (request.method === "POST" && url.pathname === "/api/drain") return give(response, 200, await member.drain());
    if (request.method === "POST" && url.pathname === "/api/coordinate") {
      const refused = await member.coordinate().catch((error: unknown) => asError(error).message);
      return refused === undefined
        ? give(response, 200, { coordinator: member.coordinatorAddress })
        : give(response, 409, { error: refused });
    }
    const purged = await purgeApi(this.#options.plane, request, url);
    if (purged !== null) {
      for (const [name, value] of Object.entries(purged.fields ?? {})) response.setHeader(name, value);
      return give(response, purged.status, purged.value);
    }
    if (!reads)
      return give(response, 405, {
        error: "only GET is known here, and POST /api/purge, /api/drain and /api/coordinate",
      });
    switch (url.pathname) {
      case "/metrics":
        return this.#scrape(response);
      case "/api/status":
        return give(response, 200, this.status());
      case "/api/locate":
        return give(response, 200, locate(this.#options.plane.current.view, url.searchParams.getAll("url")));
      case "/api/explain": {
        const target = url.searchParams.get("url");
        if (target === null) return give(response, 400, { error: "name the URL: /api/explain?url=http://…" });
        const explained = explain(this.#options.plane, target);
        return give(response, "error" in explained ? 400 : 200, explained);
      }
      default:
        return give(response, 404, {
          error: `there is no ${url.pathname} here`,
          paths: [
            "/healthz",
            "/readyz",
            "/metrics",
            "/api/status",
            "/api/locate?url=",
            "/api/explain?url=",
            "POST /api/purge",
            "/api/purge/ID",
            "POST /api/drain",
            "POST /api/coordinate",
          ],
        });
    }
  }

  /**
   * By the secret; or reading from this machine, asked for by an address of this machine: a page that rebinds its name
   * to it sends the page's.
   */
  async #scrape(response: ServerResponse): Promise<void> {
    const { plane, member, originsWaiting, version } = this.#options;
    this.#metrics ??= import("./member-metrics.ts").then(({ memberMetrics }) =>
      memberMetrics(plane, member, originsWaiting, version),
    );
    const metrics = await this.#metrics;
    this.#options.member.clients.gather();
    response.setHeader("content-type", metrics.contentType);
    response.end(await metrics.text());
  }

  #admits(request: IncomingMessage): boolean {
    const given = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1];
    if (given !== undefined)
      return this.#options.secrets.some((secret) => timingSafeEqual(digest(given), digest(secret)));
    const remote = request.socket.remoteAddress ?? "";
    const fromHere = isLoopbackHost(remote.replace(/^::ffff:/, ""));
    const host = hostPortOf(request.headers.host ?? "")?.host ?? request.headers.host ?? "";
    return fromHere && isLoopbackHost(host) && (request.method === "GET" || request.method === "HEAD");
  }
}

function give(response: ServerResponse, status: number, value: unknown): undefined {
  response.writeHead(status, { "content-type": jsonType, "cache-control": "no-store" });
  response.end(`${JSON.stringify(value)}\n`);
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
