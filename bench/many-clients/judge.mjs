/**
 * Whether an answer may be what it is: by the origin's answer that it names (`X-Gen`), by what had been acknowledged
 * before it was asked for, and by what was asked. Where an answer names none (a 304), one that it could come from is
 * looked for.
 */
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { directivesOf, variantOf } from "./shapes.mjs";

/** Seconds by which clocks and loops may be late. */
const grace = 0.03;
/** Milliseconds before a request at which a failure of the origin may still be what it was answered with. */
const failureMs = 3000;
/** Milliseconds that an answer which the origin has sent may take to be one that nobody can join any more. */
const joinedMs = 150;
const endedMax = 40;
const guessable = new Set([200, 203, 204, 206, 301, 404, 410]);
const decoders = { gzip: gunzipSync, br: brotliDecompressSync, zstd: zstdDecompressSync };

/** Milliseconds after which who was out of reach trusts nothing that it has not been told (docs/purge.md), and some. */
const sessionMs = { embedded: 4000 + 1300, zookeeper: 6000 + 1300 };

/** Judges answers. `wrong(kind, about)` hears of what may not be; `events` knows what is the matter besides. */
export class Judge {
  #site;
  #wrong;
  #events;
  #isCompressing;
  #isReloading;
  #sessionMs;
  /** Groups that were invalidated: since when, and when that was acknowledged. */
  #endedGroups = [];

  constructor(site, { wrong, events, settings }) {
    this.#site = site;
    this.#wrong = wrong;
    this.#events = events;
    this.#isCompressing = settings.compress;
    this.#isReloading = settings.reloads;
    this.#sessionMs = settings.zookeeper ? sessionMs.zookeeper : sessionMs.embedded;
  }

  /**
   * What the origin had said of a path before `since` may answer nobody who asks from now on; where it was purged
   * softly, it is stale. Whoever could not be told is given its session time.
   */
  ended(path, how) {
    const { ended } = this.#site.resource(path);
    ended.push(this.#acknowledged(how));
    if (ended.length > endedMax) ended.shift();
  }

  /** The same of a group. */
  endedGroup(group, how) {
    this.#endedGroups.push({ group, ...this.#acknowledged(how) });
  }

  #acknowledged({ since, why, isPending = false }) {
    const isLate = isPending || this.#events.parted.touch(since);
    return { since, why, isLate, acknowledged: performance.now() + (isLate ? this.#sessionMs : 0) };
  }

  /**
   * One request and its answer: `{ status, fields, content, isWhole, headAt }`. Fields are a map of names in lower case.
   */
  judge(request, answer) {
    if (request.method === "PURGE") return this.#purged(request, answer);
    const faults = this.#faultsOf(request, answer);
    const number = answer.fields.get("x-gen");
    const came = number === undefined ? undefined : this.#site.answers[Number(number)];
    for (const [kind, more] of faults)
      this.#wrong(kind, { ...more, request, status: answer.status, fields: Object.fromEntries(answer.fields), came });
    if (came !== undefined) this.#learn(request, answer, came);
    return undefined;
  }

  #purged({ path, member, sentAt, fields }, { status, content }) {
    const why = fields["soft-purge"] === "1" ? "softly purged" : "purged";
    if (status === 200 || status === 202) this.ended(path, { since: sentAt, why, isPending: status === 202 });
    else if (status !== 503 || !this.#events.goes(member, sentAt))
      this.#wrong("a purge's status", { status, path, content: content.toString("latin1", 0, 200) });
  }

  /** What it changes for those who ask from now on. */
  #learn(request, { fields }, came) {
    if (came.isDone === true && came.method === request.method) {
      const since = came.at;
      this.ended(request.path, { since, why: "changed" });
      if (came.located !== null) this.ended(came.located, { since, why: "located" });
      if (came.ends !== null) this.endedGroup(came.ends, { since, why: "group" });
    }
    const resource = this.#site.resource(request.path);
    const tag = fields.get("etag");
    if (tag !== undefined && !resource.tags.includes(tag)) resource.tags.push(tag);
    if (resource.tags.length > 12) resource.tags.shift();
    resource.modified = fields.get("last-modified") ?? resource.modified;
  }

  #faultsOf(request, answer) {
    const { status, fields } = answer;
    const number = fields.get("x-gen");
    if (number === undefined) return this.#ownFaults(request, answer);
    const came = this.#site.answers[Number(number)];
    if (came === undefined || came.path !== request.path) return [["another path's answer", {}]];
    const isChange = isUnsafe(request.method);
    if (isChange && came.nonce !== request.nonce) return [["another client's answer to a change", {}]];
    if (came.kind === "changed") return changedFaults(request, answer, came);
    if (came.kind === "refused") return refusedFaults(request, answer, came);
    const coded = this.#isCompressing && /accept-encoding/i.test(fields.get("vary") ?? "");
    if (!coded) return this.#shownFaults(request, answer, came);
    // What was stored for a coding is validated by what it was made of: it keeps the number of the first.
    const same = (one) => one.version === came.version && one.variant === came.variant;
    return this.#leastFaults(request, answer, status === 304 ? () => true : same);
  }

