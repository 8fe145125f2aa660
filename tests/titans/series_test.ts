/** Series: tables as they come, the protocol's borders, scaling and windows, floors by hand and on ETTh1. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { ConfigError, taskFiles } from "../../titans/mod.ts";
import { series, SERIES_OPTIONS } from "../../titans/tasks/mod.ts";
import { defaultsOf } from "../../titans/options/option_table.ts";
import { measureFloor, SERIES_FLOORS } from "../../titans/tasks/series/floors.ts";
import { type Frame, readFrame } from "../../titans/tasks/series/frame.ts";
import {
  TABLE_OPTIONS,
  type TableOptions,
  WINDOW_OPTIONS,
  type WindowOptions,
} from "../../titans/tasks/series/options.ts";
import { madeUpSeries } from "../../titans/tasks/series/made_up.ts";
import { later, shownStep, stampsOf } from "../../titans/tasks/series/stamps.ts";
import { SeriesWindows } from "../../titans/tasks/series/windows.ts";
import { readData, withData } from "./data_folder.ts";
import { textFile } from "./task_cases.ts";

const frameOf = (text: string, options: Partial<TableOptions> = {}): Frame =>
  readFrame(textFile("t.csv", text), { ...defaultsOf(TABLE_OPTIONS), ...options });

const windowsOf = (frame: Frame, options: Partial<WindowOptions>): SeriesWindows =>
  new SeriesWindows(frame, { ...defaultsOf(WINDOW_OPTIONS), ...options });

/** A table with one column and no times. */
const plain = (values: readonly number[]): Frame => frameOf(`x\n${values.join("\n")}\n`);

Deno.test("series: borders and windows are those of the protocol", () => {
  const count = (rows: number, lookback: number, horizon: number): number[] => {
    const windows = windowsOf(plain(Array.from({ length: rows }, (_, i) => i % 13)), { lookback, horizon });
    return (["train", "validation", "test"] as const).map((split) => windows.count(split));
  };
  // Of 100 rows 70, 10 and 20, the latter two with 4 rows to look back to.
  assertEquals(count(100, 4, 2), [65, 9, 19]);
  const { spans } = windowsOf(plain(Array.from({ length: 7588 }, (_, i) => i)), {});
  assertEquals(spans.train, { from: 0, to: 5311 });
  assertEquals([spans.test.to - spans.test.from - 96, spans.validation.to - spans.validation.from - 96], [1517, 760]);
  assertEquals(count(7588, 96, 96)[2], 1422);
  const whole = windowsOf(plain(Array.from({ length: 100 }, (_, i) => i)), { lookback: 4, horizon: 2 });
  assertEquals(whole.frame.rows - 4 - 2 + 1, 95);
  const hours = windowsOf(plain(Array.from({ length: 14_400 }, (_, i) => i % 11)), { borders: "etth", horizon: 720 });
  assertEquals([hours.count("train"), hours.count("test")], [7825, 2161]);
});

Deno.test("series: columns are standardised by mean and population deviation of the rows to train on", () => {
  const values = [...Array.from({ length: 70 }, (_, i) => i % 2 === 0 ? 1 : 3), ...Array.from({ length: 30 }, () => 9)];
  const { means, deviations, scaled } = windowsOf(plain(values), { lookback: 4, horizon: 2 });
  assertEquals([means[0], deviations[0]].map((value) => Number(value.toFixed(12))), [2, 1]);
  assertAlmostEquals(scaled[99], 7, 1e-12);
  const constant = windowsOf(plain(Array.from({ length: 100 }, () => 5)), { lookback: 4, horizon: 2 });
  assertEquals(constant.deviations[0], 1);
  assertAlmostEquals(constant.scaled[0], 0, 1e-12);
});

