import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cacheStatus } from "./cache-status.ts";
import { isNotModified, mustAskOrigin, notModifiedHead, rangeApplies, validationFields } from "./conditional.ts";
import { endToEndFields } from "./connection-fields.ts";
import { requestDirectives, responseDirectives } from "./directives.ts";
import { claimsOfPlace, withForwarded } from "./forwarded.ts";
import { freshenedFields, headDescribes, isSelectedByNotModified } from "./freshen.ts";
import { bornSeconds, currentAge, freshnessLifetime } from "./freshness.ts";
import { invalidatedUris, isLocatedAtTarget } from "./invalidation.ts";
import { hasLooped } from "./loops.ts";
import { hasNoContent, isIdempotent, isUnderstood, reasonPhrase } from "./messages.ts";
import { contentRangeText, rangesMax, selectedRanges } from "./ranges.ts";
import { outlivesError, reuse, staleOnError } from "./reuse.ts";
import { contentRange, storable } from "./storable.ts";
import { storedHead, type StoredHead } from "./stored-head.ts";
import { httpUri } from "./uri.ts";
import { variantOf, varyNames } from "./vary.ts";

const now = Date.UTC(2026, 10, 22, 12) / 1000;
const times = { requestSeconds: now, responseSeconds: now };
const stored = (fields: readonly string[], requestFields: readonly string[] = [], status = 200): StoredHead =>
  storedHead((names) => variantOf(names, requestFields), status, fields, times);
const lifetime = (fields: readonly string[], status = 200) =>
  freshnessLifetime(status, fields, responseDirectives(fields), times);
const policy = { honourReload: true, graceSeconds: 0 };
const date = "Sun, 22 Nov 2026 12:00:00 GMT";

describe("freshnessLifetime", () => {
  it.each([
    ["s-maxage before max-age (§5.2.2.10)", ["cache-control", "max-age=10, s-maxage=20"], 20, "s-maxage"],
    [
      "max-age before Expires (§5.2.2.1)",
      ["cache-control", "max-age=10", "expires", "Sun, 22 Nov 2026 13:00:00 GMT"],
      10,
      "max-age",
    ],
    ["quoted digits (§5.2)", ["cache-control", 'max-age="10"'], 10, "max-age"],
    ["names in any case", ["cache-control", "MaX-aGe=10"], 10, "max-age"],
    ["the first of two (§4.2.1)", ["cache-control", "max-age=10, max-age=20"], 10, "max-age"],
    ["an overflow as 2^31 (§1.2.2)", ["cache-control", "max-age=99999999999999999999"], 2 ** 31, "max-age"],
    ["nothing readable as stale (§4.2.1)", ["cache-control", "max-age=10.5"], 0, "max-age"],
    ["a negative number as stale", ["cache-control", "max-age=-1"], 0, "max-age"],
    ["not what a quoted string hides", ["cache-control", 'x="a, max-age=10", max-age=5'], 5, "max-age"],
    [
      "Expires minus Date (§4.2.1)",
      ["date", "Sun, 22 Nov 2026 11:00:00 GMT", "expires", "Sun, 22 Nov 2026 12:00:00 GMT"],
      3600,
      "expires",
    ],
    ["Expires: 0 as past (§5.3)", ["expires", "0"], 0, "expires"],
    [
      "a tenth since Last-Modified (§4.2.2)",
      ["date", date, "last-modified", "Sun, 22 Nov 2026 11:00:00 GMT"],
      360,
      "heuristic",
    ],
    ["a day at most of that", ["date", date, "last-modified", "Sun, 22 Nov 2020 11:00:00 GMT"], 86_400, "heuristic"],
    ["nothing from nothing", ["date", date], 0, "none"],
    [
      "the targeted field alone (RFC 9213 §2.2)",
      ["cdn-cache-control", "max-age=30", "cache-control", "max-age=10", "expires", "0"],
      30,
      "max-age",
    ],
    ["ours before the CDN's", ["gyre-cache-control", "max-age=40", "cdn-cache-control", "max-age=30"], 40, "max-age"],
    [
      "Cache-Control where the targeted field is malformed (RFC 9213 §2.1)",
      ["cdn-cache-control", "max-age=30, &&&", "cache-control", "max-age=10"],
      10,
      "max-age",
    ],
    [
      "Cache-Control where the targeted field is empty",
      ["cdn-cache-control", "", "cache-control", "max-age=10"],
      10,
      "max-age",
    ],
    [
      "no targeted lifetime of the wrong type (RFC 9213 §2.1)",
      ["cdn-cache-control", 'max-age="30"', "cache-control", "max-age=10"],
      0,
      "max-age",
    ],
  ] as const)("takes %s", (_, fields, seconds, source) => {
    expect(lifetime(fields)).toEqual({ seconds, source });
  });

  it("guesses for statuses whose definition allows it, and for public ones (RFC 9110 §15.1)", () => {
    const modified = ["date", date, "last-modified", "Sun, 22 Nov 2026 11:00:00 GMT"];
    for (const status of [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501])
      expect(lifetime(modified, status).source).toBe("heuristic");
    for (const status of [201, 302, 403, 500, 502, 504]) expect(lifetime(modified, status).source).toBe("none");
    expect(lifetime([...modified, "cache-control", "public"], 302).source).toBe("heuristic");
  });
});

