/**
 * Decoding many texts in one program: row b of every array of the state is text b, each at a position of its own, so
 * texts join and leave between any two tokens. A row's numbers depend on its own tokens alone.
 *
 *     put     row b of the state <- the state of a text
 *     step    logits [B, V], state <- one token of each text; rows without a token stay as they are
 *     take    the state of a text <- row b of the state
 */
import { isTensor, type Tensor } from "../../core/graph.ts";
import { showAsText } from "../../core/inspect.ts";
import { spec } from "../../core/trace.ts";
import { flatten } from "../../core/tree.ts";
import { compile } from "../../kernels/compile.ts";
import type { Device, DeviceArray, Program } from "../../kernels/mod.ts";
import { broadcastTo, equal, gather, greater, iota, reshape, split, where } from "../../ops/mod.ts";
import { checkTokens, mapState, positionAt, stepSpecs } from "./decode.ts";
import { type DecodeArrays, DecodeState, disposeArrays } from "./decode_state.ts";
import type { Decoder } from "./decoder.ts";
import type { ForwardResult, Model, ModelState } from "./model.ts";

/** What {@link BatchDecoder} compiles. */
interface Programs {
  readonly step: Program<[flat: Tensor, state: ModelState, input: Tensor], ForwardResult>;
  readonly put: Program<[state: ModelState, text: ModelState, row: Tensor], ModelState>;
  readonly take: Program<[state: ModelState, row: Tensor], ModelState>;
}

/** What a row holds. */
interface Row {
  tokensRead: number;
  logits: Float32Array | undefined;
}

/**
 * Texts that are read together, a token of each in one launch. Made by `Decoder.batch`.
 * @example Two texts at different positions go on in one program.
 * ```ts
 * import { requestDevice } from "@mneme/titans";
 * import { Decoder, defineConfig, Model } from "@mneme/titans/titans";
 *
 * const device = await requestDevice({ kind: "reference" });
 * const model = new Model(defineConfig({ model: "lmm", width: 16, heads: 1, blocks: 1, mlpHidden: 16 }));
 * const decoder = await Decoder.create(device, model, model.layout.pack(model.initialize(1)));
 * const batch = await decoder.batch(2);
 * const { state } = await decoder.prefill([1, 2, 3]);
 * batch.put(0, state);
 * batch.put(1, decoder.start);
 * const [first, second] = await batch.step([4, 5]);
 * console.log(first?.length, second?.length, batch.tokensRead(0), batch.tokensRead(1)); // 256 256 4 1
 * device.dispose();
 * ```
 */
export class BatchDecoder {
  readonly #model: Model;
  readonly #params: DeviceArray;
  readonly #programs: Programs;
  readonly #rows: readonly Row[];
  #state: DecodeArrays;

  private constructor(
    model: Model,
    { params, programs, state, rows }: {
      readonly params: DeviceArray;
      readonly programs: Programs;
      readonly state: DecodeArrays;
      readonly rows: number;
    },
  ) {
    this.#model = model;
    this.#params = params;
    this.#programs = programs;
    this.#state = state;
    this.#rows = Array.from({ length: rows }, () => ({ tokensRead: 0, logits: undefined }));
  }

  /**
   * Compiles what a batch takes.
   * @internal
   */
  static async create(
    { model, start }: Decoder,
    rows: number,
    { device, params }: { readonly device: Device; readonly params: DeviceArray },
  ): Promise<BatchDecoder> {
    if (!Number.isSafeInteger(rows) || rows < 1) {
      throw new RangeError(`Cannot decode ${rows} texts together: give a whole number of at least 1`);
    }
    const flat = spec([model.layout.size]),
      all = stepSpecs(model, rows),
      one = stepSpecs(model),
      index = spec([1], "i32");
    const fill = await compile(device, (text: ModelState) => mapState(text, (leaf) => repeated(leaf, rows)), [one]);
    const state = fill.launch(start.arrays) as DecodeArrays;
    fill.dispose();
    return new BatchDecoder(model, {
      params,
      rows,
      state,
      programs: {
        step: await compile(device, stepOf(model, rows), [flat, all, spec([3, rows], "i32")], { donate: [1] }),
        put: await compile(device, putRow, [all, one, index], { donate: [0] }),
        take: await compile(device, takeRow, [all, index]),
      },
    });
  }

