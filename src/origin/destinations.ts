/**
 * Which addresses a proxy may connect to for whom. A forward proxy that reaches wherever it is told is how strangers
 * read cloud credentials and internal services; so link-local and metadata addresses are denied always, and loopback
 * and private ones to clients that are not on this machine, unless the operator allows them. IANA special-purpose
 * registries, as ipaddr.js knows them.
 */
import ipaddr from "ipaddr.js";
import { trimmed } from "../http/grammar.ts";

export type DestinationClass = "public" | "inner" | "forbidden";

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Subnet = [Address, number];

/** Metadata services outside the link-local ranges: Alibaba, Azure, Oracle, AWS and Google over IPv6. */
const metadata: readonly Subnet[] = [
  "100.100.100.200/32",
  "168.63.129.16/32",
  "192.0.0.192/32",
  "fd00:ec2::254/128",
  "fd20:ce::254/128",
].map((network) => ipaddr.parseCIDR(network));

/**
 * Ranges that a proxy has no business in; with them the forms that carry an IPv4 address where no rule sees it (RFC
 * 2765, 4380, 8215).
 */
const forbidden: ReadonlySet<string> = new Set([
  "unspecified",
  "broadcast",
  "multicast",
  "linkLocal",
  "reserved",
  "rfc6145",
  "teredo",
]);
const inner: ReadonlySet<string> = new Set([
  "loopback",
  "private",
  "uniqueLocal",
  "carrierGradeNat",
  "deprecatedSiteLocal",
  "benchmarking",
]);
/**
 * What ipaddr.js counts among its wider ranges, and we judge by itself: this network (RFC 1122), IETF assignments,
 * local NAT64 (RFC 8215).
 */
const judgedFirst: readonly (readonly [Subnet, DestinationClass])[] = [
  [ipaddr.parseCIDR("0.0.0.0/8"), "forbidden"],
  [ipaddr.parseCIDR("192.0.0.0/24"), "inner"],
  [ipaddr.parseCIDR("198.18.0.0/15"), "inner"],
  [ipaddr.parseCIDR("240.0.0.0/4"), "forbidden"],
  [ipaddr.parseCIDR("64:ff9b:1::/48"), "forbidden"],
  [ipaddr.parseCIDR("fec0::/10"), "inner"],
  // Documentation's own: nobody is there, and nothing has to be kept from anybody.
  [ipaddr.parseCIDR("192.0.2.0/24"), "public"],
  [ipaddr.parseCIDR("198.51.100.0/24"), "public"],
  [ipaddr.parseCIDR("203.0.113.0/24"), "public"],
  [ipaddr.parseCIDR("2001:db8::/32"), "public"],
  [ipaddr.parseCIDR("3fff::/20"), "public"],
];

/**
 * What kind of place an IP address is; an IPv6 address that carries an IPv4 one is judged by it. Anything else is
 * forbidden.
 */
export function destinationClass(address: string): DestinationClass {
  const parsed = addressOf(address);
  return parsed === null ? "forbidden" : classOf(parsed);
}

function classOf(address: Address): DestinationClass {
  const carried = address.kind() === "ipv6" ? carriedIpv4(address as ipaddr.IPv6) : null;
  if (carried !== null) return classOf(carried);
  if (metadata.some((network) => isIn(address, network))) return "forbidden";
  for (const [network, kind] of judgedFirst) if (isIn(address, network)) return kind;
  const range = address.range();
  if (forbidden.has(range)) return "forbidden";
  return inner.has(range) ? "inner" : "public";
}

/** A list of networks as `10.0.0.0/8` or single addresses. */
export class Networks {
  readonly #networks: readonly Subnet[];

  /** @throws Error naming the text that is no network. */
  constructor(networks: readonly string[]) {
    this.#networks = networks.map((network) => {
      const parsed = subnetOf(network);
      if (parsed === null)
        throw new Error(`"${network}" is not a network: write 10.0.0.0/8, 2001:db8::/32 or a single address`);
      return parsed;
    });
  }

  has(address: string): boolean {
    if (this.#networks.length === 0) return false;
    const parsed = addressOf(address);
    return parsed !== null && this.#networks.some((network) => isIn(parsed, network));
  }
}

