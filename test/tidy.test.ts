/** The house rules, held by a test that says `file:line: what`. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const root = resolve(import.meta.dirname, "..");
const source = join(root, "src");

/** Layers from the ground up: an import points to the same folder or further down. Folders of one rung do not know each other. */
const ladder: readonly (readonly string[])[] = [
  ["base"],
  ["http", "ring", "telemetry", "zookeeper"],
  ["wire"],
  ["peer", "store", "origin", "coordination"],
  ["proxy", "cluster", "client"],
  ["config"],
  ["admin"],
  ["member"],
  ["eval"],
  ["cli"],
];
/** Folders without I/O, clocks or chance. */
const pure: readonly string[] = ["http", "ring"];
const pureFiles: readonly string[] = [
  "store/eviction.ts",
  "coordination/registry.ts",
  "cluster/next-view.ts",
  "wire/request-head.ts",
  "wire/chunked.ts",
];
const linesMax = 400;
/** Longer rooms, each with why it is still one room. */
const longRooms: Readonly<Record<string, number>> = {
  // One state machine of a fetch: a cut through it would only move its states apart.
  "proxy/flight.ts": 500,
};

interface Source {
  readonly name: string;
  readonly lines: readonly string[];
}

const files: readonly Source[] = readdirSync(source, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => ({ name, lines: readFileSync(join(source, name), "utf8").split("\n") }));
const program = files.filter(({ name }) => !name.endsWith(".test.ts"));

function rung(folder: string): number {
  return ladder.findIndex((folders) => folders.includes(folder));
}

/** Every line of the given files for which `fault` has something to say. */
function faults(
  given: readonly Source[],
  fault: (line: string, file: Source, index: number) => string | null,
): string[] {
  return given.flatMap((file) =>
    file.lines.flatMap((line, index) => {
      const said = fault(line, file, index);
      return said === null ? [] : [`src/${file.name}:${index + 1}: ${said}`];
    }),
  );
}

describe("the house", () => {
  it("has no folder that the ladder does not know", () => {
    expect(program.map(({ name }) => name.split("/")[0]!).filter((folder) => rung(folder) === -1)).toEqual([]);
  });

  it("imports down the ladder or within a folder", () => {
    expect(
      faults(program, (line, { name }) => {
        const target = /(?:from|import\() ?"(\.[^"]+)"/.exec(line)?.[1];
        if (target === undefined) return null;
        const [own, other] = [
          name.split("/")[0]!,
          relative(source, resolve(source, name, "..", target)).split("/")[0]!,
        ];
        if (own === other || rung(other) < rung(own)) return null;
        return `${own} may not import ${other}`;
      }),
    ).toEqual([]);
  });

  it("keeps clocks, chance and node: out of the pure parts", () => {
    const given = program.filter(({ name }) => pure.includes(name.split("/")[0]!) || pureFiles.includes(name));
    expect(
      faults(given, (line) => {
        if (/from "node:/.test(line)) return "a pure file imports node:";
        if (
          /\bDate\.now|new Date\(\)|performance\.|Math\.random|\bsetTimeout\(|\bsetInterval\(|\bprocess\.[a-z]/.test(
            line,
          )
        )
          return "a pure file reads the time, chance or the process";
        return null;
      }),
    ).toEqual([]);
  });

  it("has rooms of one idea: none of a drawer's names, none much too long", () => {
    expect(program.map(({ name }) => name).filter((name) => /util|helper|common|misc|manager/i.test(name))).toEqual([]);
    expect(
      program
        .filter(({ name, lines }) => lines.length - 1 > (longRooms[name] ?? linesMax))
        .map(({ name, lines }) => `${name}: ${lines.length} lines`),
    ).toEqual([]);
  });

  it("begins every file with what it is", () => {
    expect(program.filter(({ lines }) => !lines[0]!.startsWith("/**")).map(({ name }) => name)).toEqual([]);
  });

  it("documents every exported function and class", () => {
    expect(
      faults(program, (line, { lines }, index) => {
        if (!/^export (?:async )?(?:function|class) /.test(line)) return null;
        const before = lines[index - 1] ?? "";
        return before.endsWith("*/") ? null : "an export without a sentence";
      }),
    ).toEqual([]);
  });

  it("uses no enum, no default export, no any, no leftovers", () => {
    expect(
      faults(program, (line) => {
        if (/^\s*(?:export )?(?:const )?enum /.test(line)) return "an enum";
        if (/export default/.test(line)) return "a default export";
        if (/: any\b|<any>|as any\b/.test(line)) return "any";
        if (/\b(?:TODO|FIXME|XXX|HACK)\b/.test(line)) return "a leftover";
        if (/console\./.test(line)) return "console";
        return null;
      }),
    ).toEqual([]);
  });

  it("has a table of clauses that is up to date", () => {
    const check = spawnSync(process.execPath, [join(root, "scripts/conformance.mjs"), "--check"]);
    expect(check.stderr.toString()).toBe("");
  });

  it("parses, trims and reads the time in one place each", () => {
    expect(
      faults(
        program.filter(({ name }) => name.startsWith("http/") && name !== "http/grammar.ts"),
        (line) => (/\.split\(","\)|\.trim\(\)/.test(line) ? "lists and blanks are grammar.ts's affair" : null),
      ),
    ).toEqual([]);
    expect(
      faults(
        program.filter(({ name }) => !/^(?:member|cli|admin)\//.test(name)),
        (line) => (/Date\.now/.test(line) ? "the wall clock is read by the composition root alone" : null),
      ),
    ).toEqual([]);
  });
});
