import { expect, it } from "vitest";
import { loadConfig } from "../config/load.ts";
import { createLog } from "../telemetry/log.ts";
import type { Departure } from "./departure.ts";
import { RunningMember } from "./member.ts";

/** One that is told to leave while it starts: when it listens, or when it has a view. */
function leaving(when: "listening" | "in view"): {
  readonly member: RunningMember;
  readonly left: Promise<Departure>[];
} {
  const places = Object.fromEntries(["listen", "peer", "admin"].map((place) => [place, "127.0.0.1:0"]));
  const config = loadConfig({
    flags: { ...places, memory: "64MB", "log-level": "error" },
    environment: {},
  });
  const log = createLog({ member: "m1", level: "error", format: "json", terminal: false, nowMs: () => Date.now() });
  const left: Promise<Departure>[] = [];
  const leave = (at: typeof when): void => void (at === when && left.push(member.stop(1000)));
  const member: RunningMember = new RunningMember({
    config,
    name: "m1",
    secret: "a secret of thirty-two characters",
    olderSecrets: [],
    log,
    version: "0",
    ousted: () => {},
    drain: () => {},
    reread: () => "",
    lastView: { read: () => null, fellows: () => [], write: () => leave("in view") },
    listening: () => leave("listening"),
  });
  return { member, left };
}

it("a member that is told to leave while it joins does not say that it is ready when it has joined", async () => {
  const { member, left } = leaving("in view");
  await member.start();
  expect(member.control?.leads).toBe(true);
  expect(member.state).toBe("draining");
  await left[0];
  expect(member.state).toBe("stopped");
});

it("a member that is told to leave before it joins does not join", async () => {
  const { member, left } = leaving("listening");
  expect((await member.start()).listen).toMatch(/^127\.0\.0\.1:\d+$/);
  await left[0];
  expect([member.control, member.hostsCoordinator, member.state]).toEqual([null, false, "stopped"]);
});
