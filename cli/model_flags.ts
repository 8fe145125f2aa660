/** Flags for the options of a model; flags that are given override the preset. */
import {
  type ConfigError,
  countParameters,
  MODEL_OPTIONS,
  type ModelConfig,
  type OptionTable,
  type OptionValue,
  PRESET_PARAMETERS,
  PRESETS,
  withParameters,
} from "../titans/mod.ts";
import { idleOption } from "../titans/models/config.ts";
import { formatBlocks, readBlocks } from "./block_list.ts";
import { UsageError } from "./errors.ts";
import { type Flag, flagName, type Values } from "./flags.ts";
import { OPTIMIZER_OPTIONS } from "./optimizer_flags.ts";
import { asTyped, flagKey, flagsOf, idleNotes, optionsGiven } from "./table_flags.ts";

const { model: KIND, ...OTHERS } = MODEL_OPTIONS;

/** What `--blocks` takes: how many blocks there are, or the mixer of each. */
type Blocks = ModelConfig["blocks"];

/** The flag that selects the model, listed above all groups. Default: `mac`. */
export const { model: KIND_FLAG } = flagsOf(
  {
    model: {
      ...KIND,
      group: undefined,
      help: `${KIND.help}: one of the names below; deno task info --models lists their sizes and costs`,
    },
  },
  { fallback: { model: KIND.default } },
);

/** The flags of all other options. */
export const MODEL_FLAGS = withBlockLists(flagsOf(OTHERS, { unless: inPresets }));

/** The flags with one of blocks that takes a list of mixers too: `lmm,mag:window=32`. */
function withBlockLists<F extends { readonly blocks: Flag<number | undefined> }>(
  flags: F,
): Omit<F, "blocks"> & { readonly blocks: Flag<Blocks | undefined> } {
  const number = flags.blocks;
  const read = (value: string, flag: string): Blocks | undefined =>
    /[a-z]/i.test(value) ? readBlocks(value, flag) : number.read!(value, flag);
  return { ...flags, blocks: { ...number, placeholder: "N|LIST", read } };
}

/** The flag of a model's size, which is no option but chooses one. */
export const SIZE_FLAGS = flagsOf({
  parameters: {
    kind: "integer",
    default: PRESET_PARAMETERS.nano,
    min: 1,
    group: "Sizes",
    help: "parameters of the model, within 3%: chooses the hidden width of its MLPs, so that models can be compared",
  },
}, { unless: () => "as many as in the preset" });

/** The values of the flags. */
export type ModelFlags = Values<typeof MODEL_FLAGS>;

/** What an option is in the presets for everyday use: `64; small: 256`. Those of the paper are a page of their own. */
function inPresets(name: string): string | undefined {
  const { nano, small } = PRESETS, field = name as keyof ModelConfig;
  if (typeof nano[field] === "boolean") return undefined;
  return small[field] === nano[field] ? String(nano[field]) : `${nano[field]}; small: ${small[field]}`;
}

/** The options that differ from the preset. */
export function modelOptions(flags: ModelFlags): Partial<ModelConfig> {
  return optionsGiven(OTHERS, flags);
}

/** Checks that the flags of a resumed run agree with its model.
 * @throws {UsageError} naming the first flag that does not.
 */
export function checkModelFlags(flags: ModelFlags, given: ReadonlySet<string>, model: ModelConfig, path: string): void {
  for (const [name, value] of Object.entries(modelOptions(flags))) {
    const key = flagKeyOf(name)!, was = model[name as keyof ModelConfig];
    if (!given.has(key) || JSON.stringify(was) === JSON.stringify(value)) continue;
    throw new UsageError(
      `the run in ${path} has ${name} ${shown(was)}, not ${shown(value)}: leave ${
        flagName(key)
      } out, or start a new run with another --out`,
    );
  }
}

/** Checks that the size that a resumed run is given is the one that it has. @throws {UsageError} if it is not. */
export function checkSizeFlag(parameters: number | undefined, model: ModelConfig, path: string): void {
  if (parameters === undefined || withParameters(model, parameters).mlpHidden === model.mlpHidden) return;
  throw new UsageError(
    `the run in ${path} has ${countParameters(model).toLocaleString("en")} parameters, not ${
      parameters.toLocaleString("en")
    }: leave --parameters out, or start a new run with another --out`,
  );
}

/** An option's value as it is typed. */
function shown(value: OptionValue | Blocks): OptionValue {
  return typeof value === "object" ? formatBlocks(value) : value;
}

/** Options that a command makes of another flag. */
const OTHER_FLAGS: Readonly<Record<string, string>> = { totalSteps: "steps", vocabulary: "vocabulary" };

/** The key of the flag that sets an option, if there is one. */
function flagKeyOf(field: string): string | undefined {
  const table: OptionTable | undefined = [MODEL_OPTIONS, OPTIMIZER_OPTIONS].find((rows) => Object.hasOwn(rows, field));
  return Object.hasOwn(OTHER_FLAGS, field) ? OTHER_FLAGS[field] : table && flagKey(field, table[field]);
}

/** The flag of an option of a model, with a value if one is given: `--theta-max`, `--memory-gain outer`. */
export function modelFlag(name: string, value?: OptionValue): string {
  return value === undefined ? flagName(flagKeyOf(name) ?? name) : asTyped(OTHERS, name, value);
}

/** The error for an invalid option, with the names of options replaced by those of their flags. */
export function inFlags(error: ConfigError, flags: ModelFlags): UsageError {
  const [, value, rule] = /^Cannot use \S+ (.*?): (.*)$/s.exec(error.message) ?? [], key = flagKeyOf(error.field);
  if (key === undefined || rule === undefined) return new UsageError(error.message, { cause: error });
  const isGiven = !Object.hasOwn(MODEL_FLAGS, key) || (flags as Readonly<Record<string, unknown>>)[key] !== undefined;
  const named = rule.replace(/\b[a-z]+[A-Z][A-Za-z]*\b/g, (option) => {
    const other = flagKeyOf(option);
    return other === undefined ? option : flagName(other);
  }).replace(/without (--no-\S+)/, "with $1");
  return new UsageError(`${flagName(key)} cannot be ${value}${isGiven ? "" : " (which the preset says)"}: ${named}`, {
    cause: error,
  });
}

/** Notes about flags that were given but have no effect. */
export function idleFlags(flags: ModelFlags, model: ModelConfig): string[] {
  const given = Object.keys(modelOptions(flags)), typed = { ...model, blocks: shown(model.blocks) };
  return idleNotes(MODEL_OPTIONS, given, typed, (name) => idleOption(model, name as keyof ModelConfig));
}
