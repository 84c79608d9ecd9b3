/**
 * The origin: each of its resources has a version, and all else follows from path, version and variant (fields, framing,
 * status, pace, content byte for byte). Each answer has a number (`X-Gen`), under which is kept what was asked and when.
 */
import { after, chanceOf, hashOf } from "./chance.mjs";
import { OriginServer } from "./origin-server.mjs";
import { isUnchanged, rangeOf } from "./requests.mjs";
import { cacheControls, shapeOf, variantOf } from "./shapes.mjs";
import { Troubles } from "./troubles.mjs";

const modifiedFrom = Date.UTC(2021, 0, 1);
const contentsMax = 600;
/** Events of one path that are remembered. */
const eventsMax = 60;

/** Content of a request that can be told from any other. */
export function contentOfRequest(nonce, bytes) {
  return `${nonce}.`.repeat(Math.ceil(bytes / (nonce.length + 1))).slice(0, bytes);
}

/** The origin and all that is known of what it has said. */
export class Site {
  /** Answers, by number. */
  answers = [];
  answersByPath = new Map();
  /** The second origin of a route, where there is one, is not well. */
  ailing = new Troubles(1000);
  #options;
  #chance;
  #shapes = new Map();
  #contents = new Map();
  #resources = new Map();
  #unsafe = new Map();
  #servers;
  #wrong;

  /** `wrong(kind, about)` hears of what reaches the origin and may not. */
  constructor(options, wrong) {
    this.#options = options;
    this.#wrong = wrong;
    this.#chance = chanceOf(`${options.seed} origin`);
    this.#servers = Array.from(
      { length: options.origins },
      () => new OriginServer((...one) => this.#answer(...one), wrong),
    );
  }

