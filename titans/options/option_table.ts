/**
 * Options as data: one row per option. From a table come the TypeScript type, the defaults, validation, the command's
 * flags, help texts, docs/options.md and the comparison of checkpoints, so that no option is stated twice.
 *
 *     const OPTIONS = {
 *       window: { kind: "integer", default: 64, min: 1, max: 65536, help: "tokens that a query sees" },
 *     } as const satisfies OptionTable;
 *     type Options = OptionsOf<typeof OPTIONS>;                  // { readonly window: number }
 *     resolveOptions("attention", OPTIONS, { window: 32 });      // complete and valid, or a ConfigError in one line
 *
 * Rows are literals, not calls: a registry that publishes types without running the compiler can read them.
 */
import { checkNames, ConfigError } from "../errors.ts";

/** What an option can be. */
export type OptionValue = number | boolean | string;

/** Options by name, of any table. */
export type OptionRecord = Readonly<Record<string, OptionValue>>;

/** What every row says, whatever its kind. Texts may have `code` in backticks. */
export interface RowFacts<T extends OptionValue> {
  /** The value where none is given. */
  readonly default: T;
  /** What the option means, for help texts and documents: a phrase without a full stop. */
  readonly help: string;
  /** Under which heading it is listed. */
  readonly group?: string;
  /** Where the option comes from, such as `equation 13`. Default: "ours". */
  readonly source?: string;
  /** Whether it changes cost alone, not parameters or results: checkpoints that differ in it are of the same model. */
  readonly costOnly?: boolean;
  /** The flag's name where it is not the option's own, in camelCase: `gates` for `gateGranularity`; false for no flag. */
  readonly flag?: string | false;
  /** The value in records written before the option existed. Default: such records are rejected. */
  readonly before?: T;
  /** Values of other options, any of which makes this one change nothing. */
  readonly idleWith?: Readonly<Record<string, readonly OptionValue[]>>;
}

/** A row of a table, with the values that it takes. */
export type OptionRow = IntegerRow | NumberRow | ToggleRow | ChoiceRow | TextRow;

/** A whole number from `min` to `max`, both included; one that f64 tells from its neighbours. */
export interface IntegerRow extends RowFacts<number> {
  /** The tag that distinguishes kinds of rows. */
  readonly kind: "integer";
  /** The minimum. Default: none. */
  readonly min?: number;
  /** The maximum. Default: none. */
  readonly max?: number;
}

/** A finite number, bounded where bounds are given. */
export interface NumberRow extends RowFacts<number> {
  /** The tag that distinguishes kinds of rows. */
  readonly kind: "number";
  /** The minimum. Default: none. */
  readonly min?: number;
  /** The maximum. Default: none. */
  readonly max?: number;
  /** Whether `min` itself is too small. */
  readonly aboveMin?: boolean;
  /** Whether `max` itself is too great. */
  readonly belowMax?: boolean;
}

/** True or false. Its flag takes no value and says the opposite of the default: `--no-NAME` where that is true. */
export interface ToggleRow extends RowFacts<boolean> {
  /** The tag that distinguishes kinds of rows. */
  readonly kind: "toggle";
  /** What is so when it is false, where `help` says what it is to be true. */
  readonly without?: string;
}

/** One of several words. */
export interface ChoiceRow extends RowFacts<string> {
  /** The tag that distinguishes kinds of rows. */
  readonly kind: "choice";
  /** What each word means. */
  readonly choices: Readonly<Record<string, string>>;
}

/** Any text on one line, such as the path of a file or the name of a column; the empty one where nothing is meant. */
export interface TextRow extends RowFacts<string> {
  /** The tag that distinguishes kinds of rows. */
  readonly kind: "text";
  /** What it is, in capitals, such as `FILE`. */
  readonly placeholder: string;
}

/** Rows by option name. */
export type OptionTable = Readonly<Record<string, OptionRow>>;

/** The record of values of a table. */
export type OptionsOf<T extends OptionTable> = {
  readonly [K in keyof T]: T[K] extends { readonly kind: "toggle" } ? boolean
    : T[K] extends { readonly choices: infer C } ? keyof C & string
    : T[K] extends { readonly kind: "text" } ? string
    : number;
};

/** The defaults of a table. */
export function defaultsOf<T extends OptionTable>(table: T): OptionsOf<T> {
  return Object.fromEntries(Object.entries(table).map(([name, row]) => [name, row.default])) as OptionsOf<T>;
}

const A_NUMBER = "a finite number";

/** Which values a row takes, in words: `an integer from 1 to 4`, `above 0 and at most 64`. */
export function rangeOf(row: OptionRow): string {
  if (row.kind === "toggle") return "true or false";
  if (row.kind === "choice") return `one of ${Object.keys(row.choices).join(", ")}`;
  if (row.kind === "text") return "one line of text";
  const bounds = boundsOf(row);
  if (row.kind === "number") return bounds || A_NUMBER;
  return `an integer ${bounds.replace(/^at/, "of at")}`.trim();
}

