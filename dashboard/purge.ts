/** Purges: what is asked for, and what has become of it at each member. */
import { html } from "htm/preact";
import { useState } from "preact/hooks";
import type { VNode } from "preact";
import type { PurgeReport } from "../src/proxy/invalidation/purges.ts";
import { get, post, session } from "./state.ts";

const kinds = [
  ["uri", "one URL", "https://example.com/page"],
  ["prefix", "all URLs that begin with", "https://example.com/assets/"],
  ["host", "all of a host", "example.com"],
  ["tag", "all with a tag", "news"],
  ["everything", "everything", ""],
] as const;

/** The form, and the report of the last one. */
export function Purge(): VNode {
  const [kind, setKind] = useState<(typeof kinds)[number][0]>("uri");
  const [value, setValue] = useState("");
  const [soft, setSoft] = useState(false);
  const [word, setWord] = useState("");
  const [sure, setSure] = useState(false);
  const [report, setReport] = useState<PurgeReport | null>(null);
  if (session.value?.loggedIn !== true)
    return html`<section class="card">
      <h2>Purge</h2>
      <p class="note">Log in with the cluster's secret to purge.</p>
    </section>` as VNode;
  const order = (): void => {
    setWord("Purging …");
    setSure(false);
    const selector = kind === "everything" ? { everything: true } : { [kind]: value };
    post("/api/purge", { selectors: [selector], soft, by: "the dashboard" }).then(
      (answer) => {
        setWord("");
        setReport(answer as PurgeReport);
      },
      (error: Error) => {
        setReport(null);
        setWord(error.message);
      },
    );
  };
  return html`<section class="card" aria-labelledby="purge-title">
    <h2 id="purge-title">Purge</h2>
    <form
      class="row"
      onSubmit=${(event: Event) => {
        event.preventDefault();
        if (kind === "everything" && !sure) setSure(true);
        else order();
      }}
    >
      <select
        aria-label="What to purge"
        value=${kind}
        onChange=${(change: Event) => {
          setSure(false);
          setKind((change.target as HTMLSelectElement).value as typeof kind);
        }}
      >
        ${kinds.map(([name, title]) => html`<option value=${name}>${title}</option>`)}
      </select>
      ${
        kind === "everything"
          ? null
          : html`<input
              class="grow"
              required
              aria-label=${kinds.find(([name]) => name === kind)![1]}
              placeholder=${kinds.find(([name]) => name === kind)![2]}
              value=${value}
              onInput=${(input: InputEvent) => setValue((input.target as HTMLInputElement).value)}
            />`
      }
      <label
        ><input type="checkbox" checked=${soft} onChange=${() => setSoft(!soft)} /> soft: validate at the next
        use</label
      >
      <button type="submit" class="danger">${sure ? "Yes, everything" : "Purge"}</button>
    </form>
    <p role="status" class="note">${word}</p>
    ${report === null ? null : html`<${Report} report=${report} refresh=${setReport} />`}
  </section>` as VNode;
}

function Report({ report, refresh }: { report: PurgeReport; refresh: (report: PurgeReport) => void }): VNode {
  const { id, mode, members, complete } = report;
  return html`<div class="row">
      <b
        >${complete ? "Every member has applied it." : "Not every member has applied it yet: the others do before they trust what they have stored again."}</b
      >
      <button
        type="button"
        onClick=${() => void get(`/api/purge/${encodeURIComponent(id)}`).then((answer) => refresh(answer as PurgeReport))}
      >
        How does it stand?
      </button>
    </div>
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th>Member</th>
            <th>State</th>
            <th class="number">Responses ${mode === "drop" ? "dropped" : "outdated"}</th>
            <th class="number">After</th>
          </tr>
        </thead>
        <tbody>
          ${members.map(({ name, state, dropped, outdated, swept, afterMs }) => {
            const count = mode === "drop" ? dropped : outdated;
            return html`<tr key=${name}>
              <td>${name}</td>
              <td>${state}</td>
              <td class="number">${count === null ? "–" : `${count}${swept ? "" : " so far"}`}</td>
              <td class="number">${afterMs === null ? "–" : `${afterMs} ms`}</td>
            </tr>`;
          })}
        </tbody>
      </table>
    </div>` as VNode;
}
