/**
 * Writes the tables of docs/options.md from the tables of options, the flags of the commands and the documentation of
 * interfaces, so that nothing on that page is typed twice. Prose around the tables is written by hand.
 *
 * A table stands between `<!-- table: NAME -->` and `<!-- end -->`; {@link TABLES} says which there are.
 */
import { COMMANDS } from "../cli/commands.ts";
import { studyCommand } from "../cli/study/study.ts";
import { CommandError } from "../cli/errors.ts";
import { type Flag, flagName, type Flags, toggle } from "../cli/flags.ts";
import { KIND_FLAG, MODEL_FLAGS } from "../cli/model_flags.ts";
import { OPTIMIZER_FLAGS, OPTIMIZER_ROW } from "../cli/optimizer_flags.ts";
import { RUN_OPTIONS } from "../cli/run_options.ts";
import { flagKey } from "../cli/table_flags.ts";
import {
  MIXERS,
  MODEL_OPTIONS,
  type ModelConfig,
  OPTIMIZERS,
  PRESETS,
  SAMPLING_OPTIONS,
  UPDATE_OPTIONS,
} from "../titans/mod.ts";
import { BENCHMARKS, TASKS } from "../titans/tasks/mod.ts";
import { mixersWith } from "../titans/models/config.ts";
import { type OptionRow, type OptionTable, type OptionValue, rangeOf } from "../titans/options/option_table.ts";
import { BENCH_FLAGS } from "./bench/flags.ts";
import { type DocumentedField, fieldsOf } from "./interface_fields.ts";
import { runTool } from "./tool.ts";

const PAGE = "docs/options.md";

/** A table, as cells by column; columns that are empty throughout are left out. */
type Rows = readonly Readonly<Record<string, string>>[];

/** The flags of every command, those of a checkout among them. */
const FLAGS: Readonly<Record<string, Flags>> = {
  ...Object.fromEntries(Object.entries(COMMANDS).map(([name, { flags }]) => [name, flags])),
  study: studyCommand.flags,
  bench: BENCH_FLAGS,
};

/** What each kind of table is made of, by the first word of its name. */
const TABLES: Readonly<Record<string, (name: string) => string | Promise<string>>> = {
  model: () =>
    Object.entries(
      Object.groupBy(Object.entries(MODEL_OPTIONS), ([, row]: [string, OptionRow]) => row.group ?? "Others"),
    )
      .map(([group, entries]) => `### ${group}\n\n${markdown(modelRows(Object.fromEntries(entries ?? [])))}`)
      .join("\n\n"),
  optimizer: (name) =>
    describeOptions(name === "" ? { optimizer: OPTIMIZER_ROW, ...UPDATE_OPTIONS } : OPTIMIZERS[name].options),
  tasks: () =>
    markdown(
      Object.values({ ...TASKS, ...BENCHMARKS }).flatMap((task) =>
        Object.entries(task.options as OptionTable).map(([name, row]) => {
          const { Flag: _, ...cells } = optionRow(name, row);
          return { Task: code(task.name), ...cells };
        })
      ),
    ),
  sampling: () => describeOptions(SAMPLING_OPTIONS),
  run: () => describeOptions(RUN_OPTIONS),
  interface: async (name) => markdown(interfaceRows(await fieldsOf(name))),
  flags: (command) => markdown(command === "several" ? sharedFlagRows() : ownFlagRows(command)),
};

/** The page with its tables written anew. */
export async function optionsPage(page: string): Promise<string> {
  const parts = page.split(/(<!-- table: .*? -->\n)[\s\S]*?(<!-- end -->)/);
  for (let i = 1; i < parts.length; i += 3) {
    const [kind, ...name] = parts[i].slice("<!-- table: ".length, -" -->\n".length).split(" ");
    if (!Object.hasOwn(TABLES, kind)) throw new Error(`${PAGE} has a table ${kind}: there are ${Object.keys(TABLES)}`);
    parts[i] += `\n${await TABLES[kind](name.join(" "))}\n\n`;
  }
  return parts.join("");
}

/** Rows of a model's options, with their values in the presets. */
function modelRows(table: OptionTable): Rows {
  const { nano, small } = PRESETS;
  return Object.entries(table).map(([name, row]) => {
    const field = name as keyof ModelConfig, { Option, Flag, Meaning } = optionRow(name, row);
    const differing = small[field] === nano[field] ? "" : code(small[field] as OptionValue), mixers = mixersWith(name);
    return {
      Option,
      Flag,
      nano: code(nano[field] as OptionValue),
      small: differing,
      Mixers: mixers.length < Object.keys(MIXERS).length ? mixers.map(code).join(", ") : "",
      Meaning,
      Source: row.source ?? "ours",
    };
  });
}

/** A table of options in Markdown. */
export function describeOptions(table: OptionTable): string {
  return markdown(Object.entries(table).map(([name, row]) => optionRow(name, row)));
}

