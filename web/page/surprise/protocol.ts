/** Messages between the surprise tab and its worker. */

import type { Builtin } from "../builtin.ts";

/** Whose surprise: a model that comes with the page, or the last one that was trained and stored in this browser. */
export type Source = Builtin | "own";

/** Parts of a memory's learning that can be turned off. */
export const PARTS = ["momentum", "forgetting"] as const;
export type MemoryPart = typeof PARTS[number];

/** From the page: reads a text from its beginning. A new request ends the one before. */
export interface SurpriseRequest {
  readonly id: number;
  readonly source: Source;
  /** What its memories do without. */
  readonly off: readonly MemoryPart[];
  readonly text: Uint8Array;
}

/** Where a memory is, counted from 0. */
export interface Place {
  readonly block: number;
  readonly head: number;
}

/** The model that reads. */
export interface ReadingModel {
  readonly name: string;
  readonly parameters: number;
  readonly device: string;
  /** What its memories learn with, as it was trained. */
  readonly parts: readonly MemoryPart[];
  /** What its memories observe, by name. */
  readonly quantities: readonly string[];
  /** The memories. */
  readonly places: readonly Place[];
}

/** From the worker. */
export type SurpriseReply =
  | { readonly type: "model"; readonly id: number; readonly model: ReadingModel }
  /** Bytes from `start` on were read. */
  | {
    readonly type: "piece";
    readonly id: number;
    readonly start: number;
    /** What each byte cost the model, in bits; NaN for the first of a text. */
    readonly bits: Float64Array;
    /** What it cost the model as it was trained, if a part of it is off. */
    readonly trained?: Float64Array;
    /** For each quantity the mean over all memories, then one memory after the other. */
    readonly values: readonly (readonly Float64Array[])[];
  }
  | { readonly type: "done"; readonly id: number }
  | { readonly type: "error"; readonly id: number; readonly message: string };
