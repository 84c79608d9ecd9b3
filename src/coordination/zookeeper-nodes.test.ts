import { describe, expect, it } from "vitest";
import type { Member } from "../ring/view.ts";
import { announcedOf, candidateName, inLine, instanceText, leaderOf, leaderText } from "./zookeeper-nodes.ts";

const guid = "0f0e0d0c-0b0a-4908-8706-050403020100";
const named = (sequence: string, who: string = guid): string => `${candidateName(who)}${sequence}`;

const member: Member = {
  name: "m1",
  listen: "[::1]:8080",
  peer: "127.0.0.1:8081",
  admin: "127.0.0.1:8082",
  pid: 7,
  weight: 2,
  zone: "east",
  state: "active",
  tls: false,
  startedMs: 1000,
  id: 3,
};

describe("inLine", () => {
  it("orders by the number, not by the text before it", () => {
    expect(inLine([named("0000000010", "a"), named("0000000002", "b"), named("0000000007", "c")])).toEqual([
      named("0000000002", "b"),
      named("0000000007", "c"),
      named("0000000010", "a"),
    ]);
  });

  it("goes on behind 2147483647, where the server's counter turns negative", () => {
    const [last, first, second] = [named("2147483647"), named("-2147483648"), named("-2147483647")];
    expect(inLine([second, last, first])).toEqual([last, first, second]);
  });

  it("does not take the dash before the number for a minus", () => {
    expect(inLine([named("0000000001"), named("0000000000")])).toEqual([named("0000000000"), named("0000000001")]);
  });

  it("leaves out what is no candidate", () => {
    expect(inLine(["", "0000000001", "x-lock-0000000001", named("1"), named("00000000001"), named("abc")])).toEqual([]);
  });
});

describe("the leader's node", () => {
  it("reads as it was written", () => {
    const read = leaderOf(leaderText(member, 5, -1n, "2026-01-01T00:00:00.000Z"));
    expect(read).toMatchObject({ v: 1, name: "m1", epoch: 5, host: "::1", session: "0xffffffffffffffff" });
    expect(read!.ports).toEqual({ proxy: 8080, peer: 8081, admin: 8082 });
  });

  it("is null for anything else", () => {
    for (const text of ["", "null", "{}", '"x"', '{"name":"m1"}', "[", '{"name":1,"epoch":1,"host":"","ports":{}}'])
      expect(leaderOf(text)).toBeNull();
  });
});

describe("a member's node", () => {
  it("reads as it was written, and is a service instance to others", () => {
    const text = instanceText("gyre", { member, lastEpoch: 9 });
    expect(announcedOf(text)).toEqual({ member, lastEpoch: 9 });
    expect(JSON.parse(text)).toMatchObject({
      name: "gyre",
      id: "m1",
      address: "::1",
      port: 8080,
      serviceType: "DYNAMIC",
    });
  });

  it("is null where it is not one of Gyre's", () => {
    for (const text of ["", "{}", '{"payload":null}', '{"payload":{"name":"x"}}']) expect(announcedOf(text)).toBeNull();
  });
});
