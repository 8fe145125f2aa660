/** Flags from tables of options: names, words, ranges and help come from the rows, and values go back into options. */
import {
  idleBecauseOf,
  type OptionRecord,
  type OptionRow,
  type OptionsOf,
  type OptionTable,
  type OptionValue,
  ruleFor,
  takes,
} from "../titans/options/option_table.ts";
import { UsageError } from "./errors.ts";
import { choice, type Flag, flagName, numberReading } from "./flags.ts";

/** The key of a row's flag: `gates` for `gateGranularity`, `noMomentum` for a toggle that is on by default. */
type FlagKey<K extends string, R> = R extends { readonly flag: false } ? never
  : R extends { readonly kind: "toggle"; readonly default: true } ? `no${Capitalize<FlagBase<K, R>>}`
  : FlagBase<K, R>;

type FlagBase<K extends string, R> = R extends { readonly flag: infer F extends string } ? F : K;

/** The flags of a table's rows. Those with a fallback are always there. */
export type TableFlags<T extends OptionTable, Fallback extends string = never> = {
  readonly [K in keyof T & string as FlagKey<K, T[K]>]: Flag<
    T[K] extends { readonly kind: "toggle" } ? boolean : OptionsOf<T>[K] | (K extends Fallback ? never : undefined)
  >;
};

/** The key of an option's flag, or undefined if it has none. */
export function flagKey(name: string, { flag = name, kind, ...row }: OptionRow): string | undefined {
  if (flag === false) return undefined;
  return kind === "toggle" && row.default === true ? `no${flag[0].toUpperCase()}${flag.slice(1)}` : flag;
}

/** How flags of a table are shown and completed. */
export interface TableFlagOptions<T extends OptionTable, Fallback extends keyof T & string> {
  /** The values of flags that are not given, where a command has any; without, such flags give no option. */
  readonly fallback?: Pick<OptionsOf<T>, Fallback>;
  /** What a help text says of the value without the flag, where that is no fallback. */
  readonly unless?: (name: string) => string | undefined;
}

/** The flags of a table, for all rows that have one. */
export function flagsOf<T extends OptionTable, Fallback extends keyof T & string = never>(
  table: T,
  { fallback, unless }: TableFlagOptions<T, Fallback> = {},
): TableFlags<T, Fallback> {
  const values: Readonly<Record<string, OptionValue>> = fallback ?? {};
  return Object.fromEntries(
    Object.entries(table).flatMap(([name, row]) => {
      const key = flagKey(name, row);
      if (key === undefined) return [];
      const facts = { ...reading(table, row), help: helpOf(table, row), group: row.group, unless: unless?.(name) };
      return [[key, { ...facts, fallback: row.kind === "toggle" ? false : values[name] }]];
    }),
  ) as unknown as TableFlags<T, Fallback>;
}

/** How the value of a row's flag is written and read. */
function reading(table: OptionTable, row: OptionRow): Pick<Flag<OptionValue>, "placeholder" | "read" | "words"> {
  if (row.kind === "toggle") return { read: () => true };
  if (row.kind === "choice") {
    const { placeholder, read } = choice(Object.keys(row.choices), "");
    const words = Object.entries(row.choices).map(([word, meaning]) => [word, inFlags(table, meaning)]);
    return { placeholder, words: Object.fromEntries(words), read: (value, flag) => read(value, flag)! };
  }
  if (row.kind === "text") {
    const read = (value: string, flag: string): string => {
      if (takes(row, value)) return value;
      throw new UsageError(`${flag} cannot be ${JSON.stringify(value)}: ${ruleFor(row, value)}`);
    };
    return { placeholder: row.placeholder, read };
  }
  return numberReading(row);
}

function helpOf(table: OptionTable, row: OptionRow): string {
  const said = row.kind === "toggle" && row.without !== undefined
    ? row.default ? `without ${row.help}: ${row.without}` : `${row.help}; without: ${row.without}`
    : row.help;
  return inFlags(table, said);
}

/** A text in which other options of the table are called by their flags. */
function inFlags(table: OptionTable, text: string): string {
  return text.replace(/`(\w+)`/g, (code, name) => {
    const key = Object.hasOwn(table, name) ? flagKey(name, table[name]) : undefined;
    return key === undefined ? code : `\`${flagName(key)}\``;
  });
}

/** The options that flags give: those whose flags were given, or have a fallback. */
export function optionsGiven(table: OptionTable, flags: object): Readonly<Record<string, OptionValue>> {
  return Object.fromEntries(
    Object.entries(table).flatMap(([name, row]) => {
      const key = flagKey(name, row), value = key && (flags as Readonly<Record<string, OptionValue | undefined>>)[key];
      if (value === undefined || (row.kind === "toggle" && value === false)) return [];
      return [[name, row.kind === "toggle" ? !row.default : value]];
    }),
  );
}

/** Notes about flags that were given but have no effect.
 * @param given The options that they give.
 * @param options All options.
 * @param because The option because of which another one changes nothing. Default: what the rows say.
 */
export function idleNotes(
  table: OptionTable,
  given: readonly string[],
  options: object,
  because: (name: string) => string | undefined = (name) => idleBecauseOf(table[name], options),
): string[] {
  const flagsByReason = new Map<string, string[]>();
  for (const name of given) {
    const other = because(name), key = flagKey(name, table[name]);
    if (other === undefined || key === undefined) continue;
    const reason = asTyped(table, other, (options as OptionRecord)[other]);
    flagsByReason.set(reason, [...flagsByReason.get(reason) ?? [], flagName(key)]);
  }
  return [...flagsByReason].map(([reason, flags]) =>
    `note: ${flags.join(", ")} change${flags.length === 1 ? "s" : ""} nothing with ${reason}`
  );
}

/** An option as it is typed: `--memory-depth 1`, `--no-momentum`; as `momentum true` where no flag says that. */
export function asTyped(table: OptionTable, name: string, value: OptionValue): string {
  const row = table[name], key = row && flagKey(name, row);
  if (key === undefined || (row.kind === "toggle" && value === row.default)) return `${name} ${value}`;
  return row.kind === "toggle" ? flagName(key) : `${flagName(key)} ${value}`;
}