describe("current age", () => {
  it.each([
    [[], 0],
    [["age", "10"], 10],
    [["age", "10, 20"], 10],
    [["age", "x"], 0],
    [["age", "-5"], 0],
    [["date", "Sun, 22 Nov 2026 11:59:00 GMT"], 60],
    [["date", "Sun, 22 Nov 2026 11:59:00 GMT", "age", "90"], 90],
    [["date", "Sun, 22 Nov 2026 12:05:00 GMT"], 0],
    [["date", "nonsense"], 0],
  ] as const)("of %j at receipt is %d (§4.2.3, §5.1)", (fields, age) => {
    expect(currentAge({ born: bornSeconds(fields, times) }, now)).toBe(age);
  });

  it("counts the time that the answer took, and grows with the clock", () => {
    const born = bornSeconds(["age", "5"], { requestSeconds: now - 3, responseSeconds: now });
    expect(currentAge({ born }, now)).toBe(8);
    fc.assert(
      fc.property(fc.nat(1e6), fc.nat(1e6), (a, b) => {
        expect(currentAge({ born }, now + a + b)).toBeGreaterThanOrEqual(currentAge({ born }, now + a));
      }),
    );
  });
});

describe("storable (§3)", () => {
  const get = { method: "GET", fields: [] as readonly string[] };
  const decide = (
    fields: readonly string[],
    status = 200,
    request: { method: string; fields: readonly string[] } = get,
  ) => {
    const decision = storable(request, { status, fields });
    return decision.store ? "stored" : decision.reason;
  };
  const fresh = ["cache-control", "max-age=60"];
  it.each([
    ["stored", fresh, 200],
    ["stored", fresh, 404],
    ["stored", fresh, 500],
    ["stored", fresh, 599],
    ["stored", ["expires", "Sun, 22 Nov 2026 13:00:00 GMT"], 302],
    ["stored", ["etag", '"x"'], 200],
    ["no-use", [], 200],
    ["no-freshness", ["etag", '"x"'], 403],
    ["no-freshness", ["etag", '"x"'], 201],
    ["no-store", ["cache-control", "no-store, max-age=60"], 200],
    ["private", ["cache-control", "private, max-age=60"], 200],
    ["stored", ["cache-control", 'private="x-user", max-age=60'], 200],
    ["stored", ["cache-control", "must-understand, no-store, max-age=60"], 200],
    ["must-understand", ["cache-control", "must-understand, no-store, max-age=60"], 299],
    ["vary-star", [...fresh, "vary", "Accept, *"], 200],
    ["set-cookie", [...fresh, "set-cookie", "a=b"], 200],
    ["stored", ["cache-control", "public, max-age=60", "set-cookie", "a=b"], 200],
    ["stored", ["cdn-cache-control", "max-age=60", "set-cookie", "a=b"], 200],
    ["request-specific", fresh, 408],
    ["request-specific", fresh, 412],
    ["request-specific", fresh, 416],
    ["request-specific", fresh, 413],
    ["request-specific", fresh, 421],
    ["request-specific", fresh, 425],
    ["request-specific", fresh, 426],
    ["request-specific", ["cache-control", "public, s-maxage=60"], 428],
    ["request-specific", ["cache-control", "public, s-maxage=60"], 429],
    ["request-specific", fresh, 431],
    ["request-specific", fresh, 511],
    ["status", fresh, 304],
    ["partial-content", fresh, 206],
    ["no-use", ["cache-control", "no-cache"], 200],
    ["stream", ["content-type", "text/event-stream"], 200],
    ["stream", ["content-type", "Text/Event-Stream; charset=utf-8", "cache-control", "public", "etag", '"1"'], 200],
    ["stream", ["content-type", "multipart/x-mixed-replace; boundary=x", "last-modified", "x"], 200],
    ["stored", ["content-type", "text/event-stream", ...fresh], 200],
  ] as const)("%s: %j with %d (§3.3, §5.2.2.3, §5.2.2.5)", (outcome, fields, status) => {
    expect(decide(fields, status)).toBe(outcome);
  });

  it("keeps answers to Authorization only where the origin allows sharing (§3.5)", () => {
    const request = { method: "GET", fields: ["authorization", "Basic x"] };
    expect(decide(fresh, 200, request)).toBe("authorization");
    for (const word of ["public", "s-maxage=5", "must-revalidate"])
      expect(decide(["cache-control", `max-age=60, ${word}`], 200, request)).toBe("stored");
  });

  it("keeps nothing of a GET with content, which is not in the key (RFC 9110 §9.3.1)", () => {
    expect(storable(get, { status: 200, fields: fresh }, { cookies: "safe", content: true })).toEqual({
      store: false,
      reason: "content",
    });
  });

  it("keeps nothing of other methods, nor where the request said no-store (§5.2.1.5)", () => {
    expect(decide(fresh, 200, { method: "POST", fields: [] })).toBe("method");
    for (const name of ["x-http-method-override", "x_http-method", "x-method-override"])
      expect(decide(fresh, 200, { method: "GET", fields: [name, "DELETE"] })).toBe("method");
    expect(decide(fresh, 200, { method: "GET", fields: ["x-http-method-override", "GET"] })).toBe("stored");
    expect(decide(fresh, 200, { method: "GET", fields: ["cache-control", "no-store"] })).toBe("request-no-store");
    expect(storable(get, { status: 200, fields: [...fresh, "set-cookie", "a=b"] }, { cookies: "rfc" })).toEqual({
      store: true,
    });
  });
});

