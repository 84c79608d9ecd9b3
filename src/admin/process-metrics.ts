/** Metrics of the member's process: what it is, its threads, its clients. */
import type { MetricReading } from "../telemetry/metrics.ts";
import type { AdministeredMember } from "./status.ts";

/** For the metrics of a member. */
export function processMetrics(
  { clients, certificates }: AdministeredMember,
  version: string,
): readonly MetricReading[] {
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
      name: "gyre_connections_turned_away_total",
      help: "Connections of clients closed before a request was read from them: not-allowed, too-many, no-proxy-header, clear-text, no-handshake",
      type: "counter",
      labelNames: ["reason"],
      values: () => [...clients.turnedAway].map(([reason, value]) => ({ labels: { reason }, value })),
    },
    {
      name: "gyre_certificate_expiry_seconds",
      help: "Seconds until a certificate for clients ends; below 0 where it has, or where there is none yet",
      type: "gauge",
      labelNames: ["name"],
      values: () =>
        certificates.standings().map(({ name, notAfterMs }) => ({
          labels: { name },
          value: notAfterMs === null ? -1 : Math.round((notAfterMs - Date.now()) / 1000),
        })),
    },
    {
      name: "gyre_certificate_up",
      help: "1 where the last order of a certificate did not fail",
      type: "gauge",
      labelNames: ["name"],
      values: () =>
        certificates.standings().map(({ name, problem }) => ({ labels: { name }, value: problem === null ? 1 : 0 })),
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
