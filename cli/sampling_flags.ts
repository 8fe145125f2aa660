/** Flags for how tokens are chosen. */
import { SAMPLING_OPTIONS } from "../titans/mod.ts";
import { defaultsOf } from "../titans/options/option_table.ts";
import { flagsOf, idleNotes } from "./table_flags.ts";

/** Default temperature of the commands: text that is neither dull nor wild. */
export const SAMPLE_TEMPERATURE = 0.8;

/** The rows; a seed is in the range of every other `--seed`. */
const ROWS = { ...SAMPLING_OPTIONS, seed: { ...SAMPLING_OPTIONS.seed, min: 0, max: 2 ** 32 - 1 } } as const;

/** The flags. */
export const SAMPLING_FLAGS = flagsOf(ROWS, { fallback: { ...defaultsOf(ROWS), temperature: SAMPLE_TEMPERATURE } });

/** Lines about flags that were given and change nothing. */
export function idleSamplingFlags(flags: object, given: ReadonlySet<string>): string[] {
  return idleNotes(ROWS, Object.keys(ROWS).filter((name) => given.has(name)), flags);
}
