/** The cluster at a glance: figures, charts, the ring, members, origins, what is busiest, events. */
import { html } from "htm/preact";
import { useState } from "preact/hooks";
import type { VNode } from "preact";
import type { LiveCluster } from "../src/admin/live.ts";
import { Activity } from "./activity.ts";
import { EventList } from "./event-list.ts";
import { bytes, part, short } from "./format.ts";
import { Ring } from "./ring.ts";
import { series } from "./state.ts";
import { slotMs, summed } from "./series.ts";

/** The first page. */
export function Overview({ told }: { readonly told: LiveCluster }): VNode {
  return html`<${Activity} told=${told} member=${null} />
    <div class="columns">
      <section class="card" aria-labelledby="ring-title">
        <h2 id="ring-title">Ring</h2>
        <${Ring} members=${told.status.members} epoch=${told.status.epoch} />
        <${Moving} told=${told} />
      </section>
      <section class="card wide" aria-labelledby="members-title">
        <h2 id="members-title">Members</h2>
        <${Members} told=${told} />
      </section>
    </div>
    <${BusiestCard} told=${told} />
    <${Origins} told=${told} />
    <section class="card" aria-labelledby="events-title">
      <h2 id="events-title">Events</h2>
      <${EventList} member=${null} />
    </section>` as VNode;
}

/** What is on its way from one member to another. */
function Moving({ told }: { readonly told: LiveCluster }): VNode {
  const draining = told.status.members.filter(({ state }) => state === "draining").map(({ name }) => name);
  const away = told.status.members.filter(({ state }) => state === "unreachable").map(({ name }) => name);
  const cut = Object.entries(told.members)
    .filter(([, live]) => live?.self.inTouch === false)
    .map(([name]) => name);
  const sum = (one: "handedOver" | "peeksFound"): number =>
    Object.values(told.members).reduce((all, live) => all + (live?.self[one] ?? 0), 0);
  const notes = [
    draining.length > 0 ? `${draining.join(", ")} hands over and leaves.` : null,
    away.length > 0 ? `${away.join(", ")} cannot be reached from ${told.teller}: successors answer.` : null,
    cut.length > 0 ? `${cut.join(", ")} is cut off, and validates everything before use.` : null,
  ].filter((note) => note !== null);
  return html`<p class="note">
    ${notes.length > 0 ? notes.join(" ") : "Nothing is moving."} So far ${short(sum("handedOver"))} stored responses
    were handed over by leaving members, and ${short(sum("peeksFound"))} were fetched from a previous owner instead of
    the origin.
  </p>` as VNode;
}

function Members({ told }: { readonly told: LiveCluster }): VNode {
  const buckets = told.durationBoundsMs.length + 1;
  return html`<div class="scroll">
    <table>
      <thead>
        <tr>
          <th>Member</th>
          <th>State</th>
          <th class="number">Share</th>
          <th class="number">Requests/s</th>
          <th class="number">Hits</th>
          <th class="number">Stored</th>
          <th class="number">Memory</th>
        </tr>
      </thead>
      <tbody>
        ${told.status.members.map((member) => {
          const live = told.members[member.name] ?? null;
          const lately = summed(
            series.slots(member.name, 5, buckets, Date.now()).map(({ slot }) => slot),
            buckets,
          );
          return html`<tr key=${member.name}>
            <td>
              <a href=${`#member/${member.name}`}>${member.name}</a>${" "}
              ${live?.self.leads === true ? html`<span class="badge">leads</span>` : null}
            </td>
            <td><${State} state=${live === null ? "unreachable" : member.state} /></td>
            <td class="number">${(100 * member.share).toFixed(1)} %</td>
            <td class="number">${live === null ? "–" : short((lately.requests * 1000) / (5 * slotMs))}</td>
            <td class="number">${part(lately.hits, lately.requests)}</td>
            <td class="number">
              ${live === null ? "–" : html`${bytes(live.self.store.bytes)} <small>of ${bytes(live.self.store.bytesMax)}</small>`}
            </td>
            <td class="number">${live === null ? "–" : bytes(live.self.residentBytes)}</td>
          </tr>`;
        })}
      </tbody>
    </table>
  </div>` as VNode;
}

