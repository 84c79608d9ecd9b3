import type { IncomingMessage } from "node:http";
import { expect, it } from "vitest";
import { admission } from "./admission.ts";
import { Guesses } from "./guesses.ts";
import { Sessions } from "./sessions.ts";

const secret = "the secret of the cluster";
const from = (address: string, given: string): IncomingMessage =>
  ({
    method: "POST",
    headers: { host: "192.0.2.1:8082", authorization: `Bearer ${given}` },
    socket: { remoteAddress: address, localAddress: "192.0.2.1" },
  }) as unknown as IncomingMessage;

it("who guesses from another machine has to wait, with the right secret too, and nobody else has", () => {
  const [sessions, guesses] = [new Sessions([secret]), new Guesses()];
  const ask = (address: string, given: string, now: number): number | string => {
    const admitted = admission(from(address, given), { sessions, guesses }, now);
    return admitted.admits ? admitted.by : admitted.status;
  };
  for (let turn = 0; turn < 20; turn++) expect(ask("192.0.2.9", `guess ${turn}`, turn)).toBe(401);
  expect(ask("::ffff:192.0.2.9", secret, 100), "the same address").toBe(429);
  expect(ask("192.0.2.8", secret, 100)).toBe("secret");
  expect(ask("192.0.2.9", secret, 60_100)).toBe("secret");
  for (let turn = 0; turn < 100; turn++) expect(ask("127.0.0.1", `guess ${turn}`, turn)).toBe(401);
  expect(ask("127.0.0.1", secret, 200)).toBe("secret");
  // Others do not make it forget anybody who guesses now, but a thousand of them.
  for (let turn = 0; turn < 20; turn++) ask("192.0.2.7", "wrong", 70_000);
  for (let other = 0; other < 900; other++) ask(`198.51.${other >> 8}.${other & 255}`, "wrong", 70_000);
  expect(ask("192.0.2.7", secret, 70_001)).toBe(429);
});

it("a scheme is known in any case, and what follows it is the secret as it is (RFC 9110 §11.1)", () => {
  const known = { sessions: new Sessions([secret]), guesses: new Guesses() };
  const ask = (authorization: string): boolean => {
    const request = from("127.0.0.1", "");
    request.headers.authorization = authorization;
    return admission(request, known, 0).admits;
  };
  for (const scheme of ["Bearer", "bearer", "BEARER", "Bearer  "])
    expect(ask(`${scheme} ${secret}`), scheme).toBe(true);
  for (const wrong of [`Bearer${secret}`, `Basic ${secret}`, `bearer ${secret.toUpperCase()}`, "bearer ", secret])
    expect(ask(wrong), wrong).toBe(false);
});

it("what has come through a proxy on this machine is not from this machine (RFC 9110 §7.6.3)", () => {
  const known = { sessions: new Sessions([secret]), guesses: new Guesses() };
  const ask = (headers: Readonly<Record<string, string>>): number | string => {
    const socket = { remoteAddress: "192.0.2.1", localAddress: "192.0.2.1" };
    const asked = { method: "GET", headers: { host: "192.0.2.1:8082", ...headers }, socket };
    const admitted = admission(asked as unknown as IncomingMessage, known, 0);
    return admitted.admits ? admitted.by : admitted.status;
  };
  expect(ask({})).toBe("machine");
  expect(ask({ via: "1.1 m1" })).toBe(401);
  expect(ask({ via: "1.1 m1", authorization: `Bearer ${secret}` })).toBe("secret");
});