describe("reuse (§4)", () => {
  const decide = (fields: readonly string[], age: number, request = "") => {
    const decision = reuse(
      stored(fields),
      requestDirectives(request === "" ? [] : ["cache-control", request]),
      now + age,
      policy,
    );
    return `${decision.kind} ${decision.reason}`;
  };
  it.each([
    ["hit fresh", ["cache-control", "max-age=60"], 59, ""],
    ["validate stale", ["cache-control", "max-age=60"], 60, ""],
    ["validate request-no-cache", ["cache-control", "max-age=60"], 1, "no-cache"],
    ["validate request-max-age", ["cache-control", "max-age=60"], 31, "max-age=30"],
    ["validate request-max-age", ["cache-control", "max-age=60"], 0, "max-age=0"],
    ["hit fresh", ["cache-control", "max-age=60"], 29, "max-age=30"],
    ["validate request-min-fresh", ["cache-control", "max-age=60"], 31, "min-fresh=30"],
    ["hit fresh", ["cache-control", "max-age=60"], 29, "min-fresh=30"],
    ["hit max-stale", ["cache-control", "max-age=60"], 1000, "max-stale"],
    ["hit max-stale", ["cache-control", "max-age=60"], 70, "max-stale=10"],
    ["validate stale", ["cache-control", "max-age=60"], 71, "max-stale=10"],
    ["validate stale", ["cache-control", "max-age=60, must-revalidate"], 61, "max-stale"],
    ["validate stale", ["cache-control", "s-maxage=60"], 61, "max-stale"],
    ["validate stale", ["cache-control", "max-age=60, proxy-revalidate"], 61, "max-stale"],
    ["validate no-cache", ["cache-control", "no-cache, max-age=60", "etag", '"x"'], 1, ""],
    ["hit fresh", ["cache-control", 'no-cache="x", max-age=60'], 1, ""],
    [
      "stale-while-revalidate stale-while-revalidate",
      ["cache-control", "max-age=60, stale-while-revalidate=30"],
      80,
      "",
    ],
    ["validate stale", ["cache-control", "max-age=60, stale-while-revalidate=30"], 90, ""],
    ["validate stale", ["cache-control", "max-age=60, stale-while-revalidate=30, must-revalidate"], 80, ""],
    ["hit fresh", ["cache-control", "max-age=60, immutable"], 1, ""],
  ] as const)(
    "%s: %j at %d s, asked with %j (§4.2, §5.2.1.1, §5.2.1.2, §5.2.1.3, §5.2.1.4, §5.2.2.2, §5.2.2.8)",
    (outcome, fields, age, request) => {
      expect(decide(fields, age, request)).toBe(outcome);
    },
  );

  it("treats Pragma: no-cache as a request's no-cache where there is no Cache-Control (§5.4)", () => {
    expect(requestDirectives(["pragma", "no-cache"]).has("no-cache")).toBe(true);
    expect(requestDirectives(["pragma", "no-cache", "cache-control", "max-age=5"]).has("no-cache")).toBe(false);
  });

  it("can be told to ignore a client's reload", () => {
    expect(
      reuse(stored(["cache-control", "max-age=60"]), requestDirectives(["cache-control", "no-cache"]), now, {
        honourReload: false,
        graceSeconds: 0,
      }).kind,
    ).toBe("hit");
  });

  it("serves stale on failure unless forbidden, on server errors only within stale-if-error (§4.2.4, RFC 5861 §4)", () => {
    const none = new Map<string, string | null>();
    expect(staleOnError(stored(["cache-control", "max-age=1"]), none, now + 100, "unreachable")).toBe(true);
    expect(staleOnError(stored(["cache-control", "max-age=1"]), none, now + 100, "server-error")).toBe(false);
    expect(
      staleOnError(stored(["cache-control", "max-age=1, stale-if-error=200"]), none, now + 100, "server-error"),
    ).toBe(true);
    expect(
      staleOnError(stored(["cache-control", "max-age=1, stale-if-error=50"]), none, now + 100, "unreachable"),
    ).toBe(false);
    for (const word of ["must-revalidate", "proxy-revalidate", "s-maxage=1", "no-cache"]) {
      expect(
        staleOnError(stored(["cache-control", `max-age=1, ${word}`, "etag", '"x"']), none, now + 100, "unreachable"),
      ).toBe(false);
    }
  });
});

