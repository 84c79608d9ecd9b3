/**
 * One member, put together: the data plane, the control plane, the ports they listen on, and the order in which all of
 * it starts, reloads and stops. Nothing else knows all the parts.
 */
import { asError, background } from "../base/background.ts";
import { Waiters } from "../base/waiters.ts";
import { hostPortOf, hostPortText } from "../base/host-port.ts";
import { AdminServer } from "../admin/admin-server.ts";
import { Control } from "../cluster/control.ts";
import { mainListener, type Listener } from "../config/listeners.ts";
import { reloaded } from "../config/restart.ts";
import type { Config } from "../config/schema.ts";
import { EmbeddedHost } from "../coordination/embedded-host.ts";
import type { Coordinator } from "../coordination/port.ts";
import type { AcceptedLink, PeerAcceptor } from "../peer/acceptor.ts";
import { answerCall } from "../proxy/members/calls.ts";
import { RouteNumbers } from "../proxy/request/route-counts.ts";
import { publishedOf, viewOfOne, type Member, type View } from "../ring/view.ts";
import type { Logger } from "../telemetry/log.ts";
import type { RecentEvents } from "../telemetry/recent-events.ts";
import { AccessLog } from "./access-log.ts";
import { announcementOf, type Addresses } from "./announcement.ts";
import { filedCertificates } from "./certificate-files.ts";
import { Certificates } from "./certificates.ts";
import { Clients } from "./clients.ts";
import { Clock } from "./clock.ts";
import { buildDataPlane, followInPlane, type DataPlane } from "./data-plane.ts";
import { answersOut, depart, type Departure, type Leaving } from "./departure.ts";
import { allLinked } from "./linked.ts";
import { listenersFor, otherListeners } from "./listeners.ts";
import { listening } from "./listening.ts";
import { rememberedOf, type Remembered } from "./last-view.ts";
import type { MemberOptions } from "./member-options.ts";
import { movedHere, mustBeLost, openCoordinator, type CoordinatorContext } from "./open-coordinator.ts";
import { originNotes } from "./origin-notes.ts";
import { ownAddresses, placeOf } from "./place.ts";
import { peerPort } from "./peer-port.ts";
import { clockNotes, planeNotes } from "./plane-notes.ts";
import { refuseOpenProxy, refuseWildcardPeer } from "./refusals.ts";
import { buildRouting, type BuiltRouting, type RoutingContext } from "./routing.ts";
import { sayShortcomings } from "./shortcomings.ts";
import { StartError } from "./start-error.ts";
import { threadCount, type ThreadCount } from "./thread-count.ts";

export type MemberState = "starting" | "ready" | "draining" | "stopped";

/** A member of a cluster, from its configuration to its end. */
export class RunningMember {
  state: MemberState = "starting";
  readonly startedMs: number = Date.now();
  readonly name: string;
  readonly #options: MemberOptions;
  #weight: number | null = null; // As of an operator's last word; null: as configured.
  #config: Config;
  readonly #log: Logger;
  readonly #plane: DataPlane;
  readonly #clock: Clock;
  readonly #place = placeOf();
  readonly #routingContext: RoutingContext;
  #built: BuiltRouting;
  readonly certificates: Certificates;
  readonly clients: Clients;
  /** The listener by which others know this member. */
  readonly #main: Listener;
  readonly #acceptor: PeerAcceptor;
  readonly #admin: AdminServer;
  #coordinator: Coordinator | null = null;
  #host: EmbeddedHost | null = null;
  #control: Control | null = null;
  #addresses: Addresses | null = null;
  readonly #accessLog: AccessLog;
  readonly #linked = new Waiters();
  #departing: Promise<Departure> | null = null;
  #stopping: Promise<Departure> | null = null;

