/** What the page knows, and how it hears of more: one stream of events from the member that it was loaded from. */
import { signal } from "@preact/signals";
import type { LiveCluster, MemberEvent } from "../src/admin/live.ts";
import { Series } from "./series.ts";

/** What this browser may do here. */
export interface Session {
  readonly member: string;
  readonly reads: boolean;
  /** Of the session; null where nobody has logged in. */
  readonly token: string | null;
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
let stream: EventSource | null = null;

/** Asks for what may be done, and begins to listen where reading is allowed. */
export async function begin(): Promise<void> {
  addEventListener("hashchange", () => (place.value = location.hash.slice(1)));
  await refreshSession();
}

/** Asks again who we are. */
export async function refreshSession(): Promise<void> {
  const answer = await fetch("/api/session").catch(() => null);
  session.value = answer?.ok === true ? ((await answer.json()) as Session) : null;
  if (session.value?.reads === true) listen();
}

function listen(): void {
  stream?.close();
  stream = new EventSource("/api/live");
  stream.addEventListener("open", () => (connected.value = true));
  stream.addEventListener("error", () => (connected.value = false));
  stream.addEventListener("live", (message) => {
    connected.value = true;
    take(JSON.parse(message.data as string) as LiveCluster);
  });
}

function take(told: LiveCluster): void {
  const more: ToldEvent[] = [];
  for (const [member, part] of Object.entries(told.members)) {
    if (part === null) continue;
    series.add(member, part.samples);
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
      ...(session.value?.token == null ? {} : { "x-gyre-token": session.value.token }),
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