/** Networks whose addresses are in both lists. */
export function inBoth(one: readonly string[], other: readonly string[]): readonly string[] {
  const within = (networks: readonly string[], wider: readonly string[]): readonly string[] =>
    networks.flatMap((network) => wider.map((around) => partWithin(network, around)).filter((part) => part !== null));
  return [...new Set([...within(one, other), ...within(other, one)])];
}

/** What of a network that lies within another one is in both, as text; null where it does not. */
function partWithin(text: string, around: string): string | null {
  const [network, other] = [subnetOf(text)!, subnetOf(around)!];
  const [[address, bits], [otherAddress, otherBits]] = [mapped(network), mapped(other)];
  if (otherBits > bits || !address.match(otherAddress, otherBits)) return null;
  // Mapped addresses in their long form are in no network of IPv4.
  const isShort = other[0].kind() === "ipv4" && network[0].kind() === "ipv6";
  return isShort ? `${address.toIPv4Address().toString()}/${bits - mappedBits}` : text;
}

/** Whether a text is `address/bits` or a single address. */
export function isNetwork(text: string): boolean {
  return subnetOf(text) !== null;
}

function subnetOf(text: string): Subnet | null {
  const [address = "", bits, ...rest] = trimmed(text).split("/");
  const parsed = addressOf(address);
  if (parsed === null || rest.length > 0) return null;
  const width = parsed.kind() === "ipv4" ? 32 : 128;
  if (bits === undefined) return [parsed, width];
  return /^\d{1,3}$/.test(bits) && Number(bits) <= width ? [parsed, Number(bits)] : null;
}

/**
 * Only the plain forms: `127.1` and `0x7f.1` mean an address to some resolvers, and are none here. A zone is left out.
 */
function addressOf(text: string): Address | null {
  const plain = text.split("%")[0]!;
  if (ipaddr.IPv4.isValidFourPartDecimal(plain)) return ipaddr.IPv4.parse(plain);
  return ipaddr.IPv6.isValid(plain) ? ipaddr.IPv6.parse(plain) : null;
}

/** Bits of `::ffff:0:0/96`, in which IPv4 addresses have their mapped form. RFC 4291 §2.5.5.2. */
const mappedBits = 96;

function mapped([address, bits]: Subnet): readonly [ipaddr.IPv6, number] {
  if (address.kind() === "ipv6") return [address as ipaddr.IPv6, bits];
  return [(address as ipaddr.IPv4).toIPv4MappedAddress(), bits + mappedBits];
}

/** An IPv4 address is also in the IPv6 networks that hold its mapped form: `::/0` is everybody. */
function isIn(address: Address, [network, bits]: Subnet): boolean {
  const same = address.kind() === network.kind();
  if (same) return address.match(network as ipaddr.IPv4 & ipaddr.IPv6, bits);
  return (
    address.kind() === "ipv4" && (address as ipaddr.IPv4).toIPv4MappedAddress().match(network as ipaddr.IPv6, bits)
  );
}

/**
 * The IPv4 address inside an IPv4-mapped (::ffff:0:0/96), IPv4-compatible (::/96), NAT64 (64:ff9b::/96) or 6to4
 * (2002::/16) one.
 */
function carriedIpv4(address: ipaddr.IPv6): ipaddr.IPv4 | null {
  if (address.isIPv4MappedAddress()) return address.toIPv4Address();
  const bytes = address.toByteArray();
  const { parts } = address;
  const zeros = (from: number, to: number): boolean => parts.slice(from, to).every((part) => part === 0);
  if (zeros(0, 6) && (parts[6] !== 0 || parts[7]! > 1)) return new ipaddr.IPv4(bytes.slice(12));
  if (parts[0] === 0x64 && parts[1] === 0xff9b && zeros(2, 6)) return new ipaddr.IPv4(bytes.slice(12));
  if (parts[0] === 0x2002) return new ipaddr.IPv4(bytes.slice(2, 6));
  return null;
}
