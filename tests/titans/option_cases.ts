/** Tables of options for tests: every one of the library, and values that a row takes and does not take. */
import { RECIPE_OPTIONS } from "../../cli/data/recipe.ts";
import { RUN_OPTIONS } from "../../cli/run_options.ts";
import { MODEL_OPTIONS } from "../../titans/models/options.ts";
import { MIXERS, OPTIMIZERS, optimizerTable, SAMPLING_OPTIONS } from "../../titans/mod.ts";
import { TASKS } from "../../titans/tasks/mod.ts";
import type { OptionRow, OptionTable, OptionValue } from "../../titans/options/option_table.ts";

/** Every table of the library, by what takes its options. */
export const TABLES: Readonly<Record<string, OptionTable>> = {
  "a model": MODEL_OPTIONS,
  ...tablesOf(MIXERS),
  ...tablesOf(TASKS),
  ...Object.fromEntries(Object.keys(OPTIMIZERS).map((name) => [name, optimizerTable(name)])),
  Sampler: SAMPLING_OPTIONS,
  "a run": RUN_OPTIONS,
  "a text": RECIPE_OPTIONS,
};

/** The tables of what a registry holds, by name. */
function tablesOf(registry: Readonly<Record<string, { readonly options: OptionTable }>>): Record<string, OptionTable> {
  return Object.fromEntries(Object.entries(registry).map(([name, { options }]) => [name, options]));
}

/** A table of a test's own, with a row of each kind. */
export const OWN = {
  depth: { kind: "integer", default: 2, min: 1, max: 4, help: "how deep it is", group: "Shape", before: 1 },
  turns: { kind: "integer", default: 0, min: 0, help: "how often it turns", idleWith: { spins: [false] }, flag: "n" },
  rate: { kind: "number", default: 0.5, min: 0, aboveMin: true, max: 1, belowMax: true, help: "how fast it is" },
  offset: { kind: "number", default: -1, help: "where it starts" },
  spins: { kind: "toggle", default: true, help: "spinning", without: "it stands" },
  isLoud: { kind: "toggle", default: false, help: "it makes noise with `turns`" },
  shape: {
    kind: "choice",
    default: "round",
    choices: { round: "like a ball of `depth`", flat: "like a `disc`" },
    help: "its form",
  },
  name: { kind: "text", default: "", placeholder: "NAME", help: "what it is called" },
  secret: { kind: "integer", default: 3, min: 0, max: 9, help: "rows of a block", flag: false, costOnly: true },
} as const satisfies OptionTable;

/** Values that a row takes: its default and the ends of its range among them. */
export function inside(row: OptionRow): readonly OptionValue[] {
  if (row.kind === "toggle") return [true, false];
  if (row.kind === "choice") return Object.keys(row.choices);
  if (row.kind === "text") return ["a", "a/b.csv", "1"];
  const { min = -1e6, max = 1e6 } = row, step = row.kind === "integer" ? 1 : (max - min) / 1024;
  const least = row.kind === "number" && row.aboveMin ? min + step : min,
    greatest = row.kind === "number" && row.belowMax ? max - step : max;
  return [row.default, least, greatest, least + step];
}

/** Values of every kind that a row does not take. */
export function outside(row: OptionRow): readonly unknown[] {
  if (row.kind === "text") return [undefined, null, {}, [], NaN, 1, true, "two\nlines"];
  const never = [undefined, null, {}, [], NaN, Infinity, -Infinity, "", "1", "true"];
  if (row.kind === "toggle") return [...never, 0, 1, "false"];
  if (row.kind === "choice") return [...never, 0, true, "toString", `${row.default} `];
  const { min, max } = row, isInteger = row.kind === "integer";
  return [
    ...never,
    true,
    ...(min === undefined ? [] : [min - 1, isInteger || !row.aboveMin ? min - 1e-6 : min]),
    ...(max === undefined ? [] : [max + 1, isInteger || !row.belowMax ? max + 1e-6 : max]),
    ...(isInteger ? [(min ?? 0) + 0.5, 2 ** 53] : []),
  ];
}
