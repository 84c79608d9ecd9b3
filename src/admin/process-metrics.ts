/** Metrics of the member's process: what it is, its threads, its clients. */
import type { MetricReading } from "../telemetry/metrics.ts";
import type { AdministeredMember } from "./status.ts";

/** For the metrics of a member. */
export function processMetrics({ clients }: AdministeredMember, version: string): readonly MetricReading[] {
  return [
    {
      name: "gyre_build_info",
      help: "1; its labels say what runs here",
      type: "gauge",
      labelNames: ["version", "node"],
      values: () => [{ labels: { version, node: process.versions.node }, value: 1 }],
    },
    {
      name: "gyre_connections",
      help: "Connections of clients",
      type: "gauge",
      values: () => [{ value: clients.connections }],
    },
    {
      name: "gyre_thread_hits_total",
      help: "Hits answered by a front thread itself; all hits are in gyre_requests_total",
      type: "counter",
      labelNames: ["thread"],
      values: () => clients.byThread().map(({ hits }, thread) => ({ labels: { thread: String(thread) }, value: hits })),
    },
    {
      name: "gyre_thread_delay_seconds",
      help: "How long a front thread's event loop was late, 99th percentile of the last second",
      type: "gauge",
      labelNames: ["thread"],
      values: () =>
        clients
          .byThread()
          .map(({ delaySeconds }, thread) => ({ labels: { thread: String(thread) }, value: delaySeconds })),
    },
  ];
}
