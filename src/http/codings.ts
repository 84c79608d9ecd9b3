/**
 * Content codings that this proxy applies itself: which one a client takes, what is worth it, and what it makes of a
 * response's fields. RFC 9110 §8.4, §12.5.3.
 */
import { ownCopy } from "../base/own-copy.ts";
import { responseDirectives } from "./directives.ts";
import { fieldLines, fieldValue, withoutFields, type FieldList } from "./fields.ts";
import { listElements, parameter } from "./grammar.ts";
import { entityTagList, etagOf, weaklyEqual } from "./validators.ts";
import { selects, withVary } from "./vary.ts";

/** Codings that can be applied. */
export const codings = ["zstd", "br", "gzip"] as const;
export type Coding = (typeof codings)[number];

/** All orders in which codings can be offered, each known by its number from 1 on. */
const orders: readonly (readonly Coding[])[] = codings.flatMap((first) => {
  const others = codings.filter((coding) => coding !== first);
  return [
    [first],
    ...others.flatMap((second) => [
      [first, second],
      [first, second, ...others.filter((coding) => coding !== second)],
    ]),
  ];
});

/** The number of the order in which these are offered, 15 at most; 0 for none. */
export function orderNumber(offered: readonly Coding[]): number {
  return (
    1 +
    orders.findIndex((order) => order.length === offered.length && order.every((coding, at) => coding === offered[at]))
  );
}

/** What a route compresses, and with what. */
export interface CompressionRules {
  /** Those offered, the best first. */
  readonly codings: readonly Coding[];
  /** Media types in lower case; a star stands for any text: a whole type (text/*) or a suffix (*+json). */
  readonly types: readonly string[];
  /** Content of fewer bytes is left as it is. */
  readonly leastBytes: number;
}

/** What is text in one form or another. */
export const codedTypes: readonly string[] = [
  "text/*",
  "*+json",
  "*+xml",
  "application/json",
  "application/javascript",
  "application/xml",
  "application/manifest+json",
  "application/wasm",
  "application/x-ndjson",
  "application/rtf",
  "application/vnd.ms-fontobject",
  "font/ttf",
  "font/otf",
  "image/svg+xml",
  "image/bmp",
  "image/x-icon",
];

/** The coding that a client likes best of those offered, or null for none. RFC 9110 §12.5.3. */
export function codingFor(requestFields: FieldList, offered: readonly Coding[]): Coding | null {
  const lines = fieldLines(requestFields, "accept-encoding");
  if (lines.length === 0) return null;
  const weights = new Map<string, number>();
  for (const element of listElements(lines.join(","))) {
    const [name = "", ...parameters] = listElements(element, ";");
    const given = parameters.map((text) => parameter(text)).find((one) => one.name.toLowerCase() === "q")?.value;
    const weight = given === undefined || given === null ? 1 : Number(given);
    const coding = name.toLowerCase() === "x-gzip" ? "gzip" : name.toLowerCase();
    if (Number.isFinite(weight)) weights.set(coding, weight);
  }
  const weightOf = (coding: string): number => weights.get(coding) ?? weights.get("*") ?? 0;
  let best: Coding | null = null;
  // What says nothing of identity takes it where nothing better is there.
  let least = weights.get("identity") ?? 0;
  for (const coding of offered) {
    const weight = weightOf(coding);
    // The order of those offered decides between those that the client likes equally, identity among them.
    if (weight > 0 && (best === null ? weight >= least : weight > least)) [best, least] = [coding, weight];
  }
  return best;
}

/**
 * Whether a request selects a variant, as `variantOf` has written it, where the proxy compresses: Accept-Encoding says
 * which of the codings offered, by the number of their order, the answer is to have.
 */
export function selectsCoded(variant: string, requestFields: FieldList, order: number): boolean {
  const coding = takenOf(order, requestFields);
  if (variant === (coding === null ? "accept-encoding\n" : `accept-encoding:${coding}\n`)) return true;
  const asked = withoutFields(requestFields, acceptAlone);
  if (coding !== null) asked.push("accept-encoding", coding);
  return selects(variant, asked);
}

/** What clients have said before, to what they take: they say the same few things. */
const taken = new Map<string, Coding | null>();
const takenMax = 500;
const takenCharactersMax = 200;

function takenOf(order: number, requestFields: FieldList): Coding | null {
  const accepted = fieldValue(requestFields, "accept-encoding");
  if (accepted === undefined) return null;
  const key = `${order}:${accepted}`;
  const known = taken.get(key);
  if (known !== undefined) return known;
  const coding = codingFor(requestFields, orders[order - 1]!);
  if (key.length > takenCharactersMax) return coding;
  if (taken.size >= takenMax) taken.clear();
  taken.set(ownCopy(key), coding);
  return coding;
}

