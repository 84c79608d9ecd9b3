/**
 * A front thread, put together: it listens beside others on the port of clients, answers hits from the store's memory,
 * and passes everything else home. It knows no origin, no ring, no other member.
 */
import { PassingMap } from "../base/passing.ts";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { parentPort, workerData } from "node:worker_threads";
import { Networks } from "../origin/destinations.ts";
import { HitLines } from "../proxy/request/hit-lines.ts";
import { isFollowed } from "../proxy/request/trace.ts";
import { PageReader } from "../store/pages/page-reader.ts";
import { Board } from "../threads/board.ts";
import { BufferPool } from "../threads/buffer-pool.ts";
import { ByteRing } from "../threads/byte-ring.ts";
import { FrontConnection, type FrontHost } from "../threads/front-connection.ts";
import { FrontLane } from "../threads/front-lane.ts";
import type { FromHome } from "../threads/from-home.ts";
import { FrontHits } from "../threads/front-hits.ts";
import { StoreBlocks } from "../threads/store-blocks.ts";
import { frame, ThreadLink } from "../threads/thread-link.ts";
import { addressHash } from "../threads/address-hash.ts";
import { WireServer } from "../wire/server.ts";
import { TlsIdentities } from "../wire/tls-identities.ts";
import { TurnedAwaySum } from "../wire/turned-away.ts";
import type { FromFront, FrontInit, ToFront } from "./front-messages.ts";
import { FrontLines } from "./front-lines.ts";
import { FrontUnread } from "./front-unread.ts";
import { isThisMachine } from "./listening.ts";

const {
  front,
  member,
  viaLine,
  limits,
  listeners,
  settings,
  ticketKeys,
  store,
  board: boardMemory,
  toHome,
  fromHome,
} = workerData as FrontInit;
const port = parentPort!;
const tell = (message: FromFront): void => port.postMessage(message);
const failed = (error: Error): void => tell({ kind: "failed", error });

const board = new Board(boardMemory);
const reader = new PageReader(store, front);
const blocks = new StoreBlocks();
for (const block of store.blocks) blocks.add(block);
const lines = new FrontLines(member, {
  send: (text, count) => tell({ kind: "lines", text, lines: count }),
  seen: (requests) => tell({ kind: "seen", requests }),
  dropped: (count) => board.dropped(front, count),
});
lines.follow(settings);
const unreads = new FrontUnread({
  send: (some) => tell({ kind: "unread", some }),
  dropped: (count) => board.dropped(front, count),
});
const exporting = { exports: true, sample: 0 } as const;
let traced = networksOf(settings.traced);
let allowed = settings.allow.map((networks) => new Networks(networks));
const tls = settings.tls === null ? null : new TlsIdentities(settings.tls, ticketKeys);
tls?.prove(settings.proofs);

/** The system's monotonic clock is one for all threads; performance.now() counts from a thread's beginning. */
const aheadMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();
const hits = new FrontHits({
  front,
  board,
  reader,
  lines: new HitLines(member, viaLine),
  self: member,
  monotonicMs: () => performance.now() + aheadMs,
  log: lines,
  isTraced: ({ fields }, { address }) => traced?.has(address) === true && isFollowed(fields, exporting, true),
});

