/**
 * Time stamps: which format a column has, the instants that it says, and how far they are apart.
 *
 * Known are ISO 8601 (2016-07-01, 2016-07-01 06:00, 2016-07-01T06:00:00Z, 2016-07), day and month first
 * (01.07.2016 06:00, 07/01/2016 6:00 PM), and numbers that are seconds or milliseconds since 1970. Stamps without a zone
 * are taken as UTC, so that no hour is missing or there twice.
 */
import { ConfigError } from "../../errors.ts";
import type { TableColumn } from "./table.ts";

/** How far stamps are apart. */
export interface Spacing {
  /** In what the step counts: milliseconds, calendar months, or the numbers of the column. */
  readonly unit: "ms" | "month" | "number";
  /** How many. */
  readonly step: number;
}

const ISO =
  /^(\d{4})[-/.](\d{1,2})(?:[-/.](\d{1,2}))?(?:[T ](\d{1,2}):(\d{2})(?::(\d{2}(?:[.,]\d+)?))?)?\s*(Z|UTC|[+-]\d{2}:?\d{2})?$/i;
const PARTS = /^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})(?:[T ,]+(\d{1,2}):(\d{2})(?::(\d{2}(?:[.,]\d+)?))?\s*(AM|PM)?)?$/i;

const DAY = 86_400_000;

/** Numbers from here on are seconds since 1970, and a thousand times that milliseconds: 1973 in both. */
const FIRST_SECONDS = 1e8, FIRST_MILLISECONDS = 1e11;

/** Instants of a column, in milliseconds since 1970, or its own numbers. */
export interface Stamps {
  /** By row. */
  readonly at: Float64Array;
  /** Whether they are instants. */
  readonly isTime: boolean;
}

/** The stamps of a column; undefined if it has none. An empty field, or one that is no stamp, is NaN. */
export function stampsOf({ texts, numbers }: TableColumn): Stamps | undefined {
  if (numbers) {
    const scale = scaleOf(numbers);
    return { at: numbers.map((value) => value * scale), isTime: scale !== 1 || numbers[0] >= FIRST_MILLISECONDS };
  }
  const first = texts!.find((text) => text !== "");
  if (first === undefined) return undefined;
  if (ISO.test(first)) return { at: Float64Array.from(texts!, isoInstant), isTime: true };
  if (!PARTS.test(first)) return undefined;
  // 13 can be no month; where nothing tells, points stand between day and month, strokes between month and day.
  const parts = texts!.map((text) => PARTS.exec(text));
  const isDayFirst = parts.some((found) => found && Number(found[1]) > 12) ||
    (first.includes(".") && !parts.some((found) => found && Number(found[2]) > 12));
  return { at: Float64Array.from(parts, (found) => partsInstant(found, isDayFirst)), isTime: true };
}

function scaleOf(numbers: Float64Array): number {
  return numbers[0] >= FIRST_SECONDS && numbers[0] < FIRST_MILLISECONDS ? 1000 : 1;
}

/** Whether a column of numbers may be one of instants. */
export function areInstants({ numbers }: TableColumn): boolean {
  return numbers !== undefined && numbers[0] >= FIRST_SECONDS && numbers.every(Number.isInteger);
}

function isoInstant(text: string): number {
  const found = ISO.exec(text);
  if (!found) return NaN;
  const [, year, month, day = "1", hour = "0", minute = "0", second = "0", zone = "Z"] = found;
  const offset = /[+-]/.test(zone) ? Number(zone.slice(0, 3)) * 60 + Number(zone[0] + zone.slice(-2)) : 0;
  return instant([year, month, day, hour, minute, second]) - offset * 60_000;
}

function partsInstant(found: RegExpExecArray | null, isDayFirst: boolean): number {
  if (!found) return NaN;
  const [, one, two, year, hour = "0", minute = "0", second = "0", half] = found;
  const [day, month] = isDayFirst ? [one, two] : [two, one];
  const hours = half ? Number(hour) % 12 + (half.toUpperCase() === "PM" ? 12 : 0) : Number(hour);
  return instant([year, month, day, String(hours), minute, second]);
}

/** Milliseconds since 1970; NaN for the 31st of February and the like. */
function instant(texts: readonly string[]): number {
  const [year, month, day, hour, minute, second] = texts.map((text) => Number(text.replace(",", ".")));
  const at = Date.UTC(year, month - 1, day, hour, minute, 0) + Math.round(second * 1000), date = new Date(at);
  const isThere = date.getUTCMonth() === month - 1 || hour === 24;
  return isThere && hour <= 24 && minute < 60 && second < 61 ? at : NaN;
}

