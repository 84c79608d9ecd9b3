/**
 * What a flight brings from another member instead of the origin: a hot copy from the key's owner, or what a previous owner
 * still has. Collected whole before anybody hears of it: a member that dies in between is then no client's affair.
 */
import { endToEndFields } from "../http/connection-fields.ts";
import { fieldsOfBlock, withoutFields, type FieldList } from "../http/fields.ts";
import type { Fetch, OriginHandler } from "../origin/origin-client.ts";
import { OriginError } from "../origin/origin-error.ts";
import type { PeerResponseHead } from "../peer/streams.ts";
import { peerRequest } from "./hop.ts";
import type { Ticket } from "./ticket.ts";

export interface PeerSource {
  readonly member: string;
  readonly kind: "copy" | "peek";
}

/** What asks for less than the whole: only the whole can be kept. */
const selecting: ReadonlySet<string> = new Set(["range", "if-range", "if-none-match", "if-modified-since"]);

/** Starts the fetch, or null where the member cannot be reached. `bytesMax` bounds the content. */
export function fetchFromPeer(
  ticket: Ticket,
  { member, kind }: PeerSource,
  bytesMax: number,
  handler: OriginHandler,
): Fetch | null {
  const { exchange, plane } = ticket;
  const chunks: Buffer[] = [];
  let bytes = 0;
  let head: PeerResponseHead | null = null;
  let over = false;
  const failed = (reason: string): void => {
    if (over) return;
    over = true;
    handler.failed(new OriginError("head", "PEER", `${member}: ${reason}`, 502, true));
  };
  const arrived = (trailers: FieldList): void => {
    if (over) return;
    over = true;
    const length = head!.contentBytes ?? (trailers.length === 0 ? bytes : null);
    const fields = fieldsOf(head!.fields);
    if (length !== null) fields.push("content-length", String(length));
    handler.head(head!.status, fields, head!.inner);
    for (const chunk of chunks) handler.data(chunk);
    handler.end(trailers);
  };
  const stream = plane.peers.request(
    member,
    peerRequest(ticket, {
      asking: kind === "peek" ? "peek" : "answer",
      hops: kind === "copy" && exchange.hop === 1 ? 2 : 1,
      method: "GET",
      fields: withoutFields(endToEndFields(exchange.head.fields), selecting),
    }),
    {
      interim: () => {},
      head: (given, whole) => {
        head = given;
        if (whole === null) return;
        if (whole.length > 0) chunks.push(whole);
        bytes = whole.length;
        arrived([]);
      },
      data: (chunk) => {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes <= bytesMax || over) return;
        stream!.cancel();
        failed("more than may be kept");
      },
      end: arrived,
      failed,
    },
  );
  if (stream === null) return null;
  return {
    pause: () => {},
    resume: () => {},
    cancel: () => {
      over = true;
      stream.cancel();
    },
  };
}

/** The answer's fields without those that the member added about itself: it is this member that answers now. */
function fieldsOf(block: Buffer): string[] {
  const fields = fieldsOfBlock(block.toString("latin1"));
  for (const name of ["cache-status", "via"]) {
    const last = fields.findLastIndex((text, index) => index % 2 === 0 && text === name);
    if (last !== -1) fields.splice(last, 2);
  }
  return fields;
}
