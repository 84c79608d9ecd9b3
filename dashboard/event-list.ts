/** What has happened, newest first. */
import { html } from "htm/preact";
import { useState } from "preact/hooks";
import type { VNode } from "preact";
import { events } from "./state.ts";

const levels: Readonly<Record<number, string>> = { 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "fatal" };

/** Of one member, or of all (null). */
export function EventList({ member }: { readonly member: string | null }): VNode {
  const [grave, setGrave] = useState(false);
  const [words, setWords] = useState("");
  const found = events.value
    .filter((one) => member === null || one.member === member)
    .filter(({ event }) => !grave || Number(event["level"]) >= 40)
    .filter(({ event }) => words === "" || JSON.stringify(event).toLowerCase().includes(words.toLowerCase()))
    .slice(-100)
    .toReversed();
  return html`<div class="row">
      <label
        ><input type="checkbox" checked=${grave} onChange=${() => setGrave(!grave)} /> warnings and errors only</label
      >
      <label
        >with the words${" "}
        <input
          type="search"
          value=${words}
          onInput=${(input: InputEvent) => setWords((input.target as HTMLInputElement).value)}
      /></label>
    </div>
    ${found.length === 0 ? html`<p class="note">None.</p>` : null}
    <ol class="events">
      ${found.map(({ member: whose, number, event }) => {
        const level = levels[Number(event["level"])] ?? "info";
        return html`<li key=${`${whose} ${number}`} class=${level}>
          <time datetime=${event["time"]}>${new Date(String(event["time"])).toTimeString().slice(0, 8)}</time>
          <span class="whose">${whose}</span>
          <span class="level">${level}</span>
          <span>${event["msg"]}</span>
        </li>`;
      })}
    </ol>` as VNode;
}
