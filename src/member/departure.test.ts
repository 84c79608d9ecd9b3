import { expect, it } from "vitest";
import { createLog } from "../telemetry/log.ts";
import { depart, type DepartureNeeds } from "./departure.ts";

/** What is asked to end, and how much time it is given. */
function departing(): { readonly needs: DepartureNeeds; readonly given: [string, number][] } {
  const given: [string, number][] = [];
  const ends = (what: string) => (limitMs: number) => {
    given.push([what, limitMs]);
    return Promise.resolve(0);
  };
  const log = createLog({ member: "m1", level: "error", format: "json", terminal: false, nowMs: () => 0 }).events;
  const parts = { clients: { close: ends("clients") }, acceptor: { idle: ends("members") } };
  return { needs: { control: null, plane: {}, log, ...parts } as unknown as DepartureNeeds, given };
}

it("a member whose place another has taken gives no more notice", async () => {
  const { needs, given } = departing();
  const notice = new AbortController();
  const departed = depart(needs, { limitMs: 100_000, noticeMs: 40_000, heirs: "none", notice: notice.signal });
  expect(given).toEqual([]);
  notice.abort();
  await departed;
  expect(given.slice(0, 2)).toEqual([
    ["clients", 60_000],
    ["members", 60_000],
  ]);
});

it("a notice takes half of the time at most, and none where there is to be none", async () => {
  for (const [limitMs, notice, left] of [
    [0, new AbortController().signal, 0],
    [10, new AbortController().signal, 5],
    [5000, null, 5000],
  ] as const) {
    const { needs, given } = departing();
    await depart(needs, { limitMs, noticeMs: 60_000, heirs: "none", notice });
    expect(given[0]).toEqual(["clients", left]);
  }
});
