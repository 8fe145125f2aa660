/** The events of a training run: the lines of `--json` and of a run folder's metrics.jsonl. */

import type { BestFigure } from "./run_history.ts";

/** The fields of every event. */
interface EventBase {
  /** Steps done so far. */
  readonly step: number;
  /** The device's kind: `webgpu` or `reference`. */
  readonly device: string;
}

/** What a run learns from, in events. */
export interface SourceFacts {
  /** Which text, or which task. */
  readonly data: string;
  /** Of text. */
  readonly trainBytes?: number;
  /** Of text. */
  readonly heldOutBytes?: number;
  /** The name of the vocabulary of text: `bytes`, or `bpe:` and an encoding. */
  readonly vocabulary?: string;
  /** Bytes of text in a token, on average. */
  readonly bytesPerToken?: number;
  /** The task's options. */
  readonly taskOptions?: Readonly<Record<string, number | boolean | string>>;
  /** What guessing gives, by name of a figure of the task. */
  readonly chance?: Readonly<Record<string, number>>;
  /** Figures of validations that are of counting, not of the model. */
  readonly baselines?: readonly string[];
}

/** The run starts or resumes. */
export interface StartEvent extends EventBase, SourceFacts {
  readonly event: "start";
  readonly version: string;
  readonly model: string;
  readonly preset: string;
  /** Number of parameters. */
  readonly parameters: number;
  readonly adapter: string;
  readonly steps: number;
  readonly tokensPerStep: number;
  readonly out: string;
}

/** An optimizer step was made. */
export interface StepEvent extends EventBase {
  readonly event: "step";
  /** Mean cross-entropy of the step's batch before its update, in nats per token. */
  readonly loss: number;
  /** Of text. */
  readonly bitsPerByte?: number;
  readonly learningRate: number;
  /** Norm of the gradient over all parameters, before clipping; null in JSON where it overflowed and the step was skipped. */
  readonly gradientNorm: number;
  /** In f16: what the loss was multiplied by. */
  readonly lossScale?: number;
  /** In f16: 1 if the gradient overflowed and the step was skipped, else 0. */
  readonly skipped?: number;
  readonly tokensPerSecond: number;
}

/** The model was validated on held-out text, or on other samples of its task. */
export interface ValidationEvent extends EventBase {
  readonly event: "validation";
  readonly loss: number;
  /**
   * Of text: `bitsPerByte`, `bigramBitsPerByte` (the token-bigram baseline on the same text), of bytes also
   * `fivegramBitsPerByte` (byte 5-grams, counted on up to 2 MiB), and `bytes`, how much it was.
   * What a task reports, such as `accuracy`. What the mixers report. Memories: norms of their weights at the end of a window (`memoryNorm`), of the surprise
   * (`surpriseNorm`), and of the way from the learned start (`memoryChange`); means over tokens of the inner loss
   * (`innerLoss`) and of the norm of what a token changes (`updateNorm`).
   */
  readonly [figure: string]: number | string;
}

/** The model generated a text. */
export interface SampleEvent extends EventBase {
  readonly event: "sample";
  readonly prompt: string;
  readonly text: string;
}

/** The run finished or was stopped. */
export interface DoneEvent extends EventBase {
  readonly event: "done";
  /** The last validation's loss and bits per byte; null if there was none. */
  readonly loss: number | null;
  readonly bitsPerByte: number | null;
  /** Of text: the token-bigram baseline. */
  readonly bigramBitsPerByte?: number;
  /** Of text in bytes: the byte 5-gram baseline. */
  readonly fivegramBitsPerByte?: number;
  readonly tokensPerSecond: number;
  readonly seconds: number;
  /** The file of the last state. */
  readonly checkpoint: string;
  /** The best validation and the file of its state; null if none was made. */
  readonly best: (BestFigure & { readonly checkpoint: string }) | null;
  /** The page with the curves. */
  readonly report: string;
  /** Whether it was stopped before its last step. */
  readonly interrupted: boolean;
}

/** An event of a training run. */
export type TrainEvent = StartEvent | StepEvent | ValidationEvent | SampleEvent | DoneEvent;