Deno.test("series: a part of the windows is spread over all of them, and floors are measured on the same", () => {
  const rows = Array.from({ length: 1000 }, (_, i) => i % 13);
  const windows = windowsOf(plain(rows), { lookback: 4, horizon: 2 }), count = windows.count("test");
  const order = Array.from({ length: count }, (_, i) => windows.spread("test", i));
  assertEquals(new Set(order).size, count, "each comes once");
  for (const most of [5, 20, 50]) {
    const places = order.slice(0, most).sort((a, b) => a - b),
      gaps = places.slice(1).map((place, i) => place - places[i]);
    assert(Math.max(...gaps) < 3 * count / most, `${most} windows: ${gaps}`);
  }
  const starts = windows.starts("test", 0, { first: 0, count: 20, channels: 2 });
  assertEquals(
    starts.map((place) => place!.row - windows.spans.test.from),
    order.slice(0, 10).flatMap((row) => [row, row]),
  );
  assertEquals(windows.starts("test", 0, { first: count - 1, count: 2, channels: 1 })[1], undefined);
  // The last half of the test rows is larger, which the first windows alone would not see.
  const stepped = windowsOf(plain([...rows.slice(0, 900), ...rows.slice(900).map((x) => 10 * x)]), {
    lookback: 4,
    horizon: 2,
  });
  const some = measureFloor(stepped, "last value", { most: 40 }).mse, all = measureFloor(stepped, "last value").mse;
  assert(some > 0.5 * all && some < 2 * all, `${some} of ${all}`);
});

Deno.test("series: floors by hand", () => {
  // 70 rows of -1 and 1 keep the scale; the last window's last value is 5 where 6 and 4 follow.
  const tail = [0, 0, 0, 5, 6, 4], rows = Array.from({ length: 94 }, (_, i) => i % 2 === 0 ? -1 : 1);
  const windows = windowsOf(plain([...rows, ...tail]), { lookback: 4, horizon: 2 });
  const count = windows.count("test"), order = Array.from({ length: count }, (_, i) => windows.spread("test", i));
  const at = order.indexOf(count - 1), upTo = (most: number) => measureFloor(windows, "last value", { most });
  assertAlmostEquals(upTo(at + 1).mse * (at + 1) - upTo(at).mse * at, 1, 1e-9);
  assertAlmostEquals(upTo(at + 1).mae * (at + 1) - upTo(at).mae * at, 1, 1e-9);
  // What repeats every 24 rows is forecast, step 25 as step 1.
  const daily = windowsOf(plain(Array.from({ length: 600 }, (_, i) => i * i % 24)), { lookback: 48, horizon: 30 });
  assertEquals(measureFloor(daily, "season of 24").mse, 0);
  assert(measureFloor(daily, "last value").mse > 0.5);
  // A sum of two sinusoids and a trend has a linear recurrence, which least squares finds.
  const smooth = Array.from({ length: 600 }, (_, i) => Math.sin(i / 5) + Math.cos(i / 3) + i / 100);
  for (const name of ["least squares", "least squares by deviation"]) {
    const { mse } = measureFloor(windowsOf(plain(smooth), { lookback: 12, horizon: 5 }), name);
    assert(mse < 1e-3, `${name}: ${mse}`);
  }
});

Deno.test("series: separators, headers, decimal commas, quotes and missing values", () => {
  const table = frameOf('"date";"a, b";c\n2024-01-01;"1,5";2\n2024-01-02;;3\n2024-01-03;2,5;NA\n');
  assertEquals(table.names, ["a, b", "c"]);
  assertEquals([...table.values], [1.5, 2, 1.5, 3, 2.5, 3]);
  assertEquals([table.missing, shownStep(table.time!.spacing)], [2, "1 day"]);
  assertEquals(frameOf("1,2\n3,4\n").names, ["column1", "column2"]);
  assertEquals([...frameOf("x\n\n\nnan\n3\n4\n").values], [3, 3, 4], "the first value where none is before it");
  const long = frameOf("when,who,v\n2024-01-01,b,1\n2024-01-01,a,2\n2024-01-02,a,3\n2024-01-02,b,4\n", { by: "who" });
  assertEquals([long.names, [...long.values]], [["b v", "a v"], [1, 2, 4, 3]]);
  const cut = frameOf("t,x,y,note\n1,5,6,hi\n2,7,8,ho\n", { columns: "y", covariates: "x" });
  assertEquals([cut.names, cut.targets, [...cut.values]], [["y", "x"], 1, [6, 5, 8, 7]]);
});