describe("what does not parse", () => {
  it.each([
    ["private; max-age=100", "private"],
    ["no-cache; private", "no-cache"],
    ["no-store max-age=0", "no-store"],
    ["max-age=0; no-store", "no-store"],
    ["public max-age=60 must-revalidate", "must-revalidate"],
  ])("%s still restricts by its %s: nothing is shared on a guess", (value, word) => {
    expect(responseDirectives(["cache-control", value]).directives.has(word)).toBe(true);
  });

  it("does not see words in what does parse", () => {
    const { directives } = responseDirectives([
      "cache-control",
      'max-age=5, x="no-store", no-storex, community="private"',
    ]);
    expect([...directives.keys()]).toEqual(["max-age", "x", "no-storex", "community"]);
  });
});

describe("configured lifetimes", () => {
  const configured = (status: number, override: object, fields: readonly string[] = []) =>
    storedHead(() => "", status, fields, times, override).lifetime;
  it.each([302, 303, 307, 400, 401, 403, 408, 421, 425, 429, 431, 500, 502, 503, 504])(
    "none is guessed for %d, whatever default-freshness or freshness says (RFC 9110 §15.1)",
    (status) => {
      expect(configured(status, { defaultSeconds: 60, lifetimeSeconds: 60 }).source).toBe("none");
    },
  );
  it("replace what the origin gives, and stand in where it gives nothing", () => {
    expect(configured(200, { defaultSeconds: 60 })).toEqual({ seconds: 60, source: "configured" });
    expect(configured(200, { defaultSeconds: 60 }, ["cache-control", "max-age=5"]).seconds).toBe(5);
    expect(configured(302, { lifetimeSeconds: 60 }, ["cache-control", "max-age=5"]).seconds).toBe(60);
  });
  it("negative-freshness keeps errors of the resource or the origin, not of who asked", () => {
    for (const status of [404, 410, 500, 503]) expect(configured(status, { negativeSeconds: 9 }).seconds).toBe(9);
    for (const status of [400, 401, 403, 407, 413, 421, 429, 431])
      expect(configured(status, { negativeSeconds: 9 }).seconds).toBe(0);
    const given = { negativeSeconds: { 404: 60, 410: 0 }, defaultSeconds: 5 };
    expect([404, 410, 500, 405, 200].map((status) => configured(status, given).seconds)).toEqual([60, 0, 0, 5, 5]);
    expect(configured(404, given, ["cache-control", "max-age=7"]).seconds).toBe(7);
  });
});

describe("s-maxage", () => {
  const old = ["date", "Sun, 22 Nov 2026 11:59:00 GMT"];
  it("forbids stale use, but for what the origin itself allows beside it (§5.2.2.10, RFC 5861)", () => {
    const bare = stored([...old, "cache-control", "s-maxage=10"]);
    expect(reuse(bare, new Map([["max-stale", null]]), now, policy).kind).toBe("validate");
    expect(reuse(bare, new Map(), now, { ...policy, graceSeconds: 600 }).kind).toBe("validate");
    expect(staleOnError(bare, new Map(), now, "unreachable")).toBe(false);
    const extended = stored([...old, "cache-control", "s-maxage=10, stale-while-revalidate=600, stale-if-error=600"]);
    expect(reuse(extended, new Map(), now, policy).kind).toBe("stale-while-revalidate");
    expect(staleOnError(extended, new Map(), now, "server-error")).toBe(true);
    expect(outlivesError(extended, now, 0)).toBe(true);
    for (const word of ["must-revalidate", "proxy-revalidate"]) {
      const strict = stored([...old, "cache-control", `s-maxage=10, stale-while-revalidate=600, ${word}`]);
      expect(reuse(strict, new Map(), now, policy).kind).toBe("validate");
      expect(outlivesError(strict, now, 0)).toBe(false);
    }
  });
});

