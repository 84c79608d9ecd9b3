/** `gyre weight` and `gyre reload`: what operators change at running members. */
import { contact, type WhereOptions } from "./discover.ts";
import { Failure } from "./failure.ts";
import { say, sayJson } from "./terminal.ts";

type Options = WhereOptions & { readonly json?: boolean };

/** Changes a member's share of the key space beside the others'. @throws Failure with why it cannot be done. */
export async function weigh(name: string, weight: string, options: Options): Promise<void> {
  if (!/^\d+(?:\.\d+)?$/.test(weight) || Number(weight) <= 0)
    throw new Failure(`${weight}: write a number above 0, as in 2 or 0.5`, 2);
  const { status, post, secret } = await contact(options);
  known(status.members, name);
  needsSecret(secret, "changing a weight");
  const answer = await post(`/api/weight?member=${encodeURIComponent(name)}`, { weight: Number(weight) });
  if (options.json === true) return sayJson({ member: name, ...(answer as object) });
  return say(`${name} weighs ${weight} until it is started anew; its share moves with the next epoch (gyre status)`);
}

/** Makes members take up their configuration as it is now. @throws Failure where one stays with its old one. */
export async function reload(names: readonly string[], options: Options): Promise<void> {
  const { status, post, secret } = await contact(options);
  for (const name of names) known(status.members, name);
  needsSecret(secret, "a reload");
  const wanted = names.length === 0 ? status.members.map(({ name }) => name) : names;
  const all = await Promise.all(
    wanted.map(async (member) => {
      try {
        const { reloaded } = (await post(`/api/reload?member=${encodeURIComponent(member)}`, null)) as {
          reloaded: string;
        };
        return { member, reloaded, error: null };
      } catch (error) {
        return { member, reloaded: null, error: (error as Error).message };
      }
    }),
  );
  if (options.json === true) sayJson(all);
  else for (const { member, reloaded, error } of all) say(`${member}: ${reloaded ?? error}`);
  if (all.some(({ error }) => error !== null)) throw new Failure("", 1);
}

function known(members: readonly { readonly name: string }[], name: string): void {
  if (members.some((one) => one.name === name)) return;
  throw new Failure(`no member named ${name}: the cluster has ${members.map((one) => one.name).join(", ")}`);
}

function needsSecret(secret: string | null, what: string): void {
  if (secret === null)
    throw new Failure(`${what} needs the cluster's secret: give it with --secret-file FILE or GYRE_SECRET`, 2);
}
