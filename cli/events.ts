/** The events of a training run: the lines of `--json` and of a run folder's metrics.jsonl. */

/** The fields of every event. */
interface EventBase {
  /** Steps done so far. */
  readonly step: number;
  /** The device's kind: `webgpu` or `reference`. */
  readonly device: string;
}

/** The run starts or resumes. */
export interface StartEvent extends EventBase {
  readonly event: "start";
  readonly version: string;
  readonly model: string;
  readonly preset: string;
  /** Number of parameters. */
  readonly parameters: number;
  readonly adapter: string;
  readonly data: string;
  readonly trainBytes: number;
  readonly heldOutBytes: number;
  /** The name of the vocabulary: `bytes`, or `bpe:` and an encoding. */
  readonly vocabulary: string;
  /** Average bytes of text per token. */
  readonly bytesPerToken: number;
  readonly steps: number;
  readonly tokensPerStep: number;
  readonly out: string;
}

/** An optimizer step was made. */
export interface StepEvent extends EventBase {
  readonly event: "step";
  /** Mean cross-entropy of the step's batch before its update, in nats per token. */
  readonly loss: number;
  readonly bitsPerByte: number;
  readonly learningRate: number;
  /** Norm of the gradient over all parameters, before clipping. */
  readonly gradientNorm: number;
  readonly tokensPerSecond: number;
}

/** The model was evaluated on held-out bytes. */
export interface ValidationEvent extends EventBase {
  readonly event: "validation";
  readonly loss: number;
  readonly bitsPerByte: number;
  /** Bits per byte of the token-bigram baseline on the same text. */
  readonly bigramBitsPerByte: number;
  /** Number of bytes evaluated. */
  readonly bytes: number;
  /**
   * What the mixers report. Memories: norms of their weights at the end of a window (`memoryNorm`), of the surprise
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
  readonly bigramBitsPerByte: number;
  readonly tokensPerSecond: number;
  readonly seconds: number;
  /** The file of the last state. */
  readonly checkpoint: string;
  /** The best validation and the file of its state; null if there was none. */
  readonly best: { readonly step: number; readonly bitsPerByte: number; readonly checkpoint: string } | null;
  /** The page with the curves. */
  readonly report: string;
  /** Whether it was stopped before its last step. */
  readonly interrupted: boolean;
}

/** An event of a training run. */
export type TrainEvent = StartEvent | StepEvent | ValidationEvent | SampleEvent | DoneEvent;