describe("a POST's own representation (RFC 9110 §9.3.3)", () => {
  const target = httpUri("http://h/a")!;
  it("is known by its Content-Location (RFC 9110 §8.7)", () => {
    expect(isLocatedAtTarget(target, ["content-location", "/a"])).toBe(true);
    expect(isLocatedAtTarget(target, ["content-location", "/b"])).toBe(false);
    expect(isLocatedAtTarget(target, [])).toBe(false);
  });
  it("is stored with explicit freshness alone", () => {
    const post = (status: number, cacheControl: string, locatedAtTarget: boolean) =>
      storable(
        { method: "POST", fields: [] },
        { status, fields: ["cache-control", cacheControl] },
        { cookies: "safe", locatedAtTarget },
      ).store;
    expect(post(200, "max-age=60", true)).toBe(true);
    expect(post(200, "max-age=60", false)).toBe(false);
    expect(post(200, "public", true)).toBe(false);
    expect(post(201, "max-age=60", true)).toBe(false);
    expect(post(200, "max-age=60, private", true)).toBe(false);
  });
});

describe("the wall clock", () => {
  it("is what dates are read by, not what ages count on (§4.2.3, RFC 9110 §6.6.1)", () => {
    const skewed = { ...times, wallLeadSeconds: -3600 };
    const wall = "Sun, 22 Nov 2026 11:00:00 GMT";
    expect(currentAge({ born: bornSeconds(["date", wall], skewed) }, now + 5)).toBe(5);
    expect(storedHead(() => "", 200, [], skewed).fields).toEqual(["date", wall]);
  });
});

describe("Vary", () => {
  it.each([
    [
      ["vary", "Accept, ACCEPT , foo"],
      ["accept", "foo"],
    ],
    [
      ["vary", "a", "vary", "b"],
      ["a", "b"],
    ],
    [["vary", "*"], "*"],
    [["vary", ", *"], "*"],
    [["vary", "a, b c"], "*"],
    [[], []],
  ] as const)("%j nominates %j (§4.1)", (fields, names) => {
    expect(varyNames(fields)).toEqual(names);
  });

  it("compares what fields mean, not how they are spelled, and tells absent from empty (§4.1, RFC 9110 §8.4.1.1, §8.4.1.3, §12.4.2, §12.5.4)", () => {
    const variant = (name: string, ...lines: string[]) =>
      variantOf(
        [name],
        lines.flatMap((line) => [name, line]),
      );
    expect(variant("accept-encoding", "gzip, br")).toBe(variant("accept-encoding", "BR ,x-gzip"));
    expect(variant("accept-encoding", "x-compress")).toBe(variant("accept-encoding", "compress"));
    expect(variant("accept-encoding", "gzip;q=0.5, br")).not.toBe(variant("accept-encoding", "gzip, br;q=0.5"));
    expect(variant("accept-language", "de, en;q=0.5")).toBe(variant("accept-language", "DE,en; q=0.5"));
    expect(variant("accept-language", "de, en")).toBe(variant("accept-language", "EN;q=1.0, de"));
    expect(variant("accept-language", "de, en;q=0.5")).not.toBe(variant("accept-language", "en, de;q=0.5"));
    expect(variant("foo", "1", "2")).toBe(variant("foo", "1,2"));
    expect(variant("foo")).not.toBe(variant("foo", ""));
  });

  it("reads a long field once for all the variants that a request is compared with (§4.1)", () => {
    const begunMs = performance.now();
    const [languages, codings] = ["b,".repeat(7000), "c;q=0.1,".repeat(1500)];
    const fields = ["accept-language", languages, "accept-encoding", codings];
    const variants = new Set<string>();
    for (let turn = 0; turn < 5000; turn++) variants.add(variantOf(["accept-encoding", "accept-language"], fields));
    expect(variants.size).toBe(1);
    expect(performance.now() - begunMs).toBeLessThan(2000);
    // However many come, each is read as what it is.
    for (let turn = 0; turn < 50; turn++) {
      const value = `${turn},${"d,".repeat(2000)}`;
      expect(variantOf(["x"], ["x", value])).toBe(`x:${value.slice(0, -1)}\n`);
    }
  });
});

