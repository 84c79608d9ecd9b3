/** How a flight gets what its ticket asks for, where no member has it: coded, uncoded, or as the origin has it. */
import type { Fetch, OriginHandler } from "../../origin/fetch.ts";
import { fetchCoded, type CodedAsking } from "./coded-source.ts";
import type { FlightInit } from "./flight-init.ts";
import type { FetchNeeds } from "./needs.ts";
import { fetchFor, type OriginAsking } from "./origin-source.ts";
import { plainly } from "./plain-source.ts";

/** Starts the fetch for a flight; the handler hears of it later. */
export function fetchForFlight(
  needs: FetchNeeds,
  { first, hash }: Pick<FlightInit, "first" | "hash">,
  asking: Pick<OriginAsking, "method" | "conditional"> & Pick<CodedAsking, "tagged">,
  handler: OriginHandler,
): Fetch | null {
  const { coding, route } = first.target;
  if (coding !== null) return fetchCoded(needs, first, coding, { ...asking, hash }, handler);
  const { recorder } = first.desk;
  recorder.originAsked();
  const counting: OriginHandler = {
    ...handler,
    data: (chunk) => {
      recorder.originSent(chunk.length);
      handler.data(chunk);
    },
    failed: (error) => {
      recorder.originFailed();
      handler.failed(error);
    },
  };
  const { routing } = needs.current;
  if (route === null || route.compression === null) return fetchFor(first, routing, asking, counting);
  const plain = plainly(counting, route.compression, asking);
  return plain.over(fetchFor(first, routing, asking, plain.handler));
}
