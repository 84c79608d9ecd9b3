/** What commands print: tables with aligned columns, colours only where somebody looks. */
import { styleText } from "node:util";
import { printable } from "../base/printable.ts";

type Style = Parameters<typeof styleText>[0];

/** Text in a style, plain where standard output is no terminal or NO_COLOR is set. */
export function styled(style: Style, text: string): string {
  return process.stdout.isTTY === true && process.env["NO_COLOR"] === undefined ? styleText(style, text) : text;
}

/** A line on standard output. */
export function say(text: string): void {
  process.stdout.write(`${printable(text)}\n`);
}

/** A line, or several, in the place of all that is on the screen. */
export function sayAnew(text: string): void {
  process.stdout.write(`\x1b[2J\x1b[H${printable(text)}\n`);
}

/** For people only: progress and hints, never part of what a script reads. */
export function note(text: string): void {
  process.stderr.write(`${printable(text)}\n`);
}

/** A bar for long work: drawn over on a terminal, otherwise a line for each quarter. */
export function progressBar(title: string): {
  readonly at: (done: number, of: number, what: string) => void;
  readonly end: () => void;
} {
  const terminal = process.stderr.isTTY === true;
  const width = 24;
  let quarter = -1;
  return {
    at: (done, of, what) => {
      const part = of === 0 ? 1 : Math.min(1, done / of);
      const filled = Math.round(part * width);
      const line = `${title} [${"#".repeat(filled)}${".".repeat(width - filled)}] ${Math.round(part * 100)}% ${what}`;
      if (terminal) process.stderr.write(`\r\u001b[K${line.slice(0, (process.stderr.columns ?? 80) - 1)}`);
      else if (Math.floor(part * 4) > quarter) {
        quarter = Math.floor(part * 4);
        note(line);
      }
    },
    end: () => {
      if (terminal) process.stderr.write("\r\u001b[K");
    },
  };
}

/** A value on standard output, for scripts. */
export function sayJson(value: unknown): void {
  say(JSON.stringify(value, null, 2));
}

/** Rows under a heading; columns whose cells are all numbers or percentages stand to the right. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = heading.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)),
  );
  const numeric = heading.map(
    (_, column) =>
      rows.length > 0 && rows.every((row) => /^[-+]?[\d.,]+( ?[%×]| [KMGT]?B)?$|^-$/.test(row[column] ?? "")),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (numeric[column] === true ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join("  ")
      .trimEnd();
  return [styled("bold", line(heading)), ...rows.map(line)].join("\n");
}

/** A fraction of 1 as a percentage. */
export function percent(fraction: number, digits = 1): string {
  return `${(fraction * 100).toFixed(digits)}%`;
}