describe("conditions and ranges (RFC 9110 §13, §14)", () => {
  const head = stored(["etag", 'W/"a"', "last-modified", "Sun, 22 Nov 2026 11:00:00 GMT", "date", date]);
  it.each([
    [["if-none-match", '"a"'], true],
    [["if-none-match", 'W/"b", W/"a"'], true],
    [["if-none-match", '"b"'], false],
    [["if-none-match", "*"], true],
    [["if-none-match", '"b"', "if-modified-since", date], false],
    [["if-modified-since", "Sun, 22 Nov 2026 11:00:00 GMT"], true],
    [["if-modified-since", "Sun, 22 Nov 2026 10:59:59 GMT"], false],
    [["if-modified-since", "Sunday, 22-Nov-26 11:00:00 GMT"], true],
    [["if-modified-since", "Sun Nov 22 11:00:00 2026"], true],
    [["if-modified-since", "x"], false],
    [[], false],
  ] as const)("%j is answered by 304: %s (RFC 9110 §8.8.3.2, §13.1, RFC 9111 §4.3.2)", (fields, answer) => {
    expect(isNotModified(fields, head, now)).toBe(answer);
  });

  it("compares If-Range strongly, and dates only where they are strong (RFC 9110 §8.8.3.2, §13.1.5)", () => {
    expect(rangeApplies(["if-range", '"a"'], ["etag", '"a"'], now, now)).toBe(true);
    expect(rangeApplies(["if-range", 'W/"a"'], ["etag", 'W/"a"'], now, now)).toBe(false);
    const modified = ["last-modified", "Sun, 22 Nov 2026 11:00:00 GMT"];
    expect(rangeApplies(["if-range", modified[1]!], modified, now, now)).toBe(true);
    expect(rangeApplies(["if-range", modified[1]!], modified, now - 3600, now)).toBe(false);
  });

  it.each([
    ["bytes=0-4", [[0, 4]]],
    ["bytes=5-", [[5, 9]]],
    ["bytes=-3", [[7, 9]]],
    [
      "bytes=0-0,-1",
      [
        [0, 0],
        [9, 9],
      ],
    ],
    ["bytes=2-99", [[2, 9]]],
    ["bytes=00000000000000000000000002-99999999999999999999999999", [[2, 9]]],
    ["bytes=99999999999999999999999999-", "unsatisfiable"],
    ["BYTES=0-1", [[0, 1]]],
    ["bytes=-99", [[0, 9]]],
    ["bytes=10-", "unsatisfiable"],
    ["bytes=-0", "unsatisfiable"],
    ["bytes=4-2", "ignore"],
    ["lines=0-1", "ignore"],
    ["bytes=a-b", "ignore"],
    ["bytes=", "ignore"],
    ["bytes=0-9,0-9,0-9", "ignore"],
    [`bytes=${"0-0,".repeat(40)}`, "ignore"],
  ] as const)("%s of ten bytes selects %j (RFC 9110 §14.1.2)", (value, expected) => {
    const selection = selectedRanges(value, 10);
    expect(
      selection.kind === "ranges" ? selection.ranges.map(({ first, last }) => [first, last]) : selection.kind,
    ).toEqual(expected);
  });

  it("leaves If-Match and If-Unmodified-Since to the origin (RFC 9110 §13.1.1)", () => {
    expect(mustAskOrigin(["if-match", '"a"'])).toBe(true);
    expect(mustAskOrigin(["if-unmodified-since", date])).toBe(true);
    expect(mustAskOrigin(["if-none-match", '"a"', "if-modified-since", date, "if-range", '"a"'])).toBe(false);
  });

  it("serves whole what asks for more ranges than make sense, however small and apart (RFC 9110 §14.2, §17.15)", () => {
    const apart = (count: number): string =>
      `bytes=${Array.from({ length: count }, (_, index) => `${2 * index}-${2 * index}`).join()}`;
    expect(selectedRanges(apart(rangesMax), 100).kind).toBe("ranges");
    expect(selectedRanges(apart(rangesMax + 1), 100).kind).toBe("ignore");
  });

  it.each([
    ["bytes 0-4/10", { first: 0, last: 4, total: 10 }],
    ["bytes 0-4/*", { first: 0, last: 4, total: null }],
    ["bytes 4-0/10", null],
    ["bytes 0-10/10", null],
    ["bytes */10", null],
    ["lines 0-4/10", null],
  ] as const)("Content-Range %j places a part at %j (RFC 9110 §14.4)", (value, place) => {
    expect(contentRange(["content-range", value])).toEqual(place);
    if (place !== null && place.total !== null) expect(contentRangeText(place, place.total)).toBe(value);
  });

  it("asks the origin with every validator that is stored (RFC 9111 §4.3.1)", () => {
    expect(validationFields(["etag", 'W/"a"', "x", "y", "last-modified", date])).toEqual([
      "if-none-match",
      'W/"a"',
      "if-modified-since",
      date,
    ]);
    expect(validationFields(["x", "y"])).toEqual([]);
  });

  it("puts into a 304 what RFC 9110 §15.4.5 asks for, and nothing of the content", () => {
    expect(
      notModifiedHead(["etag", '"x"', "content-type", "a/b", "cache-control", "max-age=1", "x", "y", "vary", "a"]),
    ).toEqual(["etag", '"x"', "cache-control", "max-age=1", "vary", "a"]);
  });
});

