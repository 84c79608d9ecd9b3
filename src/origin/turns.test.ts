import { describe, expect, it } from "vitest";
import type { Fetch, OriginHandler, OriginRequest } from "./fetch.ts";
import { healthRules, OriginChoice } from "./origin-choice.ts";
import type { OriginClient } from "./origin-client.ts";
import { OriginError, type OriginPhase } from "./origin-error.ts";
import { askInTurn } from "./turns.ts";

interface Asked {
  readonly request: OriginRequest;
  readonly handler: OriginHandler;
  cancelled: boolean;
}

function world({ method = "GET", retryOn = [] as number[], retries = 2 } = {}) {
  const asked: Asked[] = [];
  const client = {
    fetch: (request: OriginRequest, handler: OriginHandler): Fetch => {
      const one: Asked = { request, handler, cancelled: false };
      asked.push(one);
      return { pause: () => {}, resume: () => {}, cancel: () => void (one.cancelled = true) };
    },
  } as unknown as OriginClient;
  const choice = new OriginChoice(
    ["a", "b", "c"].map((origin) => ({ origin, weight: 1, backup: false })),
    { rules: { ...healthRules, failuresMax: 1 } },
  );
  const heard: string[] = [];
  const handler: OriginHandler = {
    interim: () => {},
    head: (status) => void heard.push(`head ${status}`),
    data: (chunk) => void heard.push(`data ${chunk.toString()}`),
    end: () => void heard.push("end"),
    failed: ({ phase }) => void heard.push(`failed ${phase}`),
  };
  const fetch = askInTurn(
    { choice, client, rules: { retries, retryOn: new Set(retryOn) } },
    (origin) => ({ origin, method, path: "/", fields: [], body: null }),
    0,
    handler,
  );
  const fails = (index: number, phase: OriginPhase): void =>
    asked[index]!.handler.failed(new OriginError(phase, "X", "it failed", 502, true));
  return { asked, choice, heard, fetch, fails };
}