/** Whether a response is one that the rules compress. `contentBytes` null where only the end will tell. */
export function isWorthCoding(
  status: number,
  fields: FieldList,
  contentBytes: number | null,
  { types, leastBytes }: CompressionRules,
): boolean {
  if (status < 200 || status === 204 || status === 205 || status === 206 || status === 304) return false;
  if (contentBytes !== null && contentBytes < leastBytes) return false;
  if (fieldValue(fields, "content-encoding") !== undefined || isNotToBeTransformed(fields)) return false;
  const type = (fieldValue(fields, "content-type") ?? "").split(";", 1)[0]!.toLowerCase();
  const bare = listElements(type)[0] ?? "";
  return types.some((pattern) =>
    pattern.startsWith("*")
      ? bare.endsWith(pattern.slice(1))
      : pattern.endsWith("/*")
        ? bare.startsWith(pattern.slice(0, -1))
        : bare === pattern,
  );
}

/** RFC 9111 §5.2.2.6. */
export function isNotToBeTransformed(fields: FieldList): boolean {
  return (
    responseDirectives(fields).directives.has("no-transform") ||
    fieldLines(fields, "cache-control").some((line) => /(?:^|[\s,])no-transform(?:$|[\s,])/i.test(line))
  );
}

/** The one coding of content that can be taken off, or null. */
export function removableCoding(fields: FieldList): Coding | null {
  const lines = fieldLines(fields, "content-encoding");
  const [only, ...more] = listElements(lines.join(",")).map((name) => name.toLowerCase());
  if (only === undefined || more.length > 0) return null;
  if (only === "x-gzip") return "gzip";
  return (codings as readonly string[]).includes(only) ? (only as Coding) : null;
}

/** What speaks of the bytes as they were. RFC 9110 §14.3, RFC 9530. */
const ofBytes: ReadonlySet<string> = new Set([
  "content-encoding",
  "content-length",
  "accept-ranges",
  "content-md5",
  "digest",
  "content-digest",
  "repr-digest",
  "trailer",
]);

/** The fields of a response whose content is coded now. */
export function codedFields(fields: FieldList, coding: Coding): string[] {
  return varying(tagged(withoutFields(fields, ofBytes), coding)).concat("content-encoding", coding);
}

/** The fields of a response whose coding has been taken off. */
export function plainFields(fields: FieldList): string[] {
  return weakened(withoutFields(fields, ofBytes));
}

/** With Accept-Encoding among what Vary names. */
export function varying(fields: FieldList): string[] {
  return withVary(fields, ["Accept-Encoding"]);
}

const tagAlone: ReadonlySet<string> = new Set(["etag"]);

/** The entity tag of one coding: weak, since the bytes are not those that the origin has tagged. */
export function codedTag(tag: string, coding: Coding): string {
  return `W/"${tag.replace(/^W\//, "").slice(1, -1)};${coding}"`;
}

/** Entity tags as the uncoded response has them: those of this coding are its own, with any other nothing is meant. */
export function plainTags(value: string, coding: Coding): string {
  return value.replaceAll(`;${coding}"`, '"');
}

function tagged(fields: FieldList, coding: Coding): string[] {
  const tag = fieldValue(fields, "etag");
  if (tag === undefined || !/^(?:W\/)?".*"$/.test(tag)) return [...fields];
  return [...withoutFields(fields, tagAlone), "etag", codedTag(tag, coding)];
}

/** With a weak entity tag in place of a strong one. */
export function weakened(fields: FieldList): string[] {
  const tag = fieldValue(fields, "etag");
  if (tag === undefined || !tag.startsWith('"')) return [...fields];
  return [...withoutFields(fields, tagAlone), "etag", `W/${tag}`];
}

/**
 * The fields of a 304 for what is coded. `asked`: of the client's request, where its own conditions went along. A
 * client that has named the uncoded response's tag has that one, and is told so. RFC 9110 §13.1.2, §15.4.5.
 */
export function codedUpdate(fields: FieldList, coding: Coding, asked: FieldList | null): string[] {
  const kept = withoutFields(fields, ofBytes);
  const coded = tagged(kept, coding);
  const tags = entityTagList(asked === null ? "" : (fieldValue(asked, "if-none-match") ?? ""));
  const names = (one: FieldList): boolean => {
    const etag = etagOf(one);
    return etag !== null && tags !== "*" && tags.some((tag) => weaklyEqual(tag, etag));
  };
  return varying(names(kept) && !names(coded) ? kept : coded);
}

/** A request's fields as who asks for the uncoded response sends them. */
export function plainRequest(fields: FieldList, coding: Coding): string[] {
  const kept = withoutFields(fields, acceptAlone);
  return kept.map((text, at) => (at % 2 === 1 && kept[at - 1] === "if-none-match" ? plainTags(text, coding) : text));
}

const acceptAlone: ReadonlySet<string> = new Set(["accept-encoding"]);
