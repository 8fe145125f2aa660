/**
 * Figures that are measured at several places, read off their names: `accuracy, length 2048, depth 50` is the figure
 * `accuracy` at length 2048 and depth 50.
 */

/** A figure's name, taken apart. */
export interface Placed {
  /** The name without its place. */
  readonly figure: string;
  /** Where it was measured, by axis. */
  readonly at: Readonly<Record<string, number>>;
}

/** Takes a name apart. */
export function placeOf(name: string): Placed {
  const [figure, ...parts] = name.split(", "), at: Record<string, number> = {};
  const others: string[] = [];
  for (const part of parts) {
    const [, axis, value] = /^(\D+?) (\d[\d,]*(?:\.\d+)?)$/.exec(part) ?? [];
    if (axis === undefined) others.push(part);
    else at[axis] = Number(value.replaceAll(",", ""));
  }
  return { figure: [figure, ...others].join(", "), at };
}

/** Figures that differ in nothing but their place. */
export interface FigureSeries {
  readonly figure: string;
  /** Names of the axes, in the order of the name. */
  readonly axes: readonly string[];
  /** The names of the figures, with their places. */
  readonly points: readonly { readonly name: string; readonly at: Readonly<Record<string, number>> }[];
}

/** The series among the names of figures: those that were measured at two places or more. */
export function seriesOf(names: readonly string[]): readonly FigureSeries[] {
  const found = new Map<
    string,
    { readonly figure: string; readonly axes: string[]; readonly points: FigureSeries["points"][number][] }
  >();
  for (const name of names) {
    const { figure, at } = placeOf(name), axes = Object.keys(at);
    if (axes.length === 0) continue;
    const key = JSON.stringify([figure, ...axes]), series = found.get(key) ?? { figure, axes, points: [] };
    series.points.push({ name, at });
    found.set(key, series);
  }
  return [...found.values()].filter(({ points }) => points.length > 1);
}
