/**
 * A small world in which members tell each other of invalidations: what they say is the program's own
 * (`Correspondence`, log, touch), clocks, network, coordinator, origin and stores are made up. Everything follows from
 * a seed.
 *
 * Members read keys from their stores, from each other or from the origin; somebody changes a key at the origin through
 * one of them and gets an acknowledgement. Links are cut, one way or both, messages are late, doubled, out of order;
 * members stop, go on, crash, come back, join; some with a disk, on which what they had is found again.
 */
import { randomOf } from "../../src/eval/random.ts";
import { invalidationsOf, type Invalidation } from "../../src/invalidation/invalidation.ts";
import { limitSeconds, Process, uriOf, type Left, type Message } from "./process.ts";

const sessionSeconds = 4;
const keys = ["a", "b", "c"];

/** A change that has been acknowledged: from then on, nobody among these answers with less. */
interface Acknowledged {
  readonly key: string;
  readonly version: number;
  readonly at: number;
  readonly toldAt: number;
  readonly teller: string;
  readonly applied: ReadonlySet<string>;
  /** Who could be reached all the while, and has not acknowledged. */
  readonly reachable: ReadonlySet<string>;
}

export interface WorldOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly members: number;
  readonly logBytes?: number;
  /** Some messages take seconds. */
  readonly slow: boolean;
  /** Nothing is changed after the mishaps: what was told during them is all that there is. */
  readonly quiet: boolean;
}

export interface Outcome {
  /** What must never be seen, or null. */
  readonly fault: string | null;
  readonly history: readonly string[];
  readonly reads: number;
  readonly hits: number;
  readonly acknowledged: number;
  readonly pending: number;
  /** Hits of what an earlier life had stored. */
  readonly keptHits: number;
  readonly events: number;
}

