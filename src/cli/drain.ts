/** `gyre drain MEMBER`: it hands what it has stored to the new owners, lets answers in progress end, and leaves. */
import { bytesText } from "../base/sizes.ts";
import type { Departure } from "../member/departure.ts";
import { contact, postTo, type WhereOptions } from "./discover.ts";
import { Failure } from "./failure.ts";
import { note, say, sayJson, table } from "./terminal.ts";

/** Drains a member and prints how it left. @throws Failure where it is not known or cannot be asked. */
export async function drain(name: string, options: WhereOptions & { readonly json?: boolean }): Promise<void> {
  const { status, secret } = await contact(options);
  const member = status.members.find((one) => one.name === name);
  if (member === undefined)
    throw new Failure(`no member named ${name}: the cluster has ${status.members.map((one) => one.name).join(", ")}`);
  if (secret === null)
    throw new Failure(
      "draining a member needs the cluster's secret: give it with --secret-file FILE or GYRE_SECRET",
      2,
    );
  const isHost = status.coordinator === `http://${member.peer}`;
  if (isHost && status.members.length > 1)
    note(
      `${name} hosts the coordinator: the others go on without one until it is back, or \`gyre coordinate MEMBER\` has moved it`,
    );
  note(`${name} hands over and leaves …`);
  const { cut, handedOver } = (await postTo(member.admin, "/api/drain", secret)) as Departure;
  const { responses, bytes, left } = handedOver;
  if (options.json === true) return sayJson({ member: name, cut, handedOver });
  return say(
    table(
      ["MEMBER", "HANDED OVER", "BYTES", "LEFT", "CUT"],
      [[name, String(responses), bytesText(bytes), String(left), String(cut)]],
    ),
  );
}
