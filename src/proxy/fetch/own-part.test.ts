import { expect, it } from "vitest";
import { ownPartOf } from "./own-part.ts";

it.each([
  ["cache-status: m2; hit; ttl=5\r\n", "m2; hit; ttl=5"],
  ["etag: x\r\ncache-status: cdn; hit\r\nage: 1\r\ncache-status: m2; fwd=miss\r\nvia: 1.1 m2\r\n", "m2; fwd=miss"],
  ['cache-status: m2; hit; key="a, \\"b\\""; detail=method, other\r\n', 'm2; hit; key="a, \\"b\\""; detail=method'],
  ["etag: x\r\n", null],
  ["x-cache-status: m2; hit\r\n", null],
])("a member's part of an answer is the entry of its own line: %j", (block, part) => {
  expect(ownPartOf(Buffer.from(block, "latin1"))).toBe(part);
});
