/** The dashboard: any member's page shows the whole cluster. */
import { html } from "htm/preact";
import { render, type VNode } from "preact";
import { useState } from "preact/hooks";
import "@preact/signals";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { LookUp } from "./look-up.ts";
import { MemberPage } from "./member-page.ts";
import { Overview } from "./overview.ts";
import { Purge } from "./purge.ts";
import { begin, connected, live, place, keepToken, post, refreshSession, session } from "./state.ts";

const pages = [
  ["", "Cluster"],
  ["look-up", "Look up"],
  ["purge", "Purge"],
] as const;

function Page(): VNode {
  const [page = "", ...rest] = place.value.split("/");
  const told = live.value;
  return html`<a class="skip" href="#main">To the content</a>
    <header>
      <h1>
        <span aria-hidden="true">◌</span> Gyre${told === null ? "" : html` <small>${told.status.cluster}</small>`}
      </h1>
      <nav aria-label="Pages">
        ${pages.map(
          ([name, title]) =>
            html`<a
              href=${`#${name}`}
              aria-current=${name === page || (name === "" && page === "member") ? "page" : undefined}
              >${title}</a
            >`,
        )}
      </nav>
      ${told === null ? null : html`<${Standing} />`}
      <${Login} />
    </header>
    <main id="main" tabindex="-1">
      ${
        session.value?.reads === false
          ? html`<${Stranger} />`
          : told === null
            ? html`<p class="note">Asking the members …</p>`
            : page === "member"
              ? html`<${MemberPage} told=${told} name=${decode(rest.join("/"))} />`
              : page === "look-up"
                ? html`<${LookUp} url=${decode(rest.join("/"))} />`
                : page === "purge"
                  ? html`<${Purge} />`
                  : html`<${Overview} told=${told} />`
      }
    </main>` as VNode;
}

/** Where the cluster stands, and whether this is still true. */
function Standing(): VNode {
  const { status, teller, members } = live.value!;
  const acts = Object.values(members).some((one) => one?.self.leads === true);
  const leader =
    status.leader === null ? "no leader" : acts ? `${status.leader} leads` : `${status.leader} led, nobody does now`;
  return html`<p class="standing" role="status">
    ${connected.value ? html`<span class="state active"><span aria-hidden="true">●</span> live</span>` : html`<span class="state unreachable"><span aria-hidden="true">○</span> ${teller} does not answer; trying again</span>`}
    <span>epoch ${status.epoch}</span><span>${leader}</span><span>session ${status.session}</span
    ><span>told by ${teller}</span>
  </p>` as VNode;
}

function Login(): VNode | null {
  const [open, setOpen] = useState(false);
  const [secret, setSecret] = useState("");
  const [wrong, setWrong] = useState("");
  const now = session.value;
  if (now === null) return null;
  if (now.loggedIn)
    return html`<button
      type="button"
      onClick=${() =>
        void post("/api/logout")
          .catch(() => null)
          .then(() => keepToken(null))
          .then(refreshSession)}
    >
      Log out
    </button>` as VNode;
  if (!now.mayLogIn) return html`<span class="note">read only</span>` as VNode;
  if (!open && now.reads) return html`<button type="button" onClick=${() => setOpen(true)}>Log in</button>` as VNode;
  return html`<form
    class="row"
    onSubmit=${(event: Event) => {
      event.preventDefault();
      post("/api/login", { secret }).then(
        async (answer) => {
          keepToken((answer as { token: string }).token);
          setSecret("");
          setWrong("");
          setOpen(false);
          await refreshSession();
        },
        (error: Error) => setWrong(error.message),
      );
    }}
  >
    <input
      type="password"
      autocomplete="current-password"
      required
      aria-label="The cluster's secret"
      placeholder="the cluster's secret"
      value=${secret}
      onInput=${(input: InputEvent) => setSecret((input.target as HTMLInputElement).value)}
    />
    <button type="submit">Log in</button>
    ${wrong === "" ? null : html`<span role="alert" class="wrong">${wrong}</span>`}
  </form>` as VNode;
}

/** For whoever comes from elsewhere. */
function Stranger(): VNode {
  return html`<section class="card">
    <h2>Not from here</h2>
    <p>
      This port speaks no TLS: the cluster's secret, and what is shown here, would cross the network in clear text.
      Reach it through a tunnel instead:
    </p>
    <pre>ssh -L 8082:${location.hostname}:${location.port === "" ? "80" : location.port} ${location.hostname}</pre>
    <p>and open <code>http://127.0.0.1:8082/</code>.</p>
  </section>` as VNode;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const root = document.getElementById("page")!;
root.replaceChildren();
render(html`<${Page} />`, root);
void begin();
