/** Requests as the origin reads them, and what their conditions and ranges come to. */

/** The request at the beginning of what has come, or null where it is not whole yet. */
export function requestOf(had) {
  const end = had.indexOf("\r\n\r\n");
  if (end === -1) return null;
  const [first, ...lines] = had.toString("latin1", 0, end).split("\r\n");
  const [method, path] = first.split(" ");
  const fields = new Map();
  for (const line of lines) {
    const [name, value] = [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()];
    fields.set(name, fields.has(name) ? `${fields.get(name)}, ${value}` : value);
  }
  const begin = end + 4;
  if (fields.get("transfer-encoding") !== "chunked") {
    const bytes = Number(fields.get("content-length") ?? 0);
    if (had.length < begin + bytes) return null;
    return { method, path, fields, content: had.subarray(begin, begin + bytes), bytes: begin + bytes };
  }
  const pieces = [];
  for (let at = begin; ;) {
    const line = had.indexOf("\r\n", at);
    if (line === -1) return null;
    const bytes = Number.parseInt(had.toString("latin1", at, line), 16);
    if (had.length < line + 4 + bytes) return null;
    pieces.push(had.subarray(line + 2, line + 2 + bytes));
    at = line + 4 + bytes;
    if (bytes === 0) return { method, path, fields, content: Buffer.concat(pieces), bytes: at };
  }
}

/** Whether the client has what there is. */
export function isUnchanged(fields, tag, modified) {
  const tags = fields.get("if-none-match");
  if (tags !== undefined)
    return tags === "*" || (tag !== null && tags.replaceAll("W/", "").includes(tag.replace("W/", "")));
  return modified !== null && fields.get("if-modified-since") === modified;
}

/** The one range that is asked for and applies; "none" where the content has nothing of it, null for the whole. */
export function rangeOf(fields, bytes, tag, modified) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(fields.get("range") ?? "");
  const condition = fields.get("if-range");
  const applies = condition === undefined || (condition === tag && !tag.startsWith("W/")) || condition === modified;
  if (match === null || !applies || match[0] === "bytes=-") return null;
  const first = match[1] === "" ? Math.max(0, bytes - Number(match[2])) : Number(match[1]);
  const last = match[1] === "" || match[2] === "" ? bytes - 1 : Math.min(bytes - 1, Number(match[2]));
  return first > last ? "none" : { first, last };
}
