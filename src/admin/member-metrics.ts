/** Names and meanings of the metrics. */
import { durationBoundsMs } from "../proxy/request/durations.ts";
import type { AdministeredPlane } from "./administered.ts";
import { diskMetrics } from "./disk-metrics.ts";
import { routeHistograms, routeMetrics } from "./route-metrics.ts";
import { processMetrics } from "./process-metrics.ts";
import { Metrics } from "../telemetry/metrics.ts";
import type { AdministeredMember } from "./status.ts";

/** The metrics of one member. */
export function memberMetrics(
  plane: AdministeredPlane,
  member: AdministeredMember,
  originsWaiting: () => number,
  version: string,
): Metrics {
  const { counts } = plane.desk.recorder;
  const { store } = plane;
  const one = (value: () => number) => (): { value: number }[] => [{ value: value() }];
  return new Metrics(
    member.name,
    [
      {
        name: "gyre_requests_total",
        help: "Requests handled by this member, by outcome (RFC 9211 tokens); bypass: forwarded to its owner",
        type: "counter",
        labelNames: ["outcome"],
        values: () => {
          const merged = new Map(counts.byOutcome);
          merged.set("hit", (merged.get("hit") ?? 0) + counts.hits);
          return [...merged].map(([outcome, value]) => ({ labels: { outcome }, value }));
        },
      },
      {
        name: "gyre_responses_total",
        help: "Answers by status",
        type: "counter",
        labelNames: ["status"],
        values: () =>
          counts.byStatus.flatMap((value, status) =>
            value === 0 ? [] : [{ labels: { status: String(status) }, value }],
          ),
      },
      {
        name: "gyre_sent_bytes_total",
        help: "Content bytes sent to askers",
        type: "counter",
        values: one(() => counts.bytesSent + counts.hitBytes),
      },
      {
        name: "gyre_hit_bytes_total",
        help: "Of them, those of hits: with gyre_sent_bytes_total, the byte hit ratio",
        type: "counter",
        values: one(() => counts.hitBytes + counts.slowHitBytes),
      },
      {
        name: "gyre_in_touch",
        help: "1 while this member knows what the others have told of invalidations; 0: it validates everything",
        type: "gauge",
        values: one(() => (plane.invalidations.isInTouch(plane.desk.nowSeconds()) ? 1 : 0)),
      },
      {
        name: "gyre_invalidations_heard_total",
        help: "Invalidations that this member has heard of, its own among them",
        type: "counter",
        values: one(() => store.position),
      },
      {
        name: "gyre_purges_total",
        help: "Purges asked of this member, made and refused",
        type: "counter",
        labelNames: ["result"],
        values: () => {
          const { made, refused } = plane.purges.counts;
          return [
            { labels: { result: "made" }, value: made },
            { labels: { result: "refused" }, value: refused },
          ];
        },
      },
      {
        name: "gyre_invalidation_log_entries",
        help: "Invalidations kept for members that have missed them",
        type: "gauge",
        values: one(() => plane.correspondence.log.size),
      },
      {
        name: "gyre_invalidation_log_bytes",
        help: "What they take",
        type: "gauge",
        values: one(() => plane.correspondence.log.bytes),
      },
      {
        name: "gyre_log_lines_dropped_total",
        help: "Lines of the access log and of events that could not be written, or that nobody took in time",
        type: "counter",
        values: one(() => member.logLinesDropped),
      },
      {
        name: "gyre_refused_total",
        help: "Requests that could not be read, or were refused before they had a target",
        type: "counter",
        values: one(() => counts.refused),
      },
      {
        name: "gyre_collapsed_total",
        help: "Requests that joined a fetch under way",
        type: "counter",
        values: one(() => counts.collapsed),
      },
      {
        name: "gyre_forwarded_total",
        help: "Requests forwarded to their owner",
        type: "counter",
        values: one(() => counts.forwarded),
      },
      {
        name: "gyre_forward_failures_total",
        help: "Forwarded requests whose member went away",
        type: "counter",
        values: one(() => counts.forwardFailures),
      },
      {
        name: "gyre_declined_total",
        help: "Requests that their owner sent back, having other settings or standing elsewhere; answered here",
        type: "counter",
        values: one(() => counts.declined),
      },
      {
        name: "gyre_origin_waits_total",
        help: "Requests that had to wait for a slot of their origin",
        type: "counter",
        values: one(() => counts.originWaits),
      },
      {
        name: "gyre_origin_refusals_total",
        help: "Requests that got no slot of their origin in time (503)",
        type: "counter",
        values: one(() => counts.originRefusals),
      },
      {
        name: "gyre_origin_waiting",
        help: "Requests that wait for a slot of their origin now",
        type: "gauge",
        values: one(originsWaiting),
      },
      {
        name: "gyre_descriptors_exhausted_total",
        help: "Fetches that failed for want of file descriptors",
        type: "counter",
        values: one(() => counts.exhausted),
      },
      {
        name: "gyre_store_leases",
        help: "Stored responses being read or validated",
        type: "gauge",
        values: one(() => store.usage.leases),
      },
      {
        name: "gyre_copy_hits_total",
        help: "Hits of hot copies of other members' keys",
        type: "counter",
        values: one(() => counts.copyHits),
      },
      {
        name: "gyre_copies_made_total",
        help: "Hot copies fetched from owners",
        type: "counter",
        values: one(() => counts.copiesMade),
      },
      {
        name: "gyre_copies",
        help: "Hot copies kept",
        type: "gauge",
        values: one(() => store.usage.copies),
      },
      {
        name: "gyre_passed_total",
        help: "Requests passed to a successor because their owner was busy",
        type: "counter",
        values: one(() => counts.passed),
      },
      {
        name: "gyre_stood_in_total",
        help: "Requests answered for a busy owner",
        type: "counter",
        values: one(() => counts.stoodIn),
      },
      {
        name: "gyre_peeks_total",
        help: "Misses for which a previous owner was asked, by what it had",
        type: "counter",
        labelNames: ["found"],
        values: () => [
          { labels: { found: "true" }, value: counts.peeksFound },
          { labels: { found: "false" }, value: counts.peeks - counts.peeksFound },
        ],
      },
      {
        name: "gyre_handed_over_total",
        help: "Stored responses that changed hands when a member left, by direction",
        type: "counter",
        labelNames: ["direction"],
        values: () => [
          { labels: { direction: "given" }, value: counts.handedOver },
          { labels: { direction: "taken" }, value: counts.takenOver },
        ],
      },
      {
        name: "gyre_load",
        help: "Requests that this member is working on itself",
        type: "gauge",
        values: one(() => plane.desk.recorder.load),
      },
      {
        name: "gyre_tunnels_total",
        help: "Tunnels opened (CONNECT, Upgrade)",
        type: "counter",
        values: one(() => counts.tunnels),
      },
      {
        name: "gyre_origin_fetches_total",
        help: "Requests for which origins were asked, each once: by origin, one after the other too, in gyre_origin_requests_total",
        type: "counter",
        values: one(() => counts.originFetches),
      },
      {
        name: "gyre_origin_errors_total",
        help: "Fetches that failed",
        type: "counter",
        values: one(() => counts.originErrors),
      },
      {
        name: "gyre_origin_bytes_total",
        help: "Content bytes received from origins",
        type: "counter",
        values: one(() => counts.originBytes),
      },
      {
        name: "gyre_store_bytes",
        help: "Bytes of the store in use, reserved ones included",
        type: "gauge",
        values: one(() => store.usage.bytes),
      },
      {
        name: "gyre_store_given_bytes",
        help: "Memory given to the store so far: pages, used again and again",
        type: "gauge",
        values: one(() => store.memory.given),
      },
      {
        name: "gyre_store_index_bytes",
        help: "Of the store's memory, what its index takes",
        type: "gauge",
        values: one(() => store.memory.index),
      },
      {
        name: "gyre_store_waiting_bytes",
        help: "Of the store's memory, what has been let go of and is still read by somebody",
        type: "gauge",
        values: one(() => store.memory.waiting),
      },
      { name: "gyre_store_bytes_max", help: "Budget of the store", type: "gauge", values: one(() => store.bytesMax) },
      {
        name: "gyre_store_responses",
        help: "Stored responses",
        type: "gauge",
        values: one(() => store.usage.responses),
      },
      {
        name: "gyre_stored_total",
        help: "Answers of origins to requests that were stored",
        type: "counter",
        values: one(() => counts.stored),
      },
      {
        name: "gyre_not_stored_total",
        help: "Answers of origins to requests that were not stored, by why",
        type: "counter",
        labelNames: ["reason"],
        values: () => [...counts.notStored].map(([reason, value]) => ({ labels: { reason }, value })),
      },
      {
        name: "gyre_store_removed_total",
        help: "Stored responses removed, by reason",
        type: "counter",
        labelNames: ["reason"],
        values: () =>
          (["evicted", "invalidated"] as const).map((reason) => ({
            labels: { reason },
            value: store.usage.counts[reason],
          })),
      },
      {
        name: "gyre_epoch",
        help: "Epoch of the view in use",
        type: "gauge",
        values: one(() => plane.current.view.epoch),
      },
      {
        name: "gyre_members",
        help: "Members in the view",
        type: "gauge",
        values: one(() => plane.current.view.members.length),
      },
      {
        name: "gyre_peer_up",
        help: "Whether a link to another member of the view is up",
        type: "gauge",
        labelNames: ["peer"],
        values: () =>
          plane.current.view.members
            .filter(({ name }) => name !== plane.desk.self)
            .map(({ name }) => ({ labels: { peer: name }, value: plane.peers.isUp(name) ? 1 : 0 })),
      },
      {
        name: "gyre_leader",
        help: "1 where this member leads",
        type: "gauge",
        values: one(() => (plane.current.view.leader === plane.desk.self ? 1 : 0)),
      },
      {
        name: "gyre_session_connected",
        help: "1 where the coordinator's session is connected",
        type: "gauge",
        values: one(() => (member.control?.session === "connected" ? 1 : 0)),
      },
      ...routeMetrics(plane),
      ...processMetrics(member, version),
      ...(plane.disk === null ? [] : diskMetrics(plane.disk.tier)),
    ],
    [
      {
        name: "gyre_request_seconds",
        help: "Time from head to last byte",
        bounds: durationBoundsMs,
        counts: () => [{ buckets: counts.durations, sum: counts.durationSumMs }],
      },
      ...routeHistograms(plane),
    ],
  );
}
