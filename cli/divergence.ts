/** What is said when a run's numbers stop being numbers: what happened, and the ways on that its folder leaves. */
import type { TrainingError } from "../titans/mod.ts";
import { CommandError } from "./errors.ts";
import { modelFlag } from "./model_flags.ts";
import { shellWord } from "./program.ts";
import type { RunConfig } from "./run_config.ts";
import type { BestValidation } from "./run_history.ts";

/** Where a run stands. */
export interface Standing {
  readonly config: RunConfig;
  readonly path: string;
  /** The step of the last state that is kept; 0 for none. */
  readonly saved: number;
  /** The step with which this process began. */
  readonly began: number;
  readonly best: BestValidation | undefined;
}

/** A training step that went wrong. */
export function divergedStep(cause: TrainingError, standing: Standing): CommandError {
  const what = /the (loss|gradient norm) became [^;]+/.exec(cause.message)?.[0] ?? "the loss is no longer a number";
  const remedy = cause.step === 0 ? beforeUpdates(standing.config, cause.tensor) : remedyOf(standing, cause.step);
  return new CommandError(`${what} at step ${cause.step + 1}: ${remedy}`, { cause });
}

/**
 * A state that must not be kept.
 * @param what What is wrong with it, such as `the loss became NaN`.
 * @param step Its step.
 */
export function brokenState(what: string, step: number, standing: Standing): CommandError {
  return new CommandError(
    `${what} after the update of step ${step}, whose state was not kept: ${remedyOf(standing, step)}`,
  );
}

/** Before the first update no rate of updates can be the cause. */
function beforeUpdates({ model: { thetaMax, miniBatch, memoryGain }, seqLen }: RunConfig, tensor = ""): string {
  if (tensor.startsWith("blocks.0.input") || tensor.startsWith("parameter")) {
    return "nothing was learned yet: start again with another --seed";
  }
  const ways = [
    `a smaller ${modelFlag("thetaMax")} than ${thetaMax}`,
    `a smaller ${modelFlag("miniBatch")} than ${miniBatch}`,
    `a smaller --seq-len than ${seqLen}`,
  ];
  if (memoryGain === "fast") ways.push(modelFlag("memoryGain", "outer"));
  return `no update was made yet, so --lr is not the cause: start again with ${ways.slice(0, -1).join(", ")} or ${
    ways.at(-1)
  }`;
}

function remedyOf(
  { config: { optimizer: { learningRate } }, path, saved, began, best }: Standing,
  step: number,
): string {
  const lower = `--lr ${Number((learningRate / 10).toPrecision(3))}`,
    resume = `deno task train --resume --out ${shellWord(path)}`;
  if (saved === 0) return `start again with a lower rate than --lr ${learningRate}`;
  const fromBest = best && best.step < saved
    ? `from the best state, of step ${best.step}: ${resume} --which best ${lower}`
    : undefined;
  // The state is the one that this process began with: what broke it was done before, and no rate mends it.
  if (step === began) {
    return `the state of step ${saved} is broken, ${
      fromBest ? `continue ${fromBest}` : "restore an earlier copy of it, or start a new run"
    }`;
  }
  return `continue from step ${saved} with a lower rate: ${resume} ${lower}${fromBest ? `; or ${fromBest}` : ""}`;
}
