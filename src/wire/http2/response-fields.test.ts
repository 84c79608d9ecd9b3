import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { grouped, listed } from "./response-fields.ts";

/** What a list says, by name. */
const byName = (list: readonly (string | number)[]): Record<string, string[]> => {
  const all: Record<string, string[]> = {};
  for (let index = 2; index < list.length; index += 2)
    (all[`=${String(list[index])}`] ??= []).push(String(list[index + 1]));
  return all;
};

describe("fields of an answer over HTTP/2", () => {
  it("leave out those of a connection, and what is there twice and may be there once", () => {
    const fields = ["etag", '"a"', "connection", "close", "set-cookie", "a=1", "etag", '"b"', "set-cookie", "b=2"];
    expect(listed(200, fields)).toEqual([":status", 200, "etag", '"a"', "set-cookie", "a=1", "set-cookie", "b=2"]);
    expect({ ...grouped(fields) }).toEqual({ etag: '"a"', "set-cookie": ["a=1", "b=2"] });
  });

  it("are the same in turn and by name, whatever they are called", () => {
    const name = fc.constantFrom("etag", "age", "vary", "upgrade", "constructor", "__proto__", "x-a", "set-cookie");
    fc.assert(
      fc.property(fc.array(fc.tuple(name, fc.string())), (pairs) => {
        const fields = pairs.flat();
        const expected = Object.entries(grouped(fields)).map(([key, value]) => [`=${key}`, [value].flat()]);
        expect(byName(listed(200, fields))).toEqual(Object.fromEntries(expected));
      }),
    );
  });
});
