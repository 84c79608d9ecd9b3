import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { proxyHeader } from "./proxy-protocol.ts";

const v2 = (command: number, family: number, addresses: readonly number[]): Buffer =>
  Buffer.concat([
    Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1"),
    Buffer.from([0x20 | command, (family << 4) | 1, 0, addresses.length]),
    Buffer.from(addresses),
  ]);

describe("proxyHeader", () => {
  it("reads version 1", () => {
    const line = "PROXY TCP4 192.0.2.7 192.0.2.1 5000 80\r\n";
    expect(proxyHeader(Buffer.from(`${line}GET /`))).toEqual({
      kind: "header",
      source: "192.0.2.7",
      bytes: line.length,
    });
    expect(proxyHeader(Buffer.from("PROXY TCP6 2001:db8::7 2001:db8::1 5000 80\r\n"))).toMatchObject({
      source: "2001:db8::7",
    });
    expect(proxyHeader(Buffer.from("PROXY UNKNOWN\r\n"))).toMatchObject({ kind: "header", source: "" });
  });

  it("reads version 2, and LOCAL as the balancer's own", () => {
    expect(proxyHeader(v2(1, 1, [192, 0, 2, 7, 192, 0, 2, 1, 0, 80, 1, 0]))).toEqual({
      kind: "header",
      source: "192.0.2.7",
      bytes: 28,
    });
    expect(proxyHeader(v2(0, 0, []))).toEqual({ kind: "header", source: "", bytes: 16 });
  });

  it.each([
    "GET / HTTP/1.1\r\n",
    "PROXY TCP4 300.0.0.1 192.0.2.1 1 2\r\n",
    "PROXY TCP4 192.0.2.7\r\n",
    "PROXY TCP6 192.0.2.7 192.0.2.1 1 2\r\n",
    `PROXY TCP4 ${"1".repeat(200)}`,
    "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    "PROXY TCP6 ::1 fe80::1%eth0 1 2\r\n",
    "PROXY TCP4 192.0.2.7 192.0.2.1 1 65536\r\n",
    `PROXY UNKNOWN ${"1".repeat(100)}\r\n`,
  ])("refuses %j", (text) => {
    expect(proxyHeader(Buffer.from(text)).kind).toBe("broken");
  });

  it("asks for more until a header is whole, and never throws", () => {
    const whole = v2(1, 1, [192, 0, 2, 7, 192, 0, 2, 1, 0, 80, 1, 0]);
    for (let length = 0; length < whole.length; length++)
      expect(proxyHeader(whole.subarray(0, length)).kind).toBe("more");
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void proxyHeader(Buffer.from(bytes))));
    const word = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.ipV6().map((one) => `${one}%z`),
      fc.string({ maxLength: 9 }),
    );
    const line = fc.tuple(fc.constantFrom("TCP4", "TCP6", "UNKNOWN"), word, word, fc.nat(70_000), fc.nat(70_000));
    fc.assert(fc.property(line, (words) => void proxyHeader(Buffer.from(`PROXY ${words.join(" ")}\r\n`, "latin1"))));
  });
});
