/**
 * What a flight brings from another member instead of the origin: a hot copy from the key's owner, or what a previous owner
 * still has. Collected whole before anybody hears of it: a member that dies in between is then no client's affair.
 */
import { endToEndFields } from "../http/connection-fields.ts";
import { fieldsOfBlock, withoutFields, type FieldList } from "../http/fields.ts";
import { groupsOf } from "../http/groups.ts";
import { originText } from "../http/uri.ts";
import type { Fetch, OriginHandler } from "../origin/origin-client.ts";
import { OriginError } from "../origin/origin-error.ts";
import type { PeerResponseHead } from "../peer/streams.ts";
import { Reservation } from "../store/reservation.ts";
import { groupKey } from "../store/stored-response.ts";
import { peerRequest } from "./hop.ts";
import { judge } from "./response-policy.ts";
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
  const { exchange, plane, target } = ticket;
  const room = new Reservation(plane.store);
  const chunks: Buffer[] = [];
  let head: PeerResponseHead | null = null;
  let over = false;
  const failed = (reason: string): void => {
    if (over) return;
    over = true;
    room.release();
    handler.failed(new OriginError("head", "PEER", `${member}: ${reason}`, 502, true));
  };
  /** What cannot be kept is not worth waiting for: from now on its requests take the plain hop. */
  const refused = (reason: string): void => {
    if (over) return;
    if (kind === "copy") plane.uncacheable.add(target.key, plane.nowSeconds(), null);
    stream!.cancel();
    failed(reason);
  };
  const arrived = (trailers: FieldList): void => {
    if (over) return;
    if (head === null) return failed("an answer without a head");
    const fields = fieldsOf(head);
    const groups = groupsOf(fields).map((group) => groupKey(originText(target.uri), group));
    // It may have been fetched before its group was invalidated.
    const seconds = plane.nowSeconds();
    const old =
      kind === "peek"
        ? plane.dropped.lately([target.key, ...groups], seconds)
        : // Groups are told to all members at once: for a moment an owner may answer from what it is about to drop.
          groups.length > 0 && plane.dropped.suspects(groups, seconds);
    if (old) return failed("invalidated meanwhile");
    over = true;
    room.release();
    handler.head(head.status, fields, head.inner);
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
        if (whole !== null) {
          if (whole.length > 0) chunks.push(whole);
          return arrived([]);
        }
        const { contentBytes, status } = given;
        // An answer that nobody may keep, or whose end nobody knows, must reach those who wait as it comes.
        if (contentBytes === null || contentBytes > bytesMax) return refused("more than may be kept");
        if (!judge(ticket, "GET", status, fieldsOf(given), now()).store) return refused("not to be kept");
        if (!room.take(contentBytes)) return refused("no room");
        return undefined;
      },
      data: (chunk) => {
        if (!over) chunks.push(chunk);
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
      room.release();
      stream.cancel();
    },
  };

  function now(): { readonly requestSeconds: number; readonly responseSeconds: number } {
    const seconds = plane.nowSeconds();
    return { requestSeconds: seconds, responseSeconds: seconds };
  }
}

/** The answer's fields without those that the member added about itself: it is this member that answers now. */
function fieldsOf({ fields: block, contentBytes }: PeerResponseHead): string[] {
  const fields = fieldsOfBlock(block.toString("latin1"));
  if (contentBytes !== null) fields.push("content-length", String(contentBytes));
  for (const name of ["cache-status", "via"]) {
    const last = fields.findLastIndex((text, index) => index % 2 === 0 && text === name);
    if (last !== -1) fields.splice(last, 2);
  }
  return fields;
}
