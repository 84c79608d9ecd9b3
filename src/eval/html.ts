/** Reports as one HTML page that needs nothing else: the charting library, the data and the styles are in it. */
import { readFileSync } from "node:fs";
import { isReached, type Report, type ReportChart, type ReportTable } from "./report.ts";

/** Told by whoever runs experiments. */
export interface Colophon {
  readonly command: string;
  /** ISO date. */
  readonly date: string;
  readonly version: string;
  /** The machine, in a line. */
  readonly machine: string;
}

const palette = ["#3366cc", "#dc6a12", "#2e9e5b", "#b83280", "#7a5fd0", "#0f9aa8", "#8a6d3b", "#c0392b", "#5b6b7b"];

/** The page. */
export function reportPage(reports: readonly Report[], colophon: Colophon): string {
  const title = reports.length === 1 ? reports[0]!.title : "Gyre: evaluation";
  const charts = reports.flatMap(({ charts: own }) => own);
  let number = 0;
  const sections = reports
    .map((report) => section(report, reports.length === 1 ? "alone" : "among others", () => `chart-${number++}`))
    .join("\n");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>${text(title)}</title>
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.3rem; margin-top: 2.5rem; } h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
th, td { padding: .25rem .75rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
th { font-size: .8rem; letter-spacing: .03em; } td.number, th.number { text-align: right; }
.chart { position: relative; height: 22rem; margin: .5rem 0 1.5rem; }
.ran, footer, .settings { color: #777; font-size: .85rem; }
.reached { color: #2e9e5b; } .missed { color: #c0392b; font-weight: 600; }
code { background: var(--soft); padding: .1rem .3rem; border-radius: .2rem; }
</style>
</head>
<body>
<h1>${text(title)}</h1>
<p class="settings"><code>${text(colophon.command)}</code><br>${text(colophon.date)} · Gyre ${text(colophon.version)} · ${text(colophon.machine)}</p>
${sections}
<footer>${[...new Set(reports.flatMap(({ credits = [] }) => credits))].map(text).join("<br>")}</footer>
<script>${inlineScript(chartLibrary())}</script>
<script>
const charts = ${JSON.stringify(charts.map(configOf)).replace(/</g, "\\u003c")};
Chart.defaults.animation = false;
Chart.defaults.maintainAspectRatio = false;
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
Chart.defaults.color = dark ? "#bbb" : "#555";
Chart.defaults.borderColor = dark ? "#fff2" : "#0002";
for (const [number, config] of charts.entries()) new Chart(document.getElementById("chart-" + number), config);
document.documentElement.dataset.charts = String(charts.length);
</script>
</body>
</html>
`;
}

function section(report: Report, company: "alone" | "among others", nextId: () => string): string {
  const settings = Object.entries(report.settings)
    .filter(([name]) => name !== "seed")
    .map(([name, value]) => `${name} ${value}`)
    .join(" · ");
  const goals =
    report.goals.length === 0
      ? ""
      : `<h3>Goals</h3>${table({
          title: "",
          heading: ["GOAL", "REACHED", "", ""],
          rows: report.goals.map((goal) => [
            goal.name,
            short(goal.reached),
            `${goal.bound === "at-most" ? "≤" : "≥"} ${short(goal.goal)}`,
            isReached(goal) ? "reached" : "missed",
          ]),
        })}`;
  const heading = company === "alone" ? "" : `<h2>${text(report.title)}</h2>\n`;
  return `<section id="${text(report.experiment)}">
${heading}<p class="ran">${text(report.experiment)} · ${text(report.ran)} · seed ${report.seed} · ${text(settings)}</p>
${report.findings.map((finding) => `<p>${text(finding)}</p>`).join("\n")}
${goals}
${report.charts.map((chart) => `<h3>${text(chart.title)}</h3><div class="chart"><canvas id="${nextId()}" role="img" aria-label="${text(chart.title)}"></canvas></div>`).join("\n")}
${report.tables.map((one) => `<h3>${text(one.title)}</h3>${table(one)}`).join("\n")}
</section>`;
}

function table({ heading, rows }: ReportTable): string {
  const numeric = heading.map(
    (_, column) => rows.length > 0 && rows.every((row) => /^(?:[-+]?[\d.,]+%?|-)$/.test(String(row[column]))),
  );
  const cell = (tag: "td" | "th", value: string | number, column: number): string => {
    const kind = value === "reached" || value === "missed" ? value : numeric[column] === true ? "number" : "";
    return `<${tag}${kind === "" ? "" : ` class="${kind}"`}>${text(String(value))}</${tag}>`;
  };
  return `<div class="scroll"><table><thead><tr>${heading.map((value, column) => cell("th", value, column)).join("")}</tr></thead>
<tbody>${rows.map((row) => `<tr>${row.map((value, column) => cell("td", value, column)).join("")}</tr>`).join("\n")}</tbody></table></div>`;
}

function configOf(chart: ReportChart): unknown {
  const axis = (label: string): object => ({ title: { display: true, text: label } });
  return {
    type: chart.kind,
    data: {
      labels: chart.labels,
      datasets: chart.series.map(({ name, values }, index) => {
        const colour = palette[index % palette.length]!;
        return {
          label: name,
          data: values,
          borderColor: colour,
          backgroundColor: chart.kind === "bar" ? `${colour}cc` : colour,
          borderWidth: chart.kind === "bar" ? 0 : 2,
          borderDash: index >= palette.length ? [6, 4] : [],
          pointRadius: chart.labels.length > 40 ? 0 : 3,
        };
      }),
    },
    options: {
      interaction: { mode: "index", intersect: false },
      plugins: { legend: { display: chart.series.length > 1, position: "bottom" } },
      scales: {
        x: axis(chart.xLabel),
        y: { ...axis(chart.yLabel), type: chart.logarithmic === true ? "logarithmic" : "linear" },
      },
    },
  };
}

/** Chart.js as one file for browsers, as the build has put it beside the program. */
function chartLibrary(): string {
  const { url } = import.meta;
  const file = new URL(url.endsWith(".ts") ? "../../dist/charts.js" : "../charts.js", url);
  return readFileSync(file, "utf8").replace(/^\/\/# sourceMappingURL.*$/m, "");
}

/** Nothing in a script may look like its end. */
function inlineScript(source: string): string {
  return source.replace(/<\/(script)/gi, "<\\/$1").replace(/<!--/g, "<\\!--");
}

function text(value: string): string {
  return value.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function short(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toPrecision(4);
}
