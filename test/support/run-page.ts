/**
 * Run by docs.test.ts inside `unshare -n`, which it refuses to run without: `run-page.ts FILE` does what a page of the
 * documents says, from its first block to its last, and compares what is printed with what the page says is.
 *
 * A block of `sh` is run a command at a time; `# text` behind a command stands in what it prints, `…` for anything. A
 * block of `yaml` that begins with `# name` is that file. `gyre start` and `gyre cluster` run on until the page's end.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { delimiter, join } from "node:path";
import { endAll, program, temporaryFolder, until } from "./member.ts";
import { refuseOtherDevices } from "./own-network.ts";

refuseOtherDevices();
spawnSync("ip", ["link", "set", "lo", "up"]);

const folder = temporaryFolder();
const bin = join(folder, ".bin");
mkdirSync(bin);
writeFileSync(join(bin, "gyre"), `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`, { mode: 0o755 });
const { GYRE_SECRET: _, ...inherited } = process.env;
const environment = {
  ...inherited,
  PATH: `${bin}${delimiter}${process.env["PATH"]}`,
  HOME: folder,
  GYRE_RUN_DIR: join(folder, ".run"),
  NO_COLOR: "1",
};
mkdirSync(join(folder, ".run"), { mode: 0o700 });

/** The application that pages speak of. */
const application = createServer((request, response) => {
  response.setHeader("cache-control", request.url === "/private" ? "no-store" : "max-age=60");
  response.setHeader("cache-tag", "news");
  response.setHeader("content-type", "text/plain");
  response.end(`content of ${request.url}\n`.repeat(100));
}).listen(3000, "127.0.0.1");

const running: ChildProcess[] = [];
let ran = 0;
const failures: string[] = [];

/** Runs a command to its end, or until it says that it is ready. */
async function run(command: string): Promise<string> {
  const serves = /^gyre (?:start|cluster)\b/.test(command);
  const child = spawn("bash", ["-c", serves ? `exec ${command}` : command], { cwd: folder, env: environment });
  let printed = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  const ended = new Promise<number | null>((done) => child.once("close", done));
  let code: number | null | undefined;
  void ended.then((value) => (code = value));
  if (serves) {
    running.push(child);
    await until(
      () => code !== undefined || /is ready|Ctrl-C/.test(printed),
      `${command} is ready:\n${printed}`,
      20_000,
    );
    if (code !== undefined) failures.push(`${command}\n  ended with ${code}:\n${printed}`);
  } else if ((await ended) !== 0) failures.push(`${command}\n  exit code ${code}:\n${printed}`);
  ran++;
  return printed;
}

function says(printed: string, expected: string): boolean {
  const parts = expected.split("…").map((part) => part.trim().replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(parts.join(".*").replaceAll(/\s+/g, "\\s+"), "s").test(printed);
}

const page = readFileSync(process.argv[2]!, "utf8");
for (const [, language, text] of page.matchAll(/^```(\w*)\n(.*?)^```$/gms)) {
  const [first = "", ...rest] = text!.split("\n");
  const name = /^# ([\w.-]+\.ya?ml)$/.exec(first)?.[1];
  if (language === "yaml" && name !== undefined) writeFileSync(join(folder, name), rest.join("\n"));
  if (language !== "sh") continue;
  let printed = "";
  let last = "";
  for (const line of text!.split("\n")) {
    if (line.startsWith("# ")) {
      if (!says(printed, line.slice(2))) failures.push(`${last}\n  does not say "${line.slice(2)}":\n${printed}`);
    } else if (line.trim() !== "") printed = await run((last = line));
  }
}
for (const child of running) child.kill("SIGTERM");
await Promise.all(
  running.map(
    (child) => new Promise<void>((done) => (child.exitCode === null ? child.once("exit", () => done()) : done())),
  ),
);
await endAll();
application.closeAllConnections();
application.close();
process.stdout.write(JSON.stringify({ ran, failures }), () => process.exit(0));
