/** Rates, latency and errors of the cluster or of one member: figures of the last ten seconds, charts of ten minutes. */
import { html } from "htm/preact";
import { useMemo } from "preact/hooks";
import type { VNode } from "preact";
import type { LiveCluster } from "../src/admin/live.ts";
import { Chart } from "./charts.ts";
import { bytes, part, short, time } from "./format.ts";
import { percentile, slotMs, summed } from "./series.ts";
import { series } from "./state.ts";

const slotsShown = 300;
const slotsOfNow = 5;

interface ActivityProps {
  readonly told: LiveCluster;
  /** Null for all. */
  readonly member: string | null;
}

/** See above. */
export function Activity({ told, member }: ActivityProps): VNode {
  const bounds = told.durationBoundsMs;
  const buckets = bounds.length + 1;
  const all = series.slots(member, slotsShown, buckets, Date.now());
  const newest = all.at(-1)!.atMs;
  const now = summed(
    all.slice(-slotsOfNow).map(({ slot }) => slot),
    buckets,
  );
  const second = (count: number): string => short((count * 1000) / (slotsOfNow * slotMs));
  const data = useMemo(() => {
    const times = all.map(({ atMs }) => atMs / 1000);
    const rate = (one: (slot: (typeof all)[number]["slot"]) => number): (number | null)[] =>
      all.map(({ slot }) => (slot.told ? (one(slot) * 1000) / slotMs : null));
    const at = (fraction: number): (number | null)[] =>
      // A slot alone is too little for a percentile: with the two before.
      all.map((_, index) => {
        const few = summed(
          all.slice(Math.max(0, index - 2), index + 1).map(({ slot }) => slot),
          buckets,
        );
        return percentile(few.durations, bounds, fraction);
      });
    return {
      requests: [times, rate((slot) => slot.requests), rate((slot) => slot.hits)],
      latency: [times, at(0.99), at(0.5)],
      origin: [times, rate((slot) => slot.originFetches), rate((slot) => slot.failed)],
    };
  }, [newest, member]);
  const stored = Object.entries(told.members)
    .filter(([name]) => member === null || name === member)
    .reduce((sum, [, one]) => sum + (one?.self.store.responses ?? 0), 0);
  const figures: [string, string, string][] = [
    ["Requests", `${second(now.requests)}/s`, "answered, with those of other members"],
    ["Hit ratio", part(now.hits, now.requests), "of the last ten seconds"],
    ["Half within", time(percentile(now.durations, bounds, 0.5)), "from the head to the last byte"],
    ["99 % within", time(percentile(now.durations, bounds, 0.99)), "of the last ten seconds"],
    ["Content", `${bytes((now.bytes * 1000) / (slotsOfNow * slotMs))}/s`, "sent"],
    ["Origin fetches", `${second(now.originFetches)}/s`, "what the cache could not spare"],
    ["5xx to clients", `${second(now.failed)}/s`, now.failed === 0 ? "none" : "look at the origins"],
    ["Stored", short(stored), "responses"],
  ];
  return html`<section aria-label="Now" class="figures">
      ${figures.map(
        ([name, value, more]) =>
          html`<div class="figure"><span class="name">${name}</span><b>${value}</b><small>${more}</small></div>`,
      )}
    </section>
    <section class="charts" aria-label="The last ten minutes">
      <${Chart}
        title="Requests a second"
        lines=${[
          { name: "all", colour: "--one", fill: true },
          { name: "hits", colour: "--two", dash: [6, 3] },
        ]}
        data=${data.requests}
        format=${short}
      />
      <${Chart}
        title="Latency"
        lines=${[
          { name: "99 %", colour: "--three", dash: [6, 3] },
          { name: "half", colour: "--one" },
        ]}
        data=${data.latency}
        format=${time}
      />
      <${Chart}
        title="Origin fetches and errors a second"
        lines=${[
          { name: "fetches", colour: "--one", fill: true },
          { name: "5xx", colour: "--bad", dash: [2, 3] },
        ]}
        data=${data.origin}
        format=${short}
      />
    </section>` as VNode;
}