describe("messages", () => {
  it("may be repeated where repeating changes nothing (RFC 9110 §9.2.2)", () => {
    for (const method of ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PUT", "DELETE"])
      expect(isIdempotent(method)).toBe(true);
    for (const method of ["POST", "PATCH", "get", "BREW"]) expect(isIdempotent(method)).toBe(false);
  });

  it("have no content by method and status alone (RFC 9112 §6.3)", () => {
    for (const status of [101, 103, 204, 304]) expect(hasNoContent("GET", status)).toBe(true);
    expect(hasNoContent("HEAD", 200)).toBe(true);
    for (const status of [200, 205, 206, 404]) expect(hasNoContent("GET", status)).toBe(false);
  });

  it("may have a status that nobody knows: only the number means anything (RFC 9110 §15)", () => {
    expect(reasonPhrase(404)).toBe("Not Found");
    expect(reasonPhrase(299)).toBe("");
    expect([451, 507].map(reasonPhrase)).toEqual(["Unavailable For Legal Reasons", "Insufficient Storage"]);
    // To have a name for a status is not to know what it asks of a cache.
    expect([200, 404, 207, 507, 299].map(isUnderstood)).toEqual([true, true, false, false, false]);
  });
});

describe("freshening", () => {
  it("replaces fields but those that describe the stored bytes (§3.2)", () => {
    expect(
      freshenedFields(
        ["x", "old", "content-encoding", "gzip", "y", "kept"],
        ["x", "new", "content-encoding", "br", "content-length", "5", "connection", "z", "z", "1"],
      ),
    ).toEqual(["content-encoding", "gzip", "y", "kept", "x", "new"]);
  });

  const monday = "Mon, 02 Nov 2026 12:00:00 GMT";
  it.each([
    [["etag", '"a"'], ["etag", '"a"'], true],
    [["etag", '"a"'], ["etag", '"b"'], false],
    [["etag", 'W/"a"'], ["etag", 'W/"a"'], true],
    [["etag", '"a"'], ["etag", 'W/"a"'], true],
    [["etag", 'W/"a"'], ["etag", '"a"'], false],
    [["etag", 'W/"a"', "last-modified", monday], ["etag", '"a"', "last-modified", monday], true],
    [["etag", 'W/"a"', "last-modified", monday], ["etag", '"a"', "last-modified", date], false],
    [["last-modified", monday], ["last-modified", monday], true],
    [["last-modified", monday], ["last-modified", date], false],
    [["last-modified", monday], ["etag", '"a"', "last-modified", monday], false],
    [["etag", '"a"'], [], true],
  ] as const)("of %j, asked about, a 304 with %j speaks: %s (§4.3.4, RFC 9110 §8.8)", (own, fields, answer) => {
    expect(isSelectedByNotModified(own, fields)).toBe(answer);
  });

  it("believes a HEAD that describes what is stored (§4.3.5)", () => {
    const response = { fields: ["etag", '"a"'], bodyBytes: 5 };
    expect(headDescribes(response, ["etag", '"a"', "content-length", "5"])).toBe(true);
    expect(headDescribes(response, ["etag", '"b"'])).toBe(false);
    expect(headDescribes(response, ["content-length", "6"])).toBe(false);
  });
});

describe("invalidation", () => {
  const target = httpUri("http://h/a")!;
  it("covers the target, and Location and Content-Location of the same origin, after a non-error answer to an unsafe method (§4.4, RFC 9110 §9.2.1)", () => {
    const by = (method: string, fields: string[] = []) => ({ method, fields });
    expect(invalidatedUris(by("POST"), target, 201, ["location", "/b", "content-location", "http://other/c"])).toEqual([
      "http://h/a",
      "http://h/b",
    ]);
    expect(invalidatedUris(by("UNKNOWN"), target, 200, [])).toEqual(["http://h/a"]);
    expect(invalidatedUris(by("DELETE"), target, 500, [])).toEqual([]);
    for (const method of ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "REPORT", "SEARCH"])
      expect(invalidatedUris(by(method), target, 200, [])).toEqual([]);
  });

  it("covers what WebDAV's COPY and MOVE have written, on the same origin (§4.4)", () => {
    const after = (method: string, destination: string) =>
      invalidatedUris({ method, fields: ["destination", destination] }, target, 204, []);
    for (const method of ["COPY", "MOVE"]) {
      expect(after(method, "http://H:80/b%20c")).toEqual(["http://h/a", "http://h/b%20c"]);
      expect(after(method, "/b")).toEqual(["http://h/a", "http://h/b"]);
      expect(after(method, "http://other/b")).toEqual(["http://h/a"]);
      expect(after(method, "ftp://h/b")).toEqual(["http://h/a"]);
    }
    expect(after("PUT", "/b")).toEqual(["http://h/a"]);
  });
});

