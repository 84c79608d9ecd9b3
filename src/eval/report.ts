/** What an experiment finds, as data: the same for the terminal, for JSON and for the HTML page. */

/** How far an experiment has come, for a progress bar. */
export type Progress = (done: number, of: number, what: string) => void;

export interface Goal {
  readonly name: string;
  readonly reached: number;
  /** `at-most` or `at-least` this. */
  readonly bound: "at-most" | "at-least";
  readonly goal: number;
}

export interface ReportTable {
  readonly title: string;
  readonly heading: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

export interface ReportChart {
  readonly title: string;
  readonly kind: "bar" | "line";
  readonly xLabel: string;
  readonly yLabel: string;
  readonly labels: readonly (string | number)[];
  readonly series: readonly { readonly name: string; readonly values: readonly (number | null)[] }[];
  readonly logarithmic?: boolean;
}

export interface Report {
  readonly experiment: string;
  readonly title: string;
  /** Says so where members are only imagined. */
  readonly ran: "simulated members, one process" | "real processes";
  readonly seed: number;
  readonly settings: Readonly<Record<string, string | number>>;
  /** What was found, in sentences. */
  readonly findings: readonly string[];
  readonly goals: readonly Goal[];
  readonly tables: readonly ReportTable[];
  readonly charts: readonly ReportChart[];
  /** Whose data it is, where it is somebody's. */
  readonly credits?: readonly string[];
}

/** Whether a goal was reached. */
export function isReached({ reached, bound, goal }: Goal): boolean {
  return bound === "at-most" ? reached <= goal : reached >= goal;
}

/** The largest over the mean: 1 is perfectly even. */
export function peakOverMean(counts: readonly number[]): number {
  const sum = counts.reduce((total, count) => total + count, 0);
  return sum === 0 ? 1 : (Math.max(...counts) * counts.length) / sum;
}

/** A fraction of 1 as a percentage. */
export function percentText(fraction: number, digits = 1): string {
  return `${(fraction * 100).toFixed(digits)}%`;
}

/** Rounded, as a table shows it. */
export function rounded(value: number, digits = 3): string {
  return value.toFixed(digits);
}
