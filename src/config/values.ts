/** Kinds of values that settings have: sizes and times carry their unit. */
import { isIP } from "node:net";
import { z } from "zod";
import { hostPortOf, hostPortText } from "../base/host-port.ts";
import { bytesOf, millisecondsOf } from "../base/sizes.ts";
import { deltaSecondsMax } from "../http/grammar.ts";
import { isNetwork } from "../origin/destinations.ts";

/** A host and a port. */
export const address = z
  .string()
  .describe("host:port")
  .refine((text) => hostPortOf(text) !== null, "write host:port, as in 127.0.0.1:8080");
/** A DNS server: a name would need one to be found. */
export const nameServer = z
  .string()
  .describe("address:port")
  .transform((text, context) => {
    const place = hostPortOf(text);
    if (place === null || isIP(place.host) === 0 || place.port === 0)
      context.addIssue({
        code: "custom",
        message: `"${text}" is no DNS server: write its address, not its name, and its port, as in 192.0.2.53:53`,
      });
    return place === null ? "" : hostPortText(place);
  });
/** A size with its unit, as bytes. */
export const bytes = z
  .union([z.number().int().nonnegative(), z.string()], {
    error: ({ input }) => `${written(input)} is not a size: write a number with B, KB, MB or GB, as in 512MB`,
  })
  .describe("a size such as 512MB")
  .transform((value, context) => {
    const size = typeof value === "number" ? value : bytesOf(value);
    if (size === null)
      context.addIssue({
        code: "custom",
        message: `"${value}" is not a size: write a number with B, KB, MB or GB, as in 512MB`,
      });
    return size ?? 0;
  });
/** The longest that a timer can wait: 2^31 − 1 ms. */
const timerMsMax = 2 ** 31 - 1;
/** The longest lifetime that caches count: RFC 9111 §1.2.2. */
const lifetimeMsMax = deltaSecondsMax * 1000;

/** A time with its unit, as ms; `most` says for people what the longest is. */
function time(msMax: number, most: string) {
  return z
    .string({
      error: ({ input }) => `${written(input)} is not a time: write a number with ms, s, m, h or d, as in 30s`,
    })
    .describe("a time such as 30s or 250ms")
    .transform((value, context) => {
      const ms = millisecondsOf(value);
      if (ms === null)
        context.addIssue({
          code: "custom",
          message: `"${value}" is not a time: write a number with ms, s, m, h or d, as in 30s`,
        });
      if (ms !== null && ms > msMax)
        context.addIssue({ code: "custom", message: `"${value}" is too long: ${most} at most` });
      return ms ?? 0;
    });
}

/** A time that something waits, as ms. */
export const duration = time(timerMsMax, "24 days");
/** A lifetime, for which no timer waits, as seconds. */
export const seconds = time(lifetimeMsMax, "68 years").transform((ms) => ms / 1000);
/** Numbers as numbers or as text, and nothing else: YAML's null and true are no numbers. */
export const number = z.union(
  [
    z.number(),
    z
      .string()
      .regex(/^\d+(?:\.\d+)?$/)
      .transform(Number),
  ],
  { error: "write a number" },
);
/** A whole number, 0 too. */
export const count = number.pipe(z.number().int().nonnegative());
/** A whole number above 0. */
export const positive = number.pipe(z.number().int().min(1));
/** Ports with commas, a single one as YAML has it, or any. */
export const connectPorts = z
  .union([z.string(), z.number().transform(String)], { error: "write ports as in 443,8443, or any" })
  .refine(
    (text) => text === "any" || text.split(",").every((port) => /^[1-9]\d*$/.test(port) && Number(port) <= 65_535),
    "write ports as in 443,8443, or any",
  );
/** Addresses: a network or a single one. */
export const network = z
  .string()
  .describe("10.0.0.0/8 or a single address")
  .refine((text) => isNetwork(text), "write a network as in 10.0.0.0/8, or a single address");
/** Several of them. */
export const networks = z.array(network, "write a list of networks, as in [10.0.0.0/8, 192.0.2.7]");
/** True or false, as YAML or as text. */
export const flag = z.union([z.boolean(), z.enum(["true", "false"]).transform((text) => text === "true")], {
  error: "write true or false",
});

/** As the system has it: longer ones are cut, and somewhere else then. */
const socketPathMax = 107;

/** What is wrong with the path of a Unix socket, or null. */
export function tooLong(path: string): string | null {
  return Buffer.byteLength(path) <= socketPathMax
    ? null
    : `is too long: the path of a Unix socket has ${socketPathMax} bytes at most`;
}

/** A value as somebody has written it, for a sentence. */
function written(value: unknown): string {
  return typeof value === "string" ? `"${value}"` : (JSON.stringify(value) ?? "nothing");
}
