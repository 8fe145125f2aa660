/** Command-line flags as data: one table gives the parser, the types and the help text. */
import { type IntegerRow, type NumberRow, ruleFor, takes } from "../titans/options/option_table.ts";
import { UsageError } from "./errors.ts";

/** A flag: how its value is parsed, and its help text. */
export interface Flag<T> {
  /** What it does, for help texts and documents; may have `code` in backticks. */
  readonly help: string;
  /** What stands for the value in the help text, such as `FILE`; undefined for switches, which take none. */
  readonly placeholder?: string;
  /** The value when the flag is not given. */
  readonly fallback: T;
  /** What that is, where the help text says it otherwise than by the fallback, such as `the newest run`. */
  readonly unless?: string;
  /** The heading of the help text under which it is listed. Default: the first group, which has none. */
  readonly group?: string;
  /** What each of the words that it takes means. */
  readonly words?: Readonly<Record<string, string>>;
  /** Whether it may be given several times; then its value is a list. */
  readonly repeats?: boolean;
  /**
   * Whether the next word is always its value, even if it looks like a flag: for free text.
   */
  readonly takesAnything?: boolean;
  /** Reads the value. @throws {UsageError} if it cannot be read. */
  readonly read: (text: string, flag: string) => T;
}

/** The flags of a command by camelCase name: `seqLen` is written `--seq-len`. */
// deno-lint-ignore no-explicit-any -- each flag has its own type, which Values recovers
export type Flags = Readonly<Record<string, Flag<any>>>;

/** The values of a table of flags. */
export type Values<F extends Flags> = { readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never };

/** The result of parsing a command line. */
export interface Parsed<F extends Flags> {
  readonly values: Values<F>;
  /** The flags that were given, by camelCase name. */
  readonly given: ReadonlySet<keyof F>;
}

/** A flag without a value. */
export function toggle(help: string): Flag<boolean> {
  return { help, fallback: false, read: () => true };
}

/** What flags of these placeholders name, none of which can be an empty text. */
const PLACES: Readonly<Record<string, string>> = {
  FILE: "a file",
  DIR: "a folder",
  PATH: "a file or folder",
  PLACE: "a file or folder",
};

function readText(value: string, flag: string, placeholder: string): string {
  if (value !== "" || !Object.hasOwn(PLACES, placeholder)) return value;
  throw new UsageError(`${flag} cannot be empty: give ${PLACES[placeholder]}`);
}

/** A flag with a text; a file or a folder if that is its placeholder. */
export function text(placeholder: string, help: string): Flag<string | undefined>;
export function text(placeholder: string, help: string, fallback: string): Flag<string>;
export function text(placeholder: string, help: string, fallback?: string): Flag<string | undefined> {
  return { help, placeholder, fallback, read: (value, flag) => readText(value, flag, placeholder) };
}

/** A required flag with a text. */
export function required(placeholder: string, help: string): Flag<string | undefined> {
  return { ...text(placeholder, help), unless: "required" };
}

/** Flags under a heading of the help text. */
export function under<F extends Flags>(group: string, flags: F): F {
  return Object.fromEntries(Object.entries(flags).map(([key, flag]) => [key, { ...flag, group }])) as unknown as F;
}

/** A flag with a text that somebody wrote, which may be anything. */
export function phrase(help: string, fallback: string): Flag<string> {
  return { help, placeholder: "TEXT", fallback, takesAnything: true, read: (value) => value };
}

/** A flag with a text that may be given several times. */
export function texts(placeholder: string, help: string): Flag<readonly string[]> {
  return {
    help,
    placeholder,
    fallback: [],
    repeats: true,
    read: (value, flag) => [readText(value, flag, placeholder)],
  };
}

/** A flag with one of several words. */
export function choice<const T extends string>(words: readonly T[], help: string, fallback: NoInfer<T>): Flag<T>;
export function choice<const T extends string>(words: readonly T[], help: string): Flag<T | undefined>;
export function choice<const T extends string>(
  words: readonly T[],
  help: string,
  fallback?: NoInfer<T>,
): Flag<T | undefined> {
  return {
    help,
    placeholder: words.join("|"),
    fallback,
    read: (value, flag) => {
      const word = words.find((candidate) => candidate === value);
      if (word !== undefined) return word;
      throw new UsageError(
        `${flag} cannot be ${quote(value)}: it is one of ${words.join(", ")}${suggestion(value, words)}`,
      );
    },
  };
}

