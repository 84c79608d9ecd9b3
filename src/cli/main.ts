/** The command line: what there is, and what each command takes. */
import { Command, CommanderError } from "commander";
import { check } from "./check.ts";
import { cluster, type ClusterOptions } from "./cluster.ts";
import { withConfigOptions } from "./config-options.ts";
import { completion, shells } from "./completion.ts";
import { config } from "./config.ts";
import { coordinate } from "./coordinate.ts";
import { drain } from "./drain.ts";
import { experiments } from "../eval/experiments.ts";
import { traces } from "../eval/workload.ts";
import type { EvalOptions } from "./eval.ts";
import { explain } from "./explain.ts";
import { endWith, endWithStarter } from "./ending.ts";
import { Failure } from "./failure.ts";
import { fetchUrl, type FetchOptions } from "./fetch.ts";
import { manPage } from "./man-page.ts";
import { purge, type PurgeOptions } from "./purge.ts";
import { ring, type RingOptions } from "./ring.ts";
import { filterNames } from "../telemetry/request-filter.ts";
import { StartError } from "../member/start-error.ts";
import { start } from "./start.ts";
import { status, type StatusOptions } from "./status.ts";
import { stop } from "./stop.ts";
import { events, logs, type LogsOptions } from "./logs.ts";
import { reload, weigh } from "./operate.ts";
import { note, say } from "./terminal.ts";
import { top, type TopOptions } from "./top.ts";
import { version } from "./version.ts";

const program = new Command("gyre")
  .description("An HTTP cache that clusters itself: forward and reverse proxy, one URL space over all members.")
  .version(version, "-V, --version")
  .showHelpAfterError("(see --help)")
  .showSuggestionAfterError()
  .exitOverride()
  .addHelpText(
    "after",
    `
Examples:
  gyre start                                    one member, forward proxy on 127.0.0.1:8080
  gyre start --origin http://localhost:3000     one member, reverse proxy before that origin
  gyre cluster --members 3                      three members on this machine; Ctrl-C ends them
  gyre start --coordinator zookeeper://z1:2181,z2:2181,z3:2181/gyre     a member of a cluster kept by ZooKeeper
  gyre fetch http://example.com/ -v             through the leader; says what the cache did
  gyre purge --tag news --soft                  at every member, and says which have
  gyre status --watch                           members, leader, shares, hit ratios

Exit codes: 0 done, 1 failed, 2 asked wrongly. Settings: flag, else GYRE_* variable, else --config file.`,
  );

withConfigOptions(
  program.command("start").description("start one member: alone, or joining others with --coordinator"),
).action(start);

withConfigOptions(program.command("cluster").description("start several members on this machine"), ["name", "weight"])
  .option("-n, --members <N>", "how many", "3")
  .option("-d, --detach", "go on in the background; `gyre stop` ends it")
  .option("--demo-origin", "start a small origin too, and print commands to try")
  .action((options: ClusterOptions) => cluster(options));

program
  .command("stop")
  .description("end the members of this machine, or those named, cleanly")
  .argument("[MEMBER...]")
  .option("--cluster <NAME>", "where several clusters run")
  .option("--json", "print JSON")
  .action(stop);

where(program.command("fetch").description("fetch a URL through the cluster's leader").argument("<URL>"))
  .option("--via <HOST:PORT>", "through this member instead")
  .option("-i, --include", "print the head instead of the content")
  .option("-v, --verbose", "say what the cache did")
  .option("-X, --method <METHOD>", "request method; default GET, with -d POST")
  .option("-H, --header <LINE>", 'a request field, "Name: value"; may be repeated', collected)
  .option("-d, --data <TEXT>", "content of the request; @FILE takes it from a file, @- from the standard input")
  .option("-o, --output <FILE>", "write the content to a file")
  .option("--ca <FILE>", "certificates to trust where members speak TLS")
  .option("-k, --insecure", "do not check members' certificates")
  .addHelpText("after", "\nExit code 1 where nobody answered, or a member did with an error of its own (a 502, a 504).")
  .action((url: string, options: FetchOptions) => fetchUrl(url, options));

where(program.command("status").description("show members, leader, epoch, shares and hit ratios"))
  .option("--watch", "again every second")
  .option("--json", "print JSON; with --watch, a line each time")
  .action((options: StatusOptions) => status(options));

where(program.command("logs").description("show the requests of clients, at all members"))
  .option("-f, --follow", "every request as it ends, until Ctrl-C; else the last that were no hits of the fast way")
  .option("--filter <TERMS>", "only those for which all terms hold, as in 'outcome=uri-miss route=*/api* status>=500'")
  .option("-n, --count <N>", "no more than so many")
  .option("--json", "print lines of JSON")
  .addHelpText(
    "after",
    `
Terms: name=value (* stands for any text), name!=value, name~part, name!~part, name>=number, > < <=
Names: ${filterNames.join(", ")}

Examples:
  gyre logs --follow --filter 'status>=500'
  gyre logs --filter 'uri~/checkout outcome!=hit' --json`,
  )
  .action((options: LogsOptions) => logs(options));

