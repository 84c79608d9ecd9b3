/** Clients: over HTTP/1.1, some in pipelines, and over HTTP/2; some slow, some that leave in the middle. */
import http2 from "node:http2";
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { after, chanceOf } from "./chance.mjs";
import { contentOfRequest } from "./site.mjs";

/** Milliseconds in which every answer has to be there. */
const limitMs = 12_000;
/** And its head, where nothing is before it on its connection. */
const headMs = 3000;
/** Content of this size may still be coming when it is answered: the connection may end then. */
const longBytes = 16_000;

const wishes = [
  "no-cache",
  "max-age=0",
  "max-age=1",
  "min-fresh=1",
  "max-stale",
  "max-stale=2",
  "only-if-cached",
  "no-store",
  "stale-if-error=5",
  "max-age=2, max-stale=1",
];

/** All clients of a run. */
export class Askers {
  asked = 0;
  #running = true;
  #nonces = 0;
  #needs;
  #tasks;

  /** `needs`: options, site, judge, members (those that can be asked), wrong, events. */
  constructor(needs) {
    this.#needs = needs;
    const { h1, h2, seed } = needs.options;
    this.#tasks = [
      ...Array.from({ length: h1 }, (_, number) =>
        this.#go(chanceOf(`${seed} h1 ${number}`), (...one) => this.#ask1(...one)),
      ),
      ...Array.from({ length: h2 }, (_, number) =>
        this.#go(chanceOf(`${seed} h2 ${number}`), (...one) => this.#ask2(...one)),
      ),
    ];
  }

  /** Ends when what is under way has ended. */
  async end() {
    this.#running = false;
    await Promise.race([Promise.all(this.#tasks), after(limitMs + 4000)]);
  }

  async #go(chance, connection) {
    while (this.#running) {
      const there = this.#needs.members();
      if (there.length > 0) await connection(chance, chance.one(there));
      else await after(50);
    }
  }

  #request(chance, member) {
    const { options, site } = this.#needs;
    const path = site.pathBy(chance);
    const { tags, modified } = site.resource(path);
    const nonce = `n${++this.#nonces}`;
    const fields = { "x-nonce": nonce };
    const request = {
      member: member.name,
      method: methodBy(chance, options),
      path,
      target: options.query && chance.is(0.5) ? `${path}?utm=${nonce}` : path,
      nonce,
      fields,
      content: null,
      isSending: false,
      sentAt: 0,
      leavesIn: null,
      isSlow: chance.is(options.slow),
    };
    if (chance.is(0.85)) fields["x-v"] = chance.one(["a", "b", "c"]);
    if (chance.is(0.4)) fields["accept-language"] = chance.one(["de", "en"]);
    if (chance.is(0.5))
      fields["accept-encoding"] = chance.one(options.compress ? ["gzip", "br", "zstd", "identity"] : ["gzip", "br"]);
    if (request.method !== "PURGE" && chance.is(options.leaving))
      request.leavesIn = chance.below(chance.is(0.5) ? 10 : 200);
    if (request.method === "POST" || request.method === "PUT")
      request.content = contentOfRequest(nonce, chance.is(0.3) ? chance.below(150_000) : chance.below(200));
    if (request.method === "PURGE" && options.soft && chance.is(0.5)) fields["soft-purge"] = "1";
    if (request.method !== "GET" && request.method !== "HEAD") return request;
    if (request.method === "GET" && chance.is(options.ranges)) {
      const bytes = chance.one([10, 100, 1000, 5000, 100_000]);
      const from = chance.below(bytes);
      fields.range = chance.one([
        `bytes=${from}-${bytes + from}`,
        `bytes=${from}-`,
        `bytes=-${1 + from}`,
        "bytes=0-0",
        "bytes=0-",
        `bytes=0-9, ${20 + chance.below(50)}-${80 + from}`,
      ]);
      if (chance.is(0.25))
        fields["if-range"] = tags.length > 0 && chance.is(0.7) ? chance.one(tags) : (modified ?? '"none"');
    }
    if (tags.length > 0 && chance.is(0.15))
      fields["if-none-match"] = chance.one([
        chance.one(tags.slice(-3)),
        chance.one(tags),
        `${chance.one(tags)}, ${chance.one(tags)}`,
        "*",
      ]);
    if (modified !== null && chance.is(0.07)) fields["if-modified-since"] = modified;
    if (chance.is(0.12)) fields["cache-control"] = chance.one(wishes);
    if (chance.is(0.08)) fields.authorization = `Bearer u${chance.below(3)}`;
    return request;
  }

  #sent(request) {
    this.asked++;
    request.sentAt = performance.now();
  }

  /** Who is asked and stands still itself may take as long; others go round who does. */
  #waited(request, member, headAt) {
    const { events, wrong } = this.#needs;
    const ms = headAt - request.sentAt;
    const isExplained = member.stalls.touch(request.sentAt) || events.goes(member.name, request.sentAt);
    if (ms > headMs && request.content === null && !isExplained) wrong("an answer that came late", { ms, request });
  }

  #late(request) {
    const { wrong, events } = this.#needs;
    if (!events.goes(request.member, request.sentAt)) wrong("no answer in time", { request });
  }

  // ---- HTTP/1.1 -------------------------------------------------------------------------------------------------

  #ask1(chance, member) {
    const { options, site, judge, wrong, events } = this.#needs;
    const [host, port] = member.listen.split(":");
    const to = { host, port, rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] };
    const socket = options.tls ? connectTls(to) : connect(to);
    const depth = chance.one([1, 1, 1, 2, options.depth]);
    const waiting = [];
    let left = 1 + chance.below(40);
    let had = Buffer.alloc(0);
    let answer = null;
    let isOver = false;
    let [timer, before] = [null, null];
    const over = () => {
      isOver = true;
      socket.destroy();
    };
    const ask = () => {
      clearTimeout(timer);
      while (waiting.length < depth && left > 0 && !isOver && this.#running) {
        left--;
        const request = this.#request(chance, member);
        const text = textOf(request, options.forward ? site.url : null, chance);
        waiting.push(request);
        this.#sent(request);
        const cut = request.content !== null && depth === 1 && chance.is(0.5) ? chance.below(text.length) : text.length;
        socket.write(text.slice(0, cut));
        if (cut < text.length) {
          request.isSending = true;
          setTimeout(() => {
            request.isSending = false;
            socket.write(text.slice(cut));
          }, chance.below(60));
        }
        if (request.leavesIn === null) continue;
        left = 0;
        setTimeout(over, request.leavesIn);
      }
      if (waiting.length === 0) socket.end();
      else
        timer = setTimeout(() => {
          if (!isOver) this.#late(waiting[0]);
          over();
        }, limitMs);
    };
    const finish = (isWhole) => {
      const request = waiting.shift();
      const given = { ...answer, isWhole, content: Buffer.concat(answer.pieces) };
      answer = null;
      before = { method: request.method, content: request.content?.length ?? 0, status: given.status, isWhole };
      // What follows on the connection may not be answered any more; what is asked now would be in the midst of content.
      if (request.isSending) over();
      if (given.fields.get("connection") === "close" || (request.content?.length ?? 0) > longBytes) left = 0;
      if (!isWhole || left === 0) isOver ||= waiting.length > 0;
      if (depth === 1) this.#waited(request, member, given.headAt);
      judge.judge(request, given);
      if (isWhole) ask();
    };
    const read = () => {
      for (;;) {
        if (answer === null) {
          const head = headOf(had);
          if (head === null) return;
          if (waiting.length === 0) throw new Error("an answer that nobody has asked for");
          had = had.subarray(head.bytes);
          if (head.status < 200) continue;
          const { status, fields } = head;
          answer = {
            status,
            fields,
            pieces: [],
            headAt: performance.now(),
            left: Number(fields.get("content-length") ?? Infinity),
          };
          const hasNone = waiting[0].method === "HEAD" || status === 204 || status === 304;
          if (hasNone) answer.left = 0;
          else if (fields.get("transfer-encoding") === "chunked") answer.left = null;
        }
        if (answer.left === null) {
          const chunk = chunkOf(had);
          if (chunk === null) return;
          had = had.subarray(chunk.bytes);
          if (chunk.content !== null) answer.pieces.push(chunk.content);
          else finish(true);
          continue;
        }
        const piece = had.subarray(0, Math.min(had.length, answer.left));
        had = had.subarray(piece.length);
        answer.pieces.push(piece);
        answer.left -= piece.length;
        if (answer.left > 0) return;
        finish(true);
      }
    };
    return new Promise((done) => {
      socket.setNoDelay(true);
      socket.once(options.tls ? "secureConnect" : "connect", ask);
      socket.on("error", () => {});
      socket.on("data", (bytes) => {
        had = had.length === 0 ? bytes : Buffer.concat([had, bytes]);
        try {
          read();
        } catch (error) {
          wrong("what is no HTTP", { error: String(error.stack), request: waiting[0] });
          over();
        }
        if (waiting[0]?.isSlow !== true || !chance.is(0.3)) return;
        socket.pause();
        setTimeout(() => socket.resume(), chance.below(150));
      });
      socket.on("close", () => {
        clearTimeout(timer);
        if (answer !== null && !isOver) finish(answer.left === Infinity);
        else if (waiting.length > 0 && !isOver && !events.goes(member.name, waiting[0].sentAt))
          wrong("closed without an answer", { request: waiting[0], before });
        done();
      });
    });
  }

  // ---- HTTP/2 ---------------------------------------------------------------------------------------------------

  async #ask2(chance, member) {
    const { options } = this.#needs;
    const settings = chance.is(0.3) ? { initialWindowSize: 20_000 } : {};
    const session = http2.connect(`${options.tls ? "https" : "http"}://${member.listen}`, {
      rejectUnauthorized: false,
      settings,
    });
    let isGone = false;
    for (const event of ["error", "close", "goaway"]) session.on(event, () => (isGone = true));
    const asking = async () => {
      for (let count = 0; count < 20 && this.#running && !isGone; count++) await this.#stream(chance, session, member);
    };
    await Promise.all(Array.from({ length: 1 + chance.below(5) }, asking));
    session.close();
    setTimeout(() => session.destroy(), 500).unref();
    if (isGone) await after(20);
  }

  #stream(chance, session, member) {
    const { options, site, judge, wrong, events } = this.#needs;
    const request = this.#request(chance, member);
    const { method, target, fields, content, leavesIn } = request;
    const [authority, scheme] = options.forward
      ? [new URL(site.url).host, "http"]
      : ["site", options.tls ? "https" : "http"];
    const names = { ":method": method, ":path": target, ":authority": authority, ":scheme": scheme };
    const stream = session.request({ ...names, ...fields }, { endStream: content === null });
    this.#sent(request);
    const cut = content !== null && chance.is(0.5) ? chance.below(content.length) : null;
    if (cut !== null) {
      stream.write(content.slice(0, cut));
      setTimeout(() => stream.end(content.slice(cut)), chance.below(60));
    } else if (content !== null) stream.end(content);
    const pieces = [];
    let [head, headAt, isWhole, hasLeft] = [null, 0, false, false];
    return new Promise((done) => {
      const timer = setTimeout(() => {
        if (!hasLeft) this.#late(request);
        hasLeft = true;
        stream.destroy();
        done();
      }, limitMs);
      if (leavesIn !== null)
        setTimeout(() => {
          hasLeft = true;
          stream.close(http2.constants.NGHTTP2_CANCEL);
        }, leavesIn);
      stream.on("error", () => {});
      stream.on("response", (given) => {
        head = given;
        headAt = performance.now();
      });
      stream.on("data", (bytes) => {
        pieces.push(bytes);
        if (!request.isSlow || !chance.is(0.3)) return;
        stream.pause();
        setTimeout(() => stream.resume(), chance.below(150));
      });
      stream.on("end", () => (isWhole = true));
      stream.on("close", () => {
        clearTimeout(timer);
        if (hasLeft) return done();
        if (head === null) {
          if (!events.goes(request.member, request.sentAt) && !session.destroyed && !session.closed)
            wrong("reset without an answer", { request, code: stream.rstCode });
          return done();
        }
        const named = Object.entries(head).filter(([name]) => !name.startsWith(":"));
        const given = new Map(
          named.map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : String(value)]),
        );
        isWhole &&= stream.rstCode === 0;
        const status = head[":status"];
        const answer = { status, fields: given, content: Buffer.concat(pieces), isWhole, headAt };
        const bytes = given.get("content-length");
        const hasNone = method === "HEAD" || status === 304;
        if (isWhole && !hasNone && bytes !== undefined && Number(bytes) !== answer.content.length)
          wrong("another length than was said", { request, bytes, got: answer.content.length });
        this.#waited(request, member, headAt);
        judge.judge(request, answer);
        return done();
      });
    });
  }
}