/** Bounds of a number. */
export type Range = Pick<NumberRow, "min" | "max" | "aboveMin">;

/** A flag with an integer. */
export function integer(help: string, fallback: number, range?: Range): Flag<number>;
export function integer(help: string, fallback: undefined, range?: Range): Flag<number | undefined>;
export function integer(help: string, fallback: number | undefined, range: Range = {}): Flag<number | undefined> {
  return { help, fallback, ...numberReading({ kind: "integer", default: 0, help, ...range }) };
}

/** A flag with a number. */
export function number(help: string, fallback: number, range?: Range): Flag<number>;
export function number(help: string, fallback: undefined, range?: Range): Flag<number | undefined>;
export function number(help: string, fallback: number | undefined, range: Range = {}): Flag<number | undefined> {
  return { help, fallback, ...numberReading({ kind: "number", default: 0, help, ...range }) };
}

/** How numbers are written. */
const FORMS = { integer: /^[+-]?\d+$/, number: /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i };

/** How the number of a row is written and read. */
export function numberReading(row: IntegerRow | NumberRow): Pick<Flag<number>, "placeholder" | "read"> {
  return {
    placeholder: row.kind === "integer" ? "N" : "X",
    read: (text, flag) => {
      const value = FORMS[row.kind].test(text) ? Number(text) : NaN;
      if (takes(row, value)) return value;
      throw new UsageError(
        `${flag} cannot be ${Number.isFinite(value) ? value : quote(text)}: ${ruleFor(row, value)}`,
      );
    },
  };
}

/**
 * Reads a command line.
 * @param args Words after the command's name.
 * @param flags The command's flags.
 * @param command The command's name in error messages.
 * @throws {UsageError} for unknown flags (with the nearest known one), missing or wrong values, and stray words.
 */
export function parseFlags<F extends Flags>(args: readonly string[], flags: F, command: string): Parsed<F> {
  const byName = new Map(Object.entries(flags).map(([key, flag]) => [flagName(key), { key, flag }]));
  const values: Record<string, unknown> = Object.fromEntries(
    Object.entries(flags).map(([key, flag]) => [key, flag.fallback]),
  );
  const given = new Set<string>();
  for (let i = 0; i < args.length; i++) {
    const word = args[i];
    // At the front, npm uses it to separate its own flags; elsewhere it ends the flags.
    if (word === "--" && (i === 0 || i + 1 === args.length)) continue;
    if (!word.startsWith("-")) {
      throw new UsageError(
        `${command} takes no argument ${quote(word)}: flags start with --${suggestion(word, [...byName.keys()])}`,
      );
    }
    if (word === "--") {
      throw new UsageError(`${command} takes no argument ${quote(args[i + 1])} after --: omit both`);
    }
    const [name, attached] = splitOnce(word, "=");
    const found = byName.get(name);
    if (!found) {
      throw new UsageError(`unknown flag ${name}${suggestion(name, [...byName.keys()]) || `: see ${command} --help`}`);
    }
    const before = given.has(found.key);
    if (before && !found.flag.repeats) throw new UsageError(`${name} is given twice: give it once`);
    given.add(found.key);
    const isToggle = found.flag.placeholder === undefined;
    if (isToggle && attached !== undefined) throw new UsageError(`${name} takes no value: write ${name} alone`);
    const value = isToggle ? "" : attached ?? args[++i];
    if (value === undefined) throw new UsageError(`${name} needs a value: ${name} ${found.flag.placeholder}`);
    if (attached === undefined && !found.flag.takesAnything && value.startsWith("--")) {
      throw new UsageError(
        `${name} needs a value: ${name} ${found.flag.placeholder}, or ${name}=${value} if that is the value`,
      );
    }
    const read = found.flag.read(value, name);
    values[found.key] = before ? [...values[found.key] as unknown[], ...read as unknown[]] : read;
  }
  return { values: values as Values<F>, given: given as ReadonlySet<keyof F> };
}

