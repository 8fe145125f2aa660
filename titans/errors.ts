/** The errors of models and training. Each text is one line that says what to do. */
import { optionFault, type OptionNames } from "../core/options.ts";

import { oneLine } from "../core/one_line.ts";

/** An option that cannot be: out of range, or at odds with another one. */
export class ConfigError extends Error {
  /** The name of the class. */
  override readonly name = "ConfigError";
  /**
   * Names the option.
   * @param message What is wrong and what is allowed.
   * @param field The option concerned.
   */
  constructor(message: string, readonly field: string) {
    super(oneLine(message));
  }
}

/**
 * Checks the names of options.
 * @param of What takes them, such as `Trainer.create`.
 * @throws {ConfigError} in one line that names the option, what was probably meant, and what there is.
 */
export function checkNames(of: string, options: unknown, names: OptionNames): void {
  const fault = optionFault(of, options, names);
  if (fault) throw new ConfigError(fault.message, fault.option);
}

/** A checkpoint or safetensors file that cannot be read, or that belongs to another model. */
export class CheckpointError extends Error {
  /** The name of the class. */
  override readonly name = "CheckpointError";
  /**
   * Creates the error.
   * @param message What is wrong and what to do; made one line, whatever a file's names have in them.
   * @param options A cause.
   */
  constructor(message: string, options?: ErrorOptions) {
    super(oneLine(message), options);
  }
}

/** A training run that went wrong: a loss or a gradient that is no longer a number. */
export class TrainingError extends Error {
  /** The name of the class. */
  override readonly name = "TrainingError";
  /**
   * Names the step.
   * @param message What happened and what to try.
   * @param step The step (from 0) whose update was refused; the state is the one after the step before.
   * @param tensor The first tensor that went bad, if it was found.
   */
  constructor(message: string, readonly step: number, readonly tensor?: string) {
    super(message);
  }
}

/** Logits by which no token can be chosen, such as NaN: broken weights, or a memory that diverged. */
export class SamplingError extends Error {
  /** The name of the class. */
  override readonly name = "SamplingError";
}