/** A state in words and a sign. */
export function State({ state }: { readonly state: string }): VNode {
  const sign = state === "active" || state === "up" ? "●" : state === "draining" || state === "resting" ? "◐" : "○";
  return html`<span class=${`state ${state}`}><span aria-hidden="true">${sign}</span> ${state}</span>` as VNode;
}

function Origins({ told }: { readonly told: LiveCluster }): VNode | null {
  const [all, setAll] = useState(false);
  if (told.origins.length === 0) return null;
  const ordered = told.origins.toSorted((a, b) => b.ill.length - a.ill.length);
  const shown = all ? ordered : ordered.slice(0, 8);
  return html`<section class="card" aria-labelledby="origins-title">
    <h2 id="origins-title">Origins</h2>
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th>Route</th>
            <th>Origin</th>
            <th>Health</th>
            <th class="number">Under way</th>
            <th class="number">Failures</th>
          </tr>
        </thead>
        <tbody>
          ${shown.map(
            ({ route, origin, up, ill, active, failures }) =>
              html`<tr key=${`${route} ${origin}`}>
                <td>${route}</td>
                <td>${origin}</td>
                <td>
                  <${State} state=${ill.length === 0 ? "up" : up === 0 ? "down" : "resting"} />
                  ${ill.length === 0 ? null : html`<br /><small>${ill.join("; ")}</small>`}
                </td>
                <td class="number">${short(active)}</td>
                <td class="number">${short(failures)}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${
      ordered.length > shown.length
        ? html`<button type="button" onClick=${() => setAll(true)}>All ${ordered.length}</button>`
        : null
    }
  </section>` as VNode;
}

const kinds = [
  ["uri", "URLs"],
  ["route", "Routes"],
  ["origin", "Origins"],
  ["client", "Clients"],
] as const;

function BusiestCard({ told }: { readonly told: LiveCluster }): VNode {
  const [kind, setKind] = useState<(typeof kinds)[number][0]>("uri");
  const list = told.busiest[kind];
  return html`<section class="card" aria-labelledby="busiest-title">
    <h2 id="busiest-title">Busiest</h2>
    <div role="group" aria-label="Busiest of what" class="tabs">
      ${kinds.map(
        ([name, title]) =>
          html`<button type="button" aria-pressed=${String(name === kind)} onClick=${() => setKind(name)}>
            ${title}
          </button>`,
      )}
    </div>
    ${
      list.length === 0
        ? html`<p class="note">Nothing in the last ten seconds.</p>`
        : html`<div class="scroll">
            <table>
              <thead>
                <tr>
                  <th>${kinds.find(([name]) => name === kind)![1].slice(0, -1)}</th>
                  <th class="number">Requests/s</th>
                  <th class="number">Bytes/s</th>
                  <th class="number">Misses/s</th>
                  <th class="number">5xx/s</th>
                </tr>
              </thead>
              <tbody>
                ${list.map(
                  (busy) =>
                    html`<tr key=${busy.name}>
                      <td class="long">
                        ${
                          // Of one that was cut nothing could be looked up.
                          kind === "uri" && !busy.name.endsWith("…")
                            ? html`<a href=${`#look-up/${encodeURIComponent(busy.name)}`}>${busy.name}</a>`
                            : html`<span>${busy.name}</span>`
                        }
                      </td>
                      <td class="number">${short(busy.requests)}</td>
                      <td class="number">${bytes(busy.bytes)}</td>
                      <td class="number">${short(busy.misses)}</td>
                      <td class="number">${short(busy.errors)}</td>
                    </tr>`,
                )}
              </tbody>
            </table>
          </div>`
    }
  </section>` as VNode;
}