describe("what travels", () => {
  it("leaves hop-by-hop and nominated fields behind, but not those that must not be nominated (RFC 9110 §7.6.1)", () => {
    expect(
      endToEndFields([
        "connection",
        "close, x, Cache-Control",
        "x",
        "1",
        "te",
        "trailers",
        "cache-control",
        "no-store",
        "y",
        "2",
      ]),
    ).toEqual(["cache-control", "no-store", "y", "2"]);
  });

  it("drops what may not be kept for others: the fields that private and no-cache name (§5.2.2.4, §5.2.2.7)", () => {
    expect(
      stored([
        "cache-control",
        'max-age=5, private="x-user", no-cache="x-csrf"',
        "x-user",
        "u",
        "x-csrf",
        "c",
        "x",
        "kept",
        "date",
        date,
      ]).fields,
    ).toEqual(["cache-control", 'max-age=5, private="x-user", no-cache="x-csrf"', "x", "kept", "date", date]);
  });

  it("says what happened in the words of RFC 9211 §2.1, strings as in RFC 9651 §4.1.6", () => {
    expect(cacheStatus("m1", { hit: true, ttlSeconds: 5.9 })).toBe("m1; hit; ttl=5");
    expect(
      cacheStatus("1m", {
        hit: false,
        forward: "stale",
        forwardStatus: 304,
        stored: true,
        collapsed: true,
        ttlSeconds: -3,
        key: 'a"b',
        detail: "x y",
      }),
    ).toBe('"1m"; fwd=stale; fwd-status=304; stored; collapsed; ttl=-3; key="a\\"b"; detail="x y"');
  });

  it("tells an origin who asked, and drops what strangers claim (RFC 7239 §6)", () => {
    const hop = { client: "2001:db8::1", host: "h:80", scheme: "https" as const };
    const fields = withForwarded(["x-forwarded-for", "6.6.6.6", "x", "y"], { ...hop, trustsClient: false });
    expect(fields).toEqual([
      "x",
      "y",
      "forwarded",
      'for="[2001:db8::1]";host="h:80";proto=https',
      "x-forwarded-for",
      "2001:db8::1",
      "x-forwarded-host",
      "h:80",
      "x-forwarded-proto",
      "https",
    ]);
    expect(withForwarded(["x-forwarded-for", "6.6.6.6"], { ...hop, trustsClient: true })).toContain(
      "6.6.6.6, 2001:db8::1",
    );
    // CGI reads these as the same names.
    const spelled = ["x_forwarded_host", "evil", "x_real-ip", "6.6.6.6", "x_own", "y"];
    expect(withForwarded(spelled, { ...hop, trustsClient: false }).slice(0, 3)).toEqual(["x_own", "y", "forwarded"]);
    expect(
      claimsOfPlace(["x-forwarded-for", "a", "x-forwarded-proto", "b", "x_original_url", "c", "forwarded", "d"]),
    ).toEqual(["x-forwarded-proto", "x_original_url"]);
  });

  it("knows its own loops (RFC 8586, RFC 9110 §7.6.3)", () => {
    expect(hasLooped(["cdn-loop", "other, gyre-1; v=2"], "gyre-1")).toBe(true);
    expect(hasLooped(["cdn-loop", "other"], "gyre-1")).toBe(false);
    expect(hasLooped(["via", "1.1 x, ".repeat(40)], "gyre-1")).toBe(true);
  });
});
