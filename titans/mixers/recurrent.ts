/** What mixers with a matrix for a memory have in common: its first state, and which tokens it stores. */
import type { Tensor } from "../../core/graph.ts";
import { mul, reshape, zeros } from "../../ops/mod.ts";
import { refuse } from "../options/option_table.ts";
import type { ConvolvedState } from "./convolved.ts";

/** What such a mixer carries from token to token: of constant size. */
export interface RecurrentState extends ConvolvedState {
  /** The matrix of each head, [B, H, K, V]. */
  readonly memory: Tensor;
}

/** The extents of the matrices. */
export interface MemoryExtents {
  /** Texts, B. */
  readonly batch: number;
  /** Heads, H. */
  readonly heads: number;
  /** Width of a key, K. */
  readonly keyWidth: number;
  /** Width of a value, V. */
  readonly valueWidth: number;
}

/** Matrices before the first token: zeros [B, H, K, V]. */
export function emptyMemory({ batch, heads, keyWidth, valueWidth }: MemoryExtents): Tensor {
  return zeros([batch, heads, keyWidth, valueWidth]);
}

/** Keys [B, H, T, K] of tokens that are stored, and zero for the others; all are unless a mask [B, T] says so. */
export function storedKeys(key: Tensor, update: Tensor | undefined): Tensor {
  if (!update) return key;
  const [B, T] = update.shape;
  return mul(key, reshape(update, [B, 1, T, 1]));
}

/** Checks that a width can be cut into heads. @throws {ConfigError} if it cannot. */
export function checkHeads(heads: number, width: number, of: string): void {
  if (width % heads !== 0) refuse("heads", heads, `it must divide ${of}, ${width}`);
}
