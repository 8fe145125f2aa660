/** The config.json of a run of a command that trains and then writes its results: its flags, and what it learns from. */
import { CommandError, UsageError } from "../errors.ts";
import { flagName, integer, toggle } from "../flags.ts";
import { CONFIG_FILE } from "../run_folder.ts";
import { userPath } from "../user_path.ts";

/** The flags of such a run, beside `out`. */
export const FIT_FLAGS = {
  resume: toggle("continue the run in `--out`, or the one that was stopped last"),
  checkpointEvery: integer("steps between checkpoints", 100, { min: 1 }),
} as const;

/** Their values. */
export interface FitFlags {
  readonly out?: string;
  readonly resume: boolean;
  readonly checkpointEvery: number;
}

/** Flags that say how a run is made, not what it comes to. */
const LOOSE = [
  ...Object.keys(FIT_FLAGS),
  ...["out", "device", "shaderCache", "nativeCache", "threads", "json", "verbose"],
];
/** Flags that name files, which may be elsewhere when the run goes on. */
const FILES = ["data", "checkpoint"];

/** What a run came to, by name, such as `accuracy`. */
export type FitFigures = Readonly<Record<string, number>>;

/** What a run learns from, by name, such as `data`: hashes. */
export type FitIdentity = Readonly<Record<string, string>>;

/** The contents of its config.json. */
export interface FitConfig {
  readonly version: string;
  readonly command: string;
  readonly flags: Readonly<Record<string, unknown>>;
  readonly identity: FitIdentity;
  readonly complete?: boolean;
  /** Of a complete run: what it came to on the test part, by name. */
  readonly figures?: FitFigures;
}

/** Whether a configuration is of such a run. */
export function isFitConfig(stored: unknown): stored is FitConfig {
  const { command, flags, identity } = (stored ?? {}) as Partial<FitConfig>;
  return typeof command === "string" && typeof flags === "object" && flags !== null &&
    typeof identity === "object" && identity !== null;
}

/** The command whose run a configuration is of, as other commands are told; undefined for a run of `train`. */
export function commandOf(stored: unknown): string | undefined {
  return isFitConfig(stored) ? stored.command : undefined;
}

/** Checks a configuration. @throws {UsageError} if it is of another command, {CommandError} if it is of none. */
export function checkFitConfig(stored: unknown, command: string, path: string): FitConfig {
  if (isFitConfig(stored) && stored.command === command) return stored;
  const other = commandOf(stored) ?? (isTraining(stored) ? "train" : undefined);
  if (other !== undefined) {
    throw new UsageError(`${path} has a run of ${other}, not of ${command}: give another --out`);
  }
  throw new CommandError(`${path}/${CONFIG_FILE} is no configuration of ${command}: give another --out`);
}

function isTraining(stored: unknown): boolean {
  return typeof (stored as { readonly optimizer?: unknown } | null)?.optimizer === "object";
}

/** The flags that a run keeps. */
export function fixedFlags(flags: FitFlags): Readonly<Record<string, unknown>> {
  const fixed = Object.entries(flags).filter(([key]) => !LOOSE.includes(key));
  return Object.fromEntries(
    fixed.map(([key, value]) => [key, FILES.includes(key) && value !== undefined ? userPath(String(value)) : value]),
  );
}

/** The flags of a run that goes on. @throws {UsageError} if one contradicts it. */
export function mergedFlags<F extends FitFlags>(
  values: F,
  given: ReadonlySet<string>,
  { flags }: FitConfig,
  path: string,
): F {
  const merged = { ...values } as Record<string, unknown>;
  for (const key of Object.keys(values)) {
    const was = flags[key], now = merged[key];
    if (LOOSE.includes(key) || given.has(key) && FILES.includes(key)) continue;
    if (given.has(key) && was !== now) {
      const made = was === undefined ? `without ${flagName(key)}` : `with ${flagName(key)} ${was}`;
      throw new UsageError(
        `the run in ${path} was made ${made}, not ${now}: leave ${
          flagName(key)
        } out, or start a new run with another --out`,
      );
    }
    merged[key] = was;
  }
  return merged as unknown as F;
}
