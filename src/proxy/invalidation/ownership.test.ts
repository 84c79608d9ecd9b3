import { describe, expect, it } from "vitest";
import { keyHash, owner } from "../../ring/ring.ts";
import { viewOf, type Member, type View } from "../../ring/view.ts";
import { Ownership } from "./ownership.ts";

const view = (epoch: number, names: readonly string[], startedMs: Readonly<Record<string, number>> = {}): View =>
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
      startedMs: startedMs[name] ?? 1,
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

  it("looks behind those who have come shortly before a joiner: what they own they have not got yet", () => {
    const hour = 3_600_000;
    const started = { a: hour, b: hour + 1, c: 3 * hour, d: 3 * hour + 100, e: 3 * hour + 200 };
    const names = ["a", "b", "c", "d", "e"];
    const old = view(1, ["a", "b"]);
    const fellows = view(3, ["a", "b", "c", "d"]);
    const ownership = new Ownership("e");
    ownership.follow(view(4, names, started), 0);
    const hashes = Array.from({ length: 200 }, (_, index) => keyHash(`http://h/${index}`));
    for (const hash of hashes) {
      const last = owner(fellows.ring, hash).name;
      const asked = ownership.previousOwners(hash, 1);
      expect(asked[0]).toBe(last);
      // Two are asked at most: who has been there all the time is among them, wherever one newcomer alone is between.
      const between = owner(view(2, ["a", "b", "c"]).ring, hash).name;
      if (last === "d" && between !== "c") expect(asked[1]).toBe(owner(old.ring, hash).name);
      if (last === "c") expect(asked[1]).toBe(owner(old.ring, hash).name);
    }
    // Long ago is not shortly before.
    const late = new Ownership("e");
    late.follow(view(4, names, { ...started, e: 9 * hour }), 0);
    for (const hash of hashes) expect(late.previousOwners(hash, 1)).toEqual([owner(fellows.ring, hash).name]);
  });
});
