/** Series as they are learned from: rows that follow each other evenly, and a number in each place. */
import { ConfigError } from "../../errors.ts";
import type { TaskFile } from "../task.ts";
import type { TableOptions } from "./options.ts";
import { areInstants, refuseStamps, type Spacing, spacingOf, stampFault, type Stamps, stampsOf } from "./stamps.ts";
import { readTable, type Table, type TableColumn } from "./table.ts";

/** Series side by side. */
export interface Frame {
  /** The file's name. */
  readonly name: string;
  /** The columns: those to forecast, then the covariates. */
  readonly names: readonly string[];
  /** How many of them are to be forecast. */
  readonly targets: number;
  /** How many rows there are. */
  readonly rows: number;
  /** Row-major [rows, names]. */
  readonly values: Float64Array;
  /** The time of each row, and how far they are apart; absent where the table has no time. */
  readonly time?: { readonly column: string; readonly at: Float64Array; readonly spacing: Spacing };
  /** Values that were missing. */
  readonly missing: number;
  /** Rows that were put in. */
  readonly inserted: number;
}

/** Reads a table of series. @throws {ConfigError} naming the column or the line that cannot be used. */
export function readFrame(file: TaskFile, options: TableOptions): Frame {
  const table = readTable(file), time = timeColumn(table, options.time);
  const wide = options.by === "" ? widthwise(table, time) : spread(table, options, time);
  const placed = wide.time ? placeRows(wide, options) : wide;
  const { names, targets } = chosen(placed, options);
  const columns = names.map((name) => {
    const column = placed.columns.find((column) => column.name === name)!;
    return { name, values: column.numbers!, ...carried(column, placed.name, options.missing) };
  });
  const rows = columns[0].filled.length, values = new Float64Array(rows * names.length);
  columns.forEach(({ filled }, c) => filled.forEach((value, r) => values[r * names.length + c] = value));
  return {
    name: placed.name,
    names,
    targets,
    rows,
    values,
    ...(placed.time ? { time: placed.time } : {}),
    missing: columns.reduce((sum, { missing }) => sum + missing, 0),
    inserted: rows - wide.rows,
  };
}

/** Columns with the time of their rows. */
interface Wide {
  readonly name: string;
  readonly columns: readonly TableColumn[];
  readonly rows: number;
  readonly lines: readonly number[];
  readonly time?: {
    readonly column: string;
    readonly at: Float64Array;
    readonly isTime: boolean;
    readonly spacing: Spacing;
  };
}

function columnOf({ columns, name: file }: Pick<Table, "columns" | "name">, name: string, option: string): TableColumn {
  const found = columns.find((column) => column.name === name);
  if (found) return found;
  const there = columns.slice(0, 20).map(({ name }) => name).join(", ");
  throw new ConfigError(`Cannot use ${file}: it has no column ${JSON.stringify(name)}, there are ${there}`, option);
}

/** The column of times: as named, or the first that has stamps; of numbers, only one that is named as times are. */
function timeColumn(table: Table, name: string): { readonly column: TableColumn; readonly stamps: Stamps } | undefined {
  if (name === "none") return undefined;
  if (name !== "") {
    const column = columnOf(table, name, "time"), stamps = stampsOf(column);
    if (stamps) return { column, stamps };
    throw new ConfigError(
      `Cannot use ${table.name}: column ${name} has no time stamps; known are 2016-07-01 06:00:00, 01.07.2016 06:00, 07/01/2016 6:00 PM and seconds since 1970`,
      "time",
    );
  }
  for (const column of table.columns) {
    const isTime = column.texts !== undefined || (/time|date|^ds$/i.test(column.name) && areInstants(column));
    const stamps = isTime ? stampsOf(column) : undefined;
    if (stamps) return { column, stamps };
  }
  return undefined;
}

function widthwise({ name, columns, lines }: Table, time: ReturnType<typeof timeColumn>): Wide {
  const others = columns.filter((column) => column !== time?.column);
  const wide = { name, columns: others, rows: lines.length, lines };
  if (!time) return wide;
  return { ...wide, time: { column: time.column.name, ...time.stamps, spacing: spacingOf(time.stamps) } };
}

/** A table with several rows per time as one with a column for each series and column, such as `JFK temp`. */
function spread(table: Table, { by }: TableOptions, time: ReturnType<typeof timeColumn>): Wide {
  const keys = columnOf(table, by, "by"),
    keyOf = (row: number): string => keys.texts?.[row] ?? String(keys.numbers![row]);
  if (!time) throw new ConfigError(`Cannot use ${table.name} by ${by}: it has no column of time stamps`, "by");
  const series = [...new Set(table.lines.map((_, row) => keyOf(row)))];
  const times = Float64Array.from(new Set(time.stamps.at)).sort(), place = new Map<number, number>();
  times.forEach((at, i) => place.set(at, i));
  const numbers = table.columns.filter((column) => column !== time.column && column !== keys && column.numbers);
  const seen = new Set<string>();
  const columns = series.flatMap((key) =>
    numbers.map(({ name, fault }) => ({
      name: `${key} ${name}`,
      numbers: new Float64Array(times.length).fill(NaN),
      ...(fault ? { fault } : {}),
    }))
  );
  table.lines.forEach((line, row) => {
    const at = time.stamps.at[row], key = keyOf(row);
    if (Number.isNaN(at) || seen.has(`${at} ${key}`)) {
      const what = Number.isNaN(at) ? "no time stamp that can be read" : `the same time as another row of ${key}`;
      throw new ConfigError(`Cannot use ${table.name}: line ${line} has ${what}`, "by");
    }
    seen.add(`${at} ${key}`);
    const first = series.indexOf(key) * numbers.length;
    numbers.forEach((column, i) => columns[first + i].numbers[place.get(at)!] = column.numbers![row]);
  });
  const stamps = { at: times, isTime: time.stamps.isTime };
  return {
    name: table.name,
    columns,
    rows: times.length,
    lines: Array.from(times, (at) => table.lines[time.stamps.at.indexOf(at)]),
    time: { column: time.column.name, ...stamps, spacing: spacingOf(stamps) },
  };
}

