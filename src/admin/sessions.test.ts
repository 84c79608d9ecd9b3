import { describe, expect, it } from "vitest";
import { Sessions } from "./sessions.ts";

const hour = 3_600_000;

function begun(sessions: Sessions, nowMs = 0): { id: string; token: string } {
  const session = sessions.begin("the secret", nowMs);
  if (session === null || session === "later") throw new Error("no session");
  return session;
}

describe("sessions of the admin port", () => {
  it("begin with any of the secrets, and have a token each", () => {
    const sessions = new Sessions(["the secret", "the one before"]);
    const [first, second] = [begun(sessions), begun(sessions)];
    expect(first.id).not.toBe(second.id);
    expect(sessions.tokenOf(first.id, 1)).toBe(first.token);
    expect(sessions.tokenOf(second.id, 1)).toBe(second.token);
    expect(sessions.tokenOf("another", 1)).toBeNull();
    expect(sessions.begin("the one before", 0)).not.toBeNull();
    expect(sessions.begin("a guess", 0)).toBeNull();
  });

  it("end when told, and after twelve hours", () => {
    const sessions = new Sessions(["the secret"]);
    const [first, second] = [begun(sessions), begun(sessions)];
    sessions.end(first.id);
    expect(sessions.tokenOf(first.id, 1)).toBeNull();
    expect(sessions.tokenOf(second.id, 12 * hour - 1)).toBe(second.token);
    expect(sessions.tokenOf(second.id, 12 * hour)).toBeNull();
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
    expect(sessions.tokenOf(all[0]!.id, 1)).toBeNull();
    expect(sessions.tokenOf(all[1]!.id, 1)).toBe(all[1]!.token);
    expect(sessions.tokenOf(all[100]!.id, 1)).toBe(all[100]!.token);
  });
});
