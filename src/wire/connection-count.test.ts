import { describe, expect, it } from "vitest";
import { clientOf, OwnCount } from "./connection-count.ts";

const limits = { connectionsMax: 100, connectionsPerClientMax: 2 };

describe("connections of each client", () => {
  it("are counted by IPv4 address, and by IPv6 network of 64 bits, however an address is spelled", () => {
    expect(clientOf("192.0.2.7")).toBe("192.0.2.7");
    const one = clientOf("2001:db8:0:7::1");
    expect(one).toBe("2001:db8:0:7::/64");
    for (const same of ["2001:db8:0:7:1:2:3:4", "2001:db8:0:7::", "2001:db8::7:a:b:c:d", "2001:db8:0:7::1%eth0"])
      expect(clientOf(same), same).toBe(one);
    expect(clientOf("2001:db8:0:8::1")).not.toBe(one);
    expect([clientOf("::1"), clientOf("::"), clientOf("fe80::1")]).toEqual([
      "0:0:0:0::/64",
      "0:0:0:0::/64",
      "fe80:0:0:0::/64",
    ]);
    expect(clientOf("64:ff9b:1:2::192.0.2.7")).toBe("64:ff9b:1:2::/64");
  });

  it("are bounded, and given back", () => {
    const count = new OwnCount();
    expect([1, 2, 3].map(() => count.entered("192.0.2.7", limits))).toEqual([true, true, false]);
    expect(count.entered("192.0.2.8", limits)).toBe(true);
    count.left("192.0.2.7");
    expect([count.entered("192.0.2.7", limits), count.all]).toEqual([true, 3]);
  });
});