/** The words of a command line that gives some flags these values. */
export function flagWords<F extends Flags>(flags: F, values: Values<F>, keys: Iterable<keyof F & string>): string[] {
  return Array.from(keys, (key) => {
    const name = flagName(key), value: unknown = values[key];
    if (flags[key].placeholder === undefined) return [name];
    return [value].flat().map((one) => `${name}=${one}`);
  }).flat();
}

/** Whether a command line asks for help, as opposed to a value of that name. */
export function asksHelp(args: readonly string[], flags: Flags = {}): boolean {
  const taking = new Set(
    Object.entries(flags).filter(([, { takesAnything }]) => takesAnything).map(([key]) => flagName(key)),
  );
  for (let i = 0; i < args.length; i++) {
    if (args[i] === "--help" || args[i] === "-h") return true;
    if (taking.has(args[i])) i++;
  }
  return false;
}

/** The width to which lines of help texts are filled, unless a word is longer. */
const HELP_WIDTH = 110;

/** The help lines of a table of flags, those of each group under its heading. */
export function describeFlags(flags: Flags): string {
  const rows = Object.entries(flags).map(([key, flag]) => ({
    group: flag.group ?? "",
    left: `  ${flagName(key)}${flag.placeholder ? ` ${shownPlaceholder(flag)}` : ""}`,
    texts: [`${flag.help}${shownDefault(flag)}`, ...Object.entries(flag.words ?? {}).map((word) => word.join(": "))],
  }));
  const indent = Math.min(34, Math.max(...rows.map(({ left }) => left.length))) + 2;
  const lines = rows.map(({ group, left, texts: [help, ...words] }) => {
    const width = HELP_WIDTH - indent, hanging = " ".repeat(indent);
    const right = [
      ...filled(help, width),
      ...words.flatMap((word) => filled(word, width - 2).map((line) => `  ${line}`)),
    ];
    // What is too long for the first column has a line of its own.
    const first = left.length + 2 > indent ? [left, hanging + right[0]] : [left.padEnd(indent) + right[0]];
    return { group, text: [...first, ...right.slice(1).map((line) => hanging + line)].join("\n") };
  });
  const groups = [...new Set(["", ...lines.map(({ group }) => group)])];
  return groups.flatMap((name) => {
    const texts = lines.filter(({ group }) => group === name).map(({ text }) => text);
    return texts.length === 0 ? [] : [[...(name === "" ? [] : [`${name}:`]), ...texts].join("\n")];
  }).join("\n\n").replaceAll("`", "");
}

/** What stands for the value: not all words that it takes where they are many and listed below. */
export function shownPlaceholder({ placeholder = "", words }: Flag<unknown>): string {
  return words && placeholder.length > HELP_WIDTH / 2 ? "NAME" : placeholder;
}

/** What a flag is without being given, as a help text says it; empty where that goes without saying. */
export function shownDefault({ fallback, repeats, unless }: Flag<unknown>): string {
  if (unless !== undefined) return ` [${unless}]`;
  return fallback === undefined || typeof fallback === "boolean" || fallback === "" || repeats ? "" : ` [${fallback}]`;
}

/** A text in lines of at most so many characters. */
function filled(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** `seqLen` as it is written: `--seq-len`. */
export function flagName(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `: did you mean X?` for the known word nearest to an unknown one, or nothing where none is near. */
export function suggestion(unknown: string, known: readonly string[]): string {
  // No known word is this long, and comparing takes time that grows with the length.
  if (unknown.length > 64) return "";
  const ranked = known.map((word) => ({ word, distance: editDistance(unknown, word) })).sort((a, b) =>
    a.distance - b.distance
  );
  const best = ranked[0];
  return best && best.distance <= Math.max(2, Math.floor(best.word.length / 3)) ? `: did you mean ${best.word}?` : "";
}

/** The number of letters to insert, delete or replace to get from one word to the other. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (from[i - 1] === to[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[to.length];
}

function splitOnce(word: string, separator: string): [string, string | undefined] {
  const at = word.indexOf(separator);
  return at < 0 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}

export function quote(value: string): string {
  return JSON.stringify(value);
}
