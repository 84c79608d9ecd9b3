import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Member, PublishedView } from "../ring/view.ts";
import { EmbeddedClient, type CoordinatorLink, type LinkListener } from "./embedded-client.ts";
import { EmbeddedHost, methods, otherHostOf, type Chosen, type HostsAmong, type OtherHost } from "./embedded-host.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function member(name: string, startedMs: number): Member {
  const [listen, peer, admin] = ["h:1", `${name}:2`, "h:3"] as const;
  return { name, listen, peer, admin, pid: 1, weight: 1, zone: "", state: "active", tls: false, startedMs };
}

function viewOf(epoch: number, ...members: Member[]): PublishedView {
  return { cluster: "gyre", epoch, leader: members[0]!.name, placement: 1, members };
}

/** A host that goes on from a view, asks `hosts` who else is one, and says when it is to stop. */
async function host(
  self: Member,
  lastView: PublishedView,
  hosts: HostsAmong | (() => readonly OtherHost[]),
  chosen: Chosen = { movedAt: 0, movedMs: 0 },
): Promise<{ readonly host: EmbeddedHost; readonly ousted: string[] }> {
  const ousted: string[] = [];
  const made = new EmbeddedHost(`http://${self.peer}`, {
    lastView,
    ...chosen,
    hostsAmong: async (asked, by) => hosts(asked, by),
  });
  const nothing = (): void => {};
  const ends = (reason: string): void => void ousted.push(reason);
  await made.join(self, { session: nothing, members: nothing, leading: nothing, view: nothing, ousted: ends });
  return { host: made, ousted };
}

