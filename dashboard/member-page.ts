/** One member: what it is, what it does, and what can be done to it. */
import { html } from "htm/preact";
import { useState } from "preact/hooks";
import type { VNode } from "preact";
import type { LiveCluster } from "../src/admin/live.ts";
import { Activity } from "./activity.ts";
import { EventList } from "./event-list.ts";
import { age, bytes, short } from "./format.ts";
import { State } from "./overview.ts";
import { post, session } from "./state.ts";

/** The page of a member. */
export function MemberPage({ told, name }: { readonly told: LiveCluster; readonly name: string }): VNode {
  const member = told.status.members.find((one) => one.name === name);
  if (member === undefined)
    return html`<section class="card">
      <h2>${name}</h2>
      <p>No such member is in the cluster.</p>
    </section>` as VNode;
  const self = told.members[name]?.self ?? null;
  const facts: [string, unknown][] = [
    ["State", html`<${State} state=${self === null ? "unreachable" : member.state} />`],
    ["Role", self?.leads === true ? "leads the cluster" : "follows the leader"],
    ["Share of the keys", `${(100 * member.share).toFixed(2)} %, weight ${member.weight}`],
    ["Proxy", `${member.tls ? "https" : "http"}://${member.listen}`],
    ["Peer port", member.peer],
    ["Admin port", member.admin],
    ["Process", String(member.pid)],
    ["Zone", member.zone === "" ? "none" : member.zone],
    ...(self === null
      ? []
      : ([
          ["Up for", age(self.uptimeSeconds)],
          ["Session", self.session],
          ["In touch", self.inTouch ? "with everybody" : `not with ${self.silent.join(", ")}`],
          ["Threads", String(self.threads)],
          [
            "Stored",
            `${short(self.store.responses)} responses, ${bytes(self.store.bytes)} of ${bytes(self.store.bytesMax)}`,
          ],
          ["Hot copies", `${short(self.store.copies)}, ${bytes(self.store.copyBytes)}`],
          [
            "On disk",
            self.disk === null
              ? "no disk"
              : self.disk.off !== null
                ? `not used: ${self.disk.off}`
                : `${short(self.disk.responses)} responses, ${bytes(self.disk.bytes)} of ${bytes(self.disk.bytesMax)}`,
          ],
          ["Memory", `${bytes(self.residentBytes)}, heap ${bytes(self.heapBytes)}`],
          ["In flight", short(self.inFlight)],
          ["Peeks", `${short(self.peeks)}, found ${short(self.peeksFound)}`],
          ["Handed over", `${short(self.handedOver)} given, ${short(self.takenOver)} taken`],
        ] as [string, unknown][])),
  ];
  return html`<p><a href="#">← all members</a></p>
    <h2 class="title">${name}</h2>
    <${Activity} key=${name} told=${told} member=${name} />
    <div class="columns turned">
      <section class="card wide" aria-label="Facts">
        <dl class="facts">
          ${facts.map(
            ([what, value]) =>
              html`<div>
                <dt>${what}</dt>
                <dd>${value}</dd>
              </div>`,
          )}
        </dl>
      </section>
      <section class="card" aria-labelledby="do-title">
        <h2 id="do-title">Operate</h2>
        <${Operate} name=${name} weight=${member.weight} />
      </section>
    </div>
    <section class="card" aria-labelledby="events-title">
      <h2 id="events-title">Events</h2>
      <${EventList} member=${name} />
    </section>` as VNode;
}

function Operate({ name, weight }: { readonly name: string; readonly weight: number }): VNode {
  const [word, setWord] = useState("");
  const [asked, setAsked] = useState<"drain" | null>(null);
  const [next, setNext] = useState(String(weight));
  if (session.value?.loggedIn !== true)
    return html`<p class="note">
      Log in with the cluster's secret to drain or reload this member, or to change its weight.
    </p>` as VNode;
  const at = `?member=${encodeURIComponent(name)}`;
  const run = (what: string, path: string, value?: unknown): void => {
    setAsked(null);
    setWord(`${what} …`);
    post(path + at, value).then(
      (answer) => setWord(`${what}: ${textOf(answer)}`),
      (error: Error) => setWord(`${what}: ${error.message}`),
    );
  };
  return html`<div class="stack">
    <button type="button" onClick=${() => run("Reload", "/api/reload")}>Reload its configuration</button>
    ${
      asked === "drain"
        ? html`<div class="row">
            <span>${name} hands over what it has stored, and ends.</span>
            <button type="button" class="danger" onClick=${() => run("Drain", "/api/drain")}>Drain ${name}</button>
            <button type="button" onClick=${() => setAsked(null)}>Leave it</button>
          </div>`
        : html`<button type="button" class="danger" onClick=${() => setAsked("drain")}>Drain …</button>`
    }
    <form
      class="row"
      onSubmit=${(event: Event) => {
        event.preventDefault();
        run("Weight", "/api/weight", { weight: Number(next) });
      }}
    >
      <label
        >Weight${" "}
        <input
          size="5"
          inputmode="decimal"
          value=${next}
          onInput=${(input: InputEvent) => setNext((input.target as HTMLInputElement).value)}
      /></label>
      <button type="submit">Change</button>
    </form>
    <p role="status" class="note">${word}</p>
  </div>` as VNode;
}

function textOf(answer: unknown): string {
  const { reloaded, weight, handedOver } = answer as {
    reloaded?: string;
    weight?: number;
    handedOver?: { responses: number };
  };
  if (reloaded !== undefined) return reloaded;
  if (weight !== undefined) return `${weight} from now on`;
  return handedOver === undefined ? "done" : `${handedOver.responses} stored responses were handed over; it has left`;
}
