/**
 * Where clients are listened for: one place or several, each with how it is spoken there. A short form for flags, a map
 * for files.
 *
 *   127.0.0.1:8080   :8080 or 8080 (all addresses)   [::1]:8080   unix:/run/gyre.sock   fd:3 (opened by who started it)
 *   443,tls   80,redirect   8080,forward   8080,reverse   8080,proxy-protocol   8080,shared
 */
import { normalize } from "node:path";
import { z } from "zod";
import { hostPortOf, hostPortText, type HostPort } from "../base/host-port.ts";
import { ownerPattern } from "../base/owner.ts";

/** A place to listen at. */
export type ListenPlace =
  | HostPort
  /** A Unix socket; `mode` and `owner` as chmod and chown take them. */
  | { readonly path: string; readonly mode: number | null; readonly owner?: string | undefined }
  /** A socket that is there already. */
  | { readonly fd: number };

/** One listener as it is configured; undefined: as is said for all. */
export interface GivenListener {
  readonly address: string;
  readonly place: ListenPlace;
  readonly tls?: boolean | undefined;
  readonly http2?: boolean | undefined;
  readonly redirect?: "https" | undefined;
  readonly "proxy-protocol"?: boolean | undefined;
  readonly allow?: readonly string[] | undefined;
  readonly role?: "forward" | "reverse" | "both" | undefined;
  readonly shared?: boolean | undefined;
}

/** One listener, with all that holds for it. */
export interface Listener {
  /** As it was written, for people. */
  readonly address: string;
  readonly place: ListenPlace;
  readonly tls: boolean;
  /** HTTP/2 as well: over TLS by ALPN, else with prior knowledge. */
  readonly http2: boolean;
  readonly proxyProtocol: boolean;
  /** Networks whose clients may use it. */
  readonly allow: readonly string[];
  /** Everything is sent on to https. */
  readonly redirect: boolean;
  readonly role: "forward" | "reverse" | "both";
  /** Other members on this machine may listen at the port as well: each gets its part of the connections. */
  readonly shared: boolean;
}

/** All addresses of a machine; where it has no IPv6, those of IPv4. */
const everywhere = "::";
const everybody: readonly string[] = ["0.0.0.0/0", "::/0"];
const options = ["tls", "http2", "redirect", "proxy-protocol", "forward", "reverse", "shared"] as const;

/** The place that an address names, or null. */
export function listenPlaceOf(address: string, mode: number | null = null, owner?: string): ListenPlace | null {
  if (address.startsWith("unix:/")) return { path: address.slice(5), mode, ...(owner === undefined ? {} : { owner }) };
  const fd = /^fd:(\d{1,4})$/.exec(address)?.[1];
  if (fd !== undefined) return { fd: Number(fd) };
  return hostPortOf(address, everywhere);
}

/** A place as text. */
export function placeText(place: ListenPlace): string {
  if ("path" in place) return `unix:${place.path}`;
  return "fd" in place ? `fd:${place.fd}` : hostPortText(place);
}

/** What a listener says no to, where all may say yes: the short form has no word for that. */
export function deniedIn(given: GivenListener): readonly string[] {
  return (["tls", "http2", "proxy-protocol"] as const).filter((key) => given[key] === false);
}

/** A listener in the short form, at another place: all but what the short form has no word for (`allow`, a no). */
export function shortForm(given: GivenListener, place: string): string {
  const { tls, http2, redirect, "proxy-protocol": proxyProtocol, role, shared } = given;
  const said = {
    tls: tls === true,
    http2: http2 === true,
    redirect: redirect !== undefined,
    "proxy-protocol": proxyProtocol === true,
    forward: role === "forward",
    reverse: role === "reverse",
    shared: shared === true,
  } satisfies Record<(typeof options)[number], boolean>;
  return [place, ...options.filter((option) => said[option])].join(",");
}