/** A row of a table of options: what it means, what it can be, and when it does nothing. */
function optionRow(name: string, row: OptionRow): Readonly<Record<"Option" | "Flag" | "Default" | "Meaning", string>> {
  const key = flagKey(name, row);
  return {
    Option: code(name),
    Flag: key === undefined ? "" : code(flagName(key)),
    Default: row.default === "" ? "none" : code(row.default),
    Meaning: [meaningOf(row), ...idleOf(row), ...(row.costOnly ? ["cost only"] : [])].join("; "),
  };
}

function meaningOf(row: OptionRow): string {
  if (row.kind === "toggle") return row.without === undefined ? row.help : `${row.help}; without: ${row.without}`;
  if (row.kind === "choice") return `${row.help}: ${words(row.choices)}`;
  if (row.kind === "text") return row.help;
  const { min, max } = row;
  return min === undefined && max === undefined ? row.help : `${row.help} (${rangeOf(row)})`;
}

function idleOf({ idleWith = {} }: OptionRow): readonly string[] {
  return Object.entries(idleWith).map(([other, values]) => `idle with ${code(other)} ${values.map(code).join(" or ")}`);
}

function words(meanings: Readonly<Record<string, string>>): string {
  return Object.entries(meanings).map(([word, meaning]) => `${code(word)}, ${meaning}`).join("; ");
}

function interfaceRows(fields: readonly DocumentedField[]): Rows {
  return fields.map(({ name, isOptional, text }) => ({
    Option: code(name),
    Required: isOptional ? "" : "yes",
    Meaning: text.replaceAll(/\{@link (\w+)\}/g, "`$1`"),
  }));
}

/** Flags that mean the same in several commands, each once. */
function sharedFlagRows(): Rows {
  const found = new Map<string, { readonly row: Rows[number]; readonly commands: string[] }>();
  for (const [command, flags] of Object.entries(FLAGS)) {
    for (const [key, flag] of listed(flags)) {
      const row = flagRow(key, flag), id = JSON.stringify(row);
      if (found.has(id)) found.get(id)!.commands.push(command);
      else found.set(id, { row, commands: [command] });
    }
  }
  return [...found.values()].filter(({ commands }) => commands.length > 1).map(({ row, commands }) => {
    const { Flag, ...rest } = row;
    return { Flag, Commands: commands.map(code).join(", "), ...rest };
  });
}

/** Flags of one command that no other has like that. */
function ownFlagRows(command: string): Rows {
  const shared = new Set(sharedFlagRows().map(({ Commands: _, ...row }) => JSON.stringify(row)));
  return listed(FLAGS[command]).map(([key, flag]) => flagRow(key, flag)).filter((row) =>
    !shared.has(JSON.stringify(row))
  );
}

/** A command's flags but those of a model or an optimizer, which stand beside their options. */
function listed(flags: Flags): [string, Flag<unknown>][] {
  const elsewhere: readonly Flag<unknown>[] = [
    KIND_FLAG,
    ...Object.values(MODEL_FLAGS),
    ...Object.values(OPTIMIZER_FLAGS),
  ];
  return Object.entries(flags).filter(([, flag]) => !elsewhere.includes(flag));
}

function flagRow(key: string, flag: Flag<unknown>): Readonly<Record<"Flag" | "Default" | "Meaning", string>> {
  const { help, placeholder = "", fallback, unless, repeats } = flag;
  const choices = placeholder.includes("|") ? placeholder.split("|").map(code) : [];
  const named = flag.words ? words(flag.words) : choices.every((word) => help.includes(word)) ? "" : choices.join(", ");
  return {
    Flag: code(flagName(key)),
    Default: unless ??
      (typeof fallback === "boolean"
        ? "off"
        : fallback === undefined || (repeats && `${fallback}` === "")
        ? "none"
        : code(fallback as OptionValue)),
    Meaning: named === "" ? help : `${help}: ${named}`,
  };
}

/** Code; a text with a space at an end is quoted, because formatting would take that away. */
function code(value: OptionValue): string {
  const text = String(value);
  return `\`${text.trim() === text ? text : JSON.stringify(text)}\``;
}

/** A table in Markdown, padded as `deno fmt` does. */
function markdown(rows: Rows): string {
  if (rows.length === 0) return "None of its own.";
  const columns = Object.keys(rows[0]).filter((column) => rows.some((row) => row[column] !== ""));
  const cells = rows.map((row) => columns.map((column) => row[column].replaceAll("|", "\\|")));
  const widths = columns.map((column, i) => Math.max(3, column.length, ...cells.map((row) => row[i].length)));
  const line = (texts: readonly string[]): string =>
    `| ${texts.map((text, i) => text.padEnd(widths[i])).join(" | ")} |`;
  return [line(columns), line(widths.map((width) => "-".repeat(width))), ...cells.map(line)].join("\n");
}

if (import.meta.main) {
  await runTool({
    task: "docs:options",
    about: `Writes the tables of ${PAGE} from the code.`,
    flags: { check: toggle("only see whether they are what the code says") },
    run: async ({ check }) => {
      const before = await Deno.readTextFile(PAGE), after = await optionsPage(before);
      if (!check) await Deno.writeTextFile(PAGE, after);
      else if (before !== after) {
        throw new CommandError(`${PAGE} is not what the code says: run deno task docs:options`);
      }
    },
  });
}
