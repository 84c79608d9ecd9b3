import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { announcementOf } from "../../test/support/seats.ts";
import { placementVersion } from "./ring.ts";
import { epochMax, publishedViewOf } from "./view.ts";

const good = {
  cluster: "c",
  epoch: 7,
  leader: "m1",
  placement: placementVersion,
  members: [announcementOf("m1"), announcementOf("m2")],
};

describe("a published view", () => {
  it("is taken as it was published", () => {
    const read = publishedViewOf(JSON.parse(JSON.stringify(good)));
    expect(read).toMatchObject({ cluster: "c", epoch: 7, leader: "m1" });
    expect(read!.members.map(({ name }) => name)).toEqual(["m1", "m2"]);
  });

  it.each([
    ["no members", { members: [] }],
    ["two members of one name", { members: [announcementOf("m1"), announcementOf("m1")] }],
    ["a member that is none", { members: [announcementOf("m1"), null] }],
    ["members that are no list", { members: { 0: announcementOf("m1"), length: 1 } }],
    ["an epoch after which there is none", { epoch: epochMax + 1 }],
    ["an epoch before the first", { epoch: -1 }],
    ["half an epoch", { epoch: 1.5 }],
    ["an epoch in words", { epoch: "7" }],
    ["a cluster that is no name", { cluster: 7 }],
    ["a leader that is no name", { leader: 7 }],
    ["a placement that is no number", { placement: "1" }],
  ])("with %s is none", (_what, wrong) => {
    expect(publishedViewOf({ ...good, ...wrong })).toBeNull();
  });

  it("is never made of something else, nor does reading it throw", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(...Object.keys(good)), (value, name) => {
        expect(publishedViewOf(value)).toBeNull();
        const read = publishedViewOf({ ...good, [name]: value });
        if (read === null) return;
        expect(read.members.length).toBeGreaterThan(0);
        expect(Number.isSafeInteger(read.epoch) && read.epoch >= 0 && read.epoch <= epochMax).toBe(true);
      }),
    );
  });
});
