/** Lines of JSON from the admin ports of all members, as they come, those of members that join later too. */
import type { Status } from "../admin/status.ts";
import { jsonOf } from "../base/json.ts";
import { contact, type WhereOptions } from "./discover.ts";
import { note } from "./terminal.ts";

const lookMs = 2000;
/** Of a line; a member that sends more without an end is not one. */
const charactersMax = 1024 * 1024;

/** Follows `path` at every member until `signal` says so; `take` is given each value, and the member's name. */
export async function linesFrom(
  where: WhereOptions,
  path: string,
  take: (value: unknown, member: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const first = await contact(where);
  const following = new Set<string>();
  const begin = ({ members }: Status): void => {
    for (const { name, admin, startedMs } of members) {
      const mark = `${name} ${startedMs}`;
      if (following.has(mark)) continue;
      following.add(mark);
      void follow(admin, first.secret, path, (value) => take(value, name), signal).then(
        () => (signal.aborted ? undefined : note(`${name} has ended its answer`)),
        (error: Error) => {
          following.delete(mark);
          if (!signal.aborted) note(`${name} at ${admin}: ${error.message}`);
        },
      );
    }
  };
  let { members } = first.status;
  begin(first.status);
  while (!signal.aborted) {
    await pause(lookMs, signal);
    if (signal.aborted) return;
    // Whoever was asked first may have left: the others know.
    for (const { admin } of members) {
      const asked = contact({ admin, secret: first.secret }).catch(() => null);
      const found = await Promise.race([asked, ended(signal)]);
      if (signal.aborted) return;
      if (found === null) continue;
      begin(found.status);
      members = found.status.members;
      break;
    }
  }
}

async function follow(
  admin: string,
  secret: string | null,
  path: string,
  take: (value: unknown) => void,
  signal: AbortSignal,
): Promise<void> {
  const response = await fetch(`http://${admin}${path}`, {
    headers: secret === null ? {} : { authorization: `Bearer ${secret}` },
    signal,
  }).catch((error: Error & { cause?: { code?: string } }) => {
    throw new Error(error.cause?.code ?? error.message);
  });
  if (!response.ok || response.body === null) {
    const { error } = ((await response.json().catch(() => null)) ?? {}) as { error?: string };
    throw new Error(error ?? `status ${response.status}`);
  }
  const decoder = new TextDecoder();
  let waiting = "";
  for await (const chunk of response.body) {
    waiting += decoder.decode(chunk, { stream: true });
    if (waiting.length > charactersMax) throw new Error("it sends no lines");
    const lines = waiting.split("\n");
    waiting = lines.pop()!;
    for (const line of lines) if (line !== "") take(jsonOf(line));
  }
}

function ended(signal: AbortSignal): Promise<null> {
  return new Promise((done) => signal.addEventListener("abort", () => done(null), { once: true }));
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        done();
      },
      { once: true },
    );
  });
}