/** Whether who listens at one place has taken the other by that. A port of 0 is each time another. */
export function overlap(one: ListenPlace, other: ListenPlace): boolean {
  if ("path" in one || "path" in other)
    return "path" in one && "path" in other && normalize(one.path) === normalize(other.path);
  if ("fd" in one || "fd" in other) return "fd" in one && "fd" in other && one.fd === other.fd;
  if (one.port !== other.port || one.port === 0) return false;
  const [ours, theirs] = [addressesOf(one), addressesOf(other)];
  return ours.some((address) => theirs.includes(address)) || covers(one, theirs) || covers(other, ours);
}

/** Of a host: the address in one spelling, or the name; both that `localhost` may mean. */
function addressesOf(place: HostPort): readonly string[] {
  const url = `http://${hostPortText(place)}`;
  const host = URL.canParse(url) ? new URL(url).hostname : place.host.toLowerCase();
  return host === "localhost" ? ["127.0.0.1", "[::1]"] : [host];
}

/** `::` is the addresses of both families. A name may mean any of them. */
function covers({ host }: HostPort, addresses: readonly string[]): boolean {
  if (host === everywhere) return true;
  return host === "0.0.0.0" && addresses.some((address) => !address.startsWith("[") || address === `[${everywhere}]`);
}

const howToWrite =
  "write host:port as in 127.0.0.1:8080, :8080 for all addresses, unix:/path or fd:3, then perhaps ,tls ,http2 ,redirect ,proxy-protocol ,forward ,reverse ,shared";

const short = z
  .union([z.string(), z.number().int()])
  .describe(
    "host:port, :port for all addresses, unix:/path or fd:N; then ,tls ,http2 ,redirect ,proxy-protocol ,forward ,reverse ,shared",
  )
  .transform((given, context): GivenListener => {
    const text = String(given);
    const [address = "", ...said] = text.split(",");
    const place = listenPlaceOf(address);
    const unknown = said.find((option) => !(options as readonly string[]).includes(option));
    if (place === null || unknown !== undefined)
      context.addIssue({
        code: "custom",
        message: `"${text}" is no place to listen at${unknown === undefined ? "" : ` ("${unknown}" is not known)`}: ${howToWrite}`,
      });
    if (said.includes("shared")) refuseShared(place, context);
    if (said.includes("forward") && said.includes("reverse"))
      context.addIssue({ code: "custom", message: `"${text}": a listener is for both proxies where it names neither` });
    const has = (option: (typeof options)[number]): true | undefined => (said.includes(option) ? true : undefined);
    return {
      address,
      place: place ?? { fd: -1 },
      tls: has("tls"),
      http2: has("http2"),
      redirect: said.includes("redirect") ? "https" : undefined,
      "proxy-protocol": has("proxy-protocol"),
      role: said.includes("forward") ? "forward" : said.includes("reverse") ? "reverse" : undefined,
      shared: has("shared"),
    };
  });

/** Only a port can be shared: of a socket each has its own, or it is shared by whoever hands it on. */
function refuseShared(place: ListenPlace | null, context: z.core.$RefinementCtx, path: string[] = []): void {
  if (place === null || ("port" in place && place.port !== 0)) return;
  context.addIssue({ code: "custom", path, message: "shared is for a port that is named, as in 127.0.0.1:8080" });
}

