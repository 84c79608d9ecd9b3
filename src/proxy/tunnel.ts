/** Requests that leave HTTP: CONNECT (RFC 9110 §9.3.6) and Upgrade (§7.8). Bytes both ways, half-close kept, idle bound. */
import type { Duplex } from "node:stream";
import { cacheStatus } from "../http/cache-status.ts";
import { dateText } from "../http/dates.ts";
import { fieldBlock, fieldValue } from "../http/fields.ts";
import { reasonPhrase } from "../http/messages.ts";
import { authority } from "../http/uri.ts";
import { tunnelTo } from "../origin/connector.ts";
import { originError } from "../origin/origin-error.ts";
import type { Exchange } from "../wire/exchange.ts";
import { preparedHead } from "../wire/exchange.ts";
import { send } from "./deliver.ts";
import { Body } from "../store/body.ts";
import { fetchFor } from "./fetch.ts";
import type { Plane } from "./plane.ts";
import { refuse, refuseEarly } from "./refuse.ts";
import { passedFields } from "./response-policy.ts";
import type { Ticket } from "./ticket.ts";
import type { Fetch } from "../origin/origin-client.ts";

/** CONNECT host:port. */
export function connectTunnel(plane: Plane, exchange: Exchange): void {
  const { forward, tunnels } = plane.routing;
  const { target } = exchange.head;
  const place = authority(target, "https");
  if (exchange.hop !== 0 || forward === null)
    return refuseEarly(plane, exchange, 405, "this member is not a forward proxy: CONNECT is not for it");
  if (place === null || (tunnels.ports !== "any" && !tunnels.ports.has(place.port))) {
    return refuseEarly(plane, exchange, 403, `CONNECT to this port is not allowed (--connect-ports opens more)`);
  }
  const startedMs = performance.now();
  const policy = { inner: exchange.client.local, allowed: tunnels.allowed, configured: false };
  const socket = tunnelTo(place.host, place.port, policy, tunnels.settings, (error, connected) => {
    if (error !== null || connected === null) {
      if (exchange.closed) return;
      const failure = originError(error, target, false);
      refuseEarly(plane, exchange, failure.status, failure.message);
      return;
    }
    const taken = exchange.takeOver();
    if (taken === null) {
      connected.destroy();
      return;
    }
    plane.recorder.counts.tunnels++;
    taken.socket.write("HTTP/1.1 200 Connection Established\r\n\r\n", "latin1");
    join(taken.socket, connected, taken.early, tunnels.idleMs, (bytes) => {
      plane.recorder.finished(
        {
          client: exchange.client.address,
          method: "CONNECT",
          uri: target,
          status: 200,
          reason: "tunnel",
          owner: plane.self,
          hop: 0,
          bytes,
          durationMs: performance.now() - startedMs,
          complete: true,
        },
        { hit: false, forward: "method" },
      );
    });
  });
  exchange.onClose = () => socket.destroy();
}

/** GET with Upgrade: the origin may switch, or answer as to any request. */
export function upgrade(ticket: Ticket): void {
  const { exchange, plane } = ticket;
  const protocol = fieldValue(exchange.head.fields, "upgrade")!;
  ticket.outcome = { hit: false, forward: "request" };
  ticket.reason = "upgrade";
  let body: Body | null = null;
  const fetch: Fetch | null = fetchFor(
    ticket,
    "GET",
    "kept",
    {
      interim: (status, fields) => exchange.inform(status, passedFields(fields)),
      head: (status, fields) => {
        ticket.status = status;
        const length = fieldValue(fields, "content-length");
        body = new Body("passing", null);
        body.source = fetch;
        exchange.beginPrepared(
          preparedHead(status, fieldBlock(passedFields(fields)), length === undefined ? null : Number(length)),
          ticket.lines(null),
        );
        send(ticket, body, 0, null, () => fetch?.cancel());
      },
      data: (chunk) => body?.append(chunk),
      end: () => body?.finish(),
      failed: (error) => {
        if (body !== null) body.fail();
        else if (!exchange.closed) refuse(ticket, error.status, error.message);
      },
      switched: (fields, socket) => {
        const taken = exchange.takeOver();
        if (taken === null) {
          socket.destroy();
          ticket.end(false);
          return;
        }
        ticket.switched();
        ticket.status = 101;
        plane.recorder.counts.tunnels++;
        const line = cacheStatus(plane.self, ticket.outcome);
        const kept = passedFields(fields);
        taken.socket.write(
          `HTTP/1.1 101 ${reasonPhrase(101)}\r\ndate: ${dateText(Math.floor(plane.nowSeconds()))}\r\n${fieldBlock(kept.filter((_, i) => kept[i - (i % 2)] !== "date"))}` +
            `connection: upgrade\r\nupgrade: ${fieldValue(fields, "upgrade") ?? protocol}\r\ncache-status: ${line}\r\n${plane.viaLine}\r\n`,
          "latin1",
        );
        join(taken.socket, socket, taken.early, plane.routing.tunnels.idleMs, () => ticket.end(true));
      },
    },
    protocol,
  );
  exchange.onClose = () => {
    fetch?.cancel();
    ticket.end(false);
  };
}

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
  let movedAt = performance.now();
  const timer = setInterval(
    () => {
      if (performance.now() - movedAt > idleMs) finish();
    },
    Math.min(idleMs, 5000),
  );
  timer.unref();
  let open = 2;
  const carry = (from: Duplex, to: Duplex, count: boolean): void => {
    from.on("data", (chunk: Buffer) => {
      movedAt = performance.now();
      if (count) bytes += chunk.length;
      if (!to.write(chunk)) from.pause();
    });
    to.on("drain", () => from.resume());
    const ended = (): void => {
      to.end();
      if (--open > 0) return;
      if (to.writableFinished) finish();
      else to.once("finish", finish);
    };
    // A side may have ended while the other was still being connected.
    if (from.readableEnded) ended();
    else from.on("end", ended);
    from.on("error", finish);
    from.on("close", () => {
      if (!from.readableEnded) finish();
    });
  };
  if (early.length > 0) origin.write(early);
  carry(client, origin, false);
  carry(origin, client, true);
  client.resume();
  origin.resume();
}
