/** Messages between the page and its worker. */
import type { ModelConfig, ModelKind } from "../../titans/mod.ts";
import type { KeptModel } from "./store.ts";

/**
 * Sizes on offer: a model small enough to learn within a minute on one thread, the library's presets, and that of a
 * checkpoint which has none of these.
 */
export type Size = "tiny" | "nano" | "small" | "loaded";

/** Options of a run. */
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
  /** Continues from the model stored in the browser. */
  | { readonly type: "restore"; readonly steps: number; readonly device: DeviceChoice }
  /** Asks whether the browser has one stored. */
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

/** The model's prediction for a byte: the most likely bytes and their probabilities. */
export interface Expectation {
  readonly bytes: readonly number[];
  readonly probabilities: readonly number[];
}

/**
 * The effect of the memory on the model's predictions. Positions count bytes of the text; the first byte has no
 * prediction, and NaN.
 */
export interface Recall {
  /** Bytes of a passage. */
  readonly passage: number;
  /** Bits needed for each byte. */
  readonly bits: Float64Array;
  /** The same with a memory that has learned nothing. */
  readonly forgotten: Float64Array;
  /** The same with a memory that has not learned one passage, for each passage. */
  readonly without: readonly Float64Array[];
  /** Predictions with and without the memory. */
  readonly expected: readonly Expectation[];
  readonly expectedForgotten: readonly Expectation[];
}

/** What the memories did while the model read. */
export interface Reading {
  readonly text: Uint8Array;
  readonly config: ModelConfig;
  /** Where something is observed, block by block and head by head; counted from 0. */
  readonly places: readonly { readonly block: number; readonly head: number }[];
  /** What is observed at each byte, by name: first the mean over all places, then one place after the other. */
  readonly quantities: Readonly<Record<string, readonly Float64Array[]>>;
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
  /** `kept`: whether it came from the browser's storage rather than from a file. */
  | { readonly type: "loaded"; readonly step: number; readonly kept: boolean }
  | {
    readonly type: "progress";
    readonly step: number;
    /** The step after which it ends. */
    readonly end: number;
    readonly bits: readonly number[];
    readonly bytesPerSecond: number;
  }
  /** The browser has stored the model as of a step, and training goes on. */
  | { readonly type: "stored"; readonly step: number }
  /** `kept`: whether the browser has stored the model, so that a reload does not lose it. */
  | { readonly type: "paused"; readonly step: number; readonly stopped: boolean; readonly kept: boolean }
  /** The model stored in the browser during an earlier visit. */
  | { readonly type: "kept"; readonly model: KeptModel | undefined }
  /** Progress of a reading. */
  | { readonly type: "reading-progress"; readonly done: number; readonly total: number }
  | { readonly type: "written"; readonly bytes: readonly number[] }
  | { readonly type: "done" }
  | { readonly type: "reading"; readonly reading: Reading }
  | { readonly type: "checkpoint"; readonly bytes: Uint8Array<ArrayBuffer>; readonly name: string }
  /** Stopped without a result; the previous model, if any, is unchanged. */
  | { readonly type: "stopped"; readonly hasModel: boolean }
  | { readonly type: "error"; readonly message: string; readonly hasModel: boolean };