Deno.test("series: time stamps in all their formats, and steps after them", () => {
  const read = (...texts: string[]): string[] =>
    Array.from(
      stampsOf({ name: "t", texts })!.at,
      (at) => Number.isNaN(at) ? "none" : new Date(at).toISOString().slice(0, 16),
    );
  assertEquals(read("2016-07-01 06:00:00", "2016-7-2", "2016-07-01T06:00:00+02:00"), [
    "2016-07-01T06:00",
    "2016-07-02T00:00",
    "2016-07-01T04:00",
  ]);
  assertEquals(read("02.01.2016 23:15", "03.01.2016 00:00"), ["2016-01-02T23:15", "2016-01-03T00:00"]);
  assertEquals(read("1/2/2016 12:30 AM", "1/2/2016 1:00 PM"), ["2016-01-02T00:30", "2016-01-02T13:00"]);
  assertEquals(read("13/02/2016", "1/3/2016"), ["2016-02-13T00:00", "2016-03-01T00:00"], "13 is no month");
  assertEquals(read("2016-02-30", "2016-02-29"), ["none", "2016-02-29T00:00"]);
  const months = frameOf("m,x\n2024-01-31,1\n2024-02-29,2\n2024-03-31,3\n2024-04-30,4\n").time!;
  assertEquals(shownStep(months.spacing), "1 month");
  assertEquals(new Date(later(months.at[3], months.spacing, 2)).toISOString().slice(0, 10), "2024-06-30");
  const unix = frameOf("timestamp,x\n1700000000,1\n1700000900,2\n1700001800,3\n").time!;
  assertEquals([shownStep(unix.spacing), unix.at[0]], ["15 minutes", 1_700_000_000_000]);
});

Deno.test("series: what cannot be used is refused in one line that says what to do", () => {
  const gap = "date,x\n2024-01-01,1\n2024-01-02,2\n2024-01-03,2\n2024-01-06,3\n";
  const cases: [text: string, options: Partial<TableOptions>, message: string][] = [
    [gap, {}, "line 5 is of 2024-01-06 00:00:00, 2024-01-03 00:00:00 comes before it, and most rows are 1 day apart"],
    ["date,x\n2024-01-02,1\n2024-01-01,2\n", {}, "line 3 is of 2024-01-01 00:00:00, which does not come after"],
    ["date,x\n2024-01-01,1\nsoon,2\n", {}, "line 3 has no time stamp in its column date"],
    ["a,b\n1,2\n3\n", {}, "line 3 has 1 fields, the first row has 2"],
    ["a,b\n1,2\n3,x\n", {}, 'column b of t.csv: line 3 has "x" where a number is expected'],
    ["a,b\n1,2\n", { columns: "c" }, 'it has no column "c", there are a, b'],
    ["a,b\n1,2\n", { time: "a", columns: "b", covariates: "b" }, "Cannot use column b twice"],
    ["a,b\nx,\n", { columns: "b" }, "column b of t.csv: it has no values"],
    ["a,b\nx,2\ny,\n", { columns: "b", missing: "refuse" }, "1 of its 2 values are missing"],
    ["a,a\n1,2\n", {}, 'two of its columns are called "a"'],
    ["a,b\n", {}, "it has no rows below its first line"],
    ['a,b\n1,"2\n', {}, "has a quote that is never closed"],
    ["a\ntext\n", {}, "it has no columns of numbers"],
    ["a,v\n1,2\n", { by: "a" }, "it has no column of time stamps"],
  ];
  for (const [text, options, message] of cases) assertThrows(() => frameOf(text, options), ConfigError, message);
  const filled = frameOf(gap, { gaps: "fill" });
  assertEquals([[...filled.values], filled.inserted], [[1, 2, 2, 2, 2, 3], 2]);
  assertEquals(frameOf(gap, { gaps: "ignore" }).rows, 4);
  assertThrows(() => windowsOf(plain([1, 2, 3, 4, 5]), {}), ConfigError, "one window takes 192");
  assertThrows(() => windowsOf(plain([1, 2, 3]), { borders: "etth" }), ConfigError, "it has 3 rows, that takes 14400");
  const options = { ...defaultsOf(SERIES_OPTIONS), data: "t.csv", lookback: 8, horizon: 2 };
  const files = taskFiles({ "t.csv": [textFile("t.csv", `x\n${"1\n2\n".repeat(60)}`)] });
  assertThrows(() => series.create(options, files), ConfigError, "patches of 16 rows: a window has 8");
  assertThrows(() => series.create({ ...options, data: "" }), ConfigError, "give its option data");
});

