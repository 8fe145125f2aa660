/**
 * Lists of blocks as they are typed: `lmm,swa:window=32,mac:segment=128:persistent-tokens=0`. A block is the name of a
 * mixer, followed by options of its own; the name of a model that repeats several blocks stands for them.
 */
import { MIXERS, type MixerSpec, type OptionRow, type OptionTable, type OptionValue, RECIPES } from "../titans/mod.ts";
import { knownMixers, repeatedBlocks } from "../titans/models/blocks.ts";
import { ruleFor, takes } from "../titans/options/option_table.ts";
import { UsageError } from "./errors.ts";
import { quote, suggestion } from "./flags.ts";
import { flagKey } from "./table_flags.ts";

/**
 * Reads a list of blocks.
 * @param value Such as `lmm,swa:window=32`.
 * @param flag For messages.
 * @throws {UsageError} naming the first part that cannot be.
 */
export function readBlocks(value: string, flag: string): MixerSpec[] {
  const fail = (reason: string): never => {
    throw new UsageError(`${flag} cannot be ${quote(value)}: ${reason}`);
  };
  return value.split(",").flatMap((part): MixerSpec[] => {
    const [name, ...options] = part.split(":"), [mixer] = knownMixers({ blocks: [{ mixer: name }] });
    if (!mixer) {
      const names = [...Object.keys(MIXERS), ...Object.keys(RECIPES)].join(", ");
      fail(`there is no mixer ${quote(name)}, it takes a number of blocks or a list of ${names}`);
    }
    const repeated = repeatedBlocks(name);
    if (repeated.length === 1) {
      return [{ mixer: name, ...Object.fromEntries(options.map((text) => readOption(mixer.options, text, fail))) }];
    }
    if (options.length > 0) fail(`${name} stands for ${formatBlocks(repeated)}: give their options in a list of them`);
    return [...repeated];
  });
}

/** An option of a block, `name=value`, by the option's name or its flag's; a switch as it is or with true or false. */
function readOption(table: OptionTable, text: string, fail: (reason: string) => never): [string, OptionValue] {
  const [typed, ...rest] = text.split("="), key = typed.replace(/-([a-z])/g, (_, letter) => letter.toUpperCase());
  const found = Object.entries(table).find(([name, row]) => name === key || flagKey(name, row) === key);
  if (!found) {
    return fail(
      `no option ${quote(typed)} of that mixer${suggestion(key, Object.keys(table)) || ": see docs/options.md"}`,
    );
  }
  const [name, row] = found;
  if (row.kind === "toggle" && rest.length === 0) return [name, name === key ? true : !row.default];
  const value = valueOf(row, rest.join("="));
  return takes(row, value) ? [name, value] : fail(`${name} is ${quote(rest.join("="))}, ${ruleFor(row, value)}`);
}

function valueOf({ kind }: OptionRow, text: string): unknown {
  if (kind === "choice" || kind === "text") return text;
  if (kind === "toggle") return { true: true, false: false }[text];
  return /^[-+\d.e]+$/i.test(text) ? Number(text) : NaN;
}

/** A list of blocks as it is typed. */
export function formatBlocks(blocks: readonly MixerSpec[]): string {
  return blocks.map(({ mixer, ...options }) =>
    [typeof mixer === "string" ? mixer : mixer.name, ...Object.entries(options).map((pair) => pair.join("="))].join(":")
  ).join();
}