function methodBy(chance, { unsafe, purges }) {
  const dice = chance.next();
  if (dice < unsafe) return chance.one(["POST", "POST", "PUT", "DELETE"]);
  if (dice < unsafe + purges) return "PURGE";
  return dice < unsafe + purges + 0.07 ? "HEAD" : "GET";
}

function textOf({ method, target, fields, content }, through, chance) {
  const lines = [
    `${method} ${through ?? ""}${target} HTTP/1.1`,
    `Host: ${through === null ? "site" : new URL(through).host}`,
    ...Object.entries(fields).map(([name, value]) => `${name}: ${value}`),
  ];
  if (content === null) return `${lines.join("\r\n")}\r\n\r\n`;
  if (chance.is(0.1)) lines.push("Expect: 100-continue");
  const isChunked = chance.is(0.5);
  lines.push(isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${content.length}`);
  const chunk = content.length === 0 ? "" : `${content.length.toString(16)}\r\n${content}\r\n`;
  return `${lines.join("\r\n")}\r\n\r\n${isChunked ? `${chunk}0\r\n\r\n` : content}`;
}

function headOf(had) {
  const end = had.indexOf("\r\n\r\n");
  if (end === -1) return null;
  const [first, ...lines] = had.toString("latin1", 0, end).split("\r\n");
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(`${first} `)?.[1]);
  if (Number.isNaN(status)) throw new Error(`no status line: ${first}`);
  const fields = new Map();
  for (const line of lines) {
    const [name, value] = [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()];
    fields.set(name, fields.has(name) ? `${fields.get(name)}, ${value}` : value);
  }
  return { status, fields, bytes: end + 4 };
}

/** The chunk at the beginning; content is null for the last one, with its trailers. */
function chunkOf(had) {
  const line = had.indexOf("\r\n");
  if (line === -1) return null;
  const bytes = Number.parseInt(had.toString("latin1", 0, line), 16);
  if (Number.isNaN(bytes)) throw new Error("no chunk");
  if (bytes > 0)
    return had.length < line + 4 + bytes
      ? null
      : { content: had.subarray(line + 2, line + 2 + bytes), bytes: line + 4 + bytes };
  const end = had.indexOf("\r\n\r\n", line);
  return end === -1 ? null : { content: null, bytes: end + 4 };
}
