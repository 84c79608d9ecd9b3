/** Lines over the last ten minutes. */
import { html } from "htm/preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { VNode } from "preact";

/** A line: its name says what it is, and dashes tell it from the others where colours do not. */
export interface Line {
  readonly name: string;
  /** A custom property of the style sheet. */
  readonly colour: string;
  readonly dash?: readonly number[];
  readonly fill?: boolean;
}

interface ChartProps {
  readonly title: string;
  readonly lines: readonly Line[];
  /** Times in seconds since the epoch, then the values of each line. */
  readonly data: readonly (readonly (number | null)[])[];
  readonly format: (value: number) => string;
}

const height = 150;

/** A chart that keeps up with its data, its width and the colour scheme. */
export function Chart({ title, lines, data, format }: ChartProps): VNode {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  useEffect(() => {
    const element = box.current!;
    const draw = (): void => {
      plot.current?.destroy();
      plot.current = new uPlot(options(element, { lines, format }), data as uPlot.AlignedData, element);
    };
    draw();
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", draw);
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }));
    resized.observe(element);
    return () => {
      scheme.removeEventListener("change", draw);
      resized.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, []);
  useEffect(() => plot.current?.setData(data as uPlot.AlignedData), [data]);
  const last = lines.map(({ name }, index) => {
    const value = data[index + 1]?.findLast((one) => one !== null);
    return `${name} ${value == null ? "none" : format(value)}`;
  });
  return html`<figure class="chart">
    <figcaption>
      <h3>${title}</h3>
      <span class="legend" aria-hidden="true">
        ${lines.map(
          ({ name, colour, dash }) =>
            html`<span
              ><svg width="18" height="8">
                <line
                  x1="0"
                  y1="4"
                  x2="18"
                  y2="4"
                  style=${`stroke: var(${colour}); stroke-width: 2; stroke-dasharray: ${dash?.join(" ") ?? "none"}`}
                /></svg
              >${" "}${name}</span
            >`,
        )}
      </span>
    </figcaption>
    <div ref=${box} role="img" aria-label=${`${title}, now: ${last.join(", ")}`}></div>
  </figure>` as VNode;
}

function options(element: HTMLElement, { lines, format }: Pick<ChartProps, "lines" | "format">): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--quiet"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  return {
    width: element.clientWidth,
    padding: [8, 8, 0, 0],
    height,
    legend: { show: false },
    cursor: { y: false, points: { size: 6 } },
    scales: { y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [
      {
        ...axis,
        size: 26,
        space: 80,
        values: (_plot, times) => times.map((at) => new Date(at * 1000).toTimeString().slice(0, 5)),
      },
      { ...axis, size: 56, space: 34, values: (_plot, values) => values.map(format) },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.name,
        stroke: colour(line.colour),
        width: 2,
        ...(line.dash === undefined ? {} : { dash: [...line.dash] }),
        ...(line.fill === true ? { fill: `${colour(line.colour)}22` } : {}),
        points: { show: false },
      })),
    ],
    hooks: { setCursor: [(plot) => hover(plot, lines, format)] },
  };
}

/** What the lines say where the pointer stands, as the figure's title. */
function hover(plot: uPlot, lines: readonly Line[], format: (value: number) => string): void {
  const { idx } = plot.cursor;
  if (idx == null) return;
  const at = new Date((plot.data[0][idx] ?? 0) * 1000).toTimeString().slice(0, 8);
  plot.root.title = [
    at,
    ...lines.map(({ name }, index) => {
      const value = plot.data[index + 1]?.[idx];
      return `${name}: ${value == null ? "–" : format(value)}`;
    }),
  ].join("\n");
}
