import { expect, it } from "vitest";
import type { UnreadOf } from "./front-messages.ts";
import { FrontUnread } from "./front-unread.ts";

const one: UnreadOf = {
  unread: { status: 400, reason: "no", bytes: 3, line: "x" },
  client: { address: "10.0.0.1", local: false, scheme: "http" },
};

it("sends batches as home takes them, and drops what comes faster, counted", () => {
  let [sent, batches, dropped] = [0, 0, 0];
  const unreads = new FrontUnread({
    send: (some) => {
      batches++;
      sent += some.length;
    },
    dropped: (lines) => (dropped += lines),
  });
  for (let count = 0; count < 10_000; count++) unreads.add(one);
  unreads.flush();
  expect(sent + dropped).toBe(10_000);
  expect([batches < 20, dropped > 0]).toEqual([true, true]);
  const before = sent;
  for (; batches > 0; batches--) unreads.taken();
  unreads.add(one);
  unreads.flush();
  expect(sent).toBe(before + 1);
});