/** The most frequent step between rows, in months where that is what they have in common. */
export function spacingOf({ at, isTime }: Stamps): Spacing {
  const months = isTime ? monthlyStep(at) : undefined;
  if (months !== undefined) return { unit: "month", step: months };
  const counts = new Map<number, number>();
  for (let i = 1; i < at.length; i++) counts.set(at[i] - at[i - 1], (counts.get(at[i] - at[i - 1]) ?? 0) + 1);
  let step = NaN, most = 0;
  for (const [difference, count] of counts) if (difference > 0 && count > most) [step, most] = [difference, count];
  return { unit: isTime ? "ms" : "number", step };
}

/** Months from row to row, where all are as many apart and on the same day, or on the last of their month. */
function monthlyStep(at: Float64Array): number | undefined {
  const dates = Array.from(at.subarray(0, 100), (value) => new Date(value));
  const month = (date: Date): number => 12 * date.getUTCFullYear() + date.getUTCMonth();
  const isLast = (date: Date): boolean => new Date(date.getTime() + DAY).getUTCMonth() !== date.getUTCMonth();
  const step = dates.length > 2 ? month(dates[1]) - month(dates[0]) : 0;
  const isMonthly = step > 0 && (dates.every((date) => date.getUTCDate() === dates[0].getUTCDate()) ||
    dates.every(isLast)) &&
    dates.every((date, i) => i === 0 || month(date) - month(dates[i - 1]) === step);
  return isMonthly ? step : undefined;
}

/** The stamp `count` steps later. */
export function later(at: number, { unit, step }: Spacing, count: number): number {
  if (unit !== "month") return at + count * step;
  const from = new Date(at), isLast = new Date(at + DAY).getUTCMonth() !== from.getUTCMonth();
  const target = new Date(Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + count * step, 1));
  const days = new Date(Date.UTC(target.getUTCFullYear(), target.getUTCMonth() + 1, 0)).getUTCDate();
  return target.getTime() + (isLast ? days - 1 : Math.min(days, from.getUTCDate()) - 1) * DAY +
    ((at % DAY) + DAY) % DAY;
}

/** A stamp as a person reads it: `2016-07-01 06:00:00`, without a time where it is midnight by `isDate`. */
export function shownStamp(at: number, unit: Spacing["unit"], isDate = false): string {
  if (unit === "number") return String(Number(at.toPrecision(15)));
  const text = new Date(at).toISOString();
  return isDate ? text.slice(0, 10) : text.slice(0, 19).replace("T", " ");
}

const UNITS: readonly (readonly [ms: number, name: string])[] = [[DAY, "day"], [3_600_000, "hour"], [
  60_000,
  "minute",
], [1000, "second"]];

/** A step as a person reads it: `1 hour`, `15 minutes`. */
export function shownStep({ unit, step }: Spacing): string {
  if (unit === "number") return String(step);
  const plural = (count: number, name: string): string => `${count} ${name}${count === 1 ? "" : "s"}`;
  if (unit === "month") return plural(step, "month");
  const [ms, name] = UNITS.find(([ms]) => step % ms === 0) ?? [1, "millisecond"];
  return plural(step / ms, name);
}

/** A fault of the stamps of consecutive rows. */
export interface StampFault {
  /** The row, from 0. */
  readonly row: number;
  /** What is wrong. */
  readonly kind: "none" | "back" | "gap";
}

/** The first row whose stamp is none, does not follow the one before, or is not a step after it. */
export function stampFault({ at }: Stamps, spacing: Spacing, allowGaps: boolean): StampFault | undefined {
  for (let row = 0; row < at.length; row++) {
    if (Number.isNaN(at[row])) return { row, kind: "none" };
    if (row === 0) continue;
    if (!(at[row] > at[row - 1])) return { row, kind: "back" };
    if (!allowGaps && Math.abs(later(at[row - 1], spacing, 1) - at[row]) > 1e-6 * spacing.step) {
      return { row, kind: "gap" };
    }
  }
  return undefined;
}

/** Refuses stamps with a fault. @throws {ConfigError} that says what to do. */
export function refuseStamps(
  { row, kind }: StampFault,
  { stamps: { at }, spacing, file, line, column }: {
    readonly stamps: Stamps;
    readonly spacing: Spacing;
    readonly file: string;
    readonly line: number;
    readonly column: string;
  },
): never {
  const where = `Cannot use ${file}: line ${line}`, shown = (row: number): string => shownStamp(at[row], spacing.unit);
  if (kind === "none") {
    throw new ConfigError(`${where} has no time stamp in its column ${column} that can be read`, "time");
  }
  if (kind === "back") {
    throw new ConfigError(
      `${where} is of ${shown(row)}, which does not come after ${
        shown(row - 1)
      } in the row before: sort the rows by ${column}, keep one row of each time, or give the column that tells series apart as the option by`,
      "time",
    );
  }
  throw new ConfigError(
    `${where} is of ${shown(row)}, ${shown(row - 1)} comes before it, and most rows are ${
      shownStep(spacing)
    } apart: give the option gaps=fill to put the missing rows in, or gaps=ignore to take the rows as they are`,
    "gaps",
  );
}
