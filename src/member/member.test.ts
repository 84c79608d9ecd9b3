import { expect, it } from "vitest";
import { loadConfig } from "../config/load.ts";
import { createLog } from "../telemetry/log.ts";
import type { Departure } from "./departure.ts";
import { RunningMember } from "./member.ts";

it("a member that is told to leave while it joins does not say that it is ready when it has joined", async () => {
  const places = Object.fromEntries(["listen", "peer", "admin"].map((place) => [place, "127.0.0.1:0"]));
  const config = loadConfig({
    flags: { ...places, memory: "64MB", "log-level": "error" },
    environment: {},
  });
  const log = createLog({ member: "m1", level: "error", format: "json", terminal: false, nowMs: () => Date.now() });
  const stopping: Promise<Departure>[] = [];
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
    listening: () => void stopping.push(member.stop(1000)),
  });
  await member.start();
  expect(member.state).toBe("draining");
  await stopping[0];
  expect(member.state).toBe("stopped");
});
