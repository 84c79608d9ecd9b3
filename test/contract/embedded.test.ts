/** The embedded coordinator keeps the contract of coordination. */
import { EmbeddedClient, type LinkListener } from "../../src/coordination/embedded-client.ts";
import { EmbeddedHost, type SessionLink } from "../../src/coordination/embedded-host.ts";
import type { Coordinator } from "../../src/coordination/port.ts";
import { contract, type Service } from "./contract.ts";

/** The embedded coordinator with links in this process that can be cut. */
function embedded(): Service {
  const host = new EmbeddedHost("http://127.0.0.1:0", { times: { sessionMs: 800, disconnectedMs: 300 } });
  const wires = new Map<Coordinator, { open: boolean; gone: () => void; redial: () => void }>();
  let hosted = false;
  return {
    session: () => {
      if (!hosted) {
        hosted = true;
        return host;
      }
      const wire = { open: true, gone: () => {}, redial: () => {} };
      const client: EmbeddedClient = new EmbeddedClient({
        address: "http://127.0.0.1:0",
        heartbeatMs: 100,
        redialMs: 20,
        places: ["127.0.0.1:0"],
        dial: (_place, listener) => dial(host, wire, listener),
      });
      wires.set(client, wire);
      return client;
    },
    cut: (session) => {
      const wire = wires.get(session)!;
      wire.open = false;
      wire.gone();
    },
    heal: (session) => {
      wires.get(session)!.open = true;
    },
    close: () => host.leave(),
  };
}

function dial(
  host: EmbeddedHost,
  wire: { open: boolean; gone: () => void },
  listener: LinkListener,
): { call: (method: string, value: unknown) => Promise<unknown>; close: () => void } {
  let alive = true;
  const goneListeners: (() => void)[] = [];
  const end = (): void => {
    if (!alive) return;
    alive = false;
    for (const gone of goneListeners) gone();
    listener.gone("cut by the test");
  };
  const link: SessionLink = {
    note: (topic, value) => void (alive && listener.note(topic, JSON.parse(JSON.stringify(value)))),
    whenGone: (gone) => goneListeners.push(gone),
  };
  queueMicrotask(() => {
    if (!wire.open) return end();
    wire.gone = end;
    return listener.up();
  });
  return {
    call: (method, value) =>
      alive
        ? host.answer(link, method, JSON.parse(JSON.stringify(value)))
        : Promise.reject(new Error("cut by the test")),
    close: end,
  };
}

contract("embedded", embedded);
