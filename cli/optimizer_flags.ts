/** Flags of the optimizer, its options and the schedule. */
import {
  defineOptimizer,
  type OptimizerConfig,
  OPTIMIZERS,
  optimizerTable,
  type OptionTable,
  UPDATE_OPTIONS,
} from "../titans/mod.ts";
import type { OptionRow } from "../titans/options/option_table.ts";
import { UsageError } from "./errors.ts";
import { flagName, type Flags, under } from "./flags.ts";
import { asTyped, flagKey, flagsOf, optionsGiven } from "./table_flags.ts";

const RULES = Object.values(OPTIMIZERS);

/** The name of the optimizer. */
export const OPTIMIZER_ROW: OptionRow = {
  kind: "choice",
  choices: Object.fromEntries(RULES.map(({ name, summary }) => [name, summary])),
  default: RULES[0].name,
  help: "update rule",
};

/** The options of all optimizers. Options with the same name share a flag, even with different defaults. */
export const OPTIMIZER_OPTIONS: OptionTable = Object.assign(
  { optimizer: OPTIMIZER_ROW },
  ...RULES.toReversed().map(({ name }) => optimizerTable(name)),
);

/** The flags. */
export const OPTIMIZER_FLAGS: Flags = under("Optimizer", flagsOf(OPTIMIZER_OPTIONS, { unless: defaultOf }) as Flags);

/** What an option is without its flag; by optimizer where they differ. */
function defaultOf(name: string): string | undefined {
  const { kind, default: value } = OPTIMIZER_OPTIONS[name];
  if (kind === "toggle") return undefined;
  if (name === "learningRate") return byRule((rule) => rule.learningRate);
  const owners = RULES.filter(({ options }) => Object.hasOwn(options, name));
  return owners.length === 0 ? String(value) : byRule(({ options }) => options[name]?.default);
}

function byRule(valueOf: (rule: (typeof RULES)[number]) => unknown): string {
  const values = RULES.map((rule) => ({ name: rule.name, value: valueOf(rule) })).filter(({ value }) =>
    value !== undefined
  );
  const isSame = new Set(values.map(({ value }) => value)).size === 1 && values.length > 1;
  return isSame ? String(values[0].value) : values.map(({ name, value }) => `${name}: ${value}`).join("; ");
}

/**
 * What the flags of a new run of some steps say, completed.
 * @param base Options that flags override; of another optimizer, those that both have.
 * @throws {UsageError} for an option of another optimizer.
 */
export function optimizerOf(flags: object, steps: number, base: Partial<OptimizerConfig> = {}): OptimizerConfig {
  const { optimizer = base.optimizer ?? OPTIMIZER_OPTIONS.optimizer.default, ...options } = optionsGiven(
    OPTIMIZER_OPTIONS,
    flags,
  );
  const own = optimizerTable(String(optimizer)),
    foreign = Object.keys(options).find((name) => !Object.hasOwn(own, name));
  if (foreign !== undefined) {
    throw new UsageError(
      `${
        asTyped(OPTIMIZER_OPTIONS, foreign, options[foreign])
      } changes nothing with --optimizer ${optimizer}: leave it out`,
    );
  }
  const isSame = optimizer === (base.optimizer ?? OPTIMIZER_OPTIONS.optimizer.default);
  // Every optimizer has a learning rate of its own.
  const kept = Object.entries(base).filter(([name]) => isSame || name in UPDATE_OPTIONS && name !== "learningRate");
  const config = defineOptimizer({
    ...Object.fromEntries(kept),
    ...options,
    optimizer: String(optimizer),
    totalSteps: steps,
  });
  return { ...config, warmupSteps: Math.min(config.warmupSteps, steps) };
}

/** Options that can change when a run is resumed. */
const RATES = ["learningRate", "warmupSteps"];

/**
 * Checks that the flags of a resumed run agree with its optimizer; the learning rate and its warm-up can change.
 * @throws {UsageError} naming the first flag that does not.
 */
export function checkOptimizerFlags(flags: object, config: OptimizerConfig, path: string): void {
  for (const [name, value] of Object.entries(optionsGiven(OPTIMIZER_OPTIONS, flags))) {
    if (config[name] === value || RATES.includes(name)) continue;
    const flag = flagName(flagKey(name, OPTIMIZER_OPTIONS[name])!), was = config[name];
    const made = was === undefined
      ? `has no ${flag}`
      : `was made with ${asTyped(OPTIMIZER_OPTIONS, name, was as never)}`;
    throw new UsageError(
      `the run in ${path} ${made}, not ${
        asTyped(OPTIMIZER_OPTIONS, name, value)
      }: leave ${flag} out, or start a new run with another --out`,
    );
  }
}
