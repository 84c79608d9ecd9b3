/** What loopback means is a matter of where one stands: two machines, each a network namespace that this test makes. */
import { expect, it } from "vitest";
import { runApart } from "../support/own-network.ts";

it("a client gets its own machine's loopback services, whoever owns the URL, and never another machine's", async () => {
  const { code, output, errors } = await runApart("two-places.ts");
  expect(errors).toBe("");
  expect(code).toBe(0);
  expect(JSON.parse(output)).toEqual({ "7000: 502 nobody": 60, "7001: 200 its own": 30, "8082: 200 m1": 30 });
}, 90_000);
