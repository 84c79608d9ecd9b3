/**
 * `gyre coordinate MEMBER`: it hosts the coordinator in the place of one that is lost; the others find it there by
 * themselves.
 */
import { contact, postTo, type WhereOptions } from "./discover.ts";
import { Failure } from "./failure.ts";
import { say, sayJson } from "./terminal.ts";

/** Makes a member the coordinator's host. @throws Failure where it is not known, cannot be asked, or refuses. */
export async function coordinate(name: string, options: WhereOptions & { readonly json?: boolean }): Promise<void> {
  const { status, secret } = await contact(options);
  const member = status.members.find((one) => one.name === name);
  if (member === undefined)
    throw new Failure(`no member named ${name}: the cluster has ${status.members.map((one) => one.name).join(", ")}`);
  if (member.admin === "")
    throw new Failure(`${name} has not joined a cluster yet: there is nothing to go on from, choose a member that has`);
  if (secret === null)
    throw new Failure("this needs the cluster's secret: give it with --secret-file FILE or GYRE_SECRET", 2);
  const answer = (await postTo(member.admin, "/api/coordinate", secret)) as { coordinator: string };
  if (options.json === true) return sayJson({ member: name, ...answer });
  return say(
    `${name} hosts the coordinator at ${answer.coordinator} from now on. The others find it by themselves; members started anew are told with --coordinator ${answer.coordinator}`,
  );
}
