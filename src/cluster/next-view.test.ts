import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Member, PublishedView } from "../ring/view.ts";
import { nextView } from "./next-view.ts";

const member = (name: string, startedMs = 1, state: Member["state"] = "active"): Member => ({
  name,
  listen: "127.0.0.1:1",
  peer: "127.0.0.1:2",
  admin: "127.0.0.1:3",
  pid: 1,
  weight: 1,
  zone: "",
  state,
  tls: false,
  startedMs,
});
const next = (current: PublishedView | null, announced: readonly Member[], held: readonly Member[] = []) =>
  nextView("c", current, announced, "a", current?.epoch ?? 0, held);

describe("nextView", () => {
  it("is one epoch on, with the members in the order of their names, whatever the order of announcements", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.constantFrom("a", "b", "c", "d", "e"), { minLength: 1 }), (names) => {
        const view = next(
          null,
          names.map((name) => member(name)),
        )!;
        expect(view.epoch).toBe(1);
        expect(view.members.map(({ name }) => name)).toEqual(names.toSorted());
        expect(
          next(
            view,
            names.toReversed().map((name) => member(name)),
          ),
          "nothing has changed",
        ).toBeNull();
      }),
    );
  });

  it("keeps held members, and changes for a drain, another leader, and what a member says anew of itself", () => {
    const one = next(null, [member("a"), member("b")])!;
    expect(next(one, [member("a")], [one.members[1]!])).toBeNull();
    expect(next(one, [member("a"), member("b", 1, "draining")])!.members[1]!.state).toBe("draining");
    expect(nextView("c", one, [member("a"), member("b")], "b", 1)!.leader).toBe("b");
    expect(next(one, [member("a"), { ...member("b"), settings: "x" }])!.members[1]!.settings).toBe("x");
  });

  it("goes beyond any epoch that somebody has seen", () => {
    expect(nextView("c", null, [member("a")], "a", 99)!.epoch).toBe(100);
  });
});
