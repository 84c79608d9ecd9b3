import fc from "fast-check";
import { expect, it } from "vitest";
import { inBoth, Networks } from "./destinations.ts";

it("inBoth has the addresses that both lists have, and no others", () => {
  const byte = fc.integer({ min: 0, max: 3 });
  const ipv4 = fc.tuple(byte, byte, byte, byte).map((bytes) => bytes.join("."));
  const ipv6 = fc.tuple(byte, byte, byte).map(([a, b, c]) => `2001:${a}:${b}::${c}`);
  const network = fc.oneof(
    fc.tuple(ipv4, fc.integer({ min: 90, max: 128 })).map(([address, bits]) => `::ffff:${address}/${bits}`),
    fc.tuple(ipv4, fc.integer({ min: 0, max: 32 })).map(([address, bits]) => `${address}/${bits}`),
    fc.tuple(ipv6, fc.integer({ min: 0, max: 128 })).map(([address, bits]) => `${address}/${bits}`),
    ipv4,
    ipv6,
  );
  const list = fc.array(network, { maxLength: 4 });
  fc.assert(
    fc.property(
      list,
      list,
      fc.oneof(
        ipv4,
        ipv6,
        ipv4.map((address) => `::ffff:${address}`),
      ),
      (one, other, address) => {
        const isInBoth = new Networks(one).has(address) && new Networks(other).has(address);
        expect(new Networks(inBoth(one, other)).has(address)).toBe(isInBoth);
      },
    ),
    { numRuns: 5000 },
  );
});
