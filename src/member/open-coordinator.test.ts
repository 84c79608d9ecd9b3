import { expect, it } from "vitest";
import type { OtherHost } from "../coordination/embedded-host.ts";
import type { Member } from "../ring/view.ts";
import { successorAmong } from "./open-coordinator.ts";

function member(name: string, startedMs: number): Member {
  const [listen, peer, admin] = ["h:1", `${name}:2`, "h:3"] as const;
  return { name, listen, peer, admin, pid: 1, weight: 1, zone: "", state: "active", tls: false, startedMs };
}
const viewOf = (epoch: number, ...members: Member[]) => ({
  cluster: "gyre",
  epoch,
  leader: members[0]!.name,
  placement: 1,
  members,
});
const host = (at: Member, epoch: number, movedAt = 0, ...others: Member[]): OtherHost => ({
  member: at,
  view: viewOf(epoch, at, ...others),
  movedAt,
  movedMs: 0,
});

it("a host that is started anew joins where those that were with it look, or go on; and not a lost member's own", () => {
  const [m1, m2, m3] = [member("m1", 1), member("m2", 2), member("m3", 3)];
  const [m2Anew, m3Anew] = [member("m2", 12), member("m3", 13)];
  const remembered = { lastView: viewOf(5, m1, m2), fellows: [m3, m2] };
  const chosen = (...hosts: OtherHost[]): string | undefined => successorAmong(hosts, remembered)?.member.name;
  expect(chosen()).toBe(undefined);
  expect(chosen(host(m3Anew, 1))).toBe(undefined);
  expect(chosen(host(m3Anew, 9))).toBe(undefined);
  expect(chosen(host(m3Anew, 1), host(m2Anew, 1))).toBe("m2");
  expect(chosen(host(m3Anew, 9, 0, m2))).toBe("m3");
  expect(chosen(host(m3, 2))).toBe("m3");
  expect(chosen(host(m3Anew, 6, 5))).toBe("m3");
  expect(chosen(host(m2, 9, 5), host(m3, 8, 7))).toBe("m3");
  // Both are looked at; at one of them the cluster goes on.
  const [m4, of] = [member("m4", 4), { lastView: viewOf(5, m1, m2, m3), fellows: [m2, m3, member("m4", 4)] }];
  expect(successorAmong([host(m2Anew, 9, 0, m4), host(m3Anew, 1)], of)?.member.name).toBe("m2");
  expect(successorAmong([host(m3Anew, 1)], { lastView: null, fellows: [m3] })?.member.name).toBe("m3");
});