/** Lives through one world. */
export function live({ seed, seconds, members, logBytes = 20_000, slow, quiet }: WorldOptions): Outcome {
  const random = randomOf(seed);
  const below = (n: number): number => Math.floor(random() * n);
  const chance = (part: number): boolean => random() < part;
  const history: string[] = [];
  const note = (text: string): void => void history.push(`${now.toFixed(2)} ${text}`);
  let now = 100;
  let order = 0;
  let events = 0;
  let ids = 0;
  let lives = 0;
  let fault: string | null = null;
  const counts = { reads: 0, hits: 0, acknowledged: 0, pending: 0, keptHits: 0 };
  const queue: { at: number; order: number; run: () => void }[] = [];
  const processes = new Map<string, Process>();
  const disks = new Map<string, Left>();
  const cut = new Set<string>();
  const origin = new Map(keys.map((key) => [key, 0]));
  const acknowledged: Acknowledged[] = [];
  const names = Array.from({ length: members }, (_, index) => `m${index + 1}`);
  const coordinator = {
    epoch: 0,
    members: new Map<string, { life: string; startedMs: number; heardAt: number }>(),
    cut: new Set<string>(),
    dead: false,
  };

  const at = (delay: number, run: () => void): void => {
    queue.push({ at: now + delay, order: order++, run });
  };
  const alive = (process: Process): boolean => processes.get(process.name) === process;
  /** Runs when the process does: one that stands still does everything late. */
  const when = (process: Process, delay: number, run: () => void): void =>
    at(delay, () => {
      if (!alive(process)) return;
      if (process.stoppedUntil > now) return void process.held.push(run);
      run();
    });
  const delayOf = (): number => (slow && chance(0.05) ? random() * 2.5 : random() * 0.05);
  const canDial = (from: string, to: string): boolean => !cut.has(`${from}>${to}`) && processes.has(to);

  /** On a link that `dialler` has dialled: lost where that is cut, perhaps late, perhaps twice. */
  const send = (from: Process, to: string, dialler: string, message: Message): void => {
    const other = dialler === from.name ? to : from.name;
    if (!canDial(dialler, other)) return;
    const target = processes.get(to);
    if (target === undefined) return;
    const text = JSON.stringify(message);
    for (let copy = 0; copy < (chance(0.05) ? 2 : 1); copy++)
      when(target, delayOf(), () => {
        if (cut.has(`${dialler}>${other}`)) return;
        received(target, from.name, dialler, JSON.parse(text) as Message);
      });
  };

  const call = (
    from: Process,
    to: string,
    message: Message & { readonly id: number },
    limit: number,
    done: (answer: Message | null, who?: string) => void,
  ): void => {
    let open = true;
    const end = (answer: Message | null, who?: string): void => {
      if (!open) return;
      open = false;
      from.waiting.delete(message.id);
      done(answer, who);
    };
    from.waiting.set(message.id, end);
    // A dead process refuses at once; a cut is silence.
    if (!processes.has(to)) return when(from, 0.01, () => end(null));
    send(from, to, from.name, message);
    return when(from, limit, () => end(null));
  };

  const compare = (process: Process, to: string): void => {
    if (!processes.has(to) && !cut.has(`${process.name}>${to}`))
      return process.take(process.correspondence.gone(to, now));
    const request = process.correspondence.request(to, now);
    return send(process, to, process.name, { kind: "compare", request, sentAt: now });
  };

  /** As telling.ts does it: each directly, then through others. */
  const tell = (
    process: Process,
    entries: readonly Invalidation[],
    told: readonly string[],
    known: readonly string[],
    limit: number,
    done: (applied: Set<string>, missing: string[]) => void,
  ): void => {
    const applied = new Set<string>();
    const open = new Set(told);
    let over = false;
    const end = (): void => {
      if (over || (open.size > 0 && now < deadline - 1e-9)) return;
      over = true;
      done(applied, [...open].filter((name) => !applied.has(name)).concat([...missing]));
    };
    const missing = new Set<string>();
    const deadline = now + limit;
    if (told.length === 0) return done(applied, []);
    for (const name of told) {
      let settled = false;
      let tries = 1;
      const settle = (has: boolean): void => {
        if (settled) return;
        if (!has && --tries > 0) return;
        settled = true;
        if (has) applied.add(name);
        else missing.add(name);
        open.delete(name);
        end();
      };
      let relayed = false;
      const relay = (): void => {
        if (relayed || settled) return;
        relayed = true;
        for (const by of process.view.names) {
          if (by === name || by === process.name || !canDial(process.name, by)) continue;
          tries++;
          const message = { kind: "relay", entries, to: name, id: ++ids } as const;
          call(process, by, message, Math.max(0, deadline - now), (answer) => settle(answer !== null));
        }
      };
      const message = { kind: "invalidate", entries, told: [...told, ...known], id: ++ids } as const;
      call(process, name, message, limit, (answer) => {
        if (answer === null) relay();
        settle(answer !== null);
      });
      when(process, 0.25, relay);
    }
    return when(process, limit, end);
  };

  const hear = (process: Process, value: unknown): readonly Invalidation[] => {
    const entries = invalidationsOf(value)!;
    const fresh = process.correspondence.heard(entries, now);
    process.take({ doubt: false, entries: fresh });
    return entries;
  };

  const received = (process: Process, from: string, dialler: string, message: Message): void => {
    const { correspondence } = process;
    switch (message.kind) {
      case "compare": {
        const { reply, news } = correspondence.answer(from, message.request, now);
        process.take(news);
        return send(process, from, dialler, { kind: "compared", reply, sentAt: message.sentAt });
      }
      case "compared": {
        const after = correspondence.replied(from, message.reply, message.sentAt, now);
        process.take(after);
        if (after.owed.length > 0)
          send(process, from, process.name, { kind: "invalidate", entries: after.owed, told: null, id: ++ids });
        if (after.again) compare(process, from);
        return undefined;
      }
      case "invalidate": {
        const entries = hear(process, message.entries);
        const answer = (): void => send(process, from, dialler, { kind: "heard", id: message.id, who: process.name });
        if (message.told === null) return answer();
        const known = [...message.told, from];
        const others = correspondence.touch.told(now).filter((name) => !known.includes(name));
        if (others.length === 0) return answer();
        return tell(process, entries, others, known, 0.9, answer);
      }
      case "relay": {
        const entries = hear(process, message.entries);
        if (!canDial(process.name, message.to)) return undefined;
        const on = { kind: "invalidate", entries, told: null, id: ++ids } as const;
        return call(process, message.to, on, 1, (answer) => {
          if (answer !== null) send(process, from, dialler, { kind: "heard", id: message.id, who: message.to });
        });
      }
      case "ask": {
        const may = correspondence.log.covers(message.reach.vector, message.reach.ahead) && process.inTouch(now);
        const stored = may ? process.find(message.key) : null;
        const version = stored === null || stored.doubted ? null : stored.version;
        return send(process, from, dialler, { kind: "give", version, id: message.id });
      }
      default:
        return process.waiting.get(message.id)?.(message);
    }
  };

  // ---- the coordinator --------------------------------------------------------------------------------------------

  const publish = (): void => {
    coordinator.epoch++;
    const list = [...coordinator.members].map(([name, { life, startedMs }]) => ({ name, life, startedMs }));
    const { epoch } = coordinator;
    for (const { name } of list) deliverView(name, epoch, list);
  };
  const deliverView = (
    name: string,
    epoch: number,
    list: readonly { name: string; life: string; startedMs: number }[],
  ): void => {
    const process = processes.get(name);
    if (process === undefined || coordinator.cut.has(name)) return;
    when(process, delayOf(), () => {
      if (coordinator.cut.has(name) || epoch <= process.view.epoch) return;
      const livesNow = new Map(list.map((one) => [one.name, one.life]));
      for (const [other, life] of livesNow)
        if (process.view.lives.get(other) !== life) process.sinceTeller.set(life, now);
      process.view = { epoch, names: list.map((one) => one.name), lives: livesNow };
      process.take(process.correspondence.follow(epoch, list, now));
      for (const other of process.view.names) if (other !== process.name) compare(process, other);
    });
  };
  const beat = (): void => {
    // Who is not cut off hears it, or that nobody listens there.
    for (const process of processes.values())
      if (!coordinator.cut.has(process.name))
        when(process, 0, () => process.correspondence.touch.coordinatorKnown(now));
    if (!coordinator.dead) {
      let changed = false;
      for (const process of processes.values()) {
        if (coordinator.cut.has(process.name) || process.stoppedUntil > now) continue;
        const known = coordinator.members.get(process.name);
        if (known?.life !== process.life) {
          coordinator.members.set(process.name, { life: process.life, startedMs: process.startedMs, heardAt: now });
          changed = true;
        } else known.heardAt = now;
      }
      for (const [name, { heardAt }] of coordinator.members) {
        if (now - heardAt < sessionSeconds) continue;
        coordinator.members.delete(name);
        changed = true;
      }
      if (changed) publish();
      else {
        // Who could not be reached before gets the view that stands.
        const list = [...coordinator.members].map(([name, { life, startedMs }]) => ({ name, life, startedMs }));
        for (const { name } of list)
          if ((processes.get(name)?.view.epoch ?? Infinity) < coordinator.epoch)
            deliverView(name, coordinator.epoch, list);
      }
    }
    at(0.5, beat);
  };

  // ---- what members do --------------------------------------------------------------------------------------------

  const start = (name: string): void => {
    const left = disks.get(name) ?? null;
    disks.delete(name);
    const process = new Process(name, ++lives, now, logBytes, left);
    processes.set(name, process);
    const from = left === null ? "" : left.state === null ? ", with what a dead one had" : `, after ${left.lives[0]}`;
    note(`${name} starts as ${process.life}${from}`);
    const startedAt = now;
    const tick = (): void => {
      const { correspondence } = process;
      process.take(correspondence.look(now));
      for (const other of process.view.names) if (other !== name) compare(process, other);
      if (!process.joined && process.view.names.includes(name) && process.view.epoch > 0)
        process.joined = process.inTouch(now) || now - startedAt > 3;
      if (correspondence.log.bytes > logBytes + 500) fault ??= `${name}'s log holds ${correspondence.log.bytes} bytes`;
      when(process, 1, tick);
    };
    tick();
    // Once more soon: a joiner does not wait for the next interval.
    when(process, 0.3, () => {
      for (const other of process.view.names) if (other !== name) compare(process, other);
      process.joined ||= process.inTouch(now) && process.view.epoch > 0;
    });
  };

  const seen = (process: Process, key: string, version: number, askedAt: number, how: "stored" | "origin"): void => {
    counts.reads++;
    for (const { key: changed, version: least, at: since, toldAt, applied, reachable, teller } of acknowledged) {
      if (changed !== key || version >= least || since > askedAt) continue;
      const fellow = [...process.view.lives].find(
        ([name, life]) => applied.has(life) && processes.get(name)?.life === life && name !== process.name,
      );
      if (how === "stored" && fellow !== undefined && since + limitSeconds + 0.01 < askedAt)
        fault ??= `${process.life} answered ${key}=${version} at ${askedAt.toFixed(2)}, though ${fellow[1]} beside it had heard of ${key}=${least} by ${since.toFixed(2)}`;
      if (process.lives.some((life) => applied.has(life))) {
        fault ??= `${process.life} answered ${key}=${version} (${how}) at ${askedAt.toFixed(2)}, after it had acknowledged ${key}=${least} of ${teller} at ${since.toFixed(2)}`;
      } else if (how === "stored" && reachable.has(process.life)) {
        fault ??= `${process.life} answered ${key}=${version} at ${askedAt.toFixed(2)}, though it could be reached when ${teller} told of ${key}=${least} until ${since.toFixed(2)}`;
      } else if (how === "stored") {
        // Nobody could tell it: it may not know for the session time, as long as it counts on hearing of the teller.
        const counts_ = process.sinceTeller.get(teller);
        const isFellow =
          process.view.lives.get([...process.view.lives].find(([, life]) => life === teller)?.[0] ?? "") === teller;
        if (
          isFellow &&
          counts_ !== undefined &&
          counts_ < toldAt &&
          processes.get(nameOf(teller))?.life === teller &&
          askedAt > toldAt + limitSeconds + 0.01
        )
          fault ??= `${process.life} answered ${key}=${version} at ${askedAt.toFixed(2)}, ${(askedAt - toldAt).toFixed(2)} s after ${teller} had told of ${key}=${least}`;
      }
    }
  };

  const read = (process: Process, key: string): void => {
    const askedAt = now;
    const stored = process.joined ? process.find(key) : null;
    if (stored !== null && !stored.doubted && process.inTouch(now)) {
      counts.hits++;
      if (stored.isKept === true) counts.keptHits++;
      return seen(process, key, stored.version, askedAt, "stored");
    }
    const { position } = process;
    const fromOrigin = (): void => {
      const begun = process.position;
      const version = { asked: origin.get(key)! };
      // The origin answers at some moment, and the answer takes its time.
      when(process, random() * 0.3, () => {
        version.asked = origin.get(key)!;
        when(process, random() * 0.3, () => {
          if (process.joined) process.keep(key, version.asked, begun);
          seen(process, key, version.asked, askedAt, "origin");
        });
      });
    };
    const others = process.view.names.filter((name) => name !== process.name);
    if (!process.joined || stored !== null || others.length === 0 || chance(0.4)) return fromOrigin();
    const message = { kind: "ask", key, reach: process.correspondence.reach(now), id: ++ids } as const;
    return call(process, others[below(others.length)]!, message, 0.5, (answer) => {
      if (answer?.kind !== "give" || answer.version === null) return fromOrigin();
      process.keep(key, answer.version, position);
      return seen(process, key, answer.version, askedAt, "origin");
    });
  };

  /** Who can be reached from a process that knows of it, directly or through one other, and counts on being told. */
  const reachedFrom = (process: Process): Set<string> => {
    const walking = (from: Process, to: Process): boolean =>
      !cut.has(`${from.name}>${to.name}`) &&
      from.view.lives.get(to.name) === to.life &&
      to.stoppedUntil <= now &&
      to.joined &&
      to.view.lives.get(from.name) === from.life;
    const reached = new Set<string>();
    for (const to of processes.values()) {
      if (to === process) continue;
      const through = [...processes.values()].some(
        (by) => by !== to && by !== process && walking(process, by) && walking(by, to),
      );
      if (walking(process, to) || through) reached.add(to.life);
    }
    return reached;
  };

  const change = (process: Process, key: string): void => {
    if (!process.joined) return;
    const version = origin.get(key)! + 1;
    origin.set(key, version);
    when(process, random() * 0.2, () => {
      const toldAt = now;
      const { log, touch } = process.correspondence;
      const what = { selector: { kind: "uri", uri: uriOf(key) }, mode: "drop", cause: "request", atMs: 0 } as const;
      const made = log.make(what, now);
      process.take({ doubt: false, entries: [made] });
      const told = touch.told(now);
      const livesThen = new Map([...processes].map(([name, { life }]) => [name, life]));
      const reached = reachedFrom(process);
      const changesThen = changes;
      tell(process, [made], told, [], 1, (applied, missing) => {
        const who = new Set([process.life, ...[...applied].map((name) => livesThen.get(name)!)]);
        const still = reachedFrom(process);
        const isEventful = slow || changes !== changesThen;
        const reachable = new Set(isEventful ? [] : [...reached].filter((life) => still.has(life) && !who.has(life)));
        acknowledged.push({ key, version, at: now, toldAt, teller: process.life, applied: who, reachable });
        counts.acknowledged++;
        if (missing.length > 0) counts.pending++;
        note(
          `${process.life} has changed ${key} to ${version} (number ${made.number}), applied by ${[...applied].join(" ")}, pending ${missing.join(" ")}`,
        );
      });
    });
  };

  // ---- mishaps ----------------------------------------------------------------------------------------------------

  const pair = (): readonly [string, string] => {
    const a = names[below(names.length)]!;
    const others = names.filter((name) => name !== a);
    return [a, others[below(others.length)]!];
  };
  const heal = (): void => {
    cut.clear();
    coordinator.cut.clear();
    coordinator.dead = false;
    note("everything heals");
  };
  const mishaps: readonly (() => void)[] = [
    () => {
      const [a, b] = pair();
      cut.add(`${a}>${b}`);
      note(`${a} cannot dial ${b}`);
    },
    () => {
      const [a, b] = pair();
      cut.add(`${a}>${b}`).add(`${b}>${a}`);
      note(`${a} and ${b} cannot talk`);
    },
    () => {
      const name = names[below(names.length)]!;
      coordinator.cut.add(name);
      note(`${name} loses the coordinator`);
    },
    () => {
      // One side of a partition has the coordinator.
      const side = new Set(names.filter(() => chance(0.5)));
      for (const a of names) for (const b of names) if (side.has(a) !== side.has(b)) cut.add(`${a}>${b}`);
      for (const name of side) coordinator.cut.add(name);
      note(`a partition: ${[...side].join(" ")} without the coordinator`);
    },
    () => {
      const name = names[below(names.length)]!;
      const process = processes.get(name);
      if (process === undefined) return;
      if (chance(0.3)) disks.set(name, process.left(now, "dead"));
      processes.delete(name);
      note(`${name} crashes`);
    },
    () => {
      const name = names[below(names.length)]!;
      const process = processes.get(name);
      if (process === undefined || process.stoppedUntil > now) return;
      disks.set(name, process.left(now, "in order"));
      processes.delete(name);
      note(`${name} stops in order`);
      if (chance(0.7)) at(random() * 6, () => processes.has(name) || start(name));
    },
    () => {
      const name = names[below(names.length)]!;
      if (!processes.has(name)) start(name);
    },
    () => {
      const name = names[below(names.length)]!;
      if (processes.delete(name)) start(name);
    },
    () => {
      const process = processes.get(names[below(names.length)]!);
      if (process === undefined) return;
      process.stoppedUntil = now + random() * 8;
      note(`${process.name} stands still until ${process.stoppedUntil.toFixed(2)}`);
      at(process.stoppedUntil - now + 0.001, () => {
        changes++;
        if (!alive(process)) return;
        for (const run of process.held.splice(0)) run();
      });
    },
    () => {
      coordinator.dead = true;
      note("the coordinator dies");
    },
    heal,
    heal,
  ];

  let changes = 0;
  const mishap = (): void => {
    changes++;
    mishaps[below(mishaps.length)]!();
  };

  for (const name of names) if (name === "m1" || chance(0.8)) start(name);
  beat();
  const calm = now + seconds;
  const end = calm + 20;
  const changesEnd = quiet ? calm - 5 : end;
  const act = (): void => {
    const living = [...processes.values()].filter(({ stoppedUntil }) => stoppedUntil <= now);
    const process = living[below(living.length)];
    const key = keys[below(keys.length)]!;
    if (process !== undefined) (chance(0.12) && now < changesEnd ? change : read)(process, key);
    if (now < calm && chance(0.05)) mishap();
    if (now < end - 5) at(random() * 0.12, act);
  };
  at(2, act);
  at(seconds, () => {
    heal();
    for (const process of processes.values()) process.stoppedUntil = Math.min(process.stoppedUntil, now);
    for (const process of processes.values()) for (const run of process.held.splice(0)) run();
    for (const name of names) if (!processes.has(name)) start(name);
  });

  while (fault === null) {
    let first = 0;
    for (let index = 1; index < queue.length; index++) {
      const [a, b] = [queue[index]!, queue[first]!];
      if (a.at < b.at || (a.at === b.at && a.order < b.order)) first = index;
    }
    const next = queue[first];
    if (next === undefined || next.at > end) break;
    queue[first] = queue.at(-1)!;
    queue.pop();
    now = Math.max(now, next.at);
    events++;
    next.run();
  }
  if (fault === null) {
    const all = [...processes.values()];
    const vectors = all.map(({ correspondence }) => correspondence.vector(now));
    for (const process of all) {
      if (!process.inTouch(now))
        fault ??= `${process.name} is cut off, though all is well again: silent are ${process.correspondence.touch.silent(now).join(" ")}`;
      for (const vector of vectors)
        if (!process.correspondence.log.covers(vector))
          fault ??= `${process.name} has not heard all, though all can talk`;
      for (const key of keys) {
        const stored = process.find(key);
        // What somebody told whom nobody living has heard, and whom this one never knew, is lost: pending for good.
        const known = acknowledged.filter(
          (one) =>
            one.key === key && (process.sinceTeller.has(one.teller) || all.some(({ life }) => one.applied.has(life))),
        );
        const least = known.reduce((most, { version }) => Math.max(most, version), 0);
        if (stored !== null && !stored.doubted && stored.version < least)
          fault ??= `${process.name} has ${key}=${stored.version} in the end, though ${least} had been acknowledged`;
        if (!quiet && stored !== null && !stored.doubted && stored.version < origin.get(key)!)
          fault ??= `${process.name} has ${key}=${stored.version} in the end, the origin ${origin.get(key)}`;
      }
    }
  }
  return { fault, history, events, ...counts };
}

function nameOf(teller: string): string {
  return teller.slice(0, teller.indexOf("@"));
}
