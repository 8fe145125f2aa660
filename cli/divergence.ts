/** Error messages for diverged runs: what became NaN or infinite, and how the run can be continued. */
import { Model, TrainingError } from "../titans/mod.ts";
import { remediesOf } from "../titans/train/diagnose.ts";
import { CommandError } from "./errors.ts";
import { modelFlag } from "./model_flags.ts";
import type { RunConfig } from "./run_config.ts";
import type { BestValidation } from "./run_history.ts";

/** The progress of a run. */
export interface Standing {
  readonly config: RunConfig;
  /** The command that continues it. */
  readonly resume: string;
  /** The step of the last saved state; 0 for none. */
  readonly saved: number;
  /** The step at which this process started. */
  readonly began: number;
  readonly best: BestValidation | undefined;
}

/** The error for a training step that produced NaN or infinity. */
export function divergedStep(cause: TrainingError, standing: Standing): CommandError {
  const remedy = cause.step === 0 ? beforeUpdates(standing.config, cause.tensor) : remedyOf(standing, cause.step);
  return new CommandError(`${faultOf(cause)} at step ${cause.step + 1}: ${remedy}`, { cause });
}

/** The error for a state that must not be saved.
 * @param what What is wrong with it, such as `the loss became NaN`.
 * @param step Its step.
 */
export function brokenState(what: string, step: number, standing: Standing): CommandError {
  return new CommandError(
    `${what} after the update of step ${step}, whose state was not saved: ${remedyOf(standing, step)}`,
  );
}

/** A training whose rates are fixed became NaN or infinite: it can only begin again, and its state is worth nothing. */
export class DivergedFit extends CommandError {}

/**
 * The error for a training whose rates are fixed.
 * @param cause What was thrown; anything but a failed training step is returned unchanged.
 * @param learningRate It was trained with.
 */
export function divergedFit(cause: unknown, learningRate: number): unknown {
  if (!(cause instanceof TrainingError)) return cause;
  const remedy = cause.step === 0
    ? "no update was made yet, so --lr is not the cause: look at the data, and try another --seed"
    : `train again with a lower rate than --lr ${learningRate}`;
  return new DivergedFit(`${faultOf(cause)} at step ${cause.step + 1}, and nothing was written: ${remedy}`, { cause });
}

/** A figure on the validation part, which must be a number. @throws {CommandError} */
export function requireFinite(figure: number, epoch: number, learningRate: number): void {
  if (Number.isFinite(figure)) return;
  throw new DivergedFit(
    `the loss on the validation part became ${figure} in epoch ${epoch}, and nothing was written: train again with a lower rate than --lr ${learningRate}`,
  );
}

function faultOf({ message }: TrainingError): string {
  return /the (loss|gradient norm) became [^;]+/.exec(message)?.[0] ?? "the loss became NaN or infinite";
}

/** Before the first update, the learning rate cannot be the cause. */
function beforeUpdates({ model, seqLen }: RunConfig, tensor = ""): string {
  if (tensor.startsWith("blocks.0.input") || tensor.startsWith("parameter")) {
    return "nothing was learned yet: start again with another --seed";
  }
  const bounds: string[] = [], values: string[] = [];
  for (const remedy of remediesOf(new Model(model))) {
    if ("value" in remedy) values.push(modelFlag(remedy.option, remedy.value));
    else bounds.push(`a smaller ${modelFlag(remedy.option)} than ${remedy.smallerThan}`);
  }
  const ways = [...bounds, `a smaller --seq-len than ${seqLen}`, ...values];
  const last = ways.pop();
  return `no update was made yet, so --lr is not the cause: start again with ${
    [ways.join(", "), last].filter(Boolean).join(" or ")
  }`;
}

function remedyOf(
  { config: { optimizer: { learningRate } }, resume, saved, began, best }: Standing,
  step: number,
): string {
  const lower = `--lr ${Number((learningRate / 10).toPrecision(3))}`;
  if (saved === 0) return `start again with a lower rate than --lr ${learningRate}`;
  const fromBest = best && best.step < saved
    ? `from the best state, of step ${best.step}: ${resume} --which best ${lower}`
    : undefined;
  // This process started with the state: it was broken before, and no learning rate can repair it.
  if (step === began) {
    return `the state of step ${saved} is broken, ${
      fromBest ? `continue ${fromBest}` : "restore an earlier copy of it, or start a new run"
    }`;
  }
  return `continue from step ${saved} with a lower rate: ${resume} ${lower}${fromBest ? `; or ${fromBest}` : ""}`;
}
