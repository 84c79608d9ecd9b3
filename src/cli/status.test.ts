import { expect, it } from "vitest";
import type { MemberStatus, SelfStatus, Status } from "../admin/status.ts";
import { statusText } from "./status.ts";

function statusAt(leader: string): Status {
  const [listen, peer, admin] = ["h:1", "h:2", "h:3"] as const;
  const one = { state: "active", listen, peer, admin, pid: 1, weight: 1, zone: "", tls: false, startedMs: 1, id: null };
  const members = ["m1", "m2"].map((name): MemberStatus => ({
    ...one,
    state: "active",
    name,
    leader: name === leader,
    share: 0.5,
    settings: "s",
  }));
  const [coordinator, session] = ["zookeeper://z:2181", "expired"] as const;
  return { cluster: "gyre", version: "0", epoch: 3, leader, coordinator, session, members, self: selfOf("m1", false) };
}

/** As far as the table shows it. */
function selfOf(name: string, leads: boolean, more: Partial<SelfStatus> = {}): SelfStatus {
  const store = { bytes: 0, bytesMax: 0 };
  const shown = { name, leads, session: "connected", inTouch: true, store, disk: null, requests: 0, hits: 0 };
  return { ...shown, hitRatio: null, residentBytes: 0, ...more } as SelfStatus;
}

it("statusText names who leads now, and whom the view names where that is another one, or nobody does", () => {
  const head = (...leading: boolean[]): string =>
    statusText(
      statusAt("m1"),
      leading.map((leads, index) => selfOf(`m${index + 1}`, leads)),
    ).split("\n")[0]!;
  expect(head(true, false)).toContain("leader m1   coordinator");
  expect(head(false, true)).toContain("leader m2 (in this view: m1)   coordinator");
  expect(head(false, false)).toContain("leader m1 (nobody leads now)   coordinator");
});

it("statusText says of whom a member that is cut off has not heard", () => {
  const told = (silent: readonly string[]): string =>
    statusText(statusAt("m1"), [selfOf("m1", true), selfOf("m2", false, { inTouch: false, silent })]);
  expect(told(["m1"])).toContain("m2 is cut off and validates everything: it has not heard of m1");
  // Begun with what an earlier life has stored, it has to find out first.
  expect(told([])).toContain("it has not heard of the others");
});

it("statusText shows no cluster of one where a member has not joined yet", () => {
  const { members, ...rest } = statusAt("m1");
  const alone = { ...rest, epoch: 0, leader: null, session: "connecting", members: members.slice(0, 1) } as const;
  const text = statusText(alone, [null]);
  expect(text).toMatch(/\n\nm1 listens and has not joined yet: it looks for the others at zookeeper:\/\/z:2181$/);
  expect(text).not.toContain("MEMBER");
  expect(statusText({ ...alone, coordinator: "embedded" }, [null])).toMatch(/looks for the others$/);
});