  /** @throws StartError where the configuration cannot work on this machine. */
  constructor(options: MemberOptions) {
    const { config, name, secret } = options;
    const log = options.log.events;
    this.#options = options;
    this.#config = config;
    this.#log = log;
    this.name = name;
    const listeners = listenersFor(config);
    refuseOpenProxy(config, listeners);
    this.#main = mainListener(listeners);
    refuseWildcardPeer(config);
    const failed = (error: Error): void => log.error({ kind: "failure", err: error }, error.message);
    this.#routingContext = {
      notes: originNotes(log, () => this.#plane.desk.recorder),
      own: ownAddresses(),
      numbers: new RouteNumbers(),
    };
    let served: ThreadCount;
    try {
      served = threadCount(config.threads, config.memory);
      this.#built = buildRouting(config, this.#routingContext);
      this.certificates = new Certificates({
        config: () => this.#config,
        peers: () => this.#plane.peers,
        others: () => this.#plane.current.view.members.map((one) => one.name).filter((one) => one !== name),
        leads: () => this.#control?.leads === true && this.state === "ready",
        challenges: () => this.#plane.current.challenges,
        changed: () => this.clients.follow(this.#config),
        log,
      });
    } catch (error) {
      throw new StartError(asError(error).message);
    }
    this.#clock = new Clock(clockNotes(log));
    this.#plane = buildDataPlane({
      config,
      name,
      readers: served.threads === 1 ? 0 : served.threads,
      startedMs: this.startedMs,
      secret,
      clock: this.#clock,
      current: {
        view: viewOfOne(config.cluster, this.#announcement({ listen: "", peer: "", admin: "" }, "active")),
        routing: this.#built.routing,
        joined: false,
        challenges: new Map(),
      },
      routeNumbers: this.#routingContext.numbers,
      ...planeNotes(log, () => this.state === "ready"),
      linkRestored: (member) => {
        this.#linked.wake();
        this.#plane.comparing.with(member);
      },
      coordinatorHeard: () => {
        const heardMs = this.#coordinator?.heardMs ?? null;
        return heardMs === null ? null : this.#clock.nowSeconds() - (performance.now() - heardMs) / 1000;
      },
      compared: () => this.#linked.wake(),
      failed,
    });
    const { recorder } = this.#plane.desk;
    this.#accessLog = new AccessLog(options.log, name, recorder, (uri) => this.clients.watching.routeName(uri));
    this.#accessLog.follow(config);
    sayShortcomings(log, config, served);
    this.clients = new Clients({
      config,
      threads: served.threads,
      name,
      plane: this.#plane,
      certificates: this.certificates,
      accessLog: this.#accessLog,
      log,
      failed,
      died: (reason) => {
        log.fatal({ kind: "bug" }, reason);
        options.ousted(reason);
      },
    });
    this.#acceptor = peerPort({
      config,
      name,
      secrets: [secret, ...options.olderSecrets],
      plane: this.#plane,
      log,
      failed,
      linked: () => this.#linked.wake(),
      answer: (link, method, value) => this.#answer(link, method, value),
      coordinates: () => this.hostsCoordinator || (this.#coordinator === null && config.coordinator === "embedded"),
    });
    this.#admin = new AdminServer({
      listen: hostPortOf(config.admin)!,
      secrets: [secret, ...options.olderSecrets],
      member: this,
      plane: this.#plane,
      originsWaiting: () => this.#built.waiting(),
      version: options.version,
      failed,
    });
  }

  get addresses(): Addresses {
    return this.#addresses ?? { listen: this.#main.address, peer: this.#config.peer, admin: this.#config.admin };
  }

  get control(): Control | null {
    return this.#control;
  }

  get coordinatorAddress(): string {
    return this.#coordinator?.address ?? this.#config.coordinator;
  }

  get hostsCoordinator(): boolean {
    return this.#host !== null;
  }

  get cluster(): string {
    return this.#config.cluster;
  }

  /** Listens, joins, and resolves when clients can be served, or it leaves. @throws StartError with a sentence. */
  async start(): Promise<Addresses> {
    this.#clock.start();
    this.#plane.comparing.start();
    const peer = await listening(() => this.#acceptor.listen(), "the peer port (--peer)", this.#config.peer);
    const admin = await listening(() => this.#admin.listen(), "the admin port (--admin)", this.#config.admin);
    const listen = await this.clients.listen();
    this.#built.begin(null);
    this.#addresses = { listen: listen.main, peer: hostPortText(peer), admin: hostPortText(admin) };
    this.#options.listening?.(this.#addresses);
    const member = this.#announcement(this.#addresses, "active");
    const remembered = rememberedOf(member, this.#options.lastView);
    const coordinator = await openCoordinator(this.#config, this.#coordinatorContext(remembered));
    // Who has been told to leave meanwhile joins nobody, and hosts nothing.
    if (this.#stopping !== null) return coordinator.leave().then(() => this.addresses);
    [this.#coordinator, this.#host] = [coordinator, coordinator instanceof EmbeddedHost ? coordinator : null];
    this.#control = new Control(this.#config.cluster, member, coordinator, {
      view: (view) => this.#follow(view),
      session: (state, reason) =>
        this.#log.info({ kind: "session", state, reason }, `session ${state}${reason === "" ? "" : `: ${reason}`}`),
      leading: (term) =>
        this.#log.info({ kind: "leader", term }, term === null ? "leads no longer" : `leads (term ${term})`),
      failed: (error) => this.#log.warn({ kind: "coordination", err: error }, error.message),
      ousted: (reason, there) => this.#options.ousted(reason, there),
      reachable: (name) => this.#plane.peers.isUp(name) || this.#plane.peers.isDialling(name),
    });
    await this.#control.join();
    await allLinked(this.name, this.#plane, this.#acceptor, this.#linked, () => this.#control?.leave());
    this.#plane.current.joined = true;
    this.clients.publish();
    if (this.#stopping !== null) return this.#addresses;
    this.state = "ready";
    this.certificates.start();
    this.#log.info(
      { kind: "start", ...this.#addresses },
      `ready: proxy ${listen.all.join(" ")}, peer ${this.#addresses.peer}, admin ${this.#addresses.admin}`,
    );
    return this.#addresses;
  }

  /**
   * Takes up a changed configuration. @returns what cannot change without a restart. @throws Error where it cannot
   * work; the old one stays.
   */
  reload(config: Config): readonly string[] {
    const other = otherListeners(config, this.#config);
    const certificates = filedCertificates(config);
    this.#plane.identity?.again();
    const built = buildRouting(config, this.#routingContext, this.#built.routing);
    this.#accessLog.follow(config); // The last that can fail.
    const isOtherTls = this.certificates.reloaded(config, certificates);
    const old = this.#built;
    this.#built = built;
    this.#plane.current.routing = built.routing;
    built.begin(old);
    this.#plane.desk.recorder.routes.follow(built.routing.routes);
    this.clients.follow(config);
    this.#log.level = config["log-level"];
    // Requests that have their route already may still begin a fetch on the old clients, and end there.
    setTimeout(() => background(old.retire(), (error) => this.#failed(error)), 60_000).unref();
    // Others must know that this member's settings are not theirs any more, or are again.
    if (old.settings !== built.settings && this.#addresses !== null)
      background(this.#control?.announce(this.#announcement(this.#addresses, "active")) ?? Promise.resolve(), (error) =>
        this.#failed(error),
      );
    const { config: now, kept } = reloaded(config, this.#config, isOtherTls ? [...other, "tls"] : other);
    this.#config = now;
    return kept;
  }

  /** Opens the log's file anew, for whoever has renamed it. */
  reopenLogs(): void {
    this.#accessLog.reopen();
  }

  /** Its last events. */
  get events(): RecentEvents {
    return this.#options.log.recent;
  }

  /** Takes up its configuration as it is now. */
  async reread(): Promise<string> {
    return this.#options.reread();
  }

  /** Changes its share of the key space beside the others', until it is started anew. */
  async reweigh(weight: number): Promise<void> {
    if (this.#control === null || this.#addresses === null || this.state !== "ready")
      throw new Error(`${this.name} is ${this.state}`);
    this.#weight = weight;
    this.#log.info({ kind: "weight", weight }, `weighs ${weight} from now on`);
    await this.#control.announce(this.#announcement(this.#addresses, "active"));
  }

  get logLinesDropped(): number {
    return this.#accessLog.dropped + this.clients.linesDropped;
  }

  /** How long a stop waits for answers in progress, as configured now. */
  get drainLimitMs(): number {
    return this.#config["drain-limit"];
  }

  /** Leaves in order: no longer ready, no owner, what is stored handed over, answers ended, the session closed. */
  stop(limitMs: number, how: Leaving = { heirs: "heirs", notice: null }): Promise<Departure> {
    if (this.#stopping === null) {
      this.#departing = this.#depart(limitMs, how);
      this.#stopping = this.#departing.then((departure) => this.#leave(departure).then(() => departure));
    }
    return this.#stopping;
  }

  /** Stops as by a signal, at an operator's wish, and resolves when nothing but the farewell is left to do. */
  drain(): Promise<Departure> {
    if (this.#departing === null) this.#options.drain();
    return this.#departing ?? Promise.reject(new Error("the member does not stop"));
  }

  /**
   * Hosts the coordinator from now on, in the place of one that is lost: the others find it here by themselves. Rejects
   * with a sentence where there is nothing to take over.
   */
  async coordinate(): Promise<void> {
    const control = this.#control;
    if (this.#host !== null || control === null || this.#addresses === null)
      throw new Error(`${this.name} coordinates already`);
    if (this.state === "draining") throw new Error(`${this.name} is leaving: choose another member`);
    mustBeLost(this.#config.coordinator, control, this.coordinatorAddress);
    const context = this.#coordinatorContext({ lastView: control.view, fellows: [] });
    this.#coordinator = this.#host = movedHere(this.#config, context);
    this.#log.warn({ kind: "coordination" }, "hosts the coordinator from now on");
    this.#options.chosen?.();
    await control.move(this.#host);
  }

  #depart(limitMs: number, how: Leaving): Promise<Departure> {
    const noticeMs = this.state === "ready" ? this.#config["drain-notice"] : 0;
    this.state = "draining";
    this.#log.info({ kind: "drain" }, "draining");
    const parts = { control: this.#control, clients: this.clients, acceptor: this.#acceptor, plane: this.#plane };
    return depart({ ...parts, log: this.#log }, { ...how, limitMs, noticeMs });
  }

  async #leave({ cut }: Departure): Promise<void> {
    await answersOut();
    await this.#control?.leave();
    this.#plane.comparing.stop();
    this.certificates.stop();
    this.#plane.sweeping.stop();
    this.#plane.peers.close();
    await this.#acceptor.close();
    await this.#admin.close();
    this.#built.close();
    await this.#plane.disk?.close();
    this.#clock.stop();
    await this.#accessLog.end(1000);
    this.state = "stopped";
    this.#log.info(
      { kind: "stop", cut },
      cut === 0 ? "drained and left" : `left; ${cut} connections and answers cut at the limit`,
    );
  }

  #failed(error: Error): void {
    this.#log.error({ kind: "failure", err: error }, error.message);
  }

  #follow(view: View): void {
    followInPlane(this.#plane, view);
    this.clients.publish();
    if (this.#host !== null) this.#options.lastView?.write(publishedOf(view));
    this.#log.info(
      { kind: "view", epoch: view.epoch, leader: view.leader, members: view.members.map(({ name }) => name) },
      `epoch ${view.epoch}: ${view.leader} leads, members: ${view.members.length}`,
    );
  }

  #coordinatorContext(remembered: Remembered): CoordinatorContext {
    const [peer, known] = [hostPortOf(this.addresses.peer)!, this.#announcement(this.addresses, "active").peer];
    const [{ secret }, { identity }] = [this.#options, this.#plane];
    return { peer, known, self: this.name, secret, identity, log: this.#log, remembered };
  }

  #announcement(addresses: Addresses, state: Member["state"]): Member {
    return announcementOf({ ...this.#config, weight: this.#weight ?? this.#config.weight }, addresses, {
      name: this.name,
      state,
      tls: this.#main.tls,
      startedMs: this.startedMs,
      settings: this.#built.settings,
      place: this.#place,
    });
  }

  async #answer(link: AcceptedLink, method: string, value: unknown): Promise<unknown> {
    if (this.#host?.handles(method) === true) return this.#host.answer(link, method, value);
    const answer =
      this.certificates.answer(method, value) ??
      (await this.#admin.answer(method, value)) ??
      (await answerCall(this.#plane, link.name, method, value));
    if (answer === undefined) throw new Error(`${this.name} does not know ${method}`);
    return answer;
  }
}
