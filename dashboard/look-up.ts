/** Where a URL lives, what is stored for it, what the next request would do and what the last one did: each with why. */
import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import type { VNode } from "preact";
import type { Explanation } from "../src/admin/explain.ts";
import type { SeenRequest } from "../src/telemetry/seen-request.ts";
import { age, bytes } from "./format.ts";
import { get } from "./state.ts";

type Explained = Explanation & { readonly last?: SeenRequest | null };

/** A field for a URL, and what is known of it. */
export function LookUp({ url }: { readonly url: string }): VNode {
  const [text, setText] = useState(url);
  const [found, setFound] = useState<Explained | null>(null);
  const [wrong, setWrong] = useState("");
  const look = (): void => {
    if (url === "") return;
    setWrong("");
    get(`/api/explain?owner=1&url=${encodeURIComponent(url)}`).then(
      (answer) => setFound(answer as Explained),
      (error: Error) => {
        setFound(null);
        setWrong(error.message);
      },
    );
  };
  useEffect(() => {
    setText(url);
    look();
  }, [url]);
  return html`<section class="card" aria-labelledby="look-title">
    <h2 id="look-title">Look up a URL</h2>
    <form
      class="row"
      onSubmit=${(event: Event) => {
        event.preventDefault();
        if (text === url) look();
        else location.hash = `look-up/${encodeURIComponent(text)}`;
      }}
    >
      <input
        class="grow"
        type="url"
        required
        aria-label="URL"
        placeholder="https://example.com/page"
        value=${text}
        onInput=${(input: InputEvent) => setText((input.target as HTMLInputElement).value)}
      />
      <button type="submit">Look up</button>
    </form>
    ${wrong === "" ? null : html`<p role="alert" class="wrong">${wrong}</p>`}
    ${found === null ? null : html`<${Found} found=${found} />`}
  </section>` as VNode;
}

function Found({ found }: { readonly found: Explained }): VNode {
  const { last } = found;
  const facts: [string, unknown][] = [
    [
      "Owner",
      html`<a href=${`#member/${found.owner}`}>${found.owner}</a
        >${found.member === found.owner ? "" : ` (not reached: this is what ${found.member} knows)`}`,
    ],
    ["Next GET", found.next],
    [
      "Last request",
      last == null
        ? "none is remembered here that was no hit of the fast way"
        : `${last.owned ?? last.outcome}${last.reason === null || last.reason === last.outcome ? "" : ` (${last.reason})`}, status ${last.status}, at ${last.member} ${new Date(last.time).toLocaleTimeString()}`,
    ],
    ["Key", found.key.replaceAll("\n", " + ")],
    ["Route", found.route ?? "the forward proxy"],
    [
      "Configured",
      Object.entries(found.rules)
        .map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
        .join(", ") || "nothing beside the origin's word",
    ],
    ...(found.endedBy === null
      ? []
      : [
          [
            "Ended by",
            `${found.endedBy.cause === "purge" ? "a purge of" : "a change of"} ${found.endedBy.what}, ${found.endedBy.at}`,
          ] as [string, unknown],
        ]),
    ...(found.onDisk === 0
      ? []
      : [["On the disk", `${found.onDisk} more, brought back when somebody asks`] as [string, unknown]]),
  ];
  return html`<dl class="facts">
      ${facts.map(
        ([what, value]) =>
          html`<div>
            <dt>${what}</dt>
            <dd>${value}</dd>
          </div>`,
      )}
    </dl>
    ${found.variants.length === 0 ? html`<p class="note">Nothing is stored for it at ${found.member}.</p>` : null}
    ${found.variants.map(
      (variant, index) =>
        html`<h3>Stored response ${index + 1}</h3>
          <dl class="facts">
            ${(
              [
                ["Status", `${variant.status}, ${bytes(variant.bodyBytes)} in ${variant.contentIn}`],
                [
                  "Age",
                  `${age(variant.ageSeconds)} of ${age(variant.lifetimeSeconds)} (${variant.lifetimeSource}, from ${variant.directivesFrom})`,
                ],
                ["Used", `${variant.hits} times`],
                ["Would be", `${variant.decision}: ${variant.clause}`],
                [
                  "Varies by",
                  variant.vary.length === 0
                    ? "nothing"
                    : `${variant.vary.join(", ")}: ${variant.variant.trim().replaceAll("\n", ", ")}`,
                ],
                ["Validator", variant.etag ?? variant.lastModified ?? "none"],
                ["Tags", variant.tags.length === 0 ? "none" : variant.tags.join(", ")],
              ] as [string, string][]
            ).map(
              ([what, value]) =>
                html`<div>
                  <dt>${what}</dt>
                  <dd>${value}</dd>
                </div>`,
            )}
          </dl>`,
    )}` as VNode;
}
