/** What a run learns from and is validated on: a text, or a task whose data is made. */
import type {
  ModelRequirements,
  Objective,
  StepMetrics,
  Trainer,
  TrainingData,
  ValidationMetrics,
} from "../titans/mod.ts";
import type { DataIdentity } from "./data/identity.ts";
import type { Vocabulary } from "./data/vocabulary.ts";
import type { SourceFacts } from "./events.ts";
import type { RunConfig } from "./run_config.ts";

/** Held-out batches, and what a validation on them is reported as. */
export interface Held {
  /** What `Trainer.validate` takes. */
  readonly batches: Parameters<Trainer["validate"]>[0];
  /** What a model can be compared with, by name, such as `bigramBitsPerByte`. */
  readonly baselines: Readonly<Record<string, number>>;
  /** Figures by name: the loss, and whatever there is beside it. */
  figures(metrics: ValidationMetrics): Readonly<Record<string, number>> & { readonly loss: number };
}

/** What a run learns from. */
export interface RunSource extends Disposable {
  /** What shows, when the run goes on, whether it is still the same. */
  readonly identity: DataIdentity;
  /** What the model must be. */
  readonly requires: ModelRequirements;
  /** What is learned. Default: the next token of texts. */
  readonly objective?: Objective;
  /** What events say of it. */
  readonly facts: SourceFacts;
  /** The same as a line of a report. */
  readonly description: string;
  /** Tokens of a sequence, where that is not for the user to choose. */
  readonly length?: number;
  /** What a sequence is made of, such as `byte`. */
  readonly unit: string;
  /** Lines for people, said when a run begins. */
  readonly notes: readonly string[];
  /** What checkpoints say of it. */
  readonly checkpointNotes: Readonly<Record<string, string>>;
  /** What samples are written in; a model of a task without one writes none. */
  readonly vocabulary?: Vocabulary;
  /** Training batches. */
  data(config: RunConfig): TrainingData;
  /** What is validated on. @param tokens How much of it, at most; of text in bytes. */
  held(config: RunConfig, tokens: number): Held;
  /** Figures of a step beside its loss. */
  stepFigures(metrics: StepMetrics): Readonly<Record<string, number>>;
}
