import { describe, expect, it } from "vitest";
import { keyHash, owner } from "../../ring/ring.ts";
import { viewOf, type Member, type View } from "../../ring/view.ts";
import { Ownership } from "./ownership.ts";

const view = (epoch: number, names: readonly string[]): View =>
  viewOf({
    cluster: "c",
    epoch,
    leader: null,
    placement: 2,
    members: names.map((name): Member => ({
      name,
      listen: "",
      peer: "",
      admin: "",
      pid: 1,
      weight: 1,
      zone: "",
      state: "active",
      tls: false,
      startedMs: 1,
    })),
  });

describe("Ownership", () => {
  it("names previous owners that are still there, the latest first, for as long as they may have something", () => {
    const ownership = new Ownership("c");
    const [before, after] = [view(1, ["a", "b"]), view(2, ["a", "b", "c"])];
    ownership.follow(before, 0);
    ownership.follow(after, 0);
    const moved = Array.from({ length: 50 }, (_, index) => keyHash(`http://h/${index}`)).filter(
      (hash) => owner(after.ring, hash).name === "c",
    );
    expect(moved.length).toBeGreaterThan(5);
    for (const hash of moved) expect(ownership.previousOwners(hash, 10)).toEqual([owner(before.ring, hash).name]);
    for (const hash of moved) expect(ownership.previousOwners(hash, 700)).toEqual([]);
  });

  it("takes a joiner's fellows for the previous owners of what is now its own", () => {
    const ownership = new Ownership("c");
    ownership.follow(view(9, ["a", "b", "c"]), 0);
    const hash = keyHash("http://h/x");
    expect(["a", "b"]).toContain(ownership.previousOwners(hash, 1)[0]);
  });
});
