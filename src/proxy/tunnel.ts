/**
 * Requests that leave HTTP: CONNECT (RFC 9110 §9.3.6) and Upgrade (§7.8). Bytes both ways, half-close kept, idle bound.
 */
import { countRead } from "../base/read-buffers.ts";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { background } from "../base/background.ts";
import { lookEvery } from "../base/look-every.ts";
import { hostPortOf, isLoopbackHost } from "../base/host-port.ts";
import { cacheStatus } from "../http/cache-status.ts";
import { dateText } from "../http/dates.ts";
import { fieldBlock, fieldValue, withoutFields } from "../http/fields.ts";
import { reasonPhrase } from "../http/messages.ts";
import { authority } from "../http/uri.ts";
import { dialTunnel } from "../origin/dial-tunnel.ts";
import type { Fetch } from "../origin/fetch.ts";
import { originError } from "../origin/origin-error.ts";
import type { View } from "../ring/view.ts";
import { Body } from "../store/body.ts";
import { AnswerHead } from "../wire/answer-head.ts";
import type { Exchange } from "../wire/exchange.ts";
import { send } from "./answer/deliver.ts";
import { endedEarly, leftEarly } from "./answer/early.ts";
import { refuseEarly, refuseFailed } from "./answer/refuse.ts";
import { passedFields } from "./fetch/judging.ts";
import type { FetchNeeds } from "./fetch/needs.ts";
import { fetchFor } from "./fetch/origin-source.ts";
import { invalidatedBy } from "./invalidation/invalidated-by.ts";
import type { Desk } from "./request/desk.ts";
import type { Routing } from "./request/routes.ts";
import { protocolsAsked } from "./request/decide.ts";
import type { Ticket } from "./request/ticket.ts";

export interface TunnelNeeds extends Pick<FetchNeeds, "invalidations" | "failed"> {
  readonly desk: Desk;
  readonly current: { readonly routing: Routing; readonly view: Pick<View, "members"> };
}

/** CONNECT host:port. */
export function connectTunnel({ desk, current }: TunnelNeeds, exchange: Exchange): void {
  const startedMs = performance.now();
  const { forward, tunnels } = current.routing;
  const { target } = exchange.head;
  const place = authority(target, "https");
  const refused = (status: number, reason: string): void => refuseEarly(desk, exchange, { status, reason }, startedMs);
  if (exchange.hop !== 0 || forward === null || exchange.client.role === "reverse")
    return refused(405, "this member is not a forward proxy: CONNECT is not for it");
  if (place === null || (tunnels.ports !== "any" && !tunnels.ports.has(place.port)))
    return refused(403, "CONNECT to this port is not allowed (--connect-ports opens more)");
  const { allowed, own } = tunnels;
  const policy = { inner: exchange.client.local, allowed, own, configured: false };
  let dialling: { cancel(): void } | null = null;
  const hold = exchange.hold({
    left: () => {
      dialling?.cancel();
      leftEarly(desk, exchange, { startedMs });
    },
  });
  dialling = dialTunnel(place, policy, tunnels.settings, (error, connected) => {
    hold.release();
    if (error !== null || connected === null) {
      if (exchange.closed) return;
      const failure = originError(error, target);
      refused(failure.status, failure.message);
      return;
    }
    if (!exchange.closed && !exchange.client.local && isAdministered(connected, current.view)) {
      connected.destroy();
      refused(403, "a member's admin port is not for tunnels of clients elsewhere");
      return;
    }
    const taken = exchange.takeOver();
    if (taken === null) {
      connected.destroy();
      return;
    }
    desk.recorder.tunnelOpened();
    taken.socket.write("HTTP/1.1 200 Connection Established\r\n\r\n", "latin1");
    join(taken.socket, connected, taken.early, tunnels.idleMs, (bytes) =>
      endedEarly(
        desk,
        exchange,
        { status: 200, reason: "tunnel", startedMs, bytes },
        { hit: false, forward: "method" },
      ),
    );
  });
  return undefined;
}

/**
 * Whether a connection has come to a member's admin port on this machine, which takes whatever goes through it for this
 * machine's own: a request that is passed on says itself that it comes through a proxy, a tunnel's bytes say nothing.
 */
function isAdministered(
  { remoteAddress, remotePort, localAddress }: Socket,
  { members }: Pick<View, "members">,
): boolean {
  const [remote, local] = [remoteAddress, localAddress].map((address) => (address ?? "").replace(/^::ffff:/, ""));
  if (!isLoopbackHost(remote!) && remote !== local) return false;
  return members.some(({ admin }) => hostPortOf(admin)?.port === remotePort);
}

