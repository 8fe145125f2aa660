/** Messages between the recall page and its worker. */
import type { Story } from "./story.ts";

/** When the memory learns: always, at all bytes but those of the fact, or at those of the fact alone. */
export type Learning = "always" | "not the fact" | "only the fact";

/** Reads a story. A new request ends the one before. */
export interface ReadRequest {
  readonly type: "read";
  readonly id: number;
  readonly story: Story;
  readonly learning: Learning;
  /** Whose memory is shown, counted through the heads of all blocks. */
  readonly head: number;
}

/** Goes on from a place of the story that was read last, with several texts, each with a copy of the memory. */
export interface ForkRequest {
  readonly type: "fork";
  /** That of the story. */
  readonly id: number;
  /** How many of its bytes were read. */
  readonly at: number;
  readonly texts: readonly string[];
  readonly head: number;
}

/** From the page. */
export type RecallRequest = ReadRequest | ForkRequest;

/** What became of a memory that went on with a text of its own. */
export interface Branch {
  /** The matrix of the head at the end of the text. */
  readonly memory: Float32Array;
  /** What it answers then to the question of the story. */
  readonly answer: Distribution;
}

/** How likely each byte is as the answer to the question. */
export type Distribution = Float32Array;

/** From the worker. */
export type RecallReply =
  | {
    readonly type: "ready";
    readonly device: string;
    readonly parameters: number;
    readonly heads: number;
    readonly side: number;
  }
  /** The matrix of the head before the first byte. */
  | { readonly type: "begun"; readonly id: number; readonly memory: Float32Array }
  /** Bytes from `from` on were read. */
  | {
    readonly type: "frames";
    readonly id: number;
    readonly from: number;
    /** The matrix of the head after each byte, side * side numbers each. */
    readonly memory: Float32Array;
    /** How far the matrix of each head moved, `heads` numbers a byte. */
    readonly moved: Float32Array;
  }
  /** What would be answered after `at` bytes. */
  | { readonly type: "asked"; readonly id: number; readonly at: number; readonly answer: Distribution }
  /** The story was read: what is answered, and what a memory answers that has read nothing but the question. */
  | {
    readonly type: "answered";
    readonly id: number;
    readonly answer: Distribution;
    readonly without: Distribution;
  }
  | { readonly type: "forked"; readonly id: number; readonly at: number; readonly branches: readonly Branch[] }
  | { readonly type: "error"; readonly message: string };