const connections = new PassingMap<number, FromHome>();
let lastNumber = 0;
let isDraining = false;
let coarseNow = performance.now();
const pool = new BufferPool();
const link = new ThreadLink(new ByteRing(fromHome), new ByteRing(toHome), take, failed, pool.take);
const host: FrontHost = {
  link,
  hits,
  limits,
  coarseNow: () => coarseNow,
  isDraining: () => isDraining,
};
const turnedAway = new TurnedAwaySum();
/** One for each listener; `redirects` are told when the port of https is known. */
const redirects: { redirect?: number }[] = [];
const servers = listeners.map(({ tls: speaksTls, http2, proxyProtocol, role }, listener) => {
  const said: { role?: "forward" | "reverse"; redirect?: number } = role === "both" ? {} : { role };
  redirects.push(said);
  return new WireServer({
    limits,
    tls: speaksTls ? tls : null,
    proxyProtocol,
    http2,
    openLane: (client) => {
      const number = (lastNumber = (lastNumber + 1) | 0);
      const lane = new FrontLane(number, link, client, () => connections.delete(number));
      connections.set(number, lane);
      return lane;
    },
    answerNow: (head, client) => hits.ready(head, client),
    client: said,
    admits: (address) => isThisMachine(address) || allowed[listener]!.has(address),
    isLocal: isThisMachine,
    count: {
      entered: (address, { connectionsMax, connectionsPerClientMax }) =>
        board.entered(addressHash(address), connectionsMax, connectionsPerClientMax),
      left: (address) => board.left(addressHash(address)),
    },
    connect: (socket, client, closed) => {
      const number = (lastNumber = (lastNumber + 1) | 0);
      const connection = new FrontConnection(number, socket, client, host, () => {
        connections.delete(number);
        closed();
      });
      connections.set(number, connection);
      return connection;
    },
    turnedAway: (reason, address) => turnedAway.add({ reason, count: 1, address }),
    refused: (unread, client) => unreads.add({ unread, client }),
    bug: failed,
  });
});
setInterval(() => (coarseNow = performance.now()), 500).unref();
const delay = monitorEventLoopDelay({ resolution: 20 });
delay.enable();
setInterval(() => {
  // Its clock ticks each so often, whatever the loop does.
  board.delayed(front, Math.max(0, delay.percentile(99) / 1e9 - 0.02));
  delay.reset();
  const some = turnedAway.takeAll();
  if (some.length > 0) tell({ kind: "turned-away", some });
}, 1000).unref();

function networksOf(given: readonly string[] | null): Networks | null {
  return given === null ? null : new Networks(given);
}

/** Frames from home. */
function take(kind: number, number: number, content: Buffer): void {
  const connection = connections.get(number);
  // What crosses a farewell on its way.
  if (connection === undefined) return kind === frame.data ? pool.giveBack(content) : undefined;
  switch (kind) {
    case frame.data:
      return connection.write(content, () => pool.giveBack(content));
    case frame.last:
      connection.write(content.subarray(4));
      return connection.rest(content.readUInt32LE(0));
    case frame.piece:
      return connection.lend(blocks.view(content.readUInt32LE(0), content.readUInt32LE(4), content.readUInt32LE(8)));
    case frame.ended:
      return connection.ended();
    case frame.cut:
      return connection.cut(content.readUInt32LE(0) === 1);
    case frame.rest:
      return connection.rest(content.readUInt32LE(0));
    case frame.room:
      return connection.room(content.readUInt32LE(0));
  }
  throw new Error(`home sent a frame of kind ${kind}`);
}

port.on("message", (message: ToFront) => {
  switch (message.kind) {
    case "listen":
      if (message.redirect !== null) redirects[message.listener]!.redirect = message.redirect;
      return void servers[message.listener]!.listen(message.place, "shared").then(
        (place) => tell({ kind: "listening", place }),
        (error: NodeJS.ErrnoException) =>
          tell({ kind: "not-listening", code: error.code ?? "", message: error.message }),
      );
    case "block":
      reader.attach(message.block);
      blocks.add(message.block);
      return tell({ kind: "block-taken" });
    case "settings":
      allowed = message.settings.allow.map((networks) => new Networks(networks));
      lines.follow(message.settings);
      traced = networksOf(message.settings.traced);
      if (tls !== null && message.settings.tls !== null) {
        tls.replace(message.settings.tls);
        tls.prove(message.settings.proofs);
        for (const server of servers) server.updateTls(tls);
      }
      return undefined;
    case "lines-taken":
      return lines.taken(message.characters);
    case "watched":
      return lines.watch(message.watched);
    case "unread-taken":
      return unreads.taken();
    case "seen-taken":
      return lines.seenTaken();
    case "drain":
      isDraining = true;
      return void Promise.all(servers.map((server) => server.close(message.limitMs))).then((cuts) => {
        lines.flush();
        unreads.flush();
        tell({ kind: "drained", cut: cuts.reduce((sum, cut) => sum + cut, 0) });
      });
  }
});
tell({ kind: "up" });
