/**
 * What leaves HTTP: WebSockets, by an upgrade or over HTTP/2 (RFC 8441), and CONNECT through a forward proxy. The other
 * end sends back what it gets: every byte has to come, in order, and what was sent before an end too.
 */
import http2 from "node:http2";
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { after, chanceOf } from "./chance.mjs";

/** Milliseconds in which what has been sent has to be back. */
const limitMs = 12_000;
const key = "dGhlIHNhbXBsZSBub25jZQ==";
const upgrade = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`;
/** Said at the beginning where the other end is to end first, behind so many bytes. */
export const tunnelPath = /^\/tunnel\/(\d*)$/;

/** All of a round. */
export class Tunnels {
  opened = 0;
  #running = true;
  #needs;
  #tasks;

  /** `needs`: options, site, members (those that can be asked), wrong, events. */
  constructor(needs) {
    this.#needs = needs;
    const { tunnels, seed } = needs.options;
    this.#tasks = Array.from({ length: tunnels }, (_, number) => this.#go(chanceOf(`${seed} tunnel ${number}`)));
  }

  async end() {
    this.#running = false;
    await Promise.race([Promise.all(this.#tasks), after(limitMs + 4000)]);
  }

  async #go(chance) {
    const { members, options } = this.#needs;
    while (this.#running) {
      const there = members();
      await after(chance.below(200));
      if (there.length === 0) continue;
      const isHttp2 = options.h2 > 0 && !options.forward && chance.is(0.4);
      await this.#tunnel(chance, chance.one(there), isHttp2 ? opened2 : opened1);
    }
  }

  async #tunnel(chance, member, open) {
    const { options, site, wrong, events } = this.#needs;
    const at = performance.now();
    const bytes = chance.one([0, 100, 5000, 100_000, 1_000_000]);
    // Who ends: the client its side, the other end behind so many bytes, or the client all of it, in the midst.
    const how = chance.one(["client", "client", "origin", "leaves"]);
    const isExplained = () => events.goes(member.name, at) || site.ailing.touch(at);
    const about = () => ({
      member: member.name,
      how,
      bytes,
      over: open === opened2 ? "HTTP/2" : "HTTP/1.1",
      ms: performance.now() - at,
    });
    const stream = await open({ member, options, site, path: `/tunnel/${how === "origin" ? bytes : ""}` });
    if (typeof stream === "string") {
      if (!isExplained()) wrong("a tunnel that was not opened", { ...about(), said: stream });
      return;
    }
    this.opened++;
    const content = contentOf(`${options.seed} ${this.opened}`, bytes);
    let [sent, got, isWrong] = [0, 0, false];
    const isOver = new Promise((done) => {
      stream.on("data", (piece) => {
        isWrong ||= !piece.equals(content.subarray(got, got + piece.length));
        got += piece.length;
        if (!chance.is(0.02)) return;
        stream.pause();
        setTimeout(() => stream.resume(), chance.below(150));
      });
      for (const event of ["end", "error", "close"]) stream.on(event, () => done(event));
    });
    stream.resume();
    let last = null;
    const ended = isOver.then((event) => {
      last = event;
      return true;
    });
    const goesOn = async (ms) => !(await Promise.race([ended, after(ms).then(() => false)]));
    const leavesAt = how === "leaves" ? chance.below(bytes + 1) : Infinity;
    while (sent < bytes && sent < leavesAt) {
      const piece = content.subarray(sent, sent + 1 + chance.below(chance.is(0.5) ? 200 : 60_000));
      sent += piece.length;
      if (stream.destroyed) break;
      stream.write(piece);
      if (!(await goesOn(chance.below(20)))) break;
    }
    if (how === "client") stream.end();
    if (how !== "leaves" && (await goesOn(limitMs)) && !isExplained())
      wrong("a tunnel that does not end", { ...about(), sent, got });
    stream.destroy();
    if (isWrong) wrong("wrong bytes in a tunnel", { ...about(), sent, got });
    if (how !== "leaves" && got !== bytes && !isExplained())
      wrong("a tunnel that was cut", { ...about(), sent, got, last, code: stream.rstCode ?? null });
    stream.over?.();
  }
}

/** Bytes that can be told from those elsewhere in it. */
function contentOf(name, bytes) {
  const content = Buffer.allocUnsafe(bytes);
  const chance = chanceOf(name);
  for (let at = 0; at < bytes; at += 4)
    content.writeUInt32LE((chance.next() * 2 ** 32) >>> 0, Math.min(at, Math.max(0, bytes - 4)));
  return content;
}

/** By HTTP/1.1. @returns the tunnel, or what was said in its place. */
async function opened1({ member, options, site, path }) {
  const [host, port] = member.listen.split(":");
  const to = { host, port, rejectUnauthorized: false, ALPNProtocols: ["http/1.1"], allowHalfOpen: true };
  const socket = options.tls ? connectTls(to) : connect(to);
  socket.setNoDelay(true);
  socket.on("error", () => {});
  const place = new URL(site.url).host;
  const text = options.forward ? `CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n\r\n` : asking(path, "site");
  const said = await answered(socket, text);
  if (!options.forward || !said.startsWith("HTTP/1.1 200"))
    return said.startsWith("HTTP/1.1 101") ? socket : closed(socket, said);
  // Within it, the other end is asked the same.
  const inner = await answered(socket, asking(path, place));
  return inner.startsWith("HTTP/1.1 101") ? socket : closed(socket, inner);
}

const asking = (path, host) => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${upgrade}`;

function closed(socket, said) {
  socket.destroy();
  return said.split("\r\n\r\n")[0];
}

/** The head that comes back; nothing comes behind it before something is sent. */
function answered(socket, text) {
  return new Promise((done) => {
    let had = "";
    const timer = setTimeout(() => finish("no answer in time"), limitMs);
    const finish = (said) => {
      clearTimeout(timer);
      for (const [event, told] of heard) socket.off(event, told);
      socket.pause();
      done(said);
    };
    const heard = [
      [
        "data",
        (bytes) => {
          had += bytes.toString("latin1");
          if (had.includes("\r\n\r\n")) finish(had);
        },
      ],
      ["close", () => finish(`closed: ${had}`)],
      ["end", () => finish(`ended: ${had}`)],
    ];
    for (const [event, told] of heard) socket.on(event, told);
    socket.resume();
    socket.write(text);
  });
}

/** By HTTP/2: a connection of its own. */
async function opened2({ member, options, path }) {
  const scheme = options.tls ? "https" : "http";
  const session = http2.connect(`${scheme}://${member.listen}`, { rejectUnauthorized: false });
  session.on("error", () => {});
  const told = await Promise.race([
    new Promise((done) =>
      session.once("remoteSettings", ({ enableConnectProtocol }) => done(enableConnectProtocol === true)),
    ),
    new Promise((done) => session.once("close", () => done(false))),
    after(limitMs).then(() => false),
  ]);
  if (!told || session.destroyed) {
    session.destroy();
    return "no tunnels";
  }
  const names = {
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":path": path,
    ":authority": "site",
    ":scheme": scheme,
  };
  const stream = session.request({ ...names, "sec-websocket-version": "13" }, { endStream: false });
  stream.on("error", () => {});
  const status = await Promise.race([
    new Promise((done) => stream.once("response", (head) => done(String(head[":status"])))),
    new Promise((done) => stream.once("close", () => done(`reset by ${stream.rstCode}`))),
    after(limitMs).then(() => "no answer in time"),
  ]);
  stream.over = () => session.destroy();
  if (status === "200") return stream;
  session.destroy();
  return status;
}
