/** What a round has left behind, when nobody asks any more: members hold on to nothing, and know each other. */
import { after } from "./chance.mjs";

/** Milliseconds after which nothing may be left: who was slow is cut off later than others. */
const limitMs = 10_000;
/** What has to be nought then: of the metrics. */
const nought = ["gyre_store_leases", "gyre_store_waiting_bytes", "gyre_load", "gyre_origin_waiting"];

/** Waits until nothing is left; `wrong` hears of what is. */
export async function expectRest(members, wrong) {
  const until = performance.now() + limitMs;
  for (;;) {
    const left = (await Promise.all(members.map((member) => leftAt(member, members)))).flat();
    if (left.length === 0) return;
    if (performance.now() > until) return wrong("what is left behind", { left });
    await after(100);
  }
}

async function leftAt(member, members) {
  const [status, metrics] = await Promise.all([member.ask("/api/status"), member.ask("/metrics")]);
  if (status === null || metrics === null) return [`${member.name} does not answer`];
  const { self, members: seen, epoch } = JSON.parse(status);
  const left = [];
  const expect = (isSo, what) => (isSo ? undefined : left.push(`${member.name}: ${what}`));
  expect(self.inFlight === 0, `${self.inFlight} requests under way`);
  expect(self.inTouch, `out of touch with ${self.silent.join(", ")}`);
  const names = (list) =>
    list
      .map(({ name }) => name)
      .sort()
      .join(" ");
  expect(names(seen) === names(members), `sees ${names(seen)} at epoch ${epoch}, there are ${names(members)}`);
  for (const name of nought) {
    const value = new RegExp(`^${name}\\{[^}]*\\} (.*)$`, "m").exec(metrics)?.[1];
    expect(value === undefined || Number(value) === 0, `${name} ${value}`);
  }
  return left;
}
