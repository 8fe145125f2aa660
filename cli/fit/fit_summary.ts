/** What is said of a run of `forecast` or `classify` in a list of runs. */
import { CONFIG_FILE } from "../run_folder.ts";
import type { EpochFacts } from "./epochs.ts";
import type { FitConfig, FitFigures } from "./fit_config.ts";
import { stateFile } from "./fit_run.ts";
import { readEpochs } from "./fit_state.ts";

/** How far a run came, and how well it does. */
export interface FitSummary {
  /** Its folder. */
  readonly path: string;
  readonly command: string;
  readonly model: string;
  readonly task: string;
  /** Epochs made, and of how many at most; of several trainings those of the last. Null where it is complete. */
  readonly epoch: number | null;
  readonly epochs: number;
  /** Of a complete run on the test part, else of the best epoch on the validation part; null before the first. */
  readonly figures: FitFigures | null;
  /** Of all its files. */
  readonly bytes: number;
  /** When it last wrote something. */
  readonly date: string | null;
  readonly state: "complete" | "running" | "stopped";
}

/**
 * What there is to say of a run.
 * @param known What a list says of any run.
 * @throws {CheckpointError} if its state is damaged.
 */
export async function fitSummaryOf(
  path: string,
  { command, flags, complete, figures }: FitConfig,
  { bytes, isRunning }: { readonly bytes: number; readonly isRunning: boolean },
): Promise<FitSummary> {
  const last = complete ? undefined : await lastState(path), epochs = last ? readEpochs(await Deno.readFile(last)) : [];
  const written = await Deno.stat(last ?? `${path}/${CONFIG_FILE}`);
  return {
    path,
    command,
    model: String(flags.checkpoint ?? flags.model),
    task: command,
    epoch: complete ? null : epochs.length,
    epochs: Number(flags.epochs),
    figures: (complete ? figures : figuresOf(epochs)) ?? null,
    bytes,
    date: written.mtime?.toISOString() ?? null,
    state: isRunning ? "running" : complete ? "complete" : "stopped",
  };
}

/** The file of the training that is under way. */
async function lastState(path: string): Promise<string | undefined> {
  for (let number = 0, last: string | undefined;; number++) {
    const file = `${path}/${stateFile(number)}`;
    if (!await Deno.stat(file).then(() => true, () => false)) return last;
    last = file;
  }
}

/** What the best epoch came to on the validation part. */
function figuresOf(epochs: readonly (EpochFacts & { readonly validation?: number; readonly mse?: number })[]) {
  const lossOf = ({ validation, mse }: typeof epochs[number]): number => validation ?? mse ?? Infinity;
  if (epochs.length === 0) return undefined;
  const best = epochs.reduce((a, b) => (lossOf(b) < lossOf(a) ? b : a));
  const { epoch: _epoch, training: _training, validation, ...others } = best;
  return { ...(validation === undefined ? {} : { loss: validation }), ...others };
}

/** Figures in a few words: `mse 0.3832, mae 0.3910`. */
export function shownFigures(figures: FitFigures): string {
  return Object.entries(figures).map(([name, value]) => `${name} ${value.toFixed(4)}`).join(", ");
}
