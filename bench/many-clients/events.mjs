/**
 * What happens in a round beside what clients ask: the site changes, operators purge, reload and weigh, members end,
 * die, stand still, come and leave for good, links between them are cut or late.
 */
import { after, chanceOf } from "./chance.mjs";
import { freePort, Member } from "./member.mjs";
import { Troubles } from "./troubles.mjs";

/** Milliseconds in which nothing else of a member's comings and goings begins. */
const betweenMs = 300;
/** Members that a round has at most. */
const membersMax = 5;

/** All that happens in a round. */
export class Events {
  /** Members come and go: connections end, who is asked may say that it cannot. */
  disturbed = new Troubles(1500);
  /** The same of one member. */
  #troubles = new Map();
  /** Somebody is out of reach: purges may be pending, answers between members may be cut. */
  parted = new Troubles(1500);
  /** ZooKeeper is out of reach: nobody joins. */
  away = new Troubles(3000);
  /** Who is to hear of purges. */
  judge = null;
  /** How often what has happened. */
  counts = new Map();
  #needs;
  #names;

  /** `needs`: settings, site, members (a list that grows), links, place (what all have), ensemble, configure, wrong. */
  constructor(needs) {
    this.#needs = needs;
    this.#names = needs.settings.members;
  }

  /** Resolves at `until`, when all that has begun has ended. */
  async happen(until) {
    const { settings } = this.#needs;
    const { seed, restarts, kills, comings, moves, stalls, links, weights, zookeeper } = settings;
    const often = async (name, doing, [least, more]) => {
      const chance = chanceOf(`${seed} ${name}`);
      while (performance.now() < until) {
        await after(least + chance.below(more));
        if (performance.now() >= until) continue;
        this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
        await doing(chance);
      }
    };
    await Promise.all([
      often("events", (chance) => this.#usual(chance), [200, 800]),
      restarts || kills || comings || moves
        ? often("goings", (chance) => this.#going(chance), [betweenMs, 3000])
        : null,
      stalls ? often("stalls", (chance) => this.#stall(chance), [50, 1500]) : null,
      links && settings.members > 1 ? often("links", (chance) => this.#link(chance), [50, 1000]) : null,
      zookeeper ? often("zookeeper", (chance) => this.#away(chance), [1000, 6000]) : null,
      weights ? often("weights", (chance) => this.#weigh(chance), [1000, 4000]) : null,
    ]);
  }

  /** Whether a member itself came or went then: who asks it may find nobody. */
  goes(name, at) {
    return this.#troubles.get(name)?.touch(at) ?? false;
  }

  #during({ name }, doing) {
    return this.disturbed.during(() => troublesOf(this.#troubles, name).during(doing));
  }

  get #up() {
    return this.#needs.members.filter(({ isUp }) => isUp);
  }

  async #usual(chance) {
    const { settings, site, configure, members } = this.#needs;
    if (chance.is(0.5)) site.change(site.pathBy(chance));
    if (settings.origins > 1 && chance.is(0.4)) site.ail(chance);
    const asked = chance.one(this.#up);
    if (chance.is(0.3) && asked !== undefined) void this.#purge(chance, asked);
    if (!settings.reloads || !chance.is(0.3)) return;
    configure();
    // Some go on with other settings for a while.
    for (const member of members) if (chance.is(0.7)) member.reload();
  }

  /** By tag, prefix, host, or all: what only the API can name. */
  async #purge(chance, member) {
    const { judge } = this;
    const { settings, site, wrong } = this.#needs;
    const [group, prefix] = [`g${chance.below(3)}`, `/r/${chance.below(3)}`];
    const base = settings.forward ? site.url : `${settings.tls ? "https" : "http"}://site`;
    const selector = chance.one([
      { tag: group },
      { tag: group },
      { prefix: `${base}${prefix}` },
      { host: new URL(base).host },
      { everything: true },
    ]);
    const isSoft = settings.soft && chance.is(0.5);
    const since = performance.now();
    const answer = await member.operate("/api/purge", { selectors: [selector], ...(isSoft ? { soft: true } : {}) });
    // A member that is just leaving or joining: nothing is promised then.
    if (answer === null || answer.status === 503 || answer.status === 429) return;
    if (answer.status !== 200) return wrong("a purge's status", answer);
    const how = { since, why: isSoft ? "softly purged" : "purged", isPending: answer.text.includes('"pending"') };
    if (!how.isPending && !answer.text.includes('"applied"')) wrong("a purge that nobody applied", answer);
    if ("tag" in selector) return judge.endedGroup(group, how);
    for (const path of site.paths()) if (!("prefix" in selector) || path.startsWith(prefix)) judge.ended(path, how);
  }

  async #going(chance) {
    const { restarts, kills, comings, moves } = this.#needs.settings;
    const kinds = [
      restarts && "restart",
      kills && "kill",
      comings && "come",
      comings && "leave",
      moves && !this.#needs.settings.zookeeper && "move",
    ];
    const kind = chance.one(kinds.filter((one) => one !== false));
    const others = this.#up.filter(
      ({ peer }) => this.#needs.settings.zookeeper || `http://${peer}` !== this.#needs.place.coordinator,
    );
    if (kind === "come") return this.#come();
    if (kind === "leave") return others.length > 1 ? this.#leave(chance, chance.one(others)) : undefined;
    if (kind === "move") return others.length > 0 ? this.#move(chance, chance.one(others)) : undefined;
    const { members, settings } = this.#needs;
    const member = settings.members === 1 ? members[0] : chance.one(others);
    if (member === undefined) return undefined;
    return this.#during(member, async () => {
      await member.end(kind === "kill" ? "SIGKILL" : "SIGTERM");
      await after(chance.below(1000));
      await member.start();
    });
  }

  async #come() {
    const { settings, members, links, place, wrong } = this.#needs;
    if (members.length >= membersMax) return;
    const name = `m${++this.#names}`;
    const port = await freePort();
    const peerPort = await freePort();
    const member = new Member(settings, { name, port, peerPort, place }, wrong);
    members.push(member);
    await links?.add(name, peerPort);
    await this.#during(member, () => member.start());
  }

