/**
 * Where a member's clients are served: by this thread, or at front threads, which pass here what they cannot answer
 * themselves.
 */
import type { Config } from "../config/schema.ts";
import { hostPortText, type HostPort } from "../base/host-port.ts";
import { hasHttp2, isSameListener, mainListener, type Listener } from "../config/listeners.ts";
import { inBoth, Networks } from "../origin/destinations.ts";
import { neverRead } from "../proxy/answer/early.ts";
import { serve } from "../proxy/serve.ts";
import { readyShortcut } from "../proxy/shortcut.ts";
import type { Logger } from "../telemetry/log.ts";
import { wireLimits, type WireLimits } from "../wire/limits.ts";
import { OwnCount } from "../wire/connection-count.ts";
import type { Client } from "../wire/exchange.ts";
import { WireServer } from "../wire/server.ts";
import type { TurnedAwayFor } from "../wire/turned-away.ts";
import type { Unread } from "../wire/unread.ts";
import type { AccessLog } from "./access-log.ts";
import type { Certificates } from "./certificates.ts";
import type { DataPlane } from "./data-plane.ts";
import type { FrontSettings } from "./front-messages.ts";
import { Fronts } from "./fronts.ts";
import { Traces } from "./traces.ts";
import { Watching } from "./watching.ts";
import { unlistenable } from "./listenable.ts";
import { unshareable } from "./thread-count.ts";
import { listenersFor } from "./listeners.ts";
import { isThisMachine, listening } from "./listening.ts";
import { freePort } from "./free-port.ts";
import { TurnedAwayNotes } from "./turned-away-notes.ts";
import { limitsUnder } from "./wire-limits.ts";

export interface ClientsOptions {
  readonly config: Config;
  readonly threads: number;
  readonly name: string;
  readonly plane: DataPlane;
  readonly certificates: Pick<Certificates, "tls" | "ticketKeys" | "identities" | "proofs">;
  readonly accessLog: AccessLog;
  readonly log: Logger;
  readonly failed: (error: Error) => void;
  /** A front thread has ended by itself. */
  readonly died: (reason: string) => void;
}

/** How often what fronts go by is told again, whatever has been told of changes. */
const publishMs = 250;
/** How often it is looked whether there is somebody to tell of who was turned away. */
const lookMs = 5000;

/** Everybody who is served. */
export class Clients {
  readonly #options: ClientsOptions;
  /** Of listeners, where this thread serves clients itself; else one that serves those of fronts. */
  readonly #servers: readonly WireServer[];
  /** What is said of all clients of a listener; the port of https is known late. */
  readonly #said: { role?: "forward" | "reverse"; redirect?: number }[];
  readonly #fronts: Fronts | null;
  readonly #listeners: readonly Listener[];
  readonly #count = new OwnCount();
  readonly #traces: Traces;
  /** Of each listener, who may use it. */
  #allow: readonly (readonly string[])[];
  #allowed: readonly Networks[];
  #publishing: NodeJS.Timeout | null = null;
  #watched = false;
  /** Who watches what clients ask, and what they are told. */
  readonly watching: Watching;
  readonly #turnedAway: TurnedAwayNotes;
  readonly #looking: NodeJS.Timeout;

