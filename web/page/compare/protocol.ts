/** Messages between the tab that compares models and its worker. */
import type { ModelKind } from "../../../titans/mod.ts";

/** From the page. */
export type CompareRequest =
  | {
    readonly type: "start";
    readonly models: readonly ModelKind[];
    readonly lengths: readonly number[];
    readonly device: "cpu" | "webgpu";
  }
  | { readonly type: "stop" };

/** What was measured of a model at the end of a text. */
export interface Measured {
  readonly model: ModelKind;
  /** Tokens of the text. */
  readonly length: number;
  readonly parameters: number;
  /** What is carried from token to token. */
  readonly stateBytes: number;
  /** The median over some tokens. */
  readonly msPerToken: number;
}

/** From the worker. */
export type CompareReply =
  | { readonly type: "begin"; readonly model: ModelKind; readonly length: number }
  | { readonly type: "measured"; readonly measured: Measured }
  | { readonly type: "done"; readonly stopped: boolean; readonly device: string }
  | { readonly type: "error"; readonly message: string };
