import { expect, it } from "vitest";
import { TurnedAwayNotes } from "./turned-away-notes.ts";

it("tells of the first at once, of those after it together when a minute has passed, and counts all", () => {
  const told: string[] = [];
  const notes = new TurnedAwayNotes((_, text) => told.push(text));
  notes.add({ reason: "not-allowed", count: 1, address: "192.0.2.1" }, 0);
  expect(told).toEqual(["closed a connection of clients that `allow` does not name, from 192.0.2.1"]);
  notes.add({ reason: "not-allowed", count: 2, address: "192.0.2.2" }, 10_000);
  notes.add({ reason: "not-allowed", count: 1, address: "192.0.2.3" }, 20_000);
  notes.add({ reason: "too-many", count: 1, address: "192.0.2.4" }, 21_000);
  expect(told.slice(1)).toEqual([
    "closed a connection beyond `limits: connections` or `connections-per-client`, from 192.0.2.4",
  ]);
  notes.look(59_999);
  expect(told.length).toBe(2);
  notes.look(60_000);
  notes.look(200_000);
  expect(told.slice(2)).toEqual([
    "closed 3 connections of clients that `allow` does not name, the last from 192.0.2.3",
  ]);
  expect([...notes.counts].filter(([, count]) => count > 0)).toEqual([
    ["not-allowed", 4],
    ["too-many", 1],
  ]);
});