function boundsOf(row: IntegerRow | NumberRow): string {
  const { min = -Infinity, max = Infinity } = row;
  const [aboveMin, belowMax] = row.kind === "number" ? [row.aboveMin, row.belowMax] : [];
  if (min > -Infinity && max < Infinity && !aboveMin && !belowMax) return `from ${min} to ${max}`;
  const low = min === -Infinity ? "" : `${aboveMin ? "above" : "at least"} ${min}`;
  const high = max === Infinity ? "" : `${belowMax ? "below" : "at most"} ${max}`;
  return [low, high].filter(Boolean).join(" and ");
}

/** What a value that a row does not take should have been: `it must be above 0 and at most 64`. */
export function ruleFor(row: OptionRow, value: unknown): string {
  const range = rangeOf(row), isNumber = row.kind !== "number" || Number.isFinite(value) || range === A_NUMBER;
  return `it must be ${isNumber ? range : `${A_NUMBER} ${range}`}`;
}

/** Whether a row takes a value. */
export function takes(row: OptionRow, value: unknown): value is OptionValue {
  if (row.kind === "toggle") return typeof value === "boolean";
  if (row.kind === "choice") return typeof value === "string" && Object.hasOwn(row.choices, value);
  if (row.kind === "text") return typeof value === "string" && !/[\r\n]/.test(value);
  const { min = -Infinity, max = Infinity } = row;
  if (typeof value !== "number" || !Number.isFinite(value) || value < min || value > max) return false;
  if (row.kind === "integer") return Number.isSafeInteger(value);
  return !(row.aboveMin && value === min) && !(row.belowMax && value === max);
}

/**
 * Checks a complete record against its rows.
 * @throws {ConfigError} naming the first option that cannot be.
 */
export function checkValues(table: OptionTable, values: object): void {
  const record = values as Readonly<Record<string, unknown>>;
  for (const [name, row] of Object.entries(table)) {
    const value = Object.hasOwn(record, name) ? record[name] : undefined;
    if (takes(row, value)) continue;
    refuse(name, value, ruleFor(row, value));
  }
}

/** Refuses an option in the words that all share. @throws {ConfigError} always. */
export function refuse(name: string, value: unknown, rule: string): never {
  // JSON has no NaN and no infinities.
  const shown = typeof value === "number" ? String(value) : JSON.stringify(value);
  throw new ConfigError(`Cannot use ${name} ${shown}: ${rule}`, name);
}

/**
 * A complete record from some options.
 * @param of What takes them, such as `the optimizer`.
 * @param given What differs from the defaults; undefined values are not given.
 * @param defaults Provides the other options. Default: the table's defaults.
 * @throws {ConfigError} naming the first option that does not exist, or that cannot be.
 */
export function resolveOptions<T extends OptionTable>(
  of: string,
  table: T,
  given: object = {},
  defaults: OptionsOf<T> = defaultsOf(table),
): OptionsOf<T> {
  checkNames(of, given, Object.keys(table));
  const options = { ...defaults, ...withoutUndefined(given) };
  checkValues(table, options);
  return options;
}

/** The options that are given: those that are not undefined. */
export function withoutUndefined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

/**
 * A stored record with the options that did not exist when it was written, behind those that it has: such as it was
 * meant then.
 * @param stored As read from a file; not checked.
 */
export function completeOptions(table: OptionTable, stored: object): Readonly<Record<string, unknown>> {
  const missing = Object.entries(table).flatMap(([name, { before }]) =>
    before === undefined || Object.hasOwn(stored, name) ? [] : [[name, before] as const]
  );
  return { ...stored, ...Object.fromEntries(missing) };
}

/** The other option because of which an option changes nothing, or undefined if it does change something. */
export function idleBecauseOf({ idleWith = {} }: OptionRow, options: object): string | undefined {
  const record = options as Readonly<Record<string, unknown>>;
  return Object.keys(idleWith).find((name) => idleWith[name].includes(record[name] as OptionValue));
}

/**
 * The first option in which two records differ so that results do, or undefined: cost alone does not count, nor does
 * what is idle in both.
 */
export function firstDifference<T extends OptionTable>(
  table: T,
  lhs: object,
  rhs: object,
): (keyof T & string) | undefined {
  const [left, right] = [lhs, rhs] as Readonly<Record<string, unknown>>[];
  return Object.keys(table).find((name) => {
    const row = table[name], isIdle = [lhs, rhs].every((options) => idleBecauseOf(row, options) !== undefined);
    return !row.costOnly && !isIdle && left[name] !== right[name];
  });
}
