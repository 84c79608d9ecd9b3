/**
 * What an origin answers under a route that compresses: it is asked for the uncoded response, and where it sends a
 * coded one all the same, the coding is taken off, within a bound. What is worth coding says that it varies.
 */
import {
  isNotToBeTransformed,
  isWorthCoding,
  plainFields,
  removableCoding,
  varying,
  weakened,
  type CompressionRules,
} from "../../http/codings.ts";
import { fieldValue, type FieldList } from "../../http/fields.ts";
import type { Fetch, OriginHandler } from "../../origin/fetch.ts";
import { OriginError } from "../../origin/origin-error.ts";
import { Coder, hasCoding } from "./coder.ts";

/** Bytes that may come of one, and that may come of nothing: no honest text is denser. */
const ratioMax = 300;
const grantedBytes = 1024 * 1024;

/** The handler for the origin, and what is to be made of the fetch that it is given to. */
export function plainly(
  handler: OriginHandler,
  rules: CompressionRules,
  asked: { readonly method: string; readonly conditional: "kept" | readonly string[] },
): { readonly handler: OriginHandler; readonly over: (fetch: Fetch | null) => Fetch | null } {
  let fetch: Fetch | null = null;
  let coder: Coder | null = null;
  let [taken, given] = [0, 0];
  let over = false;
  const fail = (code: string, message: string): void => {
    if (over) return;
    over = true;
    coder?.destroy();
    fetch?.cancel();
    handler.failed(new OriginError("content", code, message, 502, false));
  };

  const head = (status: number, fields: FieldList, inner: boolean): void => {
    const coding = removableCoding(fields);
    const removes =
      coding !== null &&
      (asked.method === "GET" || asked.method === "HEAD") &&
      status !== 206 &&
      status >= 200 &&
      hasCoding(coding) &&
      !isNotToBeTransformed(fields);
    if (removes && asked.method === "GET" && status !== 204 && status !== 304)
      coder = Coder.decoding(coding, {
        data: (chunk) => {
          given += chunk.length;
          if (given > grantedBytes + ratioMax * taken) return fail("BOMB", "the origin's content grows without bound");
          return over ? undefined : handler.data(chunk);
        },
        end: () => {
          if (over) return undefined;
          over = true;
          return handler.end([]);
        },
        failed: () => fail("BAD_CODING", `the origin's content is no ${coding}`),
        drained: () => fetch?.resume(),
      });
    const own = removes ? plainFields(fields) : fields;
    const length = fieldValue(own, "content-length");
    const bytes = length === undefined ? null : Number(length);
    if (status === 304) return handler.head(status, updated(varied(fields), asked.conditional), inner);
    handler.head(status, isWorthCoding(status, own, bytes, rules) ? varying(own) : own, inner);
  };

  return {
    handler: {
      ...handler,
      head,
      data: (chunk) => {
        if (coder === null) return handler.data(chunk);
        taken += chunk.length;
        // The origin's memory is used again as soon as this returns.
        if (!coder.write(Buffer.from(chunk), () => {})) fetch?.pause();
        return undefined;
      },
      end: (trailers) => {
        if (coder !== null && taken > 0) return coder.end();
        // Nothing at all is nothing, coded or not.
        coder?.destroy();
        over = true;
        return handler.end(trailers);
      },
      failed: (error) => {
        coder?.destroy();
        if (!over) handler.failed(error);
        over = true;
      },
    },
    over: (begun) => {
      fetch = begun;
      if (begun === null) return null;
      return {
        pause: () => (coder === null ? begun.pause() : coder.pause()),
        resume: () => (coder === null ? begun.resume() : coder.resume()),
        cancel: () => {
          over = true;
          coder?.destroy();
          begun.cancel();
        },
      };
    },
  };
}

/** A 304 must not take back that what it is about varies. */
function varied(fields: FieldList): FieldList {
  return fieldValue(fields, "vary") === undefined ? fields : varying(fields);
}

/** Where what is asked about has been weakened when it came, the 304 speaks of it by the strong tag. */
function updated(fields: FieldList, conditional: "kept" | readonly string[]): FieldList {
  const tag = fieldValue(fields, "etag");
  if (conditional === "kept" || tag === undefined) return fields;
  return fieldValue(conditional, "if-none-match") === `W/${tag}` ? weakened(fields) : fields;
}
