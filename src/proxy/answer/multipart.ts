/** Several ranges as multipart/byteranges, one part after the other. RFC 9110 §14.6. */
import { randomBytes } from "node:crypto";
import { fieldValue, withField, type FieldList } from "../../http/fields.ts";
import { contentRangeText, type ByteRange } from "../../http/ranges.ts";
import type { Body } from "../../store/body.ts";
import type { ContentSink } from "../../store/body-reader.ts";
import { AnswerHead } from "../../wire/answer-head.ts";
import type { Exchange } from "../../wire/exchange.ts";

/** What the ranges are cut from. */
export interface Ranged {
  readonly body: Body;
  /** Where in the whole the body begins. */
  readonly offset: number;
  readonly fields: FieldList;
  readonly ranges: readonly ByteRange[];
  /** Bytes of the whole. */
  readonly whole: number;
}

/** Answers with several ranges; `done` is called once, however it ends. */
export function sendMultipart(
  exchange: Exchange,
  { body, offset, fields, ranges, whole }: Ranged,
  lines: string,
  done: (complete: boolean) => void,
): void {
  const boundary = randomBytes(12).toString("hex");
  const type = fieldValue(fields, "content-type");
  const typeLine = type === undefined ? "" : `content-type: ${type}\r\n`;
  const heads = ranges.map((range, index) =>
    Buffer.from(
      `${index === 0 ? "" : "\r\n"}--${boundary}\r\n${typeLine}content-range: ${contentRangeText(range, whole)}\r\n\r\n`,
      "latin1",
    ),
  );
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`, "latin1");
  const bytes = ranges.reduce(
    (sum, { first, last }, index) => sum + last - first + 1 + heads[index]!.length,
    tail.length,
  );
  const head = withField(fields, "content-type", `multipart/byteranges; boundary=${boundary}`);
  exchange.begin(AnswerHead.of(206, head, bytes), lines);
  // Each part is read through a sink whose end is not the answer's; each reader holds the asker for itself, so none is
  // lost to the next.
  const sink: ContentSink = {
    get closed() {
      return exchange.closed;
    },
    hold: (holder) => exchange.hold(holder),
    write: (content, taken) => exchange.write(content, taken),
    end: () => {},
    abort: () => exchange.abort(),
  };
  let next = 0;
  part();

  function part(): void {
    const range = ranges[next];
    if (range === undefined) {
      exchange.write(tail);
      exchange.end();
      done(!exchange.closed);
      return;
    }
    exchange.write(heads[next++]!);
    body.read(sink, range.first - offset, range.last - offset + 1, (complete) => {
      if (complete) part();
      else done(false);
    });
  }
}
