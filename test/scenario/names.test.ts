/** Names whose servers are silent, asked for through a forward proxy, in a network of their own. */
import { expect, it } from "vitest";
import { runApart } from "../support/own-network.ts";

it("names whose servers are silent hold up nobody who asks for others", async () => {
  const { code, output, errors } = await runApart("silent-names.ts");
  expect([errors, code]).toEqual(["", 0]);
  expect(JSON.parse(output)).toEqual(["well 200", "another 200"]);
}, 60_000);
