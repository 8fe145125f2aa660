/** What a training run tells: the lines of `--json` and of a run folder's metrics.jsonl. */

/** What every event says. */
interface EventBase {
  /** Steps done so far. */
  readonly step: number;
  /** The device's kind: `webgpu` or `reference`. */
  readonly device: string;
}

/** The run begins, or goes on. */
export interface StartEvent extends EventBase {
  readonly event: "start";
  readonly version: string;
  readonly model: string;
  readonly preset: string;
  /** Trained numbers. */
  readonly parameters: number;
  readonly adapter: string;
  readonly data: string;
  readonly trainBytes: number;
  readonly heldOutBytes: number;
  /** The name of the vocabulary: `bytes`, or `bpe:` and an encoding. */
  readonly vocabulary: string;
  /** Bytes of text in a token, on average. */
  readonly bytesPerToken: number;
  readonly steps: number;
  readonly tokensPerStep: number;
  readonly out: string;
}

/** One optimiser step was made. */
export interface StepEvent extends EventBase {
  readonly event: "step";
  /** Mean cross-entropy of the step's batch before its update, in nats a token. */
  readonly loss: number;
  readonly bitsPerByte: number;
  readonly learningRate: number;
  /** Norm of the gradient over all parameters, before clipping. */
  readonly gradientNorm: number;
  readonly tokensPerSecond: number;
}

/** The model was judged on held-out bytes. */
export interface ValidationEvent extends EventBase {
  readonly event: "validation";
  readonly loss: number;
  readonly bitsPerByte: number;
  /** Bits a byte of counts of pairs of tokens on the same text. */
  readonly bigramBitsPerByte: number;
  /** Bytes judged. */
  readonly bytes: number;
  /**
   * What the mixers report. Memories: norms of their weights at the end of a window (`memoryNorm`), of the surprise
   * (`surpriseNorm`), and of the way from the learned start (`memoryChange`); means over tokens of the inner loss
   * (`innerLoss`) and of the norm of what a token changes (`updateNorm`).
   */
  readonly [figure: string]: number | string;
}

/** The model wrote a text. */
export interface SampleEvent extends EventBase {
  readonly event: "sample";
  readonly prompt: string;
  readonly text: string;
}

/** The run ended, or was stopped. */
export interface DoneEvent extends EventBase {
  readonly event: "done";
  /** The last validation's loss and bits a byte; null if none was made. */
  readonly loss: number | null;
  readonly bitsPerByte: number | null;
  readonly bigramBitsPerByte: number;
  readonly tokensPerSecond: number;
  readonly seconds: number;
  /** The file of the last state. */
  readonly checkpoint: string;
  /** The best validation and the file of its state; null if none was made. */
  readonly best: { readonly step: number; readonly bitsPerByte: number; readonly checkpoint: string } | null;
  /** The page with the curves. */
  readonly report: string;
  /** Whether it was stopped before its last step. */
  readonly interrupted: boolean;
}

/** An event of a training run. */
export type TrainEvent = StartEvent | StepEvent | ValidationEvent | SampleEvent | DoneEvent;
