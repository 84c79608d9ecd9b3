/** Names and meanings of the disk tier's metrics. */
import type { ToldDisk } from "../store/disk/disk-tier.ts";
import type { MetricReading } from "../telemetry/metrics.ts";

/** The metrics of a disk tier. */
export function diskMetrics(tier: ToldDisk): readonly MetricReading[] {
  const reading = (name: string, type: "counter" | "gauge", help: string, value: () => number): MetricReading => ({
    name: `gyre_disk_${name}`,
    help,
    type,
    values: () => [{ value: value() }],
  });
  return [
    reading("up", "gauge", "1 while the disk tier is used, 0 where it has been left, or could not be opened", () =>
      tier.off === null ? 1 : 0,
    ),
    reading("responses", "gauge", "Stored responses on the disk", () => tier.responses),
    reading("bytes", "gauge", "Bytes of the segments in use", () => tier.bytes),
    reading("bytes_max", "gauge", "Room that the disk tier may take", () => tier.bytesMax),
    reading("recalled_total", "counter", "Responses brought back into memory", () => tier.counts.recalled),
    reading("late_total", "counter", "Look-ups given up because the disk was too slow", () => tier.counts.late),
    reading("bad_total", "counter", "Responses that were not as they had been written", () => tier.counts.bad),
    reading("written_total", "counter", "Responses written", () => tier.counts.written),
    reading("written_bytes_total", "counter", "Bytes written", () => tier.counts.writtenBytes),
    reading(
      "refused_total",
      "counter",
      "Responses not written for want of room in the buffers",
      () => tier.counts.refused,
    ),
  ];
}