/** A listener's map; `flag` and `network` are the schema's own. */
function long<Flag extends z.ZodType<boolean>, Network extends z.ZodType<string>>(flag: Flag, network: Network) {
  return z
    .strictObject({
      address: z.union([z.string(), z.number().int()]).transform(String).describe("as in the short form"),
      tls: flag.optional().describe("clients speak TLS here"),
      http2: flag
        .optional()
        .describe("HTTP/2 as well; default: over TLS, on Node 24.18.1 or newer; without TLS only where it is said"),
      redirect: z.literal("https").optional().describe("every request is sent on to https, but those of ACME"),
      "proxy-protocol": flag.optional(),
      allow: z.array(network).optional().describe("clients that may use it, in the place of allow"),
      role: z
        .enum(["forward", "reverse", "both"])
        .optional()
        .describe("which proxy is here; default both, as configured"),
      shared: flag
        .optional()
        .describe("other members on this machine may listen at this port as well; all of them have to say so"),
      mode: z
        .string()
        .regex(/^0?[0-7]{3}$/, 'write it as chmod takes it, as in "660"')
        .optional()
        .describe("permissions of a Unix socket"),
      owner: z
        .union([z.string(), z.number().int().transform(String)])
        .pipe(z.string())
        .refine((text) => ownerPattern.test(text), 'write user, user:group or :group, as in "www-data:www-data"')
        .optional()
        .describe("whose a Unix socket is"),
    })
    .transform(({ mode, owner, ...rest }, context): GivenListener => {
      const place = listenPlaceOf(rest.address, mode === undefined ? null : Number.parseInt(mode, 8), owner);
      if (place !== null && !("path" in place) && (mode ?? owner) !== undefined)
        context.addIssue({
          code: "custom",
          path: [mode === undefined ? "owner" : "mode"],
          message: "mode and owner are for Unix sockets",
        });
      if (place === null)
        context.addIssue({
          code: "custom",
          path: ["address"],
          message: `"${rest.address}" is no address: ${howToWrite}`,
        });
      if (rest.shared === true) refuseShared(place, context, ["shared"]);
      return { ...rest, place: place ?? { fd: -1 } };
    });
}

/** The setting: one listener, or several. */
export function listenSchema<Flag extends z.ZodType<boolean>, Network extends z.ZodType<string>>(
  flag: Flag,
  network: Network,
) {
  const one = z.union([short, long(flag, network)]);
  return z.union([
    one.transform((listener): readonly GivenListener[] => [listener]),
    z.array(one).min(1, "name at least one place to listen at"),
  ]);
}

/** What the settings for all listeners say. */
export interface ForAll {
  readonly listen: readonly GivenListener[];
  readonly allow: readonly string[];
  readonly "proxy-protocol": boolean;
  /** Whether there are certificates. */
  readonly hasTls: boolean;
  /** Whether this Node has all that HTTP/2 needs. */
  readonly hasHttp2: boolean;
}

/** The listeners, with all that holds for each. Certificates are for all of them unless one says that it is for it. */
export function listenersOf({
  listen,
  allow,
  "proxy-protocol": proxyProtocol,
  hasTls,
  hasHttp2,
}: ForAll): readonly Listener[] {
  const isSaid = listen.some((one) => one.tls !== undefined || one.redirect !== undefined);
  const speaksTls = (one: GivenListener): boolean => one.tls ?? (hasTls && !isSaid);
  return listen.map((one) => ({
    address: one.address,
    place: one.place,
    tls: speaksTls(one),
    http2: one.http2 ?? (speaksTls(one) && hasHttp2),
    proxyProtocol: one["proxy-protocol"] ?? proxyProtocol,
    // A redirect leads to where somebody else decides who may come.
    allow: one.allow ?? (one.redirect !== undefined && allow.length === 0 ? everybody : allow),
    redirect: one.redirect !== undefined,
    role: one.role ?? "both",
    shared: one.shared ?? false,
  }));
}

/** Whether two are one and the same but for who may use it, which can change while it is open. */
export function isSameListener(one: Listener, other: Listener): boolean {
  const [ours, theirs] = [one, other].map((listener) => JSON.stringify({ ...listener, allow: [] }));
  return ours === theirs;
}

/** Node from this one on closes the connections of those who abuse HTTP/2 in all ways that only it can see. */
const http2Since = [24, 18, 1] as const;

/** Whether a version of Node has all that HTTP/2 needs. */
export function hasHttp2(nodeVersion: string): boolean {
  const parts = nodeVersion.split(".").map((part) => Number.parseInt(part, 10));
  for (const [index, least] of http2Since.entries()) {
    const part = parts[index] ?? 0;
    if (part !== least) return part > least;
  }
  return true;
}

/** The listener by which a member is known to others: the first that is not only a way to another. */
export function mainListener(listeners: readonly Listener[]): Listener {
  return listeners.find(({ redirect, place }) => !redirect && !("path" in place)) ?? listeners[0]!;
}
