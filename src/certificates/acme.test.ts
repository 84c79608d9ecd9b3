import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { newAccountKey, order } from "./acme.ts";

let server: Server | null = null;
afterEach(() => server?.closeAllConnections());
afterEach(() => server?.close());

/** What an order ends with, of an authority that answers so. */
async function ended(listener: RequestListener): Promise<string> {
  const listening = createServer(listener);
  server = listening;
  await new Promise<void>((done) => listening.listen(0, "127.0.0.1", done));
  const directory = `http://127.0.0.1:${(listening.address() as AddressInfo).port}/dir`;
  const needs = { way: "http-01" as const, accountKey: await newAccountKey() };
  const nothing = async (): Promise<void> => {};
  return order(
    "site.example.com",
    { directory, contact: undefined, ca: null, silenceMs: 200 },
    { ...needs, challenge: nothing, proof: nothing },
  ).then(
    () => "a certificate",
    (error: Error) => error.message,
  );
}

describe("an order", () => {
  it("ends where the authority says nothing: others wait for it", async () => {
    expect(await ended(() => {})).toContain("timeout of 200ms exceeded");
  });

  it("ends where the authority would have it wait for days, and says so (RFC 8555 §6.6)", async () => {
    const busy: RequestListener = (_request, response) => {
      response.writeHead(429, { "retry-after": "604800", "content-type": "application/problem+json" });
      response.end(JSON.stringify({ type: "urn:ietf:params:acme:error:rateLimited", detail: "too many of them" }));
    };
    expect(await ended(busy)).toContain("429");
  });

  it("says why the authority cannot be reached", async () => {
    expect(await ended((request) => request.socket.destroy())).toContain("socket hang up");
  });
});
