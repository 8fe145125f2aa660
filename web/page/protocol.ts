/** What the page and its worker tell each other. */
import type { ModelConfig, ModelKind, TraceQuantity } from "../../titans/mod.ts";
import type { KeptModel } from "./store.ts";

/**
 * Sizes on offer: a model small enough to learn within a minute on one thread, the library's presets, and that of a
 * checkpoint which has none of these.
 */
export type Size = "tiny" | "nano" | "small" | "loaded";

/** What a run is. */
export interface RunOptions {
  readonly model: ModelKind;
  readonly size: Size;
  readonly seed: number;
  /** Steps of the schedule of learning rates. */
  readonly steps: number;
}

/** Where to compute. */
export type DeviceChoice = "auto" | "webgpu" | "cpu";

/** From the page. */
export type Request =
  | {
    readonly type: "start";
    readonly options: RunOptions;
    readonly steps: number;
    readonly device: DeviceChoice;
    readonly text: Uint8Array;
  }
  | { readonly type: "load"; readonly checkpoint: Uint8Array; readonly steps: number; readonly device: DeviceChoice }
  /** Goes on from the model that the browser keeps. */
  | { readonly type: "restore"; readonly steps: number; readonly device: DeviceChoice }
  /** Asks whether the browser keeps one. */
  | { readonly type: "look" }
  | { readonly type: "train"; readonly steps: number; readonly text: Uint8Array }
  | { readonly type: "stop" }
  | {
    readonly type: "write";
    readonly prompt: Uint8Array;
    readonly count: number;
    readonly temperature: number;
    readonly seed: number;
  }
  | { readonly type: "read"; readonly text: Uint8Array }
  | { readonly type: "save" };

/** What a byte was expected to be: the likeliest bytes and their probabilities. */
export interface Expectation {
  readonly bytes: readonly number[];
  readonly probabilities: readonly number[];
}

/**
 * What the model's predictions owe to its memory. Positions count bytes of the text; the first byte has no prediction,
 * and NaN.
 */
export interface Recall {
  /** Bytes of a passage. */
  readonly passage: number;
  /** Bits that each byte costs. */
  readonly bits: Float64Array;
  /** The same if the memory had learned nothing. */
  readonly forgotten: Float64Array;
  /** The same if the memory had not learned from one passage, passage by passage. */
  readonly without: readonly Float64Array[];
  /** What was expected, and what would have been without the memory. */
  readonly expected: readonly Expectation[];
  readonly expectedForgotten: readonly Expectation[];
}

/** What the memories did while the model read. */
export interface Reading {
  readonly text: Uint8Array;
  readonly config: ModelConfig;
  /** A quantity at each byte: first the mean over all memories, then block by block and head by head. */
  readonly quantities: Readonly<Record<TraceQuantity, readonly Float64Array[]>>;
  readonly recall: Recall;
}

/** From the worker. */
export type Reply =
  | {
    readonly type: "ready";
    readonly device: string;
    readonly config: ModelConfig;
    readonly size: Size;
    readonly parameters: number;
    readonly step: number;
    readonly seed: number;
  }
  /** How many of the kernels are compiled. */
  | { readonly type: "compiling"; readonly done: number; readonly total: number }
  /** `kept`: whether it came from what the browser keeps, and not from a file. */
  | { readonly type: "loaded"; readonly step: number; readonly kept: boolean }
  | {
    readonly type: "progress";
    readonly step: number;
    readonly bits: readonly number[];
    readonly bytesPerSecond: number;
  }
  /** `kept`: whether the browser keeps the model, so that a reload does not lose it. */
  | { readonly type: "paused"; readonly step: number; readonly stopped: boolean; readonly kept: boolean }
  /** What the browser keeps of an earlier visit. */
  | { readonly type: "kept"; readonly model: KeptModel | undefined }
  /** How much of a reading is done. */
  | { readonly type: "reading-progress"; readonly done: number; readonly total: number }
  | { readonly type: "written"; readonly bytes: readonly number[] }
  | { readonly type: "done" }
  | { readonly type: "reading"; readonly reading: Reading }
  | { readonly type: "checkpoint"; readonly bytes: Uint8Array<ArrayBuffer>; readonly name: string }
  /** Stopped before there was a result; the model of before is still there, if there was one. */
  | { readonly type: "stopped"; readonly hasModel: boolean }
  | { readonly type: "error"; readonly message: string; readonly hasModel: boolean };
