import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Member } from "../ring/view.ts";
import {
  EmbeddedClient,
  type CoordinatorLink,
  type EmbeddedClientOptions,
  type LinkListener,
} from "./embedded-client.ts";
import { methods } from "./embedded-host.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function member(name: string): Member {
  const place = (port: number): string => `${name}:${port}`;
  const addresses = { listen: place(1), peer: place(2), admin: place(3) };
  return { name, ...addresses, pid: 1, weight: 1, zone: "", tls: false, startedMs: 1, state: "active" };
}

const noHost = "it does not host the coordinator";

/** Members that can be dialled: what each says, and in what order they were. */
class Machines {
  readonly dialled: string[] = [];
  readonly asked: string[] = [];
  readonly #listeners: LinkListener[] = [];
  /** By place: a host takes whoever comes, the others say where the coordinator is, if they know. */
  readonly #there: Readonly<Record<string, "host" | "gone" | { readonly told: string | null }>>;

  constructor(there: Readonly<Record<string, "host" | "gone" | { readonly told: string | null }>>) {
    this.#there = there;
  }

  readonly dial = (place: string, listener: LinkListener): CoordinatorLink => {
    this.dialled.push(place);
    const how = this.#there[place] ?? "gone";
    queueMicrotask(() => (how === "host" ? listener.up() : listener.gone(how === "gone" ? "ECONNREFUSED" : noHost)));
    this.#listeners.push(listener);
    return { call: async (method) => (method === methods.heartbeat ? { known: true } : null), close: () => {} };
  };

  readonly elsewhere = async (place: string): Promise<string | null> => {
    this.asked.push(place);
    const how = this.#there[place];
    return typeof how === "object" ? how.told : null;
  };

  get ways(): Pick<EmbeddedClientOptions, "dial" | "elsewhere"> {
    return { dial: this.dial, elsewhere: this.elsewhere };
  }

  /** The link that was made last ends. */
  lose(): void {
    this.#listeners.at(-1)!.gone("ECONNRESET");
  }
}

const nothing = (): void => {};
const events = { session: nothing, members: nothing, leading: nothing, view: nothing, ousted: nothing };

it("a member that looks for the coordinator where it was is told where it is", async () => {
  const machines = new Machines({ "m1:2": { told: "m2:2" }, "m2:2": "host" });
  const client = new EmbeddedClient({ address: "http://m1:2", places: ["m1:2"], ...machines.ways });
  const joined = client.join(member("m3"), events);
  await vi.advanceTimersByTimeAsync(2000);
  await joined;
  expect([machines.dialled, client.address]).toEqual([["m1:2", "m2:2"], "http://m2:2"]);
  await client.leave();
});

it.each([
  [null, ["m1:2"]],
  ["m2:2", ["m1:2", "m2:2"]],
] as const)("a member that nobody has gives up, whatever it is told (%s)", async (told, dialled) => {
  // Each of them takes the other for the host.
  const machines = new Machines({ "m1:2": { told }, "m2:2": { told: "m1:2" } });
  const client = new EmbeddedClient({ address: "http://m1:2", places: ["m1:2"], ...machines.ways });
  const joined = client.join(member("m3"), events).catch((error: Error) => error.message);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(await joined).toMatch(/refuses this member: it does not host the coordinator$/);
  expect(machines.dialled).toEqual(dialled);
  await client.leave();
});

it("a member whose coordinator went to one that it has never heard of finds it by those that it knows", async () => {
  const there: Record<string, "host" | "gone" | { told: string }> = { "m1:2": "host", "m2:2": { told: "m1:2" } };
  const machines = new Machines(there);
  const members = [member("m1"), member("m2"), member("m3")];
  const lastView = { cluster: "c", epoch: 4, leader: "m1", members, placement: 2 };
  const client = new EmbeddedClient({ address: "http://m1:2", places: ["m1:2"], ...machines.ways }, lastView);
  await client.join(member("m3"), events);
  there["m1:2"] = "gone";
  machines.lose();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(client.state).toBe("suspended");
  // Not with every try.
  expect(machines.asked.length).toBeLessThan(5);
  expect(machines.dialled.length).toBeGreaterThan(10);
  there["m2:2"] = { told: "m4:2" };
  there["m4:2"] = "host";
  await vi.advanceTimersByTimeAsync(10_000);
  expect([client.state, client.address]).toEqual(["connected", "http://m4:2"]);
  await client.leave();
});

it("a member waits for all whom it has asked before it gives up, and goes first where it is told", async () => {
  const machines = new Machines({ "m1:2": { told: "m4:2" }, "m2:2": { told: null }, "m4:2": "host" });
  const slow = async (place: string): Promise<string | null> => {
    await new Promise((late) => setTimeout(late, 1000));
    return machines.elsewhere(place);
  };
  const ways = { dial: machines.dial, elsewhere: slow };
  const client = new EmbeddedClient({ address: "http://m1:2", places: ["m1:2", "m2:2"], ...ways });
  const joined = client.join(member("m3"), events);
  await vi.advanceTimersByTimeAsync(5000);
  await joined;
  expect(machines.dialled).toEqual(["m1:2", "m2:2", "m4:2"]);
  await client.leave();
});

it("a member says once of each place why it waits, however long", async () => {
  const told: string[] = [];
  const machines = new Machines({ "m1:2": { told: "m9:2" } });
  const failed = ({ message }: Error): void => void told.push(message);
  const client = new EmbeddedClient({ address: "http://m1:2", places: ["m1:2"], ...machines.ways, failed });
  void client.join(member("m3"), events);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(told.sort()).toEqual([
    `waiting for the coordinator at m1:2: ${noHost}`,
    "waiting for the coordinator at m9:2: ECONNREFUSED",
  ]);
  await client.leave();
});

it("a member that is told that it is itself where it looks does not go there", async () => {
  const machines = new Machines({ "m1:2": { told: "m3:2" } });
  const client = new EmbeddedClient({ address: "http://m1:2", places: ["m1:2"], ...machines.ways });
  const joined = client.join(member("m3"), events).catch((error: Error) => error.message);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(await joined).toBe(`http://m1:2 refuses this member: ${noHost}`);
  expect(machines.dialled).toEqual(["m1:2"]);
  await client.leave();
});
