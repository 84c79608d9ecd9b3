/**
 * Header fields as a flat list `[name, value, name, value, …]`, names in lower case, in the order received. Flat
 * because a hit builds one for every request: no object a field, no map to fill. RFC 9110 §5.
 */
export type FieldList = readonly string[];

/** All lines of a field joined by ", " as RFC 9110 §5.3 allows, or undefined where there is none. */
export function fieldValue(fields: FieldList, name: string): string | undefined {
  let value: string | undefined;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] === name) value = value === undefined ? fields[i + 1]! : `${value}, ${fields[i + 1]!}`;
  }
  return value;
}

/** Each line of a field by itself, for fields that must not be joined (Set-Cookie) or must be single (Age). */
export function fieldLines(fields: FieldList, name: string): string[] {
  const lines: string[] = [];
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) lines.push(fields[i + 1]!);
  return lines;
}

/** Whether a field is present, even with an empty value. */
export function hasField(fields: FieldList, name: string): boolean {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return true;
  return false;
}

/** The list without every line of the named fields. */
export function withoutFields(fields: FieldList, names: ReadonlySet<string>): string[] {
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    if (!names.has(fields[i]!)) kept.push(fields[i]!, fields[i + 1]!);
  }
  return kept;
}

/** The list with all lines of a field replaced by one. */
export function withField(fields: FieldList, name: string, value: string): string[] {
  const kept = withoutFields(fields, new Set([name]));
  kept.push(name, value);
  return kept;
}

/** The distinct names, in order of first appearance. */
export function fieldNames(fields: FieldList): Set<string> {
  const names = new Set<string>();
  for (let i = 0; i < fields.length; i += 2) names.add(fields[i]!);
  return names;
}

/** The fields of such lines again. */
export function fieldsOfBlock(block: string): string[] {
  const fields: string[] = [];
  for (let at = 0; at < block.length;) {
    const found = block.indexOf("\r\n", at);
    const end = found === -1 ? block.length : found;
    const colon = block.indexOf(": ", at);
    if (colon !== -1 && colon < end) fields.push(block.slice(at, colon), block.slice(colon + 2, end));
    at = end + 2;
  }
  return fields;
}

/** The fields as they stand on the wire, each line ended by CRLF; the caller adds the empty line. */
export function fieldBlock(fields: FieldList): string {
  let block = "";
  for (let i = 0; i < fields.length; i += 2) block += `${fields[i]!}: ${fields[i + 1]!}\r\n`;
  return block;
}