where(program.command("events").description("show what has happened to the members"))
  .option("-f, --follow", "those that come too, until Ctrl-C")
  .option("-n, --count <N>", "no more than so many")
  .option("--json", "print lines of JSON")
  .action((options: LogsOptions) => events(options));

where(program.command("top").description("show what clients ask for most just now, at all members together"))
  .option("--by <KIND>", "uri, route, origin, client", "uri")
  .option("-n, --count <N>", "how many, 50 at most", "20")
  .option("--once", "print it once and end, as where nobody looks")
  .option("--json", "print JSON, once")
  .action((options: TopOptions) => top(options));

where(
  program
    .command("weight")
    .description("change a member's share of the key space beside the others', until it is started anew")
    .argument("<MEMBER>")
    .argument("<N>"),
)
  .option("--json", "print JSON")
  .action(weigh);

where(
  program
    .command("reload")
    .description("make members take up their configuration files as they are now: all, or those named")
    .argument("[MEMBER...]"),
)
  .option("--json", "print JSON")
  .action(reload);

where(
  program
    .command("purge")
    .description("drop what is stored, at every member, and say what has become of it at each")
    .argument("[URL...]"),
)
  .option("--prefix <URL>", "all whose URL begins so, letter by letter: end it with / for a folder", collected)
  .option("--host <HOST>", "all of a host, http and https; with :port, of that one", collected)
  .option("--tag <TAG>", "all that origins have tagged so (Cache-Groups, Cache-Tag, Surrogate-Key, xkey)", collected)
  .option("--origin <ORIGIN>", "with --tag: of this origin alone, as in https://example.com")
  .option("--all", "everything; asks first, or wants --yes")
  .option("--yes", "do not ask")
  .option(
    "--soft",
    "end the freshness lifetime instead: validated at the next use, or used stale where that is allowed",
  )
  .option("--wait", "for members that are out of reach now, a minute at most")
  .option("--wait-for <SECONDS>", "the same, for so long")
  .option("--dry-run", "only count what would be purged, of what is in memory")
  .option("--id <ID>", "to send the same purge again without doing it twice")
  .option("--json", "print JSON")
  .addHelpText(
    "after",
    `
Examples:
  gyre purge https://example.com/page          everything stored under one URL
  gyre purge --prefix https://example.com/assets/ --soft
  gyre purge --tag news --tag front-page --wait      exit code 0 only when every member has applied it

A member that is out of reach now is pending: it applies the purge before it trusts what it has stored again.`,
  )
  .action((urls: string[], options: PurgeOptions) => purge(urls, options));

where(
  program
    .command("drain")
    .description("hand a member's stored responses to the new owners, then let it leave")
    .argument("<MEMBER>"),
)
  .option("--json", "print JSON")
  .action(drain);

where(
  program
    .command("coordinate")
    .description("make a member host the coordinator, in the place of one that is lost for good")
    .argument("<MEMBER>"),
)
  .option("--json", "print JSON")
  .action(coordinate);

where(
  program
    .command("ring")
    .description("show how the key space is shared, where URLs live, or what a change of members would move")
    .argument("[URL...]"),
)
  .option("--members <N>", "of a cluster of N equal members that need not exist")
  .option("--what-if <CHANGES>", '"+2" (two more), "-m3" (m3 leaves), "m1*2" (twice the weight), or several')
  .option("--json", "print JSON")
  .addHelpText(
    "after",
    `
Examples:
  gyre ring                                what each member of the cluster here owns
  gyre ring http://example.com/            which member owns a URL, and who would take over
  gyre ring --what-if "-m3"                what moves, and where to, when m3 leaves
  gyre ring --members 10 --what-if "+1"    the same for a cluster that need not exist`,
  )
  .action((urls: string[], options: RingOptions) => ring(urls, options));

where(
  program
    .command("explain")
    .description("tell where a URL lives, what is stored for it, what the next request would do, and why")
    .argument("<URL>"),
)
  .option("-H, --header <LINE>", 'a field of that request, "Name: value"; may be repeated', collected)
  .option("--json", "print JSON")
  .action(explain);

