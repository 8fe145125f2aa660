/** Forecasts without training, exact and cheap: what a model of series has to beat. */
import type { Score, Split } from "../task.ts";
import { columnAt, fitLinear, type LinearForecast, windowDeviations } from "./least_squares.ts";
import type { SeriesWindows } from "./windows.ts";

/** Writes the forecast of a window, of the `lookback` values that begin at `at` of a column. */
type Forecast = (x: Float64Array, at: number, forecast: Float64Array) => void;

/** The rows of a day, where they are hours. */
const SEASON = 24;

/** The floors by name. */
export const SERIES_FLOORS: Readonly<Record<string, (windows: SeriesWindows) => Forecast>> = {
  "last value": ({ lookback }) => (x, at, forecast) => void forecast.fill(x[at + lookback - 1]),
  [`season of ${SEASON}`]: ({ lookback }) => {
    const season = Math.min(SEASON, lookback);
    return (x, at, forecast) => {
      for (let h = 0; h < forecast.length; h++) forecast[h] = x[at + lookback - season + h % season];
    };
  },
  "least squares": (windows) => linear(windows, fitLinear(windows, false)),
  "least squares by deviation": (windows) => linear(windows, fitLinear(windows, true)),
};

function linear({ lookback: L, horizon: H }: SeriesWindows, { weights, byDeviation }: LinearForecast): Forecast {
  return (x, at, forecast) => {
    const last = x[at + L - 1], beside = byDeviation ? windowDeviations(x.subarray(at, at + L), 1, L)[0] : 1;
    for (let h = 0; h < H; h++) forecast[h] = last + beside * weights[L * H + h];
    for (let i = 0; i < L - 1; i++) {
      const value = x[at + i] - last;
      for (let h = 0; h < H; h++) forecast[h] += value * weights[i * H + h];
    }
  };
}

/** Mean squared and absolute error of a floor over windows of a part: over `most` of them, spread as samples are. */
export function measureFloor(
  windows: SeriesWindows,
  name: string,
  { split = "test", most = Infinity }: { readonly split?: Split; readonly most?: number } = {},
): { readonly mse: number; readonly mae: number; readonly count: number } {
  const { lookback: L, horizon: H, spans, frame: { targets } } = windows;
  const predict = SERIES_FLOORS[name](windows),
    count = Math.min(most, windows.count(split)),
    forecast = new Float64Array(H);
  let squares = 0, sizes = 0;
  for (let channel = 0; channel < targets; channel++) {
    const x = columnAt(windows, channel);
    for (let i = 0; i < count; i++) {
      const at = spans[split].from + windows.spread(split, i);
      predict(x, at, forecast);
      for (let h = 0; h < H; h++) {
        const error = forecast[h] - x[at + L + h];
        squares += error * error;
        sizes += Math.abs(error);
      }
    }
  }
  const numbers = count * targets * H;
  return { mse: squares / numbers, mae: sizes / numbers, count: numbers };
}

/** All floors as scores. */
export function floorScores(windows: SeriesWindows, most: number): Readonly<Record<string, readonly Score[]>> {
  return Object.fromEntries(
    Object.keys(SERIES_FLOORS).map((name) => {
      const { mse, mae, count } = measureFloor(windows, name, { most });
      return [name, [{ name: "loss", value: mse, count }, { name: "mae", value: mae, count }]];
    }),
  );
}