  /** How many texts there is room for. */
  get rows(): number {
    return this.#rows.length;
  }

  /** How many tokens of a row's text were read. */
  tokensRead(row: number): number {
    return this.#row(row).tokensRead;
  }

  /** Puts a text into a row, in place of what was there; the state remains the caller's. */
  put(row: number, state: DecodeState): void {
    const held = this.#row(row);
    this.#state = this.#programs.put.launch(this.#state, state.arrays, Int32Array.of(row)) as DecodeArrays;
    held.tokensRead = state.tokensRead;
    held.logits = state.logits;
  }

  /** The state of a row's text, the caller's to dispose; the row keeps it too. */
  take(row: number): DecodeState {
    const { tokensRead, logits } = this.#row(row);
    return new DecodeState(this.#programs.take.launch(this.#state, Int32Array.of(row)), tokensRead, logits);
  }

  /**
   * Reads a token of some of the texts.
   * @param tokens By row; a row without one stays as it is.
   * @returns The logits after each token, [V], by row.
   * @throws {RangeError} before anything is read if a token lies outside the vocabulary, or a text has no room left.
   */
  async step(tokens: readonly (number | undefined)[]): Promise<(Float32Array | undefined)[]> {
    const { rows } = this;
    if (tokens.length > rows) throw new RangeError(`Cannot read ${tokens.length} tokens: the batch has ${rows} rows`);
    const input = new Int32Array(3 * rows);
    tokens.forEach((token, row) => {
      if (token === undefined) return;
      const at = this.#rows[row].tokensRead;
      checkTokens(this.#model, [token], at);
      input.set([token], row);
      input.set([positionAt(this.#model, at)], rows + row);
      input.set([1], 2 * rows + row);
    });
    const result = this.#programs.step.launch(this.#params, this.#state, input);
    this.#state = result.state as DecodeArrays;
    const logits = await result.logits.read() as Float32Array, V = logits.length / rows;
    result.logits.dispose();
    return this.#rows.map((held, row) => {
      if (tokens[row] === undefined) return undefined;
      held.tokensRead++;
      return held.logits = logits.slice(row * V, (row + 1) * V);
    });
  }

  /** The number of rows and the model, in one line. */
  toString(): string {
    return `decoder of ${this.rows} texts together: ${this.#model}`;
  }

  static {
    showAsText(this);
  }

  /** Frees its programs and its state; what was taken from it stays. */
  dispose(): void {
    disposeArrays(this.#state);
    for (const program of Object.values(this.#programs)) program.dispose();
  }

  #row(row: number): Row {
    const held = this.#rows[row];
    if (held) return held;
    throw new RangeError(`Cannot use row ${row} of a batch: its rows go from 0 to ${this.rows - 1}`);
  }
}

type Step = (vector: Tensor, state: ModelState, input: Tensor) => ForwardResult;

/** One token of each text: input is [3, B] of tokens, positions, and ones where there is a token. */
function stepOf(model: Model, B: number): Step {
  return (vector, before, input) => {
    const [tokens, positions, given] = split(input, [1, 1, 1], 0);
    const { logits, state } = model.step(model.unflatten(vector), reshape(tokens, [B, 1]), {
      state: before,
      position: reshape(positions, [B, 1, 1, 1]),
    });
    return { logits, state: chosen(greater(reshape(given, [B]), 0), state, before) };
  };
}

function putRow(state: ModelState, text: ModelState, row: Tensor): ModelState {
  const [first] = flatten(state, isTensor).leaves, B = first.shape[0];
  return chosen(equal(iota([B], 0), row), mapState(text, (leaf) => repeated(leaf, B)), state);
}

function takeRow(state: ModelState, row: Tensor): ModelState {
  return mapState(state, (leaf) => gather(leaf, row));
}

/** One state or the other, text by text; `condition` is [B]. */
function chosen(condition: Tensor, lhs: ModelState, rhs: ModelState): ModelState {
  const others = flatten(rhs, isTensor).leaves;
  return mapState(lhs, (leaf, i) => {
    const [B, ...rest] = leaf.shape;
    return where(reshape(condition, [B, ...rest.map(() => 1)]), leaf, others[i]);
  });
}

function repeated(leaf: Tensor, rows: number): Tensor {
  return broadcastTo(leaf, [rows, ...leaf.shape.slice(1)]);
}