const dated: ReadonlySet<string> = new Set(["date"]);

/** A request with Upgrade: the origin may switch, or answer as to any request. */
export function upgrade({ current, invalidations, failed }: TunnelNeeds, ticket: Ticket): void {
  const { exchange, desk } = ticket;
  const protocol = protocolsAsked(exchange.head);
  ticket.outcome = { hit: false, forward: "request" };
  ticket.reason = "upgrade";
  let body: Body | null = null;
  let fetch: Fetch | null = null;
  const hold = exchange.hold({
    left: () => {
      fetch?.cancel();
      ticket.end(false);
    },
  });
  fetch = fetchFor(
    ticket,
    current.routing,
    { method: exchange.head.method, conditional: "kept", upgrade: protocol },
    {
      interim: (status, fields) => exchange.inform(status, passedFields(fields)),
      head: (status, fields) => {
        const answer = new Body("passing", null);
        answer.source = fetch;
        body = answer;
        const length = fieldValue(fields, "content-length");
        const contentBytes = length === undefined ? null : Number(length);
        const show = (): void => {
          hold.release();
          if (exchange.closed) return;
          ticket.status = status;
          exchange.begin(AnswerHead.of(status, passedFields(fields), contentBytes), ticket.lines(null));
          send(ticket, answer, 0, null, () => fetch?.cancel());
        };
        const named = invalidatedBy(ticket, status, fields);
        if (named.length === 0) return show();
        // The answer waits until every member has heard: whoever sees it must not then see the old response.
        background(invalidations.everywhere(named).then(show), failed);
      },
      data: (chunk) => body?.append(chunk),
      end: () => body?.finish(),
      failed: (error) => {
        hold.release();
        if (body !== null) body.fail();
        else if (!exchange.closed) refuseFailed(ticket, error);
      },
      switched: (fields, socket) => {
        hold.release();
        const taken = exchange.takeOver();
        if (taken === null) {
          socket.destroy();
          ticket.end(false);
          return;
        }
        ticket.switched();
        ticket.status = 101;
        desk.recorder.tunnelOpened();
        const line = cacheStatus(desk.self, ticket.outcome);
        const date = dateText(Math.floor(desk.nowSeconds() + desk.wallLeadSeconds()));
        taken.socket.write(
          `HTTP/1.1 101 ${reasonPhrase(101)}\r\ndate: ${date}\r\n${fieldBlock(withoutFields(passedFields(fields), dated))}` +
            `connection: upgrade\r\nupgrade: ${fieldValue(fields, "upgrade") ?? protocol}\r\ncache-status: ${line}\r\n${desk.viaLine}\r\n`,
          "latin1",
        );
        join(taken.socket, socket, taken.early, current.routing.tunnels.idleMs, (bytes) => ticket.end(true, bytes));
      },
    },
  );
  if (exchange.closed) fetch?.cancel();
}

/** So often, at least, it is looked in that time whether something moves. */
const idleLooks = 4;

/** Carries bytes both ways until both sides have ended, one has broken, or nothing moved for `idleMs`. */
function join(
  client: Duplex,
  origin: Duplex,
  early: Buffer,
  idleMs: number,
  done: (bytesToClient: number) => void,
): void {
  let bytes = 0;
  let over = false;
  const finish = (): void => {
    if (over) return;
    over = true;
    clearInterval(timer);
    client.destroy();
    origin.destroy();
    done(bytes);
  };
  // In looks, not by the clock: while this process stood still nothing could move.
  const everyMs = Math.min(idleMs / idleLooks, 5000);
  let looksMs = 0;
  const timer = lookEvery(everyMs, () => {
    looksMs += everyMs;
    if (looksMs > idleMs) finish();
  });
  const carry = (from: Duplex, to: Duplex, count: boolean): void => {
    from.on("data", (chunk: Buffer) => {
      looksMs = 0;
      countRead(chunk.length);
      if (count) bytes += chunk.length;
      if (!to.write(chunk)) from.pause();
    });
    to.on("drain", () => from.resume());
    const ended = (): void => void to.end();
    to.once("finish", () => {
      // Both have had all that was for them.
      if (client.writableFinished && origin.writableFinished) finish();
    });
    // A side may have ended while the other was still being connected.
    if (from.readableEnded) ended();
    else from.on("end", ended);
    from.on("error", finish);
    from.on("close", () => {
      // Broken off: also one that has ended its side before, and has not had all that is for it.
      if (!from.readableEnded || !from.writableFinished) finish();
    });
  };
  if (early.length > 0) origin.write(early);
  carry(client, origin, false);
  carry(origin, client, true);
  client.resume();
  origin.resume();
}
