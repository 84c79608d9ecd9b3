/**
 * What a flight brings from another member instead of the origin: a hot copy from the key's owner, or what a previous
 * owner still has. Collected whole before anybody hears of it: a member that dies in between is then no client's
 * affair. What the owner answers with and nobody may keep is its asker's all the same: to ask again would be to ask the
 * origin again.
 */
import { endToEndFields } from "../../http/connection-fields.ts";
import { fieldsOfBlock, fieldValue, withoutFields, type FieldList } from "../../http/fields.ts";
import type { Fetch, OriginHandler } from "../../origin/fetch.ts";
import { OriginError } from "../../origin/origin-error.ts";
import type { PeerResponseHead } from "../../peer/streams.ts";
import type { Writer } from "../../store/port.ts";
import { withRequestId } from "../request/request-id.ts";
import { tagsField, tagsOfLine } from "../request/tags-line.ts";
import type { Target } from "../request/target.ts";
import type { Ticket } from "../request/ticket.ts";
import { judge } from "./judging.ts";
import type { FetchNeeds } from "./needs.ts";
import { ownPartOf } from "./own-part.ts";
import { peerRequest } from "./peer-request.ts";

export interface PeerSource {
  readonly member: string;
  readonly kind: "copy" | "peek";
}

/** The code of a failure where the member has not answered: it is gone, or stands still. */
export const peerGone = "PEER_GONE";

/** What is still coming has a length when it has come. */
const openSeconds = 1;

/** What asks for less than the whole: only the whole can be kept. */
const selecting: ReadonlySet<string> = new Set(["range", "if-range", "if-none-match", "if-modified-since"]);
/** Where the uncoded response is wanted, the other member is not to go by codings that the client takes. */
const selectingUncoded: ReadonlySet<string> = new Set([...selecting, "accept-encoding"]);

/**
 * Starts the fetch, or null where the member cannot be reached. `bytesMax` bounds the content; `tagged` is told the
 * response's tags before its head, where its fields do not say them.
 */
export function fetchFromPeer(
  needs: FetchNeeds,
  ticket: Ticket,
  { member, kind, bytesMax }: PeerSource & { readonly bytesMax: number },
  handler: OriginHandler,
  tagged: (tags: readonly string[]) => void,
): Fetch | null {
  const { exchange, target, desk } = ticket;
  const { store, peers, uncopied, current } = needs;
  /** What is collected; the flight keeps it in room of its own. */
  let room: Writer | null = null;
  let head: PeerResponseHead | null = null;
  let over = false;
  /** Its length is not known before its end. */
  let isOpen = false;
  /** It goes to who has asked, as it comes. */
  let isPassing = false;
  const release = (): void => {
    over = true;
    room?.abandon();
    room?.over();
  };
  const failed = (reason: string, code = "PEER"): void => {
    if (over) return;
    release();
    handler.failed(new OriginError(isPassing ? "content" : "head", code, `${member}: ${reason}`, 502, !isPassing));
  };
  const headTold = (given: PeerResponseHead, fields: string[]): void => {
    if (kind === "copy") ticket.owned = ownPartOf(given.fields);
    const tags = tagsOfLine(fieldValue(fields, tagsField));
    if (tags !== null) tagged(tags);
    handler.head(given.status, withoutFields(fields, new Set([tagsField])), given.inner);
  };
  /** What cannot be kept is not worth waiting for: from now on its requests take the plain hop. */
  const refused = (reason: string, seconds?: number): void => {
    if (over) return;
    if (kind === "copy") uncopied.add(target.key, desk.nowSeconds(), null, seconds);
    // In this order: whoever waits asks anew before the owner hears that this is not wanted any more, and ends it.
    failed(reason);
    stream!.cancel();
  };
  const arrived = (trailers: FieldList, whole: Buffer | null): void => {
    if (over) return;
    if (head === null) return failed("an answer without a head");
    over = true;
    if (isPassing) return handler.end(trailers);
    headTold(head, fieldsOf(head));
    if (whole !== null && whole.length > 0) handler.data(whole);
    // Who passes it on holds on to what it is given, and this room will be used again.
    for (const segment of room?.body.segments ?? []) handler.data(Buffer.from(segment!));
    release();
    handler.end(trailers);
  };
  const stream = peers.request(
    member,
    peerRequest(ticket, current.view, member, {
      asking: kind === "peek" ? "peek" : "answer",
      hops: kind === "copy" && exchange.hop === 1 ? 2 : 1,
      method: "GET",
      heard: needs.invalidations.reachText(),
      keeps: true,
      // Under this member's name for it: one that a client gives itself counts for nothing, and another member believes
      // it from here.
      fields: withRequestId(withoutFields(endToEndFields(exchange.head.fields), leftOut(target)), ticket.requestId),
    }),
    {
      interim: (status, fields) => over || handler.interim(status, fields),
      head: (given, whole) => {
        head = given;
        if (whole !== null) return arrived([], whole);
        const { contentBytes, status } = given;
        const seconds = desk.nowSeconds();
        const times = { requestSeconds: seconds, responseSeconds: seconds };
        const judgement = judge(ticket, { method: "GET", status, fields: fieldsOf(given), times, validating: null });
        if (!judgement.store && kind === "copy") {
          isPassing = true;
          return headTold(given, fieldsOf(given));
        }
        if (!judgement.store) return refused("not to be kept");
        // An answer that nobody may keep, or whose end nobody knows, must reach those who wait as it comes. What the
        // owner compresses just now ends as soon as it can.
        isOpen = contentBytes === null && target.coding !== null;
        if (!isOpen && contentBytes === null) return refused("its end is not known", openSeconds);
        if (!isOpen && contentBytes! > bytesMax) return refused("more than may be kept");
        room = store.begin(contentBytes);
        return room === null ? refused("no room") : undefined;
      },
      data: (chunk) => {
        if (over) return;
        // It lies in what the link reads into.
        if (isPassing) return handler.data(Buffer.from(chunk));
        if (room === null) return;
        if (isOpen && (room.body.bytes + chunk.length > bytesMax || !room.grow(chunk.length)))
          return refused("more than may be kept");
        room.body.append(chunk);
      },
      end: (trailers) => arrived(trailers, null),
      failed: (reason, how) => {
        if (how === "declined") ticket.ownerDeclined = true;
        failed(reason, how === "declined" ? undefined : peerGone);
      },
      isUnheard: () => !isPassing,
    },
  );
  if (stream === null) return null;
  return {
    pause: () => isPassing && stream.pause(),
    resume: () => isPassing && stream.resume(),
    cancel: () => {
      release();
      stream.cancel();
    },
  };
}

/**
 * What a member is not told. A part is of the uncoded response (RFC 9110 §14): without the range, by which the other
 * member would know that, it would give what it has coded, to be kept here as what it is not.
 */
function leftOut({ route, coding }: Target): ReadonlySet<string> {
  return coding === null && route !== null && route.compression !== null ? selectingUncoded : selecting;
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
