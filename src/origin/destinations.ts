/**
 * Which addresses a proxy may connect to for whom. A forward proxy that reaches wherever it is told is how strangers read
 * cloud credentials and internal services; so link-local and metadata addresses are denied always, and loopback and
 * private ones to clients that are not on this machine, unless the operator allows them. IANA special-purpose registries.
 */
import { BlockList, isIP, isIPv4 } from "node:net";

export type DestinationClass = "public" | "inner" | "forbidden";

const forbidden = blockList([
  ["0.0.0.0", 8],
  ["169.254.0.0", 16],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
  // Metadata services that are not link-local: Alibaba, Azure, Oracle, AWS over IPv6.
  ["100.100.100.200", 32],
  ["168.63.129.16", 32],
  ["192.0.0.192", 32],
  ["::", 128],
  ["fe80::", 10],
  ["ff00::", 8],
  ["fd00:ec2::254", 128],
  ["fd20:ce::254", 128],
  // Forms that carry an IPv4 address somewhere else: translated (RFC 2765), local NAT64 (RFC 8215), Teredo (RFC 4380).
  ["::ffff:0:0:0", 96],
  ["64:ff9b:1::", 48],
  ["2001::", 32],
]);
const inner = blockList([
  ["127.0.0.0", 8],
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["100.64.0.0", 10],
  ["192.0.0.0", 24],
  ["198.18.0.0", 15],
  ["::1", 128],
  ["fc00::", 7],
  ["fec0::", 10],
]);

/** What kind of place an IP address is; an IPv6 address that carries an IPv4 one is judged by it. Anything else is forbidden. */
export function destinationClass(address: string): DestinationClass {
  const family = isIP(address);
  if (family === 0) return "forbidden";
  if (family === 6) {
    const carried = carriedIpv4(address);
    if (carried !== null) return destinationClass(carried);
  }
  const kind = family === 4 ? "ipv4" : "ipv6";
  if (forbidden.check(address, kind)) return "forbidden";
  return inner.check(address, kind) ? "inner" : "public";
}

/** A list of networks as `10.0.0.0/8` or single addresses. */
export class Networks {
  readonly #list = new BlockList();

  /** @throws Error naming the text that is no network. */
  constructor(networks: readonly string[]) {
    for (const network of networks) {
      const parsed = parseNetwork(network);
      if (parsed === null)
        throw new Error(`"${network}" is not a network: write 10.0.0.0/8, 2001:db8::/32 or a single address`);
      this.#list.addSubnet(parsed.address, parsed.bits, isIPv4(parsed.address) ? "ipv4" : "ipv6");
    }
  }

  has(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.#list.check(address, family === 4 ? "ipv4" : "ipv6");
  }
}

/** `address/bits` taken apart, or null. */
export function parseNetwork(text: string): { readonly address: string; readonly bits: number } | null {
  const [address = "", bitsText, ...rest] = text.trim().split("/");
  const family = isIP(address);
  const width = family === 4 ? 32 : 128;
  const bits = bitsText === undefined ? width : /^\d{1,3}$/.test(bitsText) ? Number(bitsText) : -1;
  return family === 0 || rest.length > 0 || bits < 0 || bits > width ? null : { address, bits };
}

/** The IPv4 address inside an IPv4-mapped (::ffff:0:0/96), NAT64 (64:ff9b::/96) or 6to4 (2002::/16) one. */
function carriedIpv4(address: string): string | null {
  const groups = expanded(address);
  if (groups === null) return null;
  const zeros = (from: number, to: number): boolean => groups.slice(from, to).every((group) => group === 0);
  const dotted = (high: number, low: number): string => [high >> 8, high & 255, low >> 8, low & 255].join(".");
  if (zeros(0, 5) && groups[5] === 0xffff) return dotted(groups[6]!, groups[7]!);
  if (zeros(0, 6) && (groups[6] !== 0 || groups[7]! > 1)) return dotted(groups[6]!, groups[7]!);
  if (groups[0] === 0x64 && groups[1] === 0xff9b && zeros(2, 6)) return dotted(groups[6]!, groups[7]!);
  if (groups[0] === 0x2002) return dotted(groups[1]!, groups[2]!);
  return null;
}

function expanded(address: string): number[] | null {
  let text = address.split("%")[0]!;
  const dotted = /(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (dotted !== null) {
    const [a, b, c, d] = dotted.slice(1).map(Number) as [number, number, number, number];
    text = `${text.slice(0, dotted.index)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const [head = "", tail] = text.split("::");
  const front = head === "" ? [] : head.split(":");
  const back = tail === undefined || tail === "" ? [] : tail.split(":");
  const middle = tail === undefined ? [] : new Array<string>(Math.max(0, 8 - front.length - back.length)).fill("0");
  const groups = [...front, ...middle, ...back].map((group) => Number.parseInt(group, 16));
  return groups.length === 8 && groups.every((group) => group >= 0 && group <= 0xffff) ? groups : null;
}

function blockList(networks: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [address, bits] of networks) list.addSubnet(address, bits, isIPv4(address) ? "ipv4" : "ipv6");
  return list;
}
