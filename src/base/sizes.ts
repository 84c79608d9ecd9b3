/** Byte sizes and durations as people write them: `512MB`, `1.5GiB`, `250ms`, `6s`. */

const byteUnits: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 2 ** 10,
  kb: 2 ** 10,
  kib: 2 ** 10,
  m: 2 ** 20,
  mb: 2 ** 20,
  mib: 2 ** 20,
  g: 2 ** 30,
  gb: 2 ** 30,
  gib: 2 ** 30,
  t: 2 ** 40,
  tb: 2 ** 40,
  tib: 2 ** 40,
};
const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Bytes meant by a size such as `64MB` (powers of two, as caches count), or null where it is none. */
export function bytesOf(text: string): number | null {
  return scaled(text, byteUnits);
}

/**
 * Milliseconds meant by a duration such as `1.5s`, or null where it is none. A bare number is refused: its unit is a
 * guess.
 */
export function millisecondsOf(text: string): number | null {
  return scaled(text, durationUnits);
}

/** A byte count for people: `1.4 MB`. */
export function bytesText(bytes: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

function scaled(text: string, units: Readonly<Record<string, number>>): number | null {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)\s*([a-z]*)$/i.exec(text.trim());
  const unit = match === null ? undefined : units[match[2]!.toLowerCase()];
  if (match === null || unit === undefined) return null;
  return Math.round(Number(match[1]) * unit);
}
