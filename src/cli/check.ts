/** `gyre check`: whether a configuration would be accepted, without starting anything. */
import { ConfigError, loadConfig } from "../config/load.ts";
import { listenersFor } from "../member/clients.ts";
import { refuseOpenProxy, refuseWildcardPeer } from "../member/refusals.ts";
import { buildRouting, tlsOf } from "../member/routing.ts";
import { unheard } from "../origin/fetch.ts";
import { Failure } from "./failure.ts";
import { say, sayJson } from "./terminal.ts";

/** Prints that the file is valid. @throws Failure listing what is not. */
export async function check(file: string | undefined, { json }: { readonly json?: boolean }): Promise<void> {
  const name = file ?? process.env["GYRE_CONFIG"];
  const problems = await problemsOf(name);
  if (json === true) sayJson({ file: name ?? null, valid: problems.length === 0, problems });
  else if (problems.length === 0) say(`${name ?? "flags and variables"}: valid`);
  if (problems.length > 0)
    throw new Failure(json === true ? "" : problems.map(({ where, what }) => `${where}: ${what}`).join("\n"));
}

async function problemsOf(file: string | undefined): Promise<readonly { where: string; what: string }[]> {
  try {
    const config = loadConfig({ file, flags: {}, environment: process.env });
    tlsOf(config);
    refuseOpenProxy(config, listenersFor(config));
    refuseWildcardPeer(config);
    buildRouting(config, { notes: unheard, own: () => false }).close();
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    return [{ where: file ?? "configuration", what: (error as Error).message }];
  }
}
