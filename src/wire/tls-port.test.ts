/** A port that speaks TLS: who is shown a proof, who is told of, and who is not waited for. */
import { readFileSync } from "node:fs";
import { once } from "node:events";
import { connect as connectPlain } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { endAll } from "../../test/support/member.ts";
import { selfSigned } from "../../test/support/own-authority.ts";
import { WireServer } from "./server.ts";
import { TlsIdentities, type Identity } from "./tls-identities.ts";

function identity(name: string): Identity {
  const { cert, key } = selfSigned(name);
  return { names: [name], cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
}
afterAll(endAll);
const [own, proof] = [identity("own.test"), { ...identity("proof.test"), names: ["own.test"] }];

let server: WireServer;
let port = 0;
let identities: TlsIdentities;
const away: string[] = [];
beforeEach(async () => {
  away.length = 0;
  identities = new TlsIdentities([own]);
  server = new WireServer({
    tls: identities,
    limits: { headMs: 700 },
    admits: () => true,
    isLocal: () => true,
    handle: () => {},
    turnedAway: (reason) => void away.push(reason),
  });
  ({ port } = await server.listen({ host: "127.0.0.1", port: 0 }));
});
afterEach(() => server.close(0));

/** Shakes hands; the subject that was shown, or null where none was. */
async function shake(name: string, protocols: readonly string[]): Promise<{ socket: TLSSocket; shown: string | null }> {
  const options = { host: "127.0.0.1", port, servername: name, rejectUnauthorized: false };
  const socket = connect({ ...options, ...(protocols.length === 0 ? {} : { ALPNProtocols: [...protocols] }) });
  const shown = await Promise.race([
    once(socket, "secureConnect").then(() => socket.getPeerX509Certificate()!.subject),
    once(socket, "close").then(() => null),
  ]).catch(() => null);
  return { socket, shown };
}

describe("a proof", () => {
  it("is shown to who speaks acme-tls/1 alone, while there is one, and to nobody else", async () => {
    expect((await shake("own.test", ["acme-tls/1"])).shown).toBeNull();
    identities.prove([proof]);
    expect((await shake("own.test", ["acme-tls/1"])).shown).toBe("CN=proof.test");
    for (const protocols of [[], ["http/1.1"], ["acme-tls/1", "http/1.1"]]) {
      const { socket, shown } = await shake("own.test", protocols);
      expect(shown, protocols.join()).toBe("CN=own.test");
      socket.destroy();
    }
    expect((await shake("other.test", ["acme-tls/1"])).shown).toBeNull();
    identities.prove([]);
    expect((await shake("own.test", ["acme-tls/1"])).shown).toBeNull();
  });

  it("is all that a connection is for: who goes on talking is shown out in time", async () => {
    identities.prove([proof]);
    const { socket } = await shake("own.test", ["acme-tls/1"]);
    socket.on("error", () => {});
    const talking = setInterval(() => socket.destroyed || socket.write("x"), 50);
    const began = performance.now();
    await once(socket, "close");
    clearInterval(talking);
    expect(performance.now() - began).toBeLessThan(3000);
  });

  it("may be asked for while others only look whether somebody listens: those are let go, and told of to nobody", async () => {
    identities.prove([proof]);
    const half = Buffer.from([22, 3, 1, 0, 200, 1, 0]);
    for (const bytes of [Buffer.alloc(0), half])
      for (const leave of ["end", "resetAndDestroy"] as const) {
        const client = connectPlain({ host: "127.0.0.1", port });
        client.on("error", () => {});
        await once(client, "connect");
        client.write(bytes, () => client[leave]());
        await once(client, "close");
      }
    // Who stays and says nothing is told of, once, when its time has passed.
    const silent = connectPlain({ host: "127.0.0.1", port });
    await once(silent.resume(), "close");
    // Those before it would have had as much time again.
    const later = connectPlain({ host: "127.0.0.1", port });
    await once(later.resume(), "close");
    expect(away).toEqual(["no-handshake", "no-handshake"]);
  });
});

describe("a request in clear text", () => {
  it("is told that TLS is spoken, also one for a tunnel, as clients of a proxy send it", async () => {
    for (const method of ["GET /x", "CONNECT h.test:443"]) {
      const client = connectPlain({ host: "127.0.0.1", port });
      client.write(`${method} HTTP/1.1\r\nHost: h.test\r\n\r\n`);
      const [answer] = (await once(client, "data")) as [Buffer];
      expect(answer.toString(), method).toMatch(/^HTTP\/1\.1 400 .*write https:\/\//s);
      client.destroy();
    }
    expect(away).toEqual(["clear-text", "clear-text"]);
  });
});

describe("a stop", () => {
  it("does not wait for who has not said a word", async () => {
    for (const proofs of [[], [proof]]) {
      identities.prove(proofs);
      const client = connectPlain({ host: "127.0.0.1", port });
      const gone = once(client.resume(), "close");
      await once(client, "connect");
      const { socket } = await shake("own.test", []);
      const leaves = once(socket.resume(), "close");
      expect(await server.close(60_000)).toBe(0);
      await Promise.all([gone, leaves]);
      server = new WireServer({ tls: identities, admits: () => true, isLocal: () => true });
      ({ port } = await server.listen({ host: "127.0.0.1", port: 0 }));
    }
  });
});