describe("askInTurn", () => {
  it("asks the next where one fails before it has answered, and passes on what the first answers that does", () => {
    const { asked, heard, fails, choice } = world();
    fails(0, "connect");
    fails(1, "head");
    asked[2]!.handler.head(200, [], false);
    asked[2]!.handler.data(Buffer.from("x"));
    asked[2]!.handler.end([]);
    expect(asked.map(({ request }) => request.origin)).toEqual(["a", "b", "c"]);
    expect(heard).toEqual(["head 200", "data x", "end"]);
    expect(choice.origins.map((state) => [choice.health(state), state.active])).toEqual([
      ["resting", 0],
      ["resting", 0],
      ["up", 0],
    ]);
  });

  it("asks nobody else once an answer has begun, however it breaks off: two answers are never made one", () => {
    for (const phase of ["head", "content"] as const) {
      const { asked, heard, fails } = world();
      asked[0]!.handler.head(200, [], false);
      asked[0]!.handler.data(Buffer.from("AAAA"));
      fails(0, phase);
      expect([asked.length, heard]).toEqual([1, ["head 200", "data AAAA", `failed ${phase}`]]);
    }
  });

  it("tries one that has rested with what may be sent twice, not with what could not go on from there", () => {
    for (const [method, expected] of [
      ["POST", "b"],
      ["GET", "a"],
    ] as const) {
      const { choice } = world();
      const a = choice.origins[0]!;
      a.restsUntil = performance.now() - 1;
      const tried: string[] = [];
      const client = {
        fetch: ({ origin }: OriginRequest): Fetch => {
          tried.push(origin);
          return { pause: () => {}, resume: () => {}, cancel: () => {} };
        },
      } as unknown as OriginClient;
      const handler: OriginHandler = {
        interim: () => {},
        head: () => {},
        data: () => {},
        end: () => {},
        failed: () => {},
      };
      askInTurn(
        { choice, client, rules: { retries: 1, retryOn: new Set() } },
        (origin) => ({ origin, method, path: "/", fields: [], body: null }),
        0,
        handler,
      );
      expect([method, ...tried]).toEqual([method, expected]);
      expect(a.tried).toBe(method === "GET");
    }
  });

  it("sends what may not be sent twice on only where nothing has been sent", () => {
    const lost = world({ method: "POST" });
    lost.fails(0, "head");
    expect([lost.asked.length, lost.heard]).toEqual([1, ["failed head"]]);
    const refused = world({ method: "POST" });
    refused.fails(0, "connect");
    expect(refused.asked).toHaveLength(2);
  });

  it("does not count those that could not be reached: whoever is well is found", () => {
    const { asked, heard, fails } = world({ retries: 0 });
    fails(0, "connect");
    fails(1, "tls");
    asked[2]!.handler.head(200, [], false);
    expect(heard).toEqual(["head 200"]);
    // One that may have had the request is counted.
    const reached = world({ retries: 0 });
    reached.fails(0, "connect");
    reached.fails(1, "head");
    expect(reached.heard).toEqual(["failed head"]);
    const busy = world({ retries: 0 });
    busy.fails(0, "busy");
    expect(busy.heard).toEqual(["failed busy"]);
  });

  it("sends on what all of those have lost that one origin had, when it dies, and what none has had in any case", () => {
    for (const [phase, tried] of [
      ["head", 100],
      ["connect", 1000],
    ] as const) {
      const asked: { readonly origin: string; readonly handler: OriginHandler }[] = [];
      const client = {
        fetch: ({ origin }: OriginRequest, handler: OriginHandler): Fetch => {
          asked.push({ origin, handler });
          return { pause: () => {}, resume: () => {}, cancel: () => {} };
        },
      } as unknown as OriginClient;
      const choice = new OriginChoice(
        ["a", "b"].map((origin) => ({ origin, weight: 1, backup: false })),
        { balance: "first", rules: { ...healthRules, failuresMax: 10_000 } },
      );
      const failed: string[] = [];
      const begin = (): Fetch =>
        askInTurn(
          { choice, client, rules: { retries: 1, retryOn: new Set() } },
          (origin) => ({ origin, method: "GET", path: "/", fields: [], body: null }),
          0,
          { interim() {}, head() {}, data() {}, end() {}, failed: ({ message }) => void failed.push(message) },
        );
      for (let round = 0; round < tried / 100; round++) {
        for (let index = 0; index < 100; index++) begin();
        for (const { origin, handler } of asked.splice(0))
          if (origin === "a") handler.failed(new OriginError(phase, "X", "it died", 502, true));
        for (const { handler } of asked.splice(0)) handler.end([]);
      }
      expect([phase, failed.length]).toEqual([phase, 0]);
    }
  });

  it("sends a request on to one that is well, not to one that has rested: that is tried by another", () => {
    const { asked, choice, fails } = world({ retries: 1 });
    choice.origins[1]!.restsUntil = 1;
    fails(0, "head");
    expect(asked.map(({ request }) => request.origin)).toEqual(["a", "c"]);
    expect(choice.origins[1]!.tried).toBe(false);
  });

  it("leaves an answer with a status that says so, and gives the last one's to the client", () => {
    const { asked, heard } = world({ retryOn: [503], retries: 1 });
    asked[0]!.handler.head(503, [], false);
    asked[0]!.handler.data(Buffer.from("ill"));
    expect(asked[0]!.cancelled).toBe(true);
    asked[1]!.handler.head(503, [], false);
    expect(heard).toEqual(["head 503"]);
  });

  it("gives back what a request that nobody waits for has taken: its place among those under way, and the trial", () => {
    const { fails, asked, choice } = world({ retries: 0 });
    fails(0, "connect");
    const [a] = choice.origins;
    a!.restsUntil = 1;
    const again = askInTurn(
      {
        choice,
        client: { fetch: () => ({ pause() {}, resume() {}, cancel() {} }) } as unknown as OriginClient,
        rules: { retries: 0, retryOn: new Set() },
      },
      (origin) => ({ origin, method: "GET", path: "/", fields: [], body: null }),
      0,
      asked[0]!.handler,
    );
    expect([a!.tried, a!.active]).toEqual([true, 1]);
    again.cancel();
    expect([a!.tried, a!.active]).toEqual([false, 0]);
  });
});
