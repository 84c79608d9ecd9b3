/**
 * HTTP dates in their three formats. RFC 9110 §5.6.7. Whatever else a date field holds is no date: in Expires, a time
 * in the past.
 */
import { ownCopy } from "../base/own-copy.ts";

const days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const daysLong = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const fixdate = /^([A-Z][a-z]{2}), (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT$/i;
const rfc850 = /^([A-Z][a-z]{5,8}), (\d{2})-([A-Z][a-z]{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2}) GMT$/i;
const asctime = /^([A-Z][a-z]{2}) ([A-Z][a-z]{2}) ([ \d]\d) (\d{2}):(\d{2}):(\d{2}) (\d{4})$/i;

/**
 * Seconds since the epoch, or null where the text is not an HTTP date.
 *
 * @param now seconds since the epoch: a two-digit year more than 50 years ahead of it means the past century.
 */
export function dateSeconds(text: string, now: number): number | null {
  for (const { text: known, seconds: its } of lately) if (known === text) return its;
  const read = readDate(text, now);
  // Those of another format depend on today.
  if (text.length !== fixdateLength || read === null) return read;
  lately.unshift({ text: ownCopy(text), seconds: read });
  if (lately.length > latelyMax) lately.pop();
  return read;
}

const fixdateLength = "Sun, 06 Nov 1994 08:49:37 GMT".length;
/** Dates of IMF-fixdate read last: responses of one second have the same Date. */
const lately: { readonly text: string; readonly seconds: number }[] = [];
const latelyMax = 4;

function readDate(text: string, now: number): number | null {
  let match = fixdate.exec(text);
  if (match !== null) {
    if (dayIndex(days, match[1]!) === -1) return null;
    return seconds(Number(match[4]), match[3]!, match[2]!, match[5]!, match[6]!, match[7]!);
  }
  match = asctime.exec(text);
  if (match !== null) {
    if (dayIndex(days, match[1]!) === -1) return null;
    return seconds(Number(match[7]), match[2]!, match[3]!.trimStart(), match[4]!, match[5]!, match[6]!);
  }
  match = rfc850.exec(text);
  if (match !== null) {
    if (dayIndex(daysLong, match[1]!) === -1) return null;
    const thisYear = new Date(now * 1000).getUTCFullYear();
    let year = Math.floor(thisYear / 100) * 100 + Number(match[4]);
    if (year > thisYear + 50) year -= 100;
    return seconds(year, match[3]!, match[2]!, match[5]!, match[6]!, match[7]!);
  }
  return null;
}

/** The one format that may be generated, IMF-fixdate. */
export function dateText(seconds: number): string {
  const date = new Date(seconds * 1000);
  return (
    `${days[date.getUTCDay()]}, ${two(date.getUTCDate())} ${months[date.getUTCMonth()]} ${date.getUTCFullYear()} ` +
    `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())} GMT`
  );
}

function seconds(
  year: number,
  monthName: string,
  day: string,
  hour: string,
  minute: string,
  second: string,
): number | null {
  const month = months.findIndex((name) => name.toLowerCase() === monthName.toLowerCase());
  if (month === -1) return null;
  const [d, h, m, s] = [Number(day), Number(hour), Number(minute), Number(second)];
  if (d < 1 || d > 31 || h > 23 || m > 59 || s > 60) return null;
  const time = Date.UTC(year, month, d, h, m, s);
  // Date.UTC rolls 31 February over into March: a day that the month does not have is no date.
  if (new Date(time).getUTCDate() !== d && s < 60) return null;
  return time / 1000;
}

function dayIndex(names: readonly string[], name: string): number {
  return names.findIndex((known) => known.toLowerCase() === name.toLowerCase());
}

function two(value: number): string {
  return value < 10 ? `0${value}` : `${value}`;
}
