/**
 * The admin port: the dashboard, health, metrics, the API. Who may do what is said in admission.ts; health alone is for
 * all, since balancers ask for it, and the page, which holds nothing by itself.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { background } from "../base/background.ts";
import { jsonOf } from "../base/json.ts";
import { listening } from "../base/listen.ts";
import type { HostPort } from "../base/host-port.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { AdministeredPlane } from "./administered.ts";
import { admission, isFromHere, isSameOrigin, namesOneHost, tokenOf, type Known } from "./admission.ts";
import { Guesses } from "./guesses.ts";
import { contentOf, give, wrong, type ApiAnswer } from "./answers.ts";
import { answerApi, type ApiNeeds } from "./api.ts";
import { Broadcast } from "./broadcast.ts";
import { explainedTo } from "./explain.ts";
import { History } from "./history.ts";
import { liveHere } from "./live.ts";
import { operateHere } from "./operations.ts";
import { givePage } from "./page.ts";
import { Sessions } from "./sessions.ts";
import { statusOf, type AdministeredMember, type Status } from "./status.ts";

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
/** Bytes of a login. */
const loginMax = 1024;

/** The admin port of one member. */
export class AdminServer {
  readonly #options: AdminOptions;
  readonly #server: Server;
  /** Loaded when somebody scrapes: who does not, does not pay for the library. */
  #metrics: Promise<Metrics> | null = null;
  readonly #known: Known;
  readonly #history: History;
  readonly #api: ApiNeeds;
  readonly #all = new Set<Socket>();
  /** Connections on which no request is under way, the one that has been so for longest first. */
  readonly #silent = new Set<Socket>();

  constructor(options: AdminOptions) {
    this.#options = options;
    const { member, plane, secrets, failed } = options;
    this.#known = { sessions: new Sessions(secrets), guesses: new Guesses() };
    this.#history = new History(() => {
      member.clients.gather();
      return plane.desk.recorder.counts;
    });
    const live = {
      plane,
      status: () => this.status(),
      history: this.#history,
      events: member.events,
      busiest: (count: number) => member.clients.watching.busiest(count),
    };
    this.#api = { member, plane, live, broadcast: new Broadcast(live, failed) };
    this.#server = createServer(
      { requestTimeout: 10_000, headersTimeout: 5_000, connectionsCheckingInterval: 1_000, maxHeaderSize: 16 * 1024 },
      (request, response) => {
        background(this.#serve(request, response), (error) => {
          options.failed(error);
          response.destroy();
        });
      },
    );
    // Who does not take his answer is not waited for; streams and operations say that they may take longer.
    this.#server.timeout = 30_000;
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
    this.#history.start();
    return listening(this.#server, this.#options.listen);
  }

  async close(): Promise<void> {
    this.#history.stop();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  status(): Status {
    return statusOf(this.#options.member, this.#options.plane, this.#options.version);
  }

  /** What other members ask; undefined where it is not for the admin port. */
  async answer(method: string, value: unknown): Promise<unknown> {
    const { member, plane } = this.#options;
    switch (method) {
      case "status":
        return this.status();
      case "live":
        return liveHere(this.#api.live, value);
      case "explain":
        return explainedTo(plane, (value ?? {}) as { url?: unknown; fields?: unknown });
      case "operate": {
        const { what, value: given } = (value ?? {}) as { what?: unknown; value?: unknown };
        return operateHere(member, String(what), given);
      }
      default:
        return undefined;
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!namesOneHost(request))
      return give(response, wrong(400, "the request has two Host fields", { connection: "close" }));
    const url = URL.canParse(request.url ?? "", "http://admin") ? new URL(request.url!, "http://admin") : null;
    if (url === null) return give(response, wrong(400, "the target is not a URL"));
    const { state } = this.#options.member;
    if (request.method === "GET" || request.method === "HEAD") {
      if (url.pathname === "/healthz") return give(response, { status: 200, value: { status: "alive" } });
      if (url.pathname === "/readyz")
        return give(response, { status: state === "ready" ? 200 : 503, value: { status: state } });
      if (url.pathname === "/") return givePage(response);
      if (url.pathname === "/api/session") return give(response, this.#session(request));
    }
    if (request.method === "POST" && url.pathname === "/api/login") return give(response, await this.#login(request));
    const admitted = admission(request, this.#known, performance.now());
    if (!admitted.admits) {
      const fields: Record<string, string> =
        admitted.status === 401 ? { "www-authenticate": 'Bearer realm="gyre"' } : { "retry-after": "60" };
      return give(response, wrong(admitted.status, admitted.reason, fields));
    }
    if (request.method === "POST" && url.pathname === "/api/logout") {
      const token = tokenOf(request);
      if (token !== null) this.#known.sessions.end(token);
      return give(response, { status: 200, value: {} });
    }
    if ((request.method === "GET" || request.method === "HEAD") && url.pathname === "/metrics")
      return this.#scrape(response);
    const answer = await answerApi(this.#api, request, response, url);
    if (answer !== null) give(response, answer);
  }

  /** What the page may do, for whoever has it; who this is, for who may read that elsewhere. */
  #session(request: IncomingMessage): ApiAnswer {
    const now = performance.now();
    const token = tokenOf(request);
    const loggedIn = token !== null && isFromHere(request) && this.#known.sessions.has(token, now);
    const reads = admission(request, this.#known, now).admits;
    const member = reads ? this.#options.member.name : null;
    return { status: 200, value: { member, reads, loggedIn, mayLogIn: isFromHere(request) } };
  }

  /** The secret must not cross a network in clear text, nor come from another page. */
  async #login(request: IncomingMessage): Promise<ApiAnswer> {
    if (!isSameOrigin(request)) return wrong(403, "another page may not log in here");
    if (!isFromHere(request))
      return wrong(
        403,
        "this port speaks no TLS, and the secret would cross the network in clear text: reach it through `ssh -L 8082:ADDRESS:PORT HOST` (where it listens there), and open http://127.0.0.1:8082/",
      );
    // A form of another page cannot say so.
    if (request.headers["content-type"] !== "application/json") return wrong(415, "log in with application/json");
    const { secret } = (jsonOf((await contentOf(request, loginMax)) ?? "") ?? {}) as { secret?: unknown };
    if (typeof secret !== "string") return wrong(400, 'say the secret: { "secret": … }');
    const session = this.#known.sessions.begin(secret, performance.now());
    if (session === "later") return wrong(429, "too many wrong secrets: wait a minute", { "retry-after": "60" });
    if (session === null) return wrong(401, "that is not this cluster's secret");
    return { status: 200, value: session };
  }

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
}
