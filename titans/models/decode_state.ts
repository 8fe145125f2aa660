/** The decoding state as a value: what a model knows after some tokens, of the same size after any number of them. */
import type { Tensor } from "../../core/graph.ts";
import { showAsText } from "../../core/inspect.ts";
import { optionNames } from "../../core/options.ts";
import { mapLeaves, type MapTree } from "../../core/tree.ts";
import type { DeviceArray } from "../../kernels/mod.ts";
import { checkNames } from "../errors.ts";
import { namedLeaves } from "./decode.ts";
import type { ModelState } from "./model.ts";
import type { StoredTensor } from "./safetensors.ts";

/** The arrays of a state, in device memory. */
export type DecodeArrays = MapTree<ModelState, Tensor, DeviceArray>;

/** A state on the host: everything that reading needs to go on. */
export interface ExportedDecodeState {
  /** Tokens read since the beginning of the text. */
  readonly tokensRead: number;
  /** Logits after the last token, [V]; absent at the beginning. */
  readonly logits?: Float32Array;
  /** The arrays by name; memory_file.ts says what each is. */
  readonly arrays: Readonly<Record<string, StoredTensor>>;
}

const EXPORTED = optionNames<ExportedDecodeState>({ tokensRead: true, logits: true, arrays: true });

/** Checks the names of an exported state. @throws {ConfigError} for one that is no part of it. */
export function checkExported(exported: ExportedDecodeState): void {
  checkNames("an exported state", exported, EXPORTED);
}

/**
 * What a model knows after some tokens, in device memory. It never changes: reading on from it gives another state, so
 * one state may be read on from many times. It takes memory until it is disposed.
 */
export class DecodeState {
  #arrays: DecodeArrays | undefined;

  /**
   * Made by a `Decoder`.
   * @internal
   */
  constructor(
    arrays: DecodeArrays,
    /** Tokens read since the beginning of the text. */
    readonly tokensRead: number,
    /** Logits after the last token, [V]; undefined at the beginning. */
    readonly logits: Float32Array | undefined,
  ) {
    this.#arrays = arrays;
  }

  /**
   * The arrays.
   * @throws {RangeError} if the state was disposed.
   * @internal
   */
  get arrays(): DecodeArrays {
    if (!this.#arrays) {
      throw new RangeError(
        `Cannot read on from a state that was disposed (after ${this.tokensRead} tokens): keep it until it is used`,
      );
    }
    return this.#arrays;
  }

  /** Bytes of device memory that the state takes. */
  get sizeBytes(): number {
    return leavesOf(this.arrays).reduce((bytes, { leaf }) => bytes + 4 * sizeOf(leaf.shape), 0);
  }

  /** How much was read, such as `state after 12 tokens`. */
  toString(): string {
    return `state after ${this.tokensRead} tokens${this.#arrays ? "" : " (disposed)"}`;
  }

  /** The same for JSON; {@link export} gives the arrays. */
  toJSON(): { readonly tokensRead: number } {
    return { tokensRead: this.tokensRead };
  }

  static {
    showAsText(this);
  }

  /** Copies the state to the host. */
  async export(): Promise<ExportedDecodeState> {
    const leaves = leavesOf(this.arrays);
    const data = await Promise.all(leaves.map(({ leaf }) => leaf.read())) as Float32Array[];
    const arrays = Object.fromEntries(leaves.map(({ name, leaf }, i) => [name, { shape: leaf.shape, data: data[i] }]));
    return { tokensRead: this.tokensRead, ...(this.logits ? { logits: this.logits } : {}), arrays };
  }

  /** Frees its memory; states that were read from it stay. Disposing twice does nothing. */
  dispose(): void {
    if (this.#arrays) disposeArrays(this.#arrays);
    this.#arrays = undefined;
  }

  /** {@link dispose}, at the end of a block that holds the state with `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Frees arrays of a state that none holds. */
export function disposeArrays(arrays: DecodeArrays): void {
  mapLeaves(arrays, isArray, (array) => array.dispose());
}

function leavesOf(arrays: DecodeArrays): { readonly name: string; readonly leaf: DeviceArray }[] {
  return namedLeaves(arrays, isArray);
}

function isArray(value: unknown): value is DeviceArray {
  return typeof value === "object" && value !== null && "dispose" in value;
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, extent) => size * extent, 1);
}
