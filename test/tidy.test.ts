/** The house rules, held by a test that says `file:line: what`. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const root = resolve(import.meta.dirname, "..");
const source = join(root, "src");

/**
 * Layers from the ground up: an import points to the same folder or further down. Folders of one rung do not know each
 * other.
 */
const ladder: readonly (readonly string[])[] = [
  ["base"],
  ["http", "ring", "telemetry", "zookeeper"],
  ["wire", "invalidation"],
  ["peer", "store", "origin", "coordination", "certificates"],
  ["proxy", "cluster", "client"],
  ["threads"],
  ["config"],
  ["admin"],
  ["member"],
  ["eval"],
  ["cli"],
];
/** Folders without I/O, clocks or chance. */
const pure: readonly string[] = ["http", "ring", "invalidation"];
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
  "proxy/fetch/flight.ts": 490,
};
/** The rooms of the data plane, from the ground up: one may know those before it. What lies beside them knows all. */
const rooms: readonly string[] = ["request", "answer", "invalidation", "fetch", "members"];
const columnsMax = 120;

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

/** The file that a line imports, types too, or null. */
function imported(name: string, line: string): string | null {
  const target = /(?:from|import\() ?"(\.[^"]+)"/.exec(line)?.[1];
  return target === undefined ? null : relative(source, resolve(source, name, "..", target));
}

function importsOf(name: string, lines: readonly string[]): string[] {
  return lines.map((line) => imported(name, line)).filter((target) => target !== null);
}

/** Every way that leads back to where it began, told once. */
function circlesIn(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const circles: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const walk = (name: string): void => {
    const at = path.indexOf(name);
    if (at !== -1) return void circles.push([...path.slice(at), name].join(" → "));
    if (done.has(name)) return;
    path.push(name);
    for (const next of graph.get(name) ?? []) walk(next);
    path.pop();
    done.add(name);
  };
  for (const name of graph.keys()) walk(name);
  return circles;
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
        const target = imported(name, line);
        if (target === null) return null;
        const [own, other] = [name.split("/")[0]!, target.split("/")[0]!];
        if (own === other || rung(other) < rung(own)) return null;
        return `${own} may not import ${other}`;
      }),
    ).toEqual([]);
  });

  it("keeps the data plane in its rooms: each knows those below it, and none what lies beside them", () => {
    const roomOf = (name: string): string | null => /^proxy\/(?:([a-z-]+)\/)?[^/]+$/.exec(name)?.[1] ?? null;
    expect(
      program
        .map(({ name }) => name)
        .filter((name) => name.startsWith("proxy/") && roomOf(name) !== null && !rooms.includes(roomOf(name)!)),
    ).toEqual([]);
    const inside = program.filter(({ name }) => name.startsWith("proxy/") && roomOf(name) !== null);
    expect(
      faults(inside, (line, { name }) => {
        const target = imported(name, line);
        if (target === null || !target.startsWith("proxy/")) return null;
        const [own, other] = [roomOf(name)!, roomOf(target)];
        if (other === null) return `${own} may not import ${target}`;
        return rooms.indexOf(other) <= rooms.indexOf(own) ? null : `${own} may not import ${other}`;
      }),
    ).toEqual([]);
  });

  it("goes round in no circle, types counted", () => {
    expect(circlesIn(new Map(program.map(({ name, lines }) => [name, importsOf(name, lines)])))).toEqual([]);
    const knotted = new Map([
      ["a.ts", ["b.ts"]],
      ["b.ts", ["c.ts"]],
      ["c.ts", ["b.ts"]],
    ]);
    expect(circlesIn(knotted), "this test would see one").toEqual(["b.ts → c.ts → b.ts"]);
  });

  it("keeps prose within the columns that code keeps", () => {
    expect(
      faults(files, (line) =>
        line.length > columnsMax && /^\s*(?:\*|\/\/|\/\*\*)/.test(line) ? `${line.length} columns` : null,
      ),
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
        program.filter(({ name }) => /^(?:wire|origin|peer|proxy|store)\//.test(name)),
        (line) =>
          /\.trim(?:Start|End)?\(\)/.test(line) ? "fields are trimmed by grammar.ts: a byte A0 is no blank" : null,
      ),
    ).toEqual([]);
    // A pattern that begins with a run of blanks and goes on, or ends a text with one, begins again at each of them: a
    // stranger's field of 30 KB of blanks took a second.
    expect(
      faults(
        program.filter(({ name }) => /^(?:http|wire|origin|peer|proxy|store|threads|admin)\//.test(name)),
        (line) =>
          /\/(?:\[ ?\\t ?\]|\\s)[*+][^/]|(?:\[ ?\\t ?\]|\\s)[*+]\$\//.test(line) && !/^\s*(?:\*|\/\/)/.test(line)
            ? "blanks are trimmed by grammar.ts, in one go"
            : null,
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
