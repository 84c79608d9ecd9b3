/** `gyre stop`: ends the members of this machine in order, and says which of them drained. */
import {
  isAlive,
  markStopping,
  recordOf,
  runFolder,
  takeFarewell,
  unmarkStopping,
  type MemberRecord,
} from "../member/records.ts";
import { recordsOf } from "./discover.ts";
import { Failure } from "./failure.ts";
import { say, sayJson, table } from "./terminal.ts";

/** How long a member may take beyond its own drain limit before it is killed. */
const patienceMs = 10_000;

/** Ends members and prints how each ended. @throws Failure where one had to be killed. */
export async function stop(
  names: readonly string[],
  options: { readonly cluster?: string; readonly json?: boolean },
): Promise<void> {
  const all = recordsOf(options.cluster ?? process.env["GYRE_CLUSTER"]);
  const unknown = names.filter((name) => !all.some((record) => record.name === name));
  if (unknown.length > 0) throw new Failure(`no member named ${unknown.join(", ")} runs on this machine`);
  const meant = names.length === 0 ? all : all.filter(({ name }) => names.includes(name));
  if (meant.length === 0) throw new Failure("no member of a cluster runs on this machine");
  const folder = runFolder(process.env);
  // Those that coordinate go last, so that every departure before theirs is published.
  const ordered = [...meant].sort((a, b) => Number(a.hostsCoordinator) - Number(b.hostsCoordinator));
  const company = ordered.map(({ name }) => name);
  const results: { name: string; pid: number; result: string }[] = [];
  for (const record of ordered)
    results.push({
      name: record.name,
      pid: record.pid,
      result: await end(record, folder, company),
    });
  if (options.json === true) sayJson(results);
  else
    say(
      table(
        ["MEMBER", "PID", "RESULT"],
        results.map(({ name, pid, result }) => [name, String(pid), result]),
      ),
    );
  if (results.some(({ result }) => result.startsWith("killed"))) throw new Failure("not every member ended by itself");
}

async function end(record: MemberRecord, folder: string, company: readonly string[]): Promise<string> {
  // A second SIGTERM would force the member: where it leaves already, this one only waits.
  const others = markStopping(folder, record.pid, company);
  const leaves = others || recordOf(folder, record.pid)?.state === "draining";
  if (!leaves && isAlive(record)) process.kill(record.pid, "SIGTERM");
  const result = await ended(record, folder);
  if (!others) unmarkStopping(folder, record.pid);
  return others && result === "ended without a word" ? "ended by another stop" : result;
}

async function ended(record: MemberRecord, folder: string): Promise<string> {
  const begunMs = performance.now();
  let limitMs = record.drainLimitMs;
  while (isAlive(record)) {
    // What it says when it begins to leave is what holds then: a reload may have changed it.
    limitMs = recordOf(folder, record.pid)?.drainLimitMs ?? limitMs;
    if (performance.now() > begunMs + limitMs + patienceMs) {
      process.kill(record.pid, "SIGKILL");
      return "killed: it did not end in time";
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const farewell = takeFarewell(folder, record.pid);
  if (farewell === null) return "ended without a word";
  return farewell.drained ? "drained" : `left; ${farewell.cut} connections cut`;
}
