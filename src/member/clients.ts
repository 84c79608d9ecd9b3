/**
 * Where a member's clients are served: by this thread, or at front threads, which pass here what they cannot answer
 * themselves.
 */
import type { Config } from "../config/schema.ts";
import { hostPortOf, type HostPort } from "../base/host-port.ts";
import { Networks } from "../origin/destinations.ts";
import { serve } from "../proxy/serve.ts";
import type { Logger } from "../telemetry/log.ts";
import { wireLimits, type WireLimits } from "../wire/limits.ts";
import { WireServer } from "../wire/server.ts";
import type { TlsIdentities } from "../wire/tls-identities.ts";
import type { AccessLog } from "./access-log.ts";
import type { DataPlane } from "./data-plane.ts";
import type { FrontSettings } from "./front-messages.ts";
import { Fronts } from "./fronts.ts";
import { isThisMachine } from "./listening.ts";
import { identitiesOf } from "./routing.ts";
import { freePort } from "./free-port.ts";
import { limitsUnder } from "./wire-limits.ts";

export interface ClientsOptions {
  readonly config: Config;
  readonly threads: number;
  readonly name: string;
  readonly plane: DataPlane;
  readonly tls: TlsIdentities | null;
  readonly accessLog: AccessLog;
  readonly log: Logger;
  readonly failed: (error: Error) => void;
  /** A front thread has ended by itself. */
  readonly died: (reason: string) => void;
}

/** How often what fronts go by is told again, whatever has been told of changes. */
const publishMs = 250;

/** Everybody who is served. */
export class Clients {
  readonly #options: ClientsOptions;
  readonly #wire: WireServer;
  readonly #fronts: Fronts | null;
  readonly #place: HostPort;
  #allowed: Networks;
  #publishing: NodeJS.Timeout | null = null;

  constructor(options: ClientsOptions) {
    const { config, threads, name, plane, tls, accessLog, log, failed, died } = options;
    this.#options = options;
    this.#place = hostPortOf(config.listen)!;
    this.#allowed = new Networks(config.allow);
    const limits: WireLimits = { ...wireLimits, ...limitsUnder(config, log) };
    const { recorder, viaLine } = plane.desk;
    this.#wire = new WireServer({
      limits,
      tls: threads === 1 ? tls : null,
      proxyProtocol: config["proxy-protocol"],
      admits: (address) => isThisMachine(address) || this.#allowed.has(address),
      isLocal: isThisMachine,
      handle: (exchange) => serve(plane, exchange),
      refused: ({ status, reason }, client) => {
        recorder.refused();
        log.debug({ kind: "refused", client: client.address, status, reason }, `refused: ${reason}`);
      },
      bug: failed,
    });
    this.#fronts =
      threads === 1
        ? null
        : new Fronts({
            count: threads,
            member: name,
            viaLine,
            limits,
            proxyProtocol: config["proxy-protocol"],
            settings: frontSettings(config, accessLog),
            store: plane.store,
            recorder,
            accept: (socket, client) => this.#wire.take(socket, client),
            lines: (text, lines) => accessLog.write(text, lines),
            failed,
            died,
          });
  }

  /** Front threads; 0 where this thread does all. */
  get fronts(): number {
    return this.#fronts?.count ?? 0;
  }

  /** Lines of the access log that fronts could not get rid of. */
  get linesDropped(): number {
    return this.#fronts?.linesDropped ?? 0;
  }

  /** Listens. @returns where. Rejects with the system's error. */
  async listen(): Promise<HostPort> {
    const fronts = this.#fronts;
    if (fronts === null) return this.#wire.listen(this.#place);
    const { correspondence } = this.#options.plane;
    this.publish();
    correspondence.touch.changed = () => this.publish();
    this.#publishing = setInterval(() => {
      this.publish();
      fronts.gather();
    }, publishMs).unref();
    this.#wire.begin();
    await fronts.start();
    // Several may listen on one port only if all of them wish it: another program's must be found first.
    const place = await freePort(this.#place);
    return fronts.listen(place);
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
    const { tls, accessLog } = this.#options;
    this.#allowed = new Networks(config.allow);
    if (tls !== null) this.#wire.updateTls(tls);
    this.publish();
    this.#fronts?.follow(frontSettings(config, accessLog));
  }

  /** Stops accepting, lets answers end up to the limit. @returns connections cut. */
  async close(limitMs: number): Promise<number> {
    const fronts = this.#fronts;
    if (fronts === null) return this.#wire.close(limitMs);
    const [here, there] = await Promise.all([this.#wire.close(limitMs), fronts.drain(limitMs)]);
    if (this.#publishing !== null) clearInterval(this.#publishing);
    await fronts.end();
    return Math.max(here, there);
  }
}

function frontSettings(config: Config, accessLog: AccessLog): FrontSettings {
  return { allow: config.allow, tls: identitiesOf(config), log: accessLog.ofThreads };
}
