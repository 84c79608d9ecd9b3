/**
 * The PROXY protocol, versions 1 and 2: a balancer in front tells who the client is. haproxy.org, proxy-protocol.txt.
 */
import { isIP, type Socket } from "node:net";

const signature = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
/**
 * The longest header of either version that is read: v1 has at most 107 bytes, v2's addresses and extensions are
 * bounded here.
 */
const headerBytesMax = 536;

export type ProxyHeader =
  | { readonly kind: "more" }
  | { readonly kind: "broken" }
  /** `source` is "" where the balancer speaks for itself (LOCAL, UNKNOWN). */
  | { readonly kind: "header"; readonly source: string; readonly bytes: number };

/** Reads the header at the start of the bytes. Pure. */
export function proxyHeader(bytes: Buffer): ProxyHeader {
  const compared = Math.min(bytes.length, signature.length);
  if (bytes.subarray(0, compared).equals(signature.subarray(0, compared)))
    return compared < signature.length ? { kind: "more" } : version2(bytes);
  return version1(bytes);
}

function version2(bytes: Buffer): ProxyHeader {
  if (bytes.length < 16) return { kind: "more" };
  const version = bytes[12]!;
  const length = bytes.readUInt16BE(14);
  if (version >> 4 !== 2 || (version & 15) > 1 || 16 + length > headerBytesMax) return { kind: "broken" };
  if (bytes.length < 16 + length) return { kind: "more" };
  const family = bytes[13]! >> 4;
  if ((version & 15) === 0 || family === 0 || family === 3) return { kind: "header", source: "", bytes: 16 + length };
  if (family === 1 && length >= 12)
    return { kind: "header", source: [...bytes.subarray(16, 20)].join("."), bytes: 16 + length };
  if (family === 2 && length >= 36) {
    const groups: string[] = [];
    for (let i = 16; i < 32; i += 2) groups.push(bytes.readUInt16BE(i).toString(16));
    return { kind: "header", source: canonical(groups.join(":")), bytes: 16 + length };
  }
  return { kind: "broken" };
}

/** With its end. */
const line1BytesMax = 107;

function version1(bytes: Buffer): ProxyHeader {
  const end = bytes.indexOf("\r\n");
  const start = bytes.toString("latin1", 0, 6);
  if (!"PROXY ".startsWith(start)) return { kind: "broken" };
  if (end === -1 ? bytes.length > line1BytesMax : end + 2 > line1BytesMax) return { kind: "broken" };
  if (end === -1) return { kind: "more" };
  const [, family, source, destination, sourcePort, destinationPort, ...rest] = bytes
    .toString("latin1", 0, end)
    .split(" ");
  if (family === "UNKNOWN") return { kind: "header", source: "", bytes: end + 2 };
  const version = family === "TCP4" ? 4 : family === "TCP6" ? 6 : 0;
  const isPort = (text = ""): boolean => /^\d{1,5}$/.test(text) && Number(text) <= 65_535;
  // A zone is a link of the balancer's own: nobody here could make anything of it.
  const isAddress = (text = ""): boolean => isIP(text) === version && !text.includes("%");
  if (version === 0 || !isAddress(source) || !isAddress(destination) || rest.length > 0) return { kind: "broken" };
  if (!isPort(sourcePort) || !isPort(destinationPort)) return { kind: "broken" };
  return { kind: "header", source: canonical(source!), bytes: end + 2 };
}

/** The one spelling of an address that rules are written in: IPv6 compressed, an IPv4 one inside it taken out. */
function canonical(address: string): string {
  if (isIP(address) === 4) return address;
  const compressed = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(compressed);
  if (mapped === null) return compressed;
  const [high, low] = [Number.parseInt(mapped[1]!, 16), Number.parseInt(mapped[2]!, 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

/** There will be none then: a balancer that looks whether somebody listens says nothing, and ends. */
const ended = ["end", "close", "error"] as const;

/**
 * Reads the header from a fresh socket; `done` gets the source, "" for the balancer itself, or null where it is missing
 * or broken.
 */
export function readProxyHeader(socket: Socket, limitMs: number, done: (source: string | null) => void): void {
  let received: Buffer = Buffer.alloc(0);
  const finish = (source: string | null): void => {
    clearTimeout(timer);
    socket.off("data", data);
    for (const event of ended) socket.off(event, close);
    done(source);
  };
  const data = (bytes: Buffer): void => {
    received = Buffer.concat([received, bytes]);
    const header = proxyHeader(received);
    if (header.kind === "more") return;
    if (header.kind === "broken") return finish(null);
    socket.pause();
    finish(header.source);
    if (header.bytes < received.length) socket.unshift(received.subarray(header.bytes));
    socket.resume();
  };
  const close = (): void => finish(null);
  const timer = setTimeout(close, limitMs);
  socket.on("data", data);
  for (const event of ended) socket.on(event, close);
}
