/** Prometheus metrics. The data plane counts in plain numbers; they are read here when somebody scrapes. */
import { collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";

export interface MetricReading {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  readonly labelNames?: readonly string[];
  readonly values: () => Iterable<{ readonly labels?: Readonly<Record<string, string>>; readonly value: number }>;
}

export interface HistogramReading {
  readonly name: string;
  readonly help: string;
  readonly bounds: readonly number[];
  /** Of each set of labels; `sum` in ms. */
  readonly counts: () => readonly {
    readonly labels?: Readonly<Record<string, string>>;
    readonly buckets: readonly number[];
    readonly sum: number;
  }[];
}

/** Gauges that prom-client calls totals, which promtool finds fault with; what they count is there by kind. */
const misnamed = ["nodejs_active_handles_total", "nodejs_active_requests_total", "nodejs_active_resources_total"];

/** A registry that reads values when it is scraped. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #histograms: readonly HistogramReading[];

  constructor(member: string, readings: readonly MetricReading[], histograms: readonly HistogramReading[]) {
    this.#registry.setDefaultLabels({ member });
    collectDefaultMetrics({ register: this.#registry });
    for (const name of misnamed) this.#registry.removeSingleMetric(name);
    this.#histograms = histograms;
    for (const reading of readings) this.#register(reading);
    this.#member = member;
  }
  readonly #member: string;

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(): Promise<string> {
    const own = this.#histograms.map((histogram) => histogramText(histogram, this.#member)).join("");
    return `${await this.#registry.metrics()}\n${own}`;
  }

  #register({ name, help, type, labelNames = [], values }: MetricReading): void {
    const options = { name, help, registers: [this.#registry], labelNames };
    if (type === "gauge") {
      new Gauge({
        ...options,
        collect() {
          this.reset();
          for (const { labels = {}, value } of values()) this.set(labels, value);
        },
      });
    } else {
      new Counter({
        ...options,
        collect() {
          this.reset();
          for (const { labels = {}, value } of values()) this.inc(labels, value);
        },
      });
    }
  }
}

/** prom-client's histograms observe one value at a time; ours arrive counted. */
function histogramText({ name, help, bounds, counts }: HistogramReading, member: string): string {
  const series = counts().flatMap(({ labels = {}, buckets, sum }) => {
    const own = Object.entries({ ...labels, member }).map(([label, value]) => `${label}="${escaped(value)}"`);
    const said = own.join(",");
    let total = 0;
    const lines = bounds.map((bound, index) => {
      total += buckets[index]!;
      return `${name}_bucket{le="${bound / 1000}",${said}} ${total}`;
    });
    total += buckets[bounds.length]!;
    return [
      ...lines,
      `${name}_bucket{le="+Inf",${said}} ${total}`,
      `${name}_sum{${said}} ${sum / 1000}`,
      `${name}_count{${said}} ${total}`,
    ];
  });
  return [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`, ...series, ""].join("\n");
}

/** A label's value in Prometheus' text format. */
function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
