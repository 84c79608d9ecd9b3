/**
 * Where the forward proxy may go for whom, tried with the very addresses. They lie on the loopback device of a network
 * namespace that this test makes: a guard that fails meets a trap there, and no packet leaves.
 */
import { expect, it } from "vitest";
import { runApart } from "../support/own-network.ts";

interface Tried {
  readonly what: string;
  readonly status: number;
  readonly reached: number;
}

it("denies link-local and metadata addresses to all, inner ones to clients elsewhere, by address, by name and from the store", async () => {
  const { code, output, errors } = await runApart("in-namespace.ts");
  expect(errors).toBe("");
  expect(code).toBe(0);
  const tried = JSON.parse(output) as Tried[];
  const outcome = Object.fromEntries(tried.map(({ what, status, reached }) => [what, `${status}, ${reached} reached`]));
  expect(outcome).toEqual({
    "local to 169.254.169.254": "403, 0 reached",
    "local to [::ffff:a9fe:a9fe]": "403, 0 reached",
    "local to 100.100.100.200": "403, 0 reached",
    "local to metadata.test": "403, 0 reached",
    "local to unknown.test": "502, 0 reached",
    "local to 127.0.0.1": "200, 1 reached",
    "local to 10.0.0.9": "200, 1 reached",
    "elsewhere to 127.0.0.1": "403, 0 reached",
    "elsewhere to 10.0.0.9": "403, 0 reached",
    "elsewhere to inner.test": "403, 0 reached",
    "elsewhere to metadata.test": "403, 0 reached",
    "elsewhere to public.test": "200, 1 reached",
    "elsewhere to own.test": "403, 0 reached",
    "elsewhere to 198.51.100.7": "200, 1 reached",
    "elsewhere to 203.0.113.5": "403, 0 reached",
    "elsewhere to what a local client had stored": "403, 0 reached",
    "elsewhere by CONNECT to 10.0.0.9": "403, 0 reached",
    "elsewhere to 10.0.0.9 where it is allowed": "200, 1 reached",
    "elsewhere to 169.254.169.254 where all is allowed": "403, 0 reached",
  });
}, 60_000);
