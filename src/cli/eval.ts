/** `gyre eval EXPERIMENT`: runs it, prints what it found, and leaves JSON and an HTML page. */
import { writeFileSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";
import { join } from "node:path";
import { makeFolder } from "../base/folder.ts";
import { bytesText } from "../base/sizes.ts";
import { balance } from "../eval/balance.ts";
import { churn } from "../eval/churn.ts";
import { distribution } from "../eval/distribution.ts";
import { failover } from "../eval/failover.ts";
import { experiments, type Experiment } from "../eval/experiments.ts";
import { hitRatio } from "../eval/hit-ratio.ts";
import { hot } from "../eval/hot.ts";
import { reportPage, type Colophon } from "../eval/html.ts";
import { latency } from "../eval/latency.ts";
import { isReached, type Progress, type Report } from "../eval/report.ts";
import {
  listWorkload,
  logWorkload,
  studyWorkload,
  traces,
  traceWorkload,
  zipfWorkload,
  type TraceName,
  type Workload,
} from "../eval/workload.ts";
import { Failure } from "./failure.ts";
import { note, progressBar, say, sayJson, styled, table } from "./terminal.ts";
import { version } from "./version.ts";

export interface EvalOptions {
  readonly seed: string;
  readonly out: string;
  readonly json?: boolean;
  readonly members?: string;
  readonly requests?: string;
  readonly objects?: string;
  readonly exponent?: string;
  readonly rate?: string;
  readonly seconds?: string;
  readonly memory?: string;
  readonly coordinator?: string;
  // distribution
  readonly preset?: string;
  readonly urls?: string;
  readonly log?: string;
  readonly site?: string;
  readonly trace?: string;
  readonly zipf?: boolean;
  readonly oneHitShare?: string;
  readonly churn?: string;
  readonly flash?: string;
  // latency
  readonly originDelay?: string;
}

/** Runs one experiment, or all of them. @throws Failure where one cannot be run. */
export async function evaluate(name: string, options: EvalOptions): Promise<void> {
  const names = name === "all" ? experiments : experiments.filter((one) => one === name);
  if (names.length === 0)
    throw new Failure(`no experiment is named "${name}": there are ${experiments.join(", ")}, and all`, 2);
  const command = `gyre eval ${process.argv.slice(3).join(" ")}`;
  const reports: Report[] = [];
  for (const experiment of names) {
    const bar = progressBar(experiment);
    try {
      reports.push(await run(experiment, options, bar.at));
    } catch (error) {
      bar.end();
      if (error instanceof Failure) throw error;
      throw new Failure(`${experiment}: ${(error as Error).message}`);
    }
    bar.end();
  }
  const colophon: Colophon = {
    command,
    date: new Date().toISOString(),
    version,
    machine: `${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? "unknown"}), ${bytesText(totalmem())}, Node ${process.versions.node}, ${process.platform}`,
  };
  const value = { ...colophon, reports };
  makeFolder(options.out);
  const file = (ending: string): string => join(options.out, `${name}.${ending}`);
  writeFileSync(file("json"), `${JSON.stringify(value, null, 2)}\n`);
  writeFileSync(file("html"), reportPage(reports, colophon));
  if (options.json === true) sayJson(value);
  else for (const report of reports) print(report);
  note(`\n${file("json")}\n${file("html")}`);
  if (reports.some(({ goals }) => !goals.every(isReached))) process.exitCode = 1;
}

async function run(name: Experiment, options: EvalOptions, progress: Progress): Promise<Report> {
  const seed = whole("--seed", options.seed, 0, 2 ** 32 - 1)!;
  const members = name === "balance" ? undefined : whole("--members", options.members, 1, 64);
  const requests = whole("--requests", options.requests, 1, 10_000_000);
  const objects = whole("--objects", options.objects, 1, 1_000_000);
  const exponent = part("--exponent", options.exponent, 0, 5);
  const rate = whole("--rate", options.rate, 1, 100_000);
  const seconds = whole("--seconds", options.seconds, 1, 3600);
  switch (name) {
    case "distribution":
      return distribution(workloadOf(options, seed), given({ seed, members, rate }), progress);
    case "balance": {
      const sizes = options.members?.split(",").map((size) => whole("--members", size, 1, 1000)!);
      return balance(given({ seed, members: sizes, keys: requests }), progress);
    }
    case "churn":
      return churn(given({ seed, members, objects, rate, seconds }), progress);
    case "hot":
      return hot(given({ seed, members, objects, exponent, requests, memory: options.memory }), progress);
    case "latency":
      return latency(
        given({ seed, members, rate, seconds, originMs: whole("--origin-delay", options.originDelay, 0, 10_000) }),
        progress,
      );
    case "failover":
      return failover(given({ seed, members, rate, coordinator: options.coordinator }), progress);
    case "hit-ratio":
      return hitRatio(given({ seed, trace: traceOf(options.trace, ["zipf"]) }), progress);
  }
}

function workloadOf(options: EvalOptions, seed: number): Workload {
  const { preset, urls, log, site = "http://site.example", trace } = options;
  const sources = [preset, urls, log, trace, options.zipf === true ? "zipf" : undefined].filter(
    (one) => one !== undefined,
  );
  if (sources.length > 1) throw new Failure("one workload at a time: --preset, --urls, --log, --trace or --zipf", 2);
  if (urls !== undefined) return listWorkload(urls);
  if (log !== undefined) return logWorkload(log, site);
  if (trace !== undefined) return traceWorkload(traceOf(trace, []) as TraceName);
  if (options.zipf === true)
    return zipfWorkload(
      given({
        seed,
        site,
        objects: whole("--objects", options.objects, 1, 1_000_000),
        requests: whole("--requests", options.requests, 1, 10_000_000),
        exponent: part("--exponent", options.exponent, 0, 5),
        oneHitShare: part("--one-hit-share", options.oneHitShare, 0, 1),
        churn: part("--churn", options.churn, 0, 1),
        flash: part("--flash", options.flash, 0, 1),
      }),
    );
  if (preset !== undefined && preset !== "study")
    throw new Failure(`--preset ${preset}: the only one is study (ten sites, 1,000 requests)`, 2);
  return studyWorkload(seed);
}

function traceOf(name: string | undefined, more: readonly "zipf"[]): TraceName | "zipf" | undefined {
  if (name === undefined) return undefined;
  const found = [...traces, ...more].find((one) => one === name);
  if (found === undefined) throw new Failure(`--trace ${name}: there are ${[...traces, ...more].join(", ")}`, 2);
  return found;
}

/** Without what was not given: the experiment's own settings stand for it. */
function given<T extends object>(settings: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

function whole(flag: string, text: string | undefined, least: number, most: number): number | undefined {
  const value = part(flag, text, least, most);
  if (value !== undefined && !Number.isInteger(value)) throw new Failure(`${flag} ${text}: write a whole number`, 2);
  return value;
}

function part(flag: string, text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === "" || !(value >= least && value <= most))
    throw new Failure(`${flag} ${text}: write a number from ${least} to ${most}`, 2);
  return value;
}

function print(report: Report): void {
  say(`\n${styled("bold", report.title)}`);
  say(`${report.ran}, seed ${report.seed}\n`);
  for (const { title, heading, rows } of report.tables) {
    say(`${title}\n`);
    say(
      `${table(
        heading,
        rows.map((row) => row.map(String)),
      )}\n`,
    );
  }
  for (const finding of report.findings) say(`${finding}\n`);
  if (report.goals.length > 0)
    say(
      table(
        ["GOAL", "REACHED", "WANTED", ""],
        report.goals.map((goal) => [
          goal.name,
          Number(goal.reached.toPrecision(4)).toString(),
          `${goal.bound === "at-most" ? "at most" : "at least"} ${goal.goal}`,
          isReached(goal) ? "reached" : "missed",
        ]),
      ),
    );
  for (const credit of report.credits ?? []) say(`\n${credit}`);
}