  async start() {
    for (const server of this.#servers) await server.start(0);
  }

  get urls() {
    return this.#servers.map(({ port }) => `http://127.0.0.1:${port}`);
  }

  get url() {
    return this.urls[0];
  }

  /** The second origin is not well for a while, or is again. */
  ail(chance) {
    const ms = 200 + chance.below(2500);
    void this.ailing.during(() => this.#servers[1].ail(chance.one(["refuses", "is silent", "503"]), ms));
  }

  /** Paths: the first are asked for most, and some hardly ever, which make others go. */
  pathBy(chance) {
    if (chance.is(0.06)) return `/r/x${chance.below(300)}`;
    return `/r/${Math.floor(this.#options.resources * chance.next() ** (this.#options.hot ? 5 : 1.7))}`;
  }

  /** What a path is now, and what has happened to it: invalidations that were acknowledged, failures, tags seen. */
  resource(path) {
    let found = this.#resources.get(path);
    if (found === undefined)
      this.#resources.set(path, (found = { version: 1, ended: [], failures: [], tags: [], modified: null }));
    return found;
  }

  paths() {
    return [...this.#resources.keys()];
  }

  /** The next version. */
  change(path) {
    this.resource(path).version++;
  }

  failed(path, kind) {
    const { failures } = this.resource(path);
    failures.push({ kind, at: performance.now() });
    if (failures.length > eventsMax) failures.shift();
  }

  /** How a version is answered. */
  shape(path, version) {
    const key = `${path} ${version}`;
    const known = this.#shapes.get(key);
    if (known !== undefined) return known;
    const shape = shapeOf(this.#options, path, version);
    this.#shapes.set(key, shape);
    return shape;
  }

  content(path, version, variant) {
    const key = `${path} v${version} [${variant}]`;
    const known = this.#contents.get(key);
    if (known !== undefined) return known;
    const { bytes } = this.shape(path, version);
    const wanted = bytes + (variant === "" || bytes === 0 ? 0 : hashOf(variant) % 97);
    const lines = [];
    for (let [had, number] = [0, 0]; had < wanted; number++) {
      const line = `${key} #${number} ${hashOf(`${key}${number}`).toString(36)}\n`;
      lines.push(line);
      had += line.length;
    }
    const content = Buffer.from(lines.join("").slice(0, wanted), "latin1");
    if (this.#contents.size >= contentsMax) this.#contents.delete(this.#contents.keys().next().value);
    this.#contents.set(key, content);
    return content;
  }

  tag(path, version, variant) {
    const { tag } = this.shape(path, version);
    if (tag === "none") return null;
    return `${tag === "weak" ? "W/" : ""}"${hashOf(path + variant).toString(36)}-${version}"`;
  }

  modified(path, version) {
    if (!this.shape(path, version).hasDate) return null;
    return new Date(modifiedFrom + version * 60_000 + (hashOf(path) % 50_000) * 3600).toUTCString();
  }

  #numbered(answer) {
    answer.number = this.answers.length;
    this.answers.push(answer);
    const ofPath = this.answersByPath.get(answer.path);
    if (ofPath === undefined) this.answersByPath.set(answer.path, [answer]);
    else ofPath.push(answer);
    return answer;
  }

  /** @returns what becomes of the connection. */
  async #answer(socket, { method, path: target, fields, content }, how) {
    const [path] = target.split("?");
    const { faults } = this.#options;
    const chance = this.#chance;
    const at = performance.now();
    const nonce = fields.get("x-nonce") ?? "";
    const isUnsafe = method !== "GET" && method !== "HEAD";
    if (how === "503") return this.#refused(socket, { at, path, method, nonce, isAiling: faults === 0 });
    if (isUnsafe) this.#took(method, nonce, content);
    const { version } = this.resource(path);
    const { fails } = this.shape(path, version);
    if (fails && chance.is(faults)) {
      this.failed(path, "unreachable");
      if (chance.is(0.5)) await after(chance.below(60));
      this.failed(path, "unreachable");
      if (isUnsafe && chance.is(0.5)) this.change(path);
      return "cut";
    }
    const asked = {
      at,
      path,
      method,
      nonce,
      authorization: fields.get("authorization"),
      directives: fields.get("cache-control") ?? "",
    };
    if (isUnsafe) return this.#changed(socket, asked, fields);
    if (fails && chance.is(faults)) return this.#refused(socket, asked);
    if (chance.is(0.01)) this.change(path);
    return this.#shown(socket, asked, fields);
  }

  #took(method, nonce, content) {
    const times = (this.#unsafe.get(nonce) ?? 0) + 1;
    this.#unsafe.set(nonce, times);
    if (method === "POST" && times > 1) this.#wrong("a POST that came twice", { nonce });
    const text = content.toString("latin1");
    if (text !== contentOfRequest(nonce, text.length))
      this.#wrong("a request's content", { nonce, begins: text.slice(0, 80) });
  }

  async #changed(socket, asked, fields) {
    const chance = this.#chance;
    const isDone = chance.is(0.9);
    if (isDone || chance.is(0.3)) this.change(asked.path);
    // What there is now, in answer to the change: it may answer others too. RFC 9110 §9.3.3.
    if (isDone && asked.method === "POST" && chance.is(0.3)) return this.#shown(socket, asked, fields);
    const status = isDone ? chance.one([200, 204, 303, 201]) : chance.one([400, 500, 409]);
    const located = isDone && chance.is(0.2) ? this.pathBy(chance) : null;
    const ends = isDone && chance.is(0.15) ? `g${chance.below(3)}` : null;
    const answer = this.#numbered({ ...asked, kind: "changed", status, located, ends, isDone });
    const lines = [`HTTP/1.1 ${status} X`, `X-Gen: ${answer.number}`];
    if (located !== null) lines.push(`${chance.is(0.5) ? "Location" : "Content-Location"}: ${located}`);
    if (ends !== null) lines.push(`Cache-Group-Invalidation: "${ends}"`);
    if (chance.is(0.3)) await after(chance.below(100));
    const text = status === 204 ? "" : `done ${answer.number}`;
    if (status !== 204) lines.push(`Content-Length: ${text.length}`);
    answer.sentAt = performance.now();
    socket.write(`${lines.join("\r\n")}\r\n\r\n${text}`);
    return "kept";
  }

  async #refused(socket, asked) {
    const { path, isAiling } = asked;
    const { version } = this.resource(path);
    const status = isAiling === undefined ? this.#chance.one([500, 502, 503]) : 503;
    const answer = this.#numbered({ ...asked, kind: "refused", version, status });
    if (isAiling !== true) this.failed(path, "server-error");
    await after(this.shape(path, version).headMs);
    if (isAiling !== true) this.failed(path, "server-error");
    const text = `refused ${answer.number}`;
    answer.sentAt = performance.now();
    const head = `HTTP/1.1 ${answer.status} X\r\nX-Gen: ${answer.number}\r\nContent-Length: ${text.length}\r\n\r\n`;
    socket.write(asked.method === "HEAD" ? head : head + text);
    return "kept";
  }

  async #shown(socket, asked, fields) {
    const { path, method, nonce } = asked;
    const isPosted = method === "POST";
    const chance = this.#chance;
    const { version } = this.resource(path);
    const shape = this.shape(path, version);
    const variant = variantOf(shape.vary, (name) => fields.get(name));
    const [tag, modified] = [this.tag(path, version, variant), this.modified(path, version)];
    const control = chance.is(0.06) ? chance.one(cacheControls) : shape.control;
    const { status, vary, group } = shape;
    const answer = this.#numbered({
      ...asked,
      kind: "shown",
      version,
      variant,
      vary,
      group,
      status,
      control,
      form: "whole",
      cutAt: null,
    });
    const lines = [`X-Gen: ${answer.number}`, `Date: ${new Date().toUTCString()}`];
    if (isPosted) {
      lines.push(`Content-Location: ${path}`);
      Object.assign(answer, { isDone: status < 400, located: null, ends: null });
    }
    if (control !== "") lines.push(`Cache-Control: ${control}`);
    if (vary !== "") lines.push(`Vary: ${vary}`);
    if (tag !== null) lines.push(`ETag: ${tag}`);
    if (modified !== null) lines.push(`Last-Modified: ${modified}`);
    if (group !== null) lines.push(`Cache-Groups: "${group}"`);
    if (shape.setsCookie) lines.push(`Set-Cookie: sid=${nonce}`);
    if (status === 301) lines.push("Location: /r/0");
    if (shape.headMs > 0) await after(shape.headMs * (0.5 + chance.next()));
    if (shape.hasInterim && chance.is(0.7)) socket.write("HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n");
    const begin = (line, more = []) => {
      answer.sentAt = performance.now();
      socket.write(`HTTP/1.1 ${line}\r\n${[...lines, ...more].join("\r\n")}\r\n\r\n`);
    };
    // A 304 without Cache-Control would leave the one of an answer before: nobody could tell which.
    if (!isPosted && shape.validates && control !== "" && isUnchanged(fields, tag, modified)) {
      answer.form = "unchanged";
      begin("304 Not Modified");
      return "kept";
    }
    const whole = this.content(path, version, variant);
    const range =
      method === "GET" && status === 200 && shape.takesRanges ? rangeOf(fields, whole.length, tag, modified) : null;
    if (range === "none") {
      begin("416 X", [`Content-Range: bytes */${whole.length}`, "Content-Length: 0"]);
      return "kept";
    }
    lines.push(`Content-Type: ${shape.type}`);
    if (range !== null) lines.push(`Content-Range: bytes ${range.first}-${range.last}/${whole.length}`);
    const content = range === null ? whole : whole.subarray(range.first, range.last + 1);
    if (status === 204) {
      begin("204 X");
      return "kept";
    }
    const framing = {
      length: `Content-Length: ${content.length}`,
      chunked: "Transfer-Encoding: chunked",
      end: "Connection: close",
    };
    begin(range === null ? `${status} X` : "206 X", [framing[shape.framing]]);
    if (method === "HEAD") return shape.framing === "end" ? "ended" : "kept";
    return this.#send(socket, answer, shape, content);
  }

  async #send(socket, answer, { framing, pauses, hasTrailers, fails }, content) {
    const chance = this.#chance;
    const isCut = fails && framing !== "end" && content.length > 0 && chance.is(this.#options.faults);
    const places = Array.from({ length: pauses }, () => chance.below(content.length + 1)).sort(
      (one, other) => one - other,
    );
    const ends = [...new Set([...places, content.length])].filter((end) => end > 0);
    let from = 0;
    for (const end of ends) {
      if (from > 0) await after(chance.below(80));
      const piece = content.subarray(from, end);
      from = end;
      const size = framing === "chunked" ? `${piece.length.toString(16)}\r\n` : "";
      if (isCut && end === content.length) {
        answer.cutAt = performance.now();
        this.failed(answer.path, "cut");
        socket.write(size);
        await new Promise((done) => socket.write(piece.subarray(0, piece.length >> 1), done));
        return "cut";
      }
      socket.write(size);
      socket.write(piece);
      if (framing === "chunked") socket.write("\r\n");
      if (socket.destroyed) return "cut";
    }
    if (framing === "chunked") socket.write(hasTrailers ? `0\r\nX-Trail: ${answer.number}\r\n\r\n` : "0\r\n\r\n");
    return framing === "end" ? "ended" : "kept";
  }
}
