/** A configuration file as YAML: its values, and on which line each of them stands. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Alias, Document, LineCounter, Node, YAMLError } from "yaml";
import type { ConfigProblem } from "./problem.ts";

/** What a file says. */
export interface ReadDocument {
  readonly file: string;
  readonly values: Readonly<Record<string, unknown>>;
  readonly document: Document;
  readonly lines: LineCounter;
}

/** Reads a file, or says what is wrong with it. */
export function readDocument(file: string, problems: ConfigProblem[]): ReadDocument | null {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    problems.push({ where: file, what: `cannot be read: ${(error as Error).message}` });
    return null;
  }
  // What is left while another is being written in its place, or where the disk is full: every setting would be gone.
  if (text.trim() === "") {
    problems.push({
      where: file,
      what: "is empty: write settings, or a comment where all of them are to be the defaults",
    });
    return null;
  }
  const { isMap, LineCounter: Counter, parseDocument } = yaml();
  const lines = new Counter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  for (const error of document.errors)
    problems.push({ where: `${file}:${lines.linePos(error.pos[0]).line}`, what: wordingOf(error) });
  if (document.errors.length > 0) return null;
  if (document.contents === null) return { file, values: {}, document, lines };
  if (!isMap(document.contents)) {
    problems.push({ where: `${file}:1`, what: "must be a map of settings, as in `listen: 127.0.0.1:8080`" });
    return null;
  }
  const loose = aliasesOfNothing(document);
  for (const { source, range } of loose)
    problems.push({
      where: `${file}:${lines.linePos(range?.[0] ?? 0).line}`,
      what: `*${source} stands for nothing: there is no &${source} before it`,
    });
  if (loose.length > 0) return null;
  try {
    // A plain map would take a key named __proto__ for its own.
    const values = document.toJS({ maxAliasCount: 20, mapAsMap: false }) as Record<string, unknown>;
    return { file, values, document, lines };
  } catch (error) {
    problems.push({ where: file, what: (error as Error).message });
    return null;
  }
}

function aliasesOfNothing(document: Document): readonly Alias[] {
  const found: Alias[] = [];
  yaml().visit(document, {
    Alias: (_, alias) => {
      if (alias.resolve(document) === undefined) found.push(alias);
    },
  });
  return found;
}

/** The library's words, but where they are for who calls it and not for who writes a file. */
function wordingOf({ code, message }: YAMLError): string {
  return code === "MULTIPLE_DOCS" ? "a second document begins: write one, without a line of --- in it" : message;
}

/** The line on which a value stands, or the one nearest above it that does. */
export function lineOf(path: readonly (string | number)[], { document, lines }: ReadDocument): number {
  const { isMap, isPair, isScalar, isSeq } = yaml();
  let node: unknown = document.contents;
  let offset = 0;
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === step);
      if (pair === undefined) break;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      offset = (node as Node | undefined)?.range?.[0] ?? offset;
    } else break;
  }
  return lines.linePos(offset).line;
}

/** Loaded where there is a file to read: most members have none, and need not have 10 MB for it. */
function yaml(): typeof import("yaml") {
  return createRequire(import.meta.url)("yaml") as typeof import("yaml");
}
