/**
 * Options as data: one row an option. From a table come the TypeScript type, the defaults, validation, the command's
 * flags, the rows of docs/options.md and the comparison of checkpoints, so that no option is stated twice.
 *
 *     const OPTIONS = optionTable({ window: integer({ default: 64, min: 1, help: "tokens a query sees" }) });
 *     type Options = OptionsOf<typeof OPTIONS>;                  // { readonly window: number }
 *     resolveOptions("attention", OPTIONS, { window: 32 });      // whole and valid, or a ConfigError in one line
 */
import { checkNames, ConfigError } from "../errors.ts";

/** What an option can be. */
export type OptionValue = number | boolean | string;

/** What every row says, whatever its kind. */
export interface RowFacts<T extends OptionValue> {
  /** The value where none is given. */
  readonly default: T;
  /** One line for help texts and documents: what the option means, in the field's words. */
  readonly help: string;
  /** Where the option comes from, such as `equation 13`; "ours" unless said. */
  readonly source?: string;
  /** Whether it changes cost alone, not parameters or results: checkpoints that differ in it are of the same model. */
  readonly costOnly?: boolean;
  /** The flag's name where it is not the option's own, in camelCase: `gates` for `gateGranularity`; false for no flag. */
  readonly flag?: string | false;
  /** What records written before the option existed mean; the default unless said. */
  readonly before?: T;
  /** Why the option changes nothing beside others, such as `with momentum false`; undefined where it does. */
  readonly idle?: (options: Readonly<Record<string, OptionValue>>) => string | undefined;
}

/** A row of a table. */
export type OptionRow<T extends OptionValue = OptionValue> = RowFacts<T> & OptionKind;

/** What values a row takes. */
export type OptionKind =
  | { readonly kind: "integer"; readonly min: number; readonly max: number }
  | { readonly kind: "number"; readonly min: number; readonly max: number; readonly aboveMin?: boolean }
  | { readonly kind: "toggle" }
  | { readonly kind: "choice"; readonly choices: readonly string[] };

/** Rows by option name. */
export type OptionTable = Readonly<Record<string, OptionRow>>;

/** The record of values of a table. */
export type OptionsOf<T extends OptionTable> = {
  readonly [K in keyof T]: T[K] extends { readonly kind: "toggle" } ? boolean
    : T[K] extends { readonly choices: readonly (infer C)[] } ? C
    : number;
};

/** A whole number from `min` to `max`. */
export function integer(
  row: RowFacts<number> & { readonly min: number; readonly max: number },
): RowFacts<number> & { readonly kind: "integer"; readonly min: number; readonly max: number } {
  return { kind: "integer", ...row };
}

/** A finite number, of at least `min` (above it with `aboveMin`) and at most `max`. */
export function number(
  row: RowFacts<number> & { readonly min?: number; readonly max?: number; readonly aboveMin?: boolean },
): RowFacts<number> & {
  readonly kind: "number";
  readonly min: number;
  readonly max: number;
  readonly aboveMin?: boolean;
} {
  return { kind: "number", min: -Infinity, max: Infinity, ...row };
}

/** True or false; a toggle that is on by default gets a flag `--no-NAME`. */
export function toggle(row: RowFacts<boolean>): RowFacts<boolean> & { readonly kind: "toggle" } {
  return { kind: "toggle", ...row };
}

/** One of several words. */
export function choice<const C extends string>(
  choices: readonly C[],
  row: RowFacts<NoInfer<C>>,
): RowFacts<C> & { readonly kind: "choice"; readonly choices: readonly C[] } {
  return { kind: "choice", choices, ...row };
}

/** The defaults of a table. */
export function defaultsOf<T extends OptionTable>(table: T): OptionsOf<T> {
  return Object.fromEntries(Object.entries(table).map(([name, row]) => [name, row.default])) as OptionsOf<T>;
}

/** What values a row takes, in words: `an integer from 1 to 4`. */
export function rangeOf(row: OptionRow): string {
  if (row.kind === "toggle") return "true or false";
  if (row.kind === "choice") return `one of ${row.choices.join(", ")}`;
  const { min, max } = row;
  if (row.kind === "integer") return `an integer from ${min} to ${max}`;
  const low = min === -Infinity ? "" : `${row.aboveMin ? "above" : "at least"} ${min}`;
  const high = max === Infinity ? "" : `at most ${max}`;
  const bounds = [low, high].filter(Boolean).join(" and ");
  return bounds === "" ? "a finite number" : `a number ${bounds}`;
}

/** Whether a row takes a value. */
export function takes(row: OptionRow, value: unknown): value is OptionValue {
  if (row.kind === "toggle") return typeof value === "boolean";
  if (row.kind === "choice") return row.choices.includes(value as string);
  if (typeof value !== "number" || value < row.min || value > row.max) return false;
  return row.kind === "integer"
    ? Number.isInteger(value)
    : Number.isFinite(value) && !(row.aboveMin && value === row.min);
}

/**
 * Checks values, all of them or those that are there, against their rows.
 * @throws {ConfigError} naming the first option that cannot be.
 */
export function checkValues(table: OptionTable, values: Readonly<Record<string, unknown>>): void {
  for (const [name, row] of Object.entries(table)) {
    if (Object.hasOwn(values, name) && !takes(row, values[name])) {
      refuse(name, values[name], `it must be ${rangeOf(row)}`);
    }
  }
}

/** Refuses an option in the words that all share. @throws {ConfigError} always. */
export function refuse(name: string, value: unknown, rule: string): never {
  throw new ConfigError(`Cannot use ${name} ${JSON.stringify(value)}: ${rule}`, name);
}

/**
 * A whole record from some options.
 * @param of Whose options they are, such as `the optimizer`.
 * @param given What differs from the defaults; undefined values are not given.
 * @param defaults Where the rest comes from, the table's defaults unless given.
 * @throws {ConfigError} naming the first option that there is not, or that cannot be.
 */
export function resolveOptions<T extends OptionTable>(
  of: string,
  table: T,
  given: Readonly<Record<string, unknown>> = {},
  defaults: OptionsOf<T> = defaultsOf(table),
): OptionsOf<T> {
  checkNames(of, given, Object.keys(table));
  const values = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const options = { ...defaults, ...values };
  checkValues(table, options);
  return options;
}

/** The first option that differs and does not change cost alone, or undefined. */
export function firstDifference<T extends OptionTable>(
  table: T,
  lhs: Readonly<Record<string, unknown>>,
  rhs: Readonly<Record<string, unknown>>,
): (keyof T & string) | undefined {
  return Object.keys(table).find((name) => !table[name].costOnly && lhs[name] !== rhs[name]);
}