// Of a column of seconds in which one row is years off, no table of all seconds is made.
const MOST_ROWS = 2 ** 24;

/** Rows where their times say, evenly spaced unless that is not asked for. */
function placeRows(wide: Wide, { gaps }: TableOptions): Wide {
  const time = wide.time!, { at, spacing, column } = time;
  const refuse = (fault: NonNullable<ReturnType<typeof stampFault>>): never =>
    refuseStamps(fault, { stamps: time, spacing, file: wide.name, line: wide.lines[fault.row], column });
  const fault = stampFault(time, spacing, gaps !== "refuse");
  if (fault) refuse(fault);
  if (gaps !== "fill" || spacing.unit === "month") return wide;
  const places = Array.from(at, (value) => (value - at[0]) / spacing.step);
  const off = places.findIndex((place) => Math.abs(place - Math.round(place)) > 1e-6);
  if (off >= 0 || places[places.length - 1] > MOST_ROWS) {
    throw new ConfigError(
      `Cannot fill the gaps of ${wide.name}: line ${
        wide.lines[Math.max(0, off)]
      } is not a whole number of steps after the first row; give the option gaps=ignore`,
      "gaps",
    );
  }
  const rows = Math.round(places[places.length - 1]) + 1;
  return {
    ...wide,
    rows,
    columns: wide.columns.map((column) => {
      if (!column.numbers) return column;
      const numbers = new Float64Array(rows).fill(NaN);
      places.forEach((place, row) => numbers[Math.round(place)] = column.numbers![row]);
      return { ...column, numbers };
    }),
    time: { ...time, at: Float64Array.from({ length: rows }, (_, i) => at[0] + i * spacing.step) },
  };
}

/** The columns that options name, or all that have numbers. */
function chosen(wide: Wide, options: TableOptions): { readonly names: readonly string[]; readonly targets: number } {
  const listed = (option: "columns" | "covariates"): string[] =>
    options[option].split(",").map((name) => name.trim()).filter(Boolean);
  const covariates = listed("covariates"), named = listed("columns");
  const targets = named.length > 0
    ? named
    : wide.columns.flatMap(({ name, numbers }) =>
      numbers?.some((value) => !Number.isNaN(value)) && !covariates.includes(name) ? [name] : []
    );
  if (targets.length === 0) throw new ConfigError(`Cannot use ${wide.name}: it has no columns of numbers`, "columns");
  for (const [names, option] of [[targets, "columns"], [covariates, "covariates"]] as const) {
    for (const name of names) {
      const { numbers, texts, fault } = columnOf(wide, name, option);
      const bad = fault ? `line ${fault.line} has ${JSON.stringify(fault.text)}` : texts ? "it has texts" : undefined;
      if (bad !== undefined) {
        throw new ConfigError(
          `Cannot forecast column ${name} of ${wide.name}: ${bad} where a number is expected, or nothing where it is missing`,
          option,
        );
      }
      if (!numbers!.some((value) => !Number.isNaN(value))) {
        throw new ConfigError(`Cannot use column ${name} of ${wide.name}: it has no values`, option);
      }
    }
  }
  const twice = [...targets, ...covariates].find((name, i, all) => all.indexOf(name) < i);
  if (twice !== undefined) throw new ConfigError(`Cannot use column ${twice} twice: name it once`, "columns");
  return { names: [...targets, ...covariates], targets: targets.length };
}

/** A column in which missing values are those before them, at the beginning the first there is. */
function carried(
  { name, numbers }: TableColumn,
  file: string,
  missing: TableOptions["missing"],
): { readonly filled: Float64Array; readonly missing: number } {
  const filled = numbers!.slice();
  let count = 0, last = filled.find((value) => !Number.isNaN(value))!;
  for (let row = 0; row < filled.length; row++) {
    if (!Number.isNaN(filled[row])) last = filled[row];
    else {
      count++;
      filled[row] = last;
    }
  }
  if (count > 0 && missing === "refuse") {
    throw new ConfigError(
      `Cannot use column ${name} of ${file}: ${count} of its ${filled.length} values are missing; give the option missing=carry`,
      "missing",
    );
  }
  return { filled, missing: count };
}
