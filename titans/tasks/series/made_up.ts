/**
 * Series to forecast where no data is at hand: hours of four columns that are forecast for different reasons.
 *
 *     load    a day and a week that repeat, their size a random walk     what was a day and a week ago tells most
 *     price   follows the load of six hours ago, with errors that last   another column tells most
 *     wind    a damped oscillation of about two days, driven by noise    the last rows tell a little, for some hours
 *     tide    two periods that beat, 12.42 and 12 hours                  is known for ever to who knows the phases
 */
import { SampleRandom } from "../samples.ts";
import type { TaskFile } from "../task.ts";

const HOURS = 4000;
/** Hours by which the price follows the load. */
const LAG = 6;
const COLUMNS = ["load", "price", "wind", "tide"] as const;

/** A CSV file, always the same one. */
export function madeUpSeries(): TaskFile {
  const random = new SampleRandom(20260101, "made-up series");
  const wave = (hour: number, period: number, phase = 0): number => Math.sin(2 * Math.PI * (hour / period + phase));
  const loads: number[] = [], lines = [COLUMNS.join(",")];
  let size = 1, error = 0, wind = 0, before = 0;
  for (let hour = 0; hour < HOURS; hour++) {
    size += 0.01 * normal(random) - 0.005 * (size - 1);
    const load = size * (wave(hour, 24, 0.7) + 0.5 * wave(hour, 12) + 0.6 * wave(hour, 168)) + 0.1 * normal(random);
    loads.push(load);
    error = 0.95 * error + 0.1 * normal(random);
    [wind, before] = [1.93 * wind - 0.95 * before + 0.1 * normal(random), wind];
    const tide = wave(hour, 12.42) + 0.4 * wave(hour, 12, 0.2) + 0.05 * normal(random);
    const values = [load, 0.8 * loads[Math.max(0, hour - LAG)] + error, wind, tide];
    lines.push(values.map((value) => value.toFixed(4)).join(","));
  }
  return { name: "made-up-series.csv", bytes: new TextEncoder().encode(`${lines.join("\n")}\n`) };
}

/** A normal number (Box and Muller). */
function normal(random: SampleRandom): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random.uniform()));
  return radius * Math.cos(2 * Math.PI * random.uniform());
}
