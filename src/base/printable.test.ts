import { expect, it } from "vitest";
import { printable } from "./printable.ts";

it("printable leaves nothing that a terminal acts on but lines, tabs and styles", () => {
  const text = "a\tb\n\u001b[31mred\u001b[39m";
  expect(printable(text)).toBe(text);
  for (const one of [
    "\u001b[2J",
    "\u001b]52;c;AAAA\u0007",
    "\u009b2J",
    "\u009d0;title\u009c",
    "a\rb",
    "\u007f",
    "\u001b[3",
  ])
    expect(printable(one)).toMatch(/^[\x20-\x7e]+$/);
  expect(printable("\u001b[2J")).toBe("\\u001b[2J");
});

it("printable leaves JSON what it says", () => {
  const value = { name: "a\u009b\u007fb\u001b\n" };
  expect(JSON.parse(printable(JSON.stringify(value)))).toEqual(value);
});