Deno.test("series: made-up series are always the same, and some of each can be forecast", () => {
  const frame = readFrame(madeUpSeries(), defaultsOf(TABLE_OPTIONS));
  assertEquals([frame.names, frame.rows, frame.missing], [["load", "price", "wind", "tide"], 4000, 0]);
  assertEquals([...frame.values.subarray(0, 4)], [-0.785, -0.5441, 0.0655, 0.4334]);
  const columns = (column: string) =>
    windowsOf(readFrame(madeUpSeries(), { ...defaultsOf(TABLE_OPTIONS), columns: column }), { horizon: 12 });
  for (const column of frame.names) {
    const { mse } = measureFloor(columns(column), "least squares");
    assert(mse < 0.9, `${column}: ${mse}`);
  }
});

async function real(name: string, options: Partial<TableOptions> = {}): Promise<Frame> {
  const bytes = await readData(`timeseries/${name}`);
  return readFrame({ name, bytes }, { ...defaultsOf(TABLE_OPTIONS), ...options });
}

function checkFloors(frame: Frame, horizon: number, expected: readonly string[]): void {
  const windows = windowsOf(frame, { horizon });
  const found = Object.keys(SERIES_FLOORS).map((name) => measureFloor(windows, name));
  const shown = (value: number): string => value.toFixed(3).replace(/^0/, "");
  assertEquals(found.map(({ mse, mae }) => `${shown(mse)}/${shown(mae)}`), expected, `${frame.name} ${horizon}`);
}

withData("series: ETTh1 and the weather of New York have the means, windows and floors that are known", async () => {
  const etth1 = await real("ETTh1.csv"), windows = windowsOf(etth1, {});
  const digits = (values: Float64Array): string[] => Array.from(values, (value) => value.toFixed(4));
  assertEquals(digits(windows.means), ["7.9377", "2.0210", "5.0798", "0.7462", "2.7818", "0.7885", "17.1283"]);
  assertEquals(digits(windows.deviations), ["5.8127", "2.0901", "5.5188", "1.9264", "1.0235", "0.6302", "9.1765"]);
  const first = ["-0.3631", "-0.0058", "-0.6307", "-0.1475", "1.3886", "0.8751", "1.4606"];
  assertEquals(digits(windows.scaled.slice(0, 7)), first);
  assertEquals([windows.count("train"), windows.count("test")], [8449, 2785]);
  checkFloors(etth1, 96, ["1.294/.713", ".512/.433", ".383/.392", ".384/.392"]);
  checkFloors(etth1, 192, ["1.325/.733", ".581/.469", ".434/.421", ".436/.422"]);
  checkFloors(etth1, 336, ["1.330/.746", ".650/.501", ".476/.443", ".479/.444"]);
  checkFloors(etth1, 720, ["1.335/.755", ".655/.514", ".470/.462", ".480/.469"]);
  const columns = ["EWR", "JFK", "LGA"].flatMap((origin) =>
    ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"].map((name) => `${origin} ${name}`)
  );
  const table = { by: "origin", time: "time_hour", gaps: "ignore", columns: columns.join() } as const;
  const weather = await real("nycflights13-weather.csv", table);
  assertEquals([weather.rows, weather.names.length], [8714, 21]);
  checkFloors(weather, 96, ["1.426/.733", "1.528/.776", ".895/.629", ".895/.629"]);
  checkFloors(weather, 192, ["1.521/.782", "1.553/.797", ".936/.658", ".936/.658"]);
  // The last value is given as 1.616/.814 elsewhere, which is what 1,406 of the 1,407 windows have.
  checkFloors(weather, 336, ["1.615/.813", "1.638/.823", ".990/.674", ".989/.672"]);
});
