/** What is told route by route and origin by origin: as many labels as are configured, and no more. */
import { headBoundsMs, type OriginAnswers } from "../origin/answers.ts";
import { durationBoundsMs } from "../proxy/request/durations.ts";
import type { HistogramReading, MetricReading } from "../telemetry/metrics.ts";
import type { AdministeredPlane } from "./administered.ts";
import { originsOf } from "./status.ts";

/** Counters and gauges by route and origin. */
export function routeMetrics(plane: AdministeredPlane): MetricReading[] {
  const { routes } = plane.desk.recorder;
  const origins = (): ReturnType<typeof originsOf> => originsOf(plane.current.routing);
  return [
    {
      name: "gyre_route_requests_total",
      help: "Requests of clients, by route (-: none, as for the forward proxy) and by what the owner of the key did",
      type: "counter",
      labelNames: ["route", "outcome"],
      values: () =>
        routes
          .all()
          .flatMap(({ route, byOutcome }) =>
            [...byOutcome].map(([outcome, value]) => ({ labels: { route, outcome }, value })),
          ),
    },
    {
      name: "gyre_route_sent_bytes_total",
      help: "Content bytes sent to clients, by route",
      type: "counter",
      labelNames: ["route"],
      values: () => routes.all().map(({ route, bytes }) => ({ labels: { route }, value: bytes })),
    },
    {
      name: "gyre_origin_up",
      help: "Whether an origin of a route is asked: 1 up, 0 resting or down by its checks",
      type: "gauge",
      labelNames: ["route", "origin"],
      values: () =>
        origins().map(({ route, origin, health }) => ({ labels: { route, origin }, value: health === "up" ? 1 : 0 })),
    },
    {
      name: "gyre_origin_active",
      help: "Requests under way to an origin of a route",
      type: "gauge",
      labelNames: ["route", "origin"],
      values: () => origins().map(({ route, origin, active }) => ({ labels: { route, origin }, value: active })),
    },
    {
      name: "gyre_origin_requests_total",
      help: "Requests sent to an origin of a route since it was configured, by result: status class, or error",
      type: "counter",
      labelNames: ["route", "origin", "result"],
      values: () =>
        statesOf(plane).flatMap(({ route, origin, answers }) =>
          [...answers.results].map(([result, value]) => ({ labels: { route, origin, result }, value })),
        ),
    },
  ];
}

/** Durations by route, and times to the first byte by origin. */
export function routeHistograms(plane: AdministeredPlane): HistogramReading[] {
  return [
    {
      name: "gyre_route_request_seconds",
      help: "Time from head to last byte of clients' requests, by route",
      bounds: durationBoundsMs,
      counts: () =>
        plane.desk.recorder.routes.all().map(({ route, durations, durationSumMs }) => ({
          labels: { route },
          buckets: durations,
          sum: durationSumMs,
        })),
    },
    {
      name: "gyre_origin_head_seconds",
      help: "Time until an origin of a route has answered, by its head",
      bounds: headBoundsMs,
      counts: () =>
        statesOf(plane).map(({ route, origin, answers }) => ({ labels: { route, origin }, ...answers.heads })),
    },
  ];
}

function statesOf({
  current,
}: AdministeredPlane): readonly { readonly route: string; readonly origin: string; readonly answers: OriginAnswers }[] {
  return current.routing.routes.flatMap(({ name, origins }) =>
    origins.origins.map(({ origin, answers }) => ({ route: name, origin, answers })),
  );
}
