import { describe, expect, it } from "vitest";
import { Sessions } from "./sessions.ts";

const hour = 3_600_000;

function begun(sessions: Sessions, nowMs = 0): { token: string } {
  const session = sessions.begin("the secret", nowMs);
  if (session === null || session === "later") throw new Error("no session");
  return session;
}

describe("sessions of the admin port", () => {
  it("begin with any of the secrets, and have a token each", () => {
    const sessions = new Sessions(["the secret", "the one before"]);
    const [first, second] = [begun(sessions), begun(sessions)];
    expect(first.token).not.toBe(second.token);
    expect(sessions.has(first.token, 1)).toBe(true);
    expect(sessions.has(second.token, 1)).toBe(true);
    expect(sessions.has("another", 1)).toBe(false);
    expect(sessions.begin("the one before", 0)).not.toBeNull();
    expect(sessions.begin("a guess", 0)).toBeNull();
  });

  it("end when told, and after twelve hours", () => {
    const sessions = new Sessions(["the secret"]);
    const [first, second] = [begun(sessions), begun(sessions)];
    sessions.end(first.token);
    expect(sessions.has(first.token, 1)).toBe(false);
    expect(sessions.has(second.token, 12 * hour - 1)).toBe(true);
    expect(sessions.has(second.token, 12 * hour)).toBe(false);
  });

  it("let nobody guess on and on, the right secret included, for a minute", () => {
    const sessions = new Sessions(["the secret"]);
    for (let guess = 0; guess < 10; guess++) expect(sessions.begin(`guess ${guess}`, guess)).toBeNull();
    expect(sessions.begin("the secret", 20)).toBe("later");
    expect(sessions.begin("the secret", 60_100)).not.toBe("later");
  });

  it("are a hundred at most: the oldest goes", () => {
    const sessions = new Sessions(["the secret"]);
    const all = Array.from({ length: 101 }, () => begun(sessions));
    expect(sessions.has(all[0]!.token, 1)).toBe(false);
    expect(sessions.has(all[1]!.token, 1)).toBe(true);
    expect(sessions.has(all[100]!.token, 1)).toBe(true);
  });
});
