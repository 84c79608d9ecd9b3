/** Requests that cannot be read: what their clients are answered, and what is told of them. */
import { ownCopy } from "../base/own-copy.ts";
import { reasonPhrase } from "../http/messages.ts";
import type { Refusal } from "./request-head.ts";

/** What a client has been told instead of an answer. */
export interface Told extends Refusal {
  /** Of content. */
  readonly bytes: number;
}

/** A request that could not be read, or whose content could not. */
export interface Unread extends Told {
  /** Its first line, as far as it has come, as latin1; null where its exchange tells of it. */
  readonly line: string | null;
}

/** Of a first line, as much is told; whoever sends more says nothing that helps. */
const lineMax = 200;

/** The first line of what has been received. */
export function lineOf(received: Buffer): string {
  const text = received.toString("latin1", 0, lineMax);
  const end = text.indexOf("\n");
  return (end === -1 ? text : text.slice(0, end)).replace(/\r$/, "");
}

/** The same of a request of HTTP/2, by its fields: names and values in turn. */
export function lineOfFields(raw: readonly string[]): string {
  const value = (name: string): string => {
    const at = raw.findIndex((text, index) => index % 2 === 0 && text === name);
    return at === -1 ? "-" : raw[at + 1]!;
  };
  return ownCopy(`${value(":method")} ${value(":path")} HTTP/2.0`.slice(0, lineMax));
}

/** The answer of a connection that ends with it, as latin1. */
export function refusalText({ status, reason }: Refusal): { readonly head: string; readonly content: string } {
  const content = `${status} ${reasonPhrase(status)}: ${reason}\n`;
  const head =
    `HTTP/1.1 ${status} ${reasonPhrase(status)}\r\ndate: ${new Date().toUTCString()}\r\ncontent-type: text/plain\r\n` +
    `content-length: ${content.length}\r\nconnection: close\r\n\r\n`;
  return { head, content };
}