  /** Of an answer without a number: a member's own. */
  #ownFaults(request, answer) {
    const { path, sentAt, fields: asked } = request;
    const { status, content } = answer;
    if (status === 304) {
      const [tag, modified] = [tagOf(answer), answer.fields.get("last-modified") ?? null];
      const could = (one) =>
        sameTag(this.#site.tag(path, one.version, one.variant), tag) &&
        (modified === null || this.#site.modified(path, one.version) === modified);
      return this.#leastFaults(request, answer, could);
    }
    if (status === 416 && asked.range !== undefined) return [];
    const isOwn = status === 502 || status === 503 || status === 504;
    if (isOwn && status === 504 && /only-if-cached/.test(asked["cache-control"] ?? "")) return [];
    const isGoing = this.#events.goes(request.member, sentAt);
    if (isOwn && (this.#hasFailed(path, null, sentAt - failureMs) || isGoing)) return [];
    // What may not be sent twice is not asked of another origin, nor of another member.
    const others = [this.#site.ailing, this.#events.parted, this.#events.disturbed];
    if (isOwn && isUnsafe(request.method) && others.some((one) => one.touch(sentAt))) return [];
    return [["a member's own answer without a reason", { content: content.toString("latin1", 0, 200) }]];
  }

  /** The faults by the latest answer of the origin that it could come from and that leaves none, else by the last. */
  #leastFaults(request, answer, could) {
    let faults = [["what the origin has never said", {}]];
    for (const came of this.#site.answersByPath.get(request.path)?.toReversed() ?? []) {
      if (came.kind !== "shown" || !could(came)) continue;
      faults = this.#shownFaults(request, answer, came);
      if (faults.length === 0) return faults;
    }
    return faults;
  }

  #shownFaults(request, answer, came) {
    const faults = [];
    const add = (kind, more = {}) => faults.push([kind, more]);
    if (variantOf(came.vary, (name) => request.fields[name]) !== came.variant) add("another variant");
    const control = directivesOf(came.control);
    const cookie = answer.fields.get("set-cookie");
    const isShared = control.has("public") || control.has("s-maxage");
    if (cookie !== undefined && cookie !== `sid=${request.nonce}` && !isShared) add("another client's cookie");
    if (came.nonce !== request.nonce) {
      sharingFaults(came, control, add);
      this.#endedFaults(request, came, add);
      // What the origin was asked for after the request is as new as can be.
      if (came.at < request.sentAt) this.#freshnessFaults(request, answer, came, control, add);
      ageFaults(request, answer, came, add);
    }
    this.#contentFaults(request, answer, came, add);
    return faults;
  }

  /** What has ended an answer of the origin before somebody asked. */
  #endsOf({ path, sentAt }, came) {
    const { ended } = this.#site.resource(path);
    const groups = this.#endedGroups.filter(({ group }) => group === came.group);
    return [...ended, ...groups].filter(({ acknowledged, since }) => acknowledged < sentAt && came.at < since);
  }

  #endedFaults(request, came, add) {
    // Who was out of reach validates what it has; where the origin fails, what is stale may do.
    const isFailing = this.#hasFailed(request.path, null, request.sentAt - 400);
    const over = this.#endsOf(request, came).find(
      ({ why, isLate }) => why !== "softly purged" && !(isLate && isFailing),
    );
    if (over !== undefined) add("older than what was acknowledged to have ended it", { over });
  }

  #freshnessFaults(request, { headAt, fields }, came, control, add) {
    const { path, sentAt, fields: asked } = request;
    const wishes = directivesOf(asked["cache-control"] ?? "");
    const seconds = (directives, name) => (directives.has(name) ? Number(directives.get(name)) : null);
    const age = (sentAt - came.at) / 1000;
    const guessed = guessable.has(came.status) || control.has("public");
    const hasDate = this.#site.modified(path, came.version) !== null;
    const said = seconds(control, "s-maxage") ?? seconds(control, "max-age") ?? (guessed && hasDate ? 86_400 : 0);
    const softly = this.#endsOf(request, came).filter(({ why }) => why === "softly purged");
    const lifetime = Math.min(said, ...softly.map(({ acknowledged }) => (acknowledged - came.at) / 1000));
    const mustAsk = control.has("no-cache") && control.get("no-cache") === null;
    const forbids = mustAsk || control.has("must-revalidate") || control.has("proxy-revalidate");
    const implies = control.has("s-maxage");
    const stale = age - lifetime - grace;
    const within = (bound) => !forbids && bound !== null && stale <= bound;
    const accepted = wishes.has("max-stale") ? (wishes.get("max-stale") ?? Infinity) : null;
    const mayBe = stale < 0 || (!implies && within(accepted)) || within(seconds(control, "stale-while-revalidate"));
    const ifError = seconds(control, "stale-if-error") ?? (implies ? null : seconds(wishes, "stale-if-error"));
    const isDisturbed = this.#disturbed(sentAt) || this.#events.parted.touch(sentAt);
    const failing = isDisturbed || this.#hasFailed(path, null, sentAt - 400, headAt + 50);
    const gone = isDisturbed || this.#hasFailed(path, "unreachable", sentAt - 400, headAt + 50);
    const stands = (failing && within(ifError)) || (gone && ifError === null && !implies && !forbids);
    if (stands) return;
    // Who asks while the origin is asked may be answered with what it says then.
    const isJoined = came.sentAt >= sentAt - joinedMs;
    const isValidated = isJoined && came.form === "unchanged" && /collapsed/.test(fields.get("cache-status") ?? "");
    if ((!mayBe || mustAsk) && !isValidated)
      add("stale", { age, lifetime, headAt, isAiling: this.#site.ailing.touch(sentAt) });
    if (isJoined) return;
    if (wishes.has("no-cache")) add("no-cache that was not heeded", { age });
    const most = seconds(wishes, "max-age");
    if (most !== null && !wishes.has("max-stale") && age > most + grace) add("max-age that was not heeded", { age });
    const least = seconds(wishes, "min-fresh");
    if (least !== null && lifetime - age < least - grace) add("min-fresh that was not heeded", { age, lifetime });
  }

  #contentFaults(request, answer, came, add) {
    const { path, version, variant, status: said } = came;
    const { method, fields: asked } = request;
    const { status, fields, isWhole } = answer;
    const [tag, modified] = [this.#site.tag(path, version, variant), this.#site.modified(path, version)];
    const coding = fields.get("content-encoding");
    if (this.#isCompressing ? !sameTag(tag, tagOf(answer)) : tag !== tagOf(answer)) add("another tag", { tag });
    if (status === 304) return notModifiedFaults(asked, tag, modified, add);
    if ((fields.get("last-modified") ?? null) !== modified) add("another date", { modified });
    if (status === 416) return asked.range === undefined ? add("416 to who asked for no range") : undefined;
    if (status !== said && !(status === 206 && asked.range !== undefined && said === 200)) return add("another status");
    if (said === 204) return answer.content.length > 0 ? add("content of a 204") : undefined;
    const whole = this.#site.content(path, version, variant);
    if (method === "HEAD") {
      const bytes = fields.get("content-length");
      const isOther = bytes !== undefined && coding === undefined && Number(bytes) !== whole.length;
      return isOther ? add("another length", { whole: whole.length }) : undefined;
    }
    if (!isWhole) {
      const isExplained = came.cutAt !== null || this.#hasFailed(path, "cut", request.sentAt - failureMs);
      const isCut = [this.#events.parted, this.#site.ailing].some((one) => one.touch(request.sentAt));
      if (!isExplained && !isCut && !this.#disturbed(request.sentAt)) add("cut", { got: answer.content.length });
      if (coding !== undefined) return undefined;
    }
    // A member that compresses gives parts of what is not coded; one that has been told to stop has coded content left.
    if (status === 206 && coding !== undefined) return this.#isReloading ? undefined : add("a part that is compressed");
    const content = coding === undefined ? answer.content : decoded(coding, asked, answer.content, add);
    if (content === null) return undefined;
    if (status !== 206) return compared(content, whole, isWhole, add);
    const condition = asked["if-range"];
    const holds =
      condition === undefined || condition === modified || (condition === tag && !condition.startsWith("W/"));
    if (!holds) add("a part although If-Range does not hold", { tag, modified });
    return partFaults(answer, content, whole, asked.range, add);
  }

  #disturbed(at) {
    return this.#events.disturbed.touch(at);
  }

  #hasFailed(path, kind, from, to = Infinity) {
    const { failures } = this.#site.resource(path);
    return failures.some((one) => (kind === null || one.kind === kind) && one.at >= from && one.at <= to);
  }
}

function isUnsafe(method) {
  return method !== "GET" && method !== "HEAD";
}

function tagOf({ fields }) {
  return fields.get("etag") ?? null;
}

/** As far as what was compressed here is tagged: weakly, with its coding behind. */
function sameTag(one, other) {
  return plainTag(one) === plainTag(other);
}

function plainTag(tag) {
  return tag === null ? null : tag.replace("W/", "").replace(/;\w+"$/, '"');
}

function changedFaults(request, { status, content, isWhole }, came) {
  if (came.nonce !== request.nonce) return [["an answer to a change that was kept", {}]];
  if (status !== came.status) return [["another status", {}]];
  const isRight = !isWhole || status === 204 || content.toString("latin1") === `done ${came.number}`;
  return isRight ? [] : [["content of a change", { content: content.toString("latin1", 0, 100) }]];
}

function refusedFaults(request, { status, content, isWhole }, came) {
  const isJoined = came.sentAt >= request.sentAt - joinedMs;
  if (came.nonce !== request.nonce && !isJoined) return [["an error that was kept", {}]];
  if (came.isAiling && !isUnsafe(request.method)) return [["an error of one origin of two", {}]];
  const isRight = request.method === "HEAD" || !isWhole || content.toString("latin1") === `refused ${came.number}`;
  return status === came.status && isRight ? [] : [["another error", {}]];
}

/** Of what was said to another client. */
function sharingFaults({ authorization, directives, vary }, control, add) {
  for (const name of ["private", "no-store"]) if (control.has(name)) add(`${name}, and shared`);
  const mayBe = ["public", "s-maxage", "must-revalidate"].some((name) => control.has(name));
  if (authorization !== undefined && !mayBe) add("an answer to credentials, and shared");
  if (directives.includes("no-store")) add("an answer to no-store, and shared");
  if (vary === "*") add("Vary: *, and shared");
}

function ageFaults({ sentAt }, { fields, headAt }, came, add) {
  const [least, most] = [(sentAt - came.at) / 1000, (headAt - came.at) / 1000];
  const age = Number(fields.get("age") ?? 0);
  if (age + 1 + grace < least) add("too low an age", { least });
  // Dates are whole seconds, and so are ages.
  if (age > most + 2 + grace) add("too high an age", { most });
}

function notModifiedFaults(asked, tag, modified, add) {
  const tags = asked["if-none-match"];
  const since = asked["if-modified-since"];
  if (tags !== undefined) {
    const named = tags.split(/,\s*/);
    if (tags !== "*" && !(tag !== null && named.some((one) => sameTag(one, tag)))) add("304 by another tag", { tag });
  } else if (since === undefined) add("304 that was not asked for");
  else if (modified !== null && Date.parse(modified) > Date.parse(since)) add("304 of what was modified", { modified });
}

function decoded(coding, asked, content, add) {
  if (!(asked["accept-encoding"] ?? "").includes(coding)) add("a coding that was not asked for", { coding });
  try {
    return decoders[coding](content);
  } catch (error) {
    add("content that cannot be decoded", { coding, error: String(error) });
    return null;
  }
}

function partFaults({ fields, isWhole }, content, whole, range, add) {
  if ((fields.get("content-type") ?? "").startsWith("multipart/byteranges"))
    return isWhole ? partsFaults(fields.get("content-type"), content, whole, add) : undefined;
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(fields.get("content-range") ?? "");
  if (match === null || Number(match[3]) !== whole.length) return add("Content-Range", { whole: whole.length });
  const [first, last] = [Number(match[1]), Number(match[2])];
  const wanted = /^bytes=(\d*)-(\d*)$/.exec(range);
  if (wanted !== null) {
    const from = wanted[1] === "" ? Math.max(0, whole.length - Number(wanted[2])) : Number(wanted[1]);
    const to = wanted[1] === "" || wanted[2] === "" ? whole.length - 1 : Math.min(whole.length - 1, Number(wanted[2]));
    if (from !== first || to !== last) add("another range", { first, last });
  }
  return compared(content, whole.subarray(first, last + 1), isWhole, add);
}

function partsFaults(type, content, whole, add) {
  const boundary = /boundary="?([^";]+)/.exec(type)?.[1];
  const parts = content.toString("latin1").split(`--${boundary}`).slice(1, -1);
  if (parts.length === 0) add("no parts");
  for (const part of parts) {
    const begin = part.indexOf("\r\n\r\n") + 4;
    const match = /content-range: bytes (\d+)-(\d+)\/(\d+)/i.exec(part.slice(0, begin));
    const wanted = match === null ? null : whole.toString("latin1", Number(match[1]), Number(match[2]) + 1);
    if (wanted === null || Number(match[3]) !== whole.length || part.slice(begin, -2) !== wanted)
      add("wrong bytes in a part");
  }
}

function compared(content, whole, isWhole, add) {
  const wanted = isWhole ? whole : whole.subarray(0, content.length);
  if (content.equals(wanted)) return;
  let at = 0;
  while (at < content.length && content[at] === wanted[at]) at++;
  const [got, want] = [content, wanted].map((one) => one.toString("latin1", at, at + 60));
  add("wrong bytes", { at, bytes: content.length, of: whole.length, got, want });
}
