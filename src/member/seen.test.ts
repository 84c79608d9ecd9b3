import { expect, it } from "vitest";
import { unforwarded } from "../proxy/request/recorder.ts";
import { seenOf } from "./seen.ts";

it("a text that is too long to be kept says that it is not the whole one", () => {
  const record = {
    ...unforwarded,
    client: "127.0.0.1",
    serverName: null,
    protocol: "HTTP/1.1",
    method: "GET",
    uri: `http://h/${"a".repeat(2039)}`,
    status: 200,
    outcome: "hit",
    reason: "fresh",
    owner: "m1",
    target: "/",
    fields: ["user-agent", "b".repeat(2049)],
    hop: 0,
    bytes: 0,
    durationMs: 1,
    complete: true,
  } as const;
  const seen = seenOf(record, "m1", 0);
  expect(seen.uri).toBe(record.uri);
  expect(seen.userAgent).toBe(`${"b".repeat(2047)}…`);
});