it("a host gives way to one where what was here goes on", async () => {
  const [m1, m2] = [member("m1", 1), member("m2", 2)];
  const told = "m2 hosts the coordinator by now, at http://m2:2: this member stops; started again it joins there";
  // It had counted on by itself, or all of them were started anew meanwhile.
  for (const view of [viewOf(2, m2), viewOf(7, member("m2", 3))]) {
    const { host: old, ousted } = await host(m1, viewOf(2, m1, m2), () => [
      { member: m2, view, movedAt: 2, movedMs: 1 },
    ]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(ousted).toEqual([told]);
    await old.leave();
  }
});

it("a host does not give way to a member that was started anew as the host of a cluster of its own", async () => {
  const [m1, m2] = [member("m1", 1), member("m2", 2)];
  const anew = { member: m2, view: viewOf(1, member("m2", 3)), movedAt: 0, movedMs: 0 };
  const { host: healthy, ousted } = await host(m1, viewOf(2, m1, m2), () => [anew]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(ousted).toEqual([]);
  await healthy.leave();
});

it.each(["are with it", "come while it leaves"])(
  "a host that gives way tells those who %s where it is from now on",
  async (who) => {
    const [m1, m2, m3] = [member("m1", 1), member("m2", 2), member("m3", 3)];
    const { host: old } = await host(m1, viewOf(2, m1, m2), () => [
      { member: m2, view: viewOf(3, m2), movedAt: 2, movedMs: 1 },
    ]);
    const dialled: string[] = [];
    const told: (() => void)[] = [];
    const dial = (place: string, listener: LinkListener): CoordinatorLink => {
      dialled.push(place);
      const link = { name: "m3", note: (topic: string, value: unknown) => listener.note(topic, value) };
      told.push(() => listener.gone("it has left"));
      queueMicrotask(() => (dialled.length === 1 ? listener.up() : undefined));
      return { call: (method, value) => old.answer({ ...link, whenGone: () => {} }, method, value), close: () => {} };
    };
    const client = new EmbeddedClient({ address: "http://m1:2", places: ["m1:2", "m9:2"], dial, redialMs: 10 });
    const nothing = (): void => {};
    if (who === "come while it leaves") await vi.advanceTimersByTimeAsync(5000);
    await client.join(m3, { session: nothing, members: nothing, leading: nothing, view: nothing, ousted: nothing });
    await vi.advanceTimersByTimeAsync(5000);
    for (const gone of told.splice(0)) gone();
    await vi.advanceTimersByTimeAsync(100);
    expect(dialled).toEqual(["m1:2", "m2:2"]);
    await client.leave();
    await old.leave();
  },
);

it("a host that gives way, or has left, is none to give way to", async () => {
  const [m1, m2] = [member("m1", 1), member("m2", 2)];
  const { host: old, ousted } = await host(m1, viewOf(2, m1, m2), () => [
    { member: m2, view: viewOf(3, m2), movedAt: 2, movedMs: 1 },
  ]);
  const link = { note: () => {}, whenGone: () => {} };
  expect(await old.answer(link, methods.view, {})).toEqual({ ...viewOf(2, m1, m2), movedAt: 0, movedMs: 0 });
  await vi.advanceTimersByTimeAsync(10_000);
  expect(ousted.length).toBe(1);
  expect(await old.answer(link, methods.view, {})).toBe(null);
  await old.leave();
  expect(await old.answer(link, methods.view, {})).toBe(null);
});

it("a host does not look for who has joined it, and goes on looking where it could not ask", async () => {
  const [m1, m2, m3] = [member("m1", 1), member("m2", 2), member("m3", 3)];
  const asked: string[][] = [];
  const { host: made, ousted } = await host(m1, viewOf(3, m1, m2, m3), (missing) => {
    asked.push(missing.map(({ name }) => name));
    return Promise.reject(new Error("no socket left"));
  });
  const link = { name: "m3", note: () => {}, whenGone: () => {} };
  await made.answer(link, methods.open, { session: "a session", member: m3 });
  await made.answer(link, methods.leave, { session: "a session" });
  await vi.advanceTimersByTimeAsync(10_000);
  expect(asked.length).toBeGreaterThan(1);
  expect(new Set(asked.map(String))).toEqual(new Set(["m2"]));
  expect(ousted).toEqual([]);
  await made.leave();
});

it("a host that an operator has chosen gives way to one that was chosen later, and to no other", async () => {
  const [m1, m2] = [member("m1", 1), member("m2", 2)];
  for (const [movedAt, stays] of [
    [0, true],
    [3, true],
    [5, false],
  ] as const) {
    const other = otherHostOf(m2, { ...viewOf(9, m2), movedAt, movedMs: 1 })!;
    const { host: chosen, ousted } = await host(m1, viewOf(4, m1, m2), () => [other], { movedAt: 4, movedMs: 1 });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(ousted.length, `moved at ${movedAt}`).toBe(stays ? 0 : 1);
    if (!stays) expect(ousted[0]).toContain("start it again with --coordinator http://m2:2");
    await chosen.leave();
  }
});

it("of two hosts that were chosen at one epoch, by the parts of a partition, the one chosen later stays", async () => {
  const [m1, m2] = [member("m1", 1), member("m2", 2)];
  for (const [ms1, ms2, staying] of [
    [100, 200, "m2"],
    [200, 100, "m1"],
    [100, 100, "m2"],
  ] as const) {
    const lastView = viewOf(4, m1, m2);
    const made: EmbeddedHost[] = [];
    const asking = (at: number, other: Member) => async (): Promise<readonly OtherHost[]> => {
      const told = otherHostOf(other, await made[at]!.answer({ note() {}, whenGone() {} }, methods.view, {}));
      return told === null ? [] : [told];
    };
    const one = await host(m1, lastView, asking(1, m2), { movedAt: 4, movedMs: ms1 });
    const two = await host(m2, lastView, asking(0, m1), { movedAt: 4, movedMs: ms2 });
    made.push(one.host, two.host);
    await vi.advanceTimersByTimeAsync(20_000);
    expect([one.ousted.length, two.ousted.length], `${ms1}, ${ms2}`).toEqual(staying === "m2" ? [1, 0] : [0, 1]);
    for (const { host: some } of [one, two]) await some.leave();
  }
});

it("a host by its settings gives way to whom an operator has chosen last", async () => {
  const [m1, m2, m3] = [member("m1", 1), member("m2", 2), member("m3", 3)];
  const others = [
    { member: m2, view: viewOf(5, m2), movedAt: 4, movedMs: 100 },
    { member: m3, view: viewOf(5, m3), movedAt: 4, movedMs: 200 },
  ];
  const { host: old, ousted } = await host(m1, viewOf(4, m1, m2, m3), () => others);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(ousted[0]).toContain("m3 hosts the coordinator by now");
  await old.leave();
});

it("a host that begins alone looks for those whom it had lost before", async () => {
  const [m1, m2] = [member("m1", 1), member("m2", 2)];
  const ousted: string[] = [];
  const nothing = (): void => {};
  for (const [other, movedAt, stays] of [
    [m2, 0, false],
    [member("m2", 3), 0, true],
    // Whom an operator has chosen goes before whoever is the host by its settings.
    [member("m2", 3), 2, false],
  ] as const) {
    const hostsAmong = async (): Promise<readonly OtherHost[]> => [
      { member: other, view: viewOf(9, other), movedAt, movedMs: 1 },
    ];
    const alone = new EmbeddedHost("http://m1:2", { fellows: [m2], hostsAmong });
    const ends = (reason: string): void => void ousted.push(reason);
    await alone.join(m1, { session: nothing, members: nothing, leading: nothing, view: nothing, ousted: ends });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(ousted.splice(0).length).toBe(stays ? 0 : 1);
    await alone.leave();
  }
});

it("a host that is started where nothing is known any more is found by the one that was chosen in its place", async () => {
  const [m1, m2] = [member("m1", 1), member("m2", 2)];
  const link = { note: () => {}, whenGone: () => {} };
  const asked: string[][] = [];
  const there: { chosen: EmbeddedHost | null } = { chosen: null };
  const alone = new EmbeddedHost("http://m1:2", {
    hostsAmong: async (members) => {
      asked.push(members.map(({ peer }) => peer));
      const told = otherHostOf(members[0]!, await there.chosen!.answer(link, methods.view, {}));
      return told === null ? [] : [told];
    },
  });
  const nothing = (): void => {};
  const ousted: [string, PublishedView | undefined][] = [];
  const ends = (reason: string, view?: PublishedView): void => void ousted.push([reason, view]);
  await alone.join(m1, { session: nothing, members: nothing, leading: nothing, view: nothing, ousted: ends });
  await alone.publish(viewOf(1, m1), alone.acting()!);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(asked).toEqual([]);
  // It looks for the member whose place it has taken.
  const { host: chosen, ousted: never } = await host(
    m2,
    viewOf(5, m1, m2),
    async (members, by) => {
      const told = otherHostOf(members[0]!, await alone.answer(link, methods.view, { by }));
      return told === null ? [] : [told];
    },
    { movedAt: 5, movedMs: 1 },
  );
  there.chosen = chosen;
  await vi.advanceTimersByTimeAsync(10_000);
  expect([ousted.length, never]).toEqual([1, []]);
  expect(ousted[0]![0]).toContain("m2 hosts the coordinator by now, at http://m2:2");
  // Which it is to remember, and to ask when it is started again.
  expect(ousted[0]![1]?.members.map(({ name }) => name)).toContain("m2");
  await alone.leave();
  await chosen.leave();
});