  constructor(options: ClientsOptions) {
    const { config, threads, name, plane, accessLog, log, failed, died } = options;
    const { tls } = options.certificates;
    const listeners = listenersFor(config);
    this.#options = options;
    this.#traces = new Traces(plane.desk, config, log);
    this.watching = new Watching({
      member: name,
      recorder: plane.desk.recorder,
      routes: () => plane.current.routing.routes,
      frontsTell: (tell) => {
        this.#watched = tell;
        this.#fronts?.watch(tell);
      },
    });
    for (const { address, http2 } of listeners)
      if (http2 && !hasHttp2(process.versions.node))
        log.warn(
          { kind: "http2", address },
          `${address} speaks HTTP/2 on Node ${process.versions.node}, which does not end all abuse of it: 24.18.1 or newer does`,
        );
    this.#listeners = listeners;
    this.#allow = listeners.map(({ allow }) => allow);
    this.#allowed = this.#allow.map((networks) => new Networks(networks));
    this.#said = listeners.map(({ role }) => (role === "both" ? {} : { role }));
    const limits: WireLimits = { ...wireLimits, ...limitsUnder(config, log) };
    const { recorder, viaLine } = plane.desk;
    this.#turnedAway = new TurnedAwayNotes(({ reason, count, address }, text) =>
      log.info({ kind: "turned-away", reason, count, client: address }, text),
    );
    this.#looking = setInterval(() => this.#turnedAway.look(performance.now()), lookMs).unref();
    const refused = (unread: Unread, client: Client): void => {
      neverRead(plane.desk, client, unread);
      const { status, reason } = unread;
      log.debug({ kind: "refused", client: client.address, status, reason }, `refused: ${reason}`);
    };
    const server = (listener: number): WireServer =>
      new WireServer({
        limits,
        tls: threads === 1 && listeners[listener]!.tls ? tls : null,
        proxyProtocol: listeners[listener]!.proxyProtocol,
        http2: listeners[listener]!.http2,
        client: this.#said[listener]!,
        admits: (address) => isThisMachine(address) || this.#allowed[listener]!.has(address),
        isLocal: isThisMachine,
        count: this.#count,
        handle: (exchange) => serve(plane, exchange),
        answerNow: threads === 1 ? (head, client) => readyShortcut(plane, head, client) : null,
        refused,
        turnedAway: (reason, address) => this.#turnedAway.add({ reason, count: 1, address }, performance.now()),
        bug: failed,
      });
    this.#servers = threads === 1 ? listeners.map((_, listener) => server(listener)) : [server(0)];
    this.#fronts =
      threads === 1
        ? null
        : new Fronts({
            count: threads,
            member: name,
            viaLine,
            limits,
            listeners: listeners.map(({ tls: speaksTls, http2, proxyProtocol, role }) => ({
              http2,
              tls: speaksTls,
              proxyProtocol,
              role,
            })),
            settings: this.#frontSettings(config),
            ticketKeys: options.certificates.ticketKeys,
            store: plane.store,
            recorder,
            accept: (socket, client) => this.#servers[0]!.take(socket, client),
            lines: (text, lines) => accessLog.write(text, lines),
            seen: (requests) => this.watching.seen(requests),
            turnedAway: (some) => this.#turnedAway.add(some, performance.now()),
            unread: (some) => some.forEach(({ unread, client }) => refused(unread, client)),
            failed,
            died,
          });
  }

  /** Threads that serve clients. */
  get threads(): number {
    return this.#fronts?.count ?? 1;
  }

  /** Connections of clients. */
  get connections(): number {
    return this.#fronts?.connections ?? this.#count.all;
  }

  /** Connections that were closed before a request was read from them, by reason. */
  get turnedAway(): ReadonlyMap<TurnedAwayFor, number> {
    return this.#turnedAway.counts;
  }

  /** Of each front thread: hits, and how late its event loop was. */
  byThread(): readonly { readonly hits: number; readonly delaySeconds: number }[] {
    return this.#fronts?.counts() ?? [];
  }

  /** Lines of the access log that fronts could not get rid of. */
  get linesDropped(): number {
    return this.#fronts?.linesDropped ?? 0;
  }

  /** Listens at all places. @returns where, in their order, and where others are to look. @throws StartError. */
  async listen(): Promise<{ readonly all: readonly string[]; readonly main: string }> {
    const fronts = this.#fronts;
    await this.#traces.start(this.#options.config.cluster);
    if (fronts !== null) await this.#startFronts(fronts);
    const places: HostPort[] = [];
    let httpsPort: number | null = null;
    // Who sends others on to https must know where that is.
    const order = [...this.#listeners.entries()].toSorted(([, a], [, b]) => Number(b.tls) - Number(a.tls));
    for (const [index, { place, tls, address, redirect, shared }] of order) {
      const port = redirect ? httpsPort : null;
      const open = async (): Promise<HostPort> => {
        const wrong = unlistenable(place) ?? (shared ? unshareable() : null);
        if (wrong !== null) throw new Error(wrong);
        if (port !== null) this.#said[index]!.redirect = port;
        if (fronts === null) return this.#servers[index]!.listen(place, shared ? "shared" : "alone");
        // Several may listen on one port only if all of them wish it: another program's must be found first.
        return fronts.listen(index, "port" in place && !shared ? await freePort(place) : place, port);
      };
      places[index] = await listening(open, "the proxy (--listen)", address);
      if (tls) httpsPort ??= places[index].port;
    }
    const all = places.map((place) => (place.port === 0 ? place.host : hostPortText(place)));
    return { all, main: all[this.#listeners.indexOf(mainListener(this.#listeners))]! };
  }

  /** What fronts go by has changed. */
  publish(): void {
    const fronts = this.#fronts;
    if (fronts === null) return;
    const { current, desk, correspondence } = this.#options.plane;
    fronts.publish({
      settings: current.routing.number,
      epoch: current.view.epoch,
      joined: current.joined,
      baseSeconds: desk.nowSeconds() - Number(process.hrtime.bigint()) / 1e9,
      trustedUntil: correspondence.touch.until,
    });
  }

  /** Counts what fronts have counted up to now. */
  gather(): void {
    this.#fronts?.gather();
  }

  /** Goes by a changed configuration: who may come, certificates, the access log. */
  follow(config: Config): void {
    const { tls } = this.#options.certificates;
    this.#allow = this.#allowOf(config);
    this.#allowed = this.#allow.map((networks) => new Networks(networks));
    if (tls !== null) for (const server of this.#servers) server.updateTls(tls);
    this.#traces.follow(config);
    this.publish();
    this.#fronts?.follow(this.#frontSettings(config));
  }

  /** Stops accepting, lets answers end up to the limit. @returns connections cut. */
  async close(limitMs: number): Promise<number> {
    const fronts = this.#fronts;
    const [there, ...here] = await Promise.all([
      fronts?.drain(limitMs) ?? 0,
      ...this.#servers.map((server) => server.close(limitMs)),
    ]);
    if (this.#publishing !== null) clearInterval(this.#publishing);
    clearInterval(this.#looking);
    await fronts?.end();
    await this.#traces.end();
    return Math.max(
      there,
      here.reduce((sum, cut) => sum + cut, 0),
    );
  }

  async #startFronts(fronts: Fronts): Promise<void> {
    this.publish();
    this.#options.plane.correspondence.touch.changed = () => this.publish();
    this.#publishing = setInterval(() => {
      this.publish();
      fronts.gather();
    }, publishMs).unref();
    this.#servers[0]!.begin();
    await fronts.start();
  }

  #frontSettings(config: Config): FrontSettings {
    const { accessLog, plane } = this.#options;
    return {
      allow: this.#allow,
      tls: this.#options.certificates.identities(config),
      proofs: this.#options.certificates.proofs,
      log: accessLog.ofThreads,
      routes: plane.current.routing.routes.map(({ name, host, path }) => ({ name, host, path })),
      watched: this.#watched,
      traced: this.#traces.exports ? config["trust-forwarded"] : null,
    };
  }

  /**
   * Who may use each listener by a configuration. One that is to be another in other ways too stays what it is: those
   * who would be let in there may not come here, and those who would not may not any more.
   */
  #allowOf(config: Config): readonly (readonly string[])[] {
    const now = listenersFor(config);
    return this.#listeners.map((listener, index) => {
      const allow = this.#allow[index]!;
      const next = now.find(({ address }) => address === listener.address);
      if (next === undefined) return allow;
      return isSameListener(listener, next) ? next.allow : inBoth(allow, next.allow);
    });
  }
}