program
  .command("eval")
  .description("run an experiment: a table, JSON and an HTML page with charts")
  .argument("<EXPERIMENT>", `${experiments.join(", ")}, or all`)
  .option("--seed <N>", "the same seed makes the same choices", "1")
  .option("--out <DIR>", "where JSON and HTML go", "gyre-eval")
  .option("--json", "print JSON instead of tables")
  .option("--members <N>", "members; for balance, several with commas")
  .option("--requests <N>", "requests (hot, distribution --zipf), keys counted (balance)")
  .option("--objects <N>", "distinct URLs (churn, hot, distribution --zipf)")
  .option("--exponent <N>", "of Zipf's law (hot, distribution --zipf)")
  .option("--rate <N>", "requests a second (churn, latency, failover)")
  .option("--seconds <N>", "of each period (churn, latency)")
  .option("--memory <SIZE>", "of each member (hot): with less than all needs, what copies cost shows")
  .option("--preset <NAME>", "distribution: study, the small study system's scenario (the default)")
  .option("--urls <FILE>", "distribution: a list of URLs, one a line")
  .option("--log <FILE>", "distribution: an access log, common, combined or Squid's native format")
  .option("--site <URL>", "distribution: what stands before paths of a log")
  .option("--trace <NAME>", `distribution, hit-ratio: ${traces.join(", ")}; hit-ratio also zipf`)
  .option("--zipf", "distribution: made-up requests")
  .option("--one-hit-share <PART>", "with --zipf: requests for what nobody asks for again")
  .option("--churn <PART>", "with --zipf: objects replaced every tenth of the run")
  .option("--flash <PART>", "with --zipf: a flash crowd's part of the fifth tenth")
  .option("--origin-delay <MS>", "latency: how long the origin thinks")
  .option("--coordinator <WHERE>", "failover: zookeeper://HOST:PORT,…/PATH instead of an embedded one")
  .addHelpText(
    "after",
    `
  distribution   URLs and requests per member, the map of sites to members                simulated
  balance        ways to place keys: evenness, what a join moves, cost                    simulated
  hit-ratio      a trace through the store's policy, beside SIEVE, LRU and the optimum    simulated
  churn          a join, a drain, a rolling restart, a kill -9: what the origin notices   real members
  hot            requests per member with hot copies and bounded loads, and without       real members
  latency        the cache against the origin, percentiles                                real members
  failover       members, the leader, the coordinator die: errors seen, time to heal      real members

Exit code 1 where a goal is missed.`,
  )
  // What only experiments need is large, and no member's.
  .action(async (experiment: string, options: EvalOptions) =>
    (await import("./eval.ts")).evaluate(experiment, options),
  );

program
  .command("check")
  .description("validate a configuration file, with file:line for each problem")
  .argument("[FILE]")
  .option("--config <FILE>", "the same, as other commands are given it")
  .option("--json", "print JSON")
  .action(check);

withConfigOptions(program.command("config").description("show every setting, its value, and where that is from"))
  .option("--show", "print them (which is what there is to do)")
  .option("--json", "print JSON")
  .action(config);

program
  .command("completion")
  .description("print a script that makes a shell complete commands and flags")
  .argument("<SHELL>", shells.join(", "))
  .addHelpText("after", "\nExample: source <(gyre completion bash)")
  .action((shell: string) => completion(program, shell));

program
  .command("man")
  .description("print the manual's page: gyre man | man -l -")
  .action(() => say(manPage(program, { version, date: new Date().toISOString().slice(0, 10) })));

for (const command of program.commands) command.exitOverride().showHelpAfterError("(see --help)");

// `gyre status --watch | head -1`: whoever reads may stop reading.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  // A member goes on without its terminal (telemetry/line-writer.ts).
  if (process.stdout.listenerCount("error") === 1) throw error;
});
// Nobody is left to be told.
process.stderr.on("error", () => {});

endWithStarter();

try {
  await program.parseAsync();
} catch (error) {
  // Not by exitCode alone: a member that could not join has ports open, which would keep the process.
  await endWith(report(error));
}

/** An option that may be repeated, and takes one text each time: what stands behind it is left alone. */
function collected(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text];
}

/** Options that say which cluster is meant. */
function where(command: Command): Command {
  return command
    .option("--admin <HOST:PORT>", "ask this member's admin port")
    .option("--coordinator <WHERE>", "ask the coordinator: http://HOST:PORT, or zookeeper://HOST:PORT,…/PATH")
    .option("--coordinator-credentials <FILE>", "user:password for ZooKeeper, where its nodes are not public")
    .option("--coordinator-ca <FILE>", "certificates that zookeeper+tls:// trusts")
    .option("--cluster <NAME>", "the cluster's name, where several run here")
    .option("--secret-file <FILE>", "the cluster's secret, to ask other machines");
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof StartError) {
    note(`gyre: ${error.message}`);
    return 1;
  }
  if (error instanceof Failure) {
    if (error.message !== "") note(`gyre: ${error.message}`);
    return error.exitCode;
  }
  if ((error as NodeJS.ErrnoException).code === "EPIPE") return 0;
  note(`gyre: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  return 1;
}
