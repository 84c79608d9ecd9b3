/** What the page knows, and how it hears of more: one stream of events from the member that it was loaded from. */
import { signal } from "@preact/signals";
import type { LiveCluster, MemberEvent } from "../src/admin/live.ts";
import { Series } from "./series.ts";

/** What this browser may do here. */
export interface Session {
  /** Null for who may not read. */
  readonly member: string | null;
  readonly reads: boolean;
  readonly loggedIn: boolean;
  readonly mayLogIn: boolean;
}

/** An event, and whose it is. */
export interface ToldEvent extends MemberEvent {
  readonly member: string;
}

export const session = signal<Session | null>(null);
export const live = signal<LiveCluster | null>(null);
export const connected = signal(false);
export const events = signal<readonly ToldEvent[]>([]);
/** What is shown: the part of the address behind the hash. */
export const place = signal(location.hash.slice(1));
export const series: Series = new Series();

const eventsKept = 300;
/** Silence after which the member is taken to stand still. */
const silentMs = 5000;
const tokenName = "gyre-token";
let stream: EventSource | null = null;
let heardMs = 0;

/** What a login has given: for this page alone, and gone with it. */
function token(): Record<string, string> {
  const kept = sessionStorage.getItem(tokenName);
  return kept === null ? {} : { "x-gyre-token": kept };
}

/** Keeps the token of a session, or forgets it. */
export function keepToken(given: string | null): void {
  if (given === null) sessionStorage.removeItem(tokenName);
  else sessionStorage.setItem(tokenName, given);
}

/** Asks for what may be done, and begins to listen where reading is allowed. */
export async function begin(): Promise<void> {
  addEventListener("hashchange", () => (place.value = location.hash.slice(1)));
  await refreshSession();
  setInterval(() => {
    if (session.value?.reads !== true || performance.now() - heardMs < silentMs) return;
    connected.value = false;
    listen();
  }, 1000);
}

/** Asks again who we are. */
export async function refreshSession(): Promise<void> {
  const answer = await fetch("/api/session", { headers: token() }).catch(() => null);
  session.value = answer?.ok === true ? ((await answer.json()) as Session) : session.value;
  if (session.value?.reads === true && stream === null) listen();
}

function listen(): void {
  stream?.close();
  heardMs = performance.now();
  stream = new EventSource("/api/live");
  // Another process may answer now, which knows nothing of this session.
  stream.addEventListener("open", () => (connected.value ? undefined : void refreshSession()));
  stream.addEventListener("error", () => (connected.value = false));
  stream.addEventListener("live", (message) => {
    connected.value = true;
    heardMs = performance.now();
    take(JSON.parse(message.data as string) as LiveCluster);
  });
}

function take(told: LiveCluster): void {
  const more: ToldEvent[] = [];
  for (const [member, part] of Object.entries(told.members)) {
    if (part === null) continue;
    series.add(member, part.samples, Date.now());
    more.push(...part.events.map((event) => ({ ...event, member })));
  }
  if (more.length > 0) {
    const known = new Set(events.value.map(({ member, number }) => `${member} ${number}`));
    const all = [...events.value, ...more.filter(({ member, number }) => !known.has(`${member} ${number}`))];
    events.value = all.toSorted((a, b) => a.number - b.number).slice(-eventsKept);
  }
  live.value = told;
}

/** Asks the API to do something. @throws Error with what it says. */
export async function post(path: string, value?: unknown): Promise<unknown> {
  const answer = await fetch(path, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...token(),
    },
    ...(value === undefined ? {} : { body: JSON.stringify(value) }),
  });
  return said(answer);
}

/** Asks the API. @throws Error with what it says. */
export async function get(path: string): Promise<unknown> {
  return said(await fetch(path));
}

async function said(answer: Response): Promise<unknown> {
  const value = (await answer.json().catch(() => null)) as { error?: string } | null;
  if (answer.ok && value !== null) return value;
  if (answer.status === 401 || answer.status === 403) await refreshSession();
  throw new Error(value?.error ?? `status ${answer.status}`);
}
