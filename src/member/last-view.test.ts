import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import type { Member, PublishedView } from "../ring/view.ts";
import { lastViewIn, rememberedOf } from "./last-view.ts";

const folder = mkdtempSync(join(tmpdir(), "gyre-last-view-"));
const failed = (error: Error): void => expect.fail(error.message);
afterAll(() => rmSync(folder, { recursive: true }));

const member = (name: string, port: number): Member => ({
  name,
  pid: port,
  listen: `127.0.0.1:1${port}`,
  peer: `127.0.0.1:2${port}`,
  admin: `127.0.0.1:3${port}`,
  weight: 1,
  zone: "",
  state: "active",
  tls: false,
  startedMs: port,
});

type ViewOf = (epoch: number, members: readonly Member[]) => PublishedView;
const viewsOf =
  (cluster: string): ViewOf =>
  (epoch, members) => ({ cluster, epoch, leader: "m1", placement: 1, members });
const view = viewsOf("gyre");

it("a host does not go on with another cluster's, whose name and a member's make the same file's", () => {
  lastViewIn(folder, "a", "b-c", failed).write(viewsOf("a")(3, [member("b-c", 101), member("m2", 102)]));
  const kept = lastViewIn(folder, "a-b", "c", failed);
  expect([kept.read(), kept.fellows()]).toEqual([null, []]);
});

it("a host that is left alone goes on with nobody, and remembers whom to ask for the host", () => {
  const [one, two] = [member("m1", 101), member("m2", 102)];
  const kept = lastViewIn(folder, "gyre", "m1", failed);
  kept.write(view(3, [one, two]));
  expect(rememberedOf(one, kept).lastView?.epoch).toBe(3);
  for (const epoch of [4, 5]) kept.write(view(epoch, [one]));
  const { lastView, fellows } = rememberedOf(one, kept);
  expect([lastView, fellows.map(({ name }) => name)]).toEqual([null, ["m2"]]);
});

it("a host remembers everybody whom it has lost, one after the other, until they come back or leave in order", () => {
  const [one, two, three] = [member("m1", 101), member("m2", 102), member("m3", 103)];
  const kept = lastViewIn(folder, "other", "m1", failed);
  const view = viewsOf("other");
  const asked = (): readonly string[] => kept.fellows().map(({ name }) => name);
  kept.write(view(3, [one, two, three]));
  kept.write(view(4, [one, three]));
  expect(asked()).toEqual(["m2", "m3"]);
  kept.write(view(5, [one]));
  expect(asked()).toEqual(["m2", "m3"]);
  kept.write(view(6, [one, { ...two, startedMs: 7 }]));
  expect(kept.fellows().map(({ name, startedMs }) => [name, startedMs])).toEqual([
    ["m3", 103],
    ["m2", 7],
  ]);
  kept.write(view(7, [one, { ...two, state: "draining" }]));
  kept.write(view(8, [one]));
  expect(asked()).toEqual(["m3"]);
});

it("a view that cannot be written is told of, and nothing more", () => {
  const [one, two] = [member("m1", 101), member("m2", 102)];
  const told: string[] = [];
  const kept = lastViewIn(join(folder, "gone"), "gyre", "m1", ({ message }) => void told.push(message));
  kept.write(view(3, [one, two]));
  expect(told).toEqual([expect.stringContaining("ENOENT")]);
  expect(kept.read()).toBe(null);
});

it("a host that was replaced remembers who is where it goes, be it one alone", () => {
  const [one, two] = [member("m1", 101), member("m2", 102)];
  const kept = lastViewIn(folder, "replaced", "m1", failed);
  const view = viewsOf("replaced");
  kept.write(view(1, [one]));
  kept.write(view(9, [two]));
  kept.write(view(2, [one]));
  expect(rememberedOf(one, kept)).toMatchObject({ lastView: null, fellows: [{ name: "m2" }] });
});