  /** For good: it is drained, or told to stop. */
  async #leave(chance, member) {
    const { members, wrong } = this.#needs;
    member.isUp = false;
    member.isEnding = true;
    await this.#during(member, async () => {
      if (chance.is(0.5)) await member.end("SIGTERM");
      else {
        const asked = chance.one(this.#up);
        const answer = await asked.operate(`/api/drain?member=${member.name}`, null);
        if (answer !== null && answer.status !== 200) wrong("a drain", { ...answer, member: member.name });
        await (answer?.status === 200 ? member.ended() : member.end("SIGTERM"));
      }
    });
    members.splice(members.indexOf(member), 1);
  }

  /** The coordinator's host dies, another member takes its place, the old one joins it. */
  async #move(chance, next) {
    const { members, place, wrong } = this.#needs;
    const host = members.find(({ peer }) => `http://${peer}` === place.coordinator);
    if (host === undefined || host === next || !host.isUp) return;
    await this.#during(host, () =>
      this.parted.during(async () => {
        await host.end("SIGKILL");
        await after(chance.below(500));
        const answer = await next.operate("/api/coordinate", null);
        if (answer?.status !== 200) wrong("a coordinator's move", { ...answer, to: next.name });
        else place.coordinator = `http://${next.peer}`;
        await host.start();
      }),
    );
  }

  async #stall(chance) {
    const member = chance.one(this.#up);
    const ms = 20 + chance.below(chance.one([150, 150, 800, 4000]));
    if (member !== undefined) await this.parted.during(() => member.stand(ms));
  }

  async #link(chance) {
    const { links, settings } = this.#needs;
    const names = Array.from({ length: settings.members }, (_, number) => `m${number + 1}`);
    const one = chance.one(names);
    const other = chance.one(names.filter((name) => name !== one));
    // Refused is taken for gone: with nobody between, nothing is promised then (docs/purge.md).
    const how = chance.one(["cut", "late", "silent"]);
    const ms = 20 + chance.below(chance.one([200, 1000, 4000]));
    const doing = () =>
      links.disturb([one, other], how, { ms, lateMs: 10 + chance.below(120), isLost: chance.is(0.5) });
    await this.parted.during(doing);
  }

  /** A server of ZooKeeper's dies and returns, or stands still. The others elect another leader if it was that. */
  async #away(chance) {
    const server = chance.one(this.#needs.ensemble.servers);
    const ms = 200 + chance.below(7000);
    await this.away.during(async () => {
      if (chance.is(0.5)) {
        server.signal("SIGSTOP");
        await after(ms);
        return server.signal("SIGCONT");
      }
      await server.kill();
      await after(ms);
      server.start();
      return server.serving();
    });
  }

  async #weigh(chance) {
    const { wrong } = this.#needs;
    const [asked, member] = [chance.one(this.#up), chance.one(this.#up)];
    if (asked === undefined) return;
    const answer = await asked.operate(`/api/weight?member=${member.name}`, { weight: chance.one([0.3, 1, 2]) });
    const isExplained = [this.disturbed, this.parted, this.away].some((one) => one.touch(performance.now()));
    if (answer?.status !== 200 && !isExplained) wrong("a weight", { ...answer, member: member.name });
  }
}

function troublesOf(all, name) {
  if (!all.has(name)) all.set(name, new Troubles(1500));
  return all.get(name);
}
