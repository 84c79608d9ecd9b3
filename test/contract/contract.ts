/** What every coordinator promises, as one suite that each implementation runs. */
import { afterEach, describe, expect, it } from "vitest";
import type { Coordinator, SessionState } from "../../src/coordination/port.ts";
import type { Member, PublishedView } from "../../src/ring/view.ts";
import { until } from "../support/member.ts";
import { announcementOf } from "../support/seats.ts";

/** A coordination service under test, and the faults that a suite may ask of it. */
export interface Service {
  /** A session for a further member; the first one made is of the member that hosts, where there is one. */
  session(): Coordinator;
  /** Cuts a session's connection, and lets it come back. */
  cut(session: Coordinator): void;
  heal(session: Coordinator): void;
  close(): Promise<void>;
}

interface Seen {
  readonly coordinator: Coordinator;
  states: SessionState[];
  members: readonly Member[];
  floor: number;
  term: number | null;
  views: PublishedView[];
}

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function join(service: Service, name: string): Promise<Seen> {
  const coordinator = service.session();
  const seen: Seen = { coordinator, states: [], members: [], floor: 0, term: null, views: [] };
  await coordinator.join(announcementOf(name), {
    session: (state) => seen.states.push(state),
    members: (members, floor) => {
      seen.members = members;
      seen.floor = floor;
    },
    leading: (term) => (seen.term = term),
    view: (view) => seen.views.push(view),
    ousted: (reason) => seen.states.push(reason as SessionState),
  });
  closing.push(() => coordinator.leave());
  return seen;
}

const view = (epoch: number, members: readonly Member[]): PublishedView => ({
  cluster: "c",
  epoch,
  leader: "m1",
  placement: 1,
  members,
});

/** Runs the suite against one kind of coordinator. */
export function contract(name: string, start: () => Service | Promise<Service>): void {
  describe(`the coordination contract: ${name}`, () => {
    const service = async (): Promise<Service> => {
      const started = await start();
      closing.push(() => started.close());
      return started;
    };

    it("elects exactly one leader, the first", async () => {
      const under = await service();
      const first = await join(under, "m1");
      const second = await join(under, "m2");
      await until(() => first.term !== null, "the first leads");
      expect(first.coordinator.acting()).toBe(first.term);
      expect(second.coordinator.acting()).toBeNull();
    });

    it("tells the leader who is announced, and of joins, changes and leaves", async () => {
      const under = await service();
      const first = await join(under, "m1");
      const second = await join(under, "m2");
      await until(
        () =>
          first.members
            .map(({ name: one }) => one)
            .sort()
            .join() === "m1,m2",
        "both are known",
      );
      await second.coordinator.announce({ ...announcementOf("m2"), state: "draining" });
      await until(() => first.members.some(({ state }) => state === "draining"), "the drain is known");
      await second.coordinator.leave();
      await until(() => first.members.length === 1, "the leave is known");
    });

    it("publishes views in order to everybody, and to those who come later", async () => {
      const under = await service();
      const first = await join(under, "m1");
      const second = await join(under, "m2");
      await until(() => first.term !== null, "the first leads");
      expect(await first.coordinator.publish(view(first.floor + 1, [announcementOf("m1")]), first.term!)).toBe(
        "published",
      );
      await until(() => second.views.length === 1, "the view arrives");
      const third = await join(under, "m3");
      await until(() => third.views.at(-1)?.epoch === second.views[0]!.epoch, "the newcomer has the view");
    });

    it("fences: a wrong term, an epoch that is taken, one that skips", async () => {
      const under = await service();
      const first = await join(under, "m1");
      await until(() => first.term !== null, "the first leads");
      const epoch = first.floor + 1;
      // A view of nobody is none: whoever reads it again counts on from the one before.
      const members = [announcementOf("m1")];
      expect(await first.coordinator.publish(view(epoch, members), first.term! + 1)).toBe("fenced");
      expect(await first.coordinator.publish(view(epoch, members), first.term!)).toBe("published");
      expect(await first.coordinator.publish(view(epoch, members), first.term!)).toBe("fenced");
      expect(await first.coordinator.publish(view(epoch + 2, members), first.term!)).toBe("fenced");
    });

    it("suspends a session whose connection is cut, and takes it up again", async () => {
      const under = await service();
      const first = await join(under, "m1");
      const second = await join(under, "m2");
      under.cut(second.coordinator);
      await until(() => second.coordinator.state === "suspended", "the session is suspended");
      expect(second.coordinator.acting()).toBeNull();
      under.heal(second.coordinator);
      await until(() => second.coordinator.state === "connected", "the session is connected again");
      expect(second.states).not.toContain("expired");
      expect(first.members.length).toBe(2);
    });

    it("expires a session that stays away, tells the leader, and lets it join again as new", async () => {
      const under = await service();
      const first = await join(under, "m1");
      const second = await join(under, "m2");
      await until(() => first.members.length === 2, "both are known");
      under.cut(second.coordinator);
      await until(() => first.members.length === 1, "it is gone");
      under.heal(second.coordinator);
      await until(
        () => second.states.includes("expired") && second.coordinator.state === "connected",
        "it has joined again",
      );
      await until(() => first.members.length === 2, "it is back");
    });

    it("learns from those who remain where the epoch stands", async () => {
      const under = await service();
      const first = await join(under, "m1");
      const second = await join(under, "m2");
      await until(() => first.term !== null, "the first leads");
      const { floor } = first;
      for (let round = 0; round < 3; round++)
        await first.coordinator.publish(view(floor + round + 1, [announcementOf("m1")]), first.term!);
      const last = floor + 3;
      // Views in between may be skipped: each replaces the one before.
      await until(() => second.views.at(-1)?.epoch === last, "the last view arrives");
      expect(second.views.map(({ epoch }) => epoch)).toEqual(
        second.views.map(({ epoch }) => epoch).sort((a, b) => a - b),
      );
    });

    it("keeps a name for the process that has it", async () => {
      const under = await service();
      await join(under, "m1");
      await join(under, "m2");
      const other = under.session();
      const refused = other.join(
        { ...announcementOf("m2"), pid: 99, startedMs: 99 },
        { session() {}, members() {}, leading() {}, view() {}, ousted() {} },
      );
      await expect(refused).rejects.toThrow("belongs to another member");
      await other.leave();
    });
  });
}
