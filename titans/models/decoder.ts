/** Decoding on a device, with a state of constant size after every token.
 *
 * A token is read by a program of one token, which costs the same however much was read before. Where the state stands
 * at a boundary and many tokens are there, a program of many tokens reads them at once, to the same numbers.
 */
import { showAsText } from "../../core/inspect.ts";
import { isSpec, type Spec, spec } from "../../core/trace.ts";
import type { Tensor } from "../../core/graph.ts";
import { mapLeaves, type MapTree } from "../../core/tree.ts";
import { compile } from "../../kernels/compile.ts";
import type { Device, DeviceArray, Program } from "../../kernels/mod.ts";
import { add, expandDims, split, squeeze, zeros } from "../../ops/mod.ts";
import type { ModelConfig } from "./config.ts";
import type { ForwardResult, Model, ModelState } from "./model.ts";
import { BatchDecoder } from "./batch_decoder.ts";
import { checkTokens, mismatchOf, namedLeaves, positionAt, stepSpecs } from "./decode.ts";
import {
  checkExported,
  type DecodeArrays,
  DecodeState,
  disposeArrays,
  type ExportedDecodeState,
} from "./decode_state.ts";

type ReadProgram = Program<[flat: Tensor, state: ModelState, tokens: Tensor], ForwardResult>;
type StartProgram = Program<[flat: Tensor], ModelState>;

/** What reading gave. */
export interface DecodeResult {
  /** Logits after the last token read, [V]. */
  readonly logits: Float32Array;
  /** The state after it; the caller's to dispose. */
  readonly state: DecodeState;
}

/** Tokens that one launch reads at most, where there are as many. */
const LONG_TOKENS = 512;
/** Tokens that a shorter launch reads where states can be carried on anywhere; else it reads an interval. */
const SHORT_TOKENS = 32;

/**
 * A model that reads on a device: from states that are given, or one text of its own, piece by piece.
 * @example Reads a text once, and continues from there repeatedly.
 * ```ts
 * import { requestDevice } from "@mneme/titans";
 * import { Decoder, defineConfig, Model } from "@mneme/titans/titans";
 *
 * const device = await requestDevice({ kind: "reference" });
 * const model = new Model(defineConfig({ model: "lmm", width: 16, heads: 1, blocks: 1, mlpHidden: 16 }));
 * const decoder = await Decoder.create(device, model, model.layout.pack(model.initialize(1)));
 * const { state } = await decoder.prefill(new TextEncoder().encode("What was read stays in memory. "));
 * const yes = await decoder.step("Y".charCodeAt(0), state), no = await decoder.step("N".charCodeAt(0), state);
 * console.log(state.tokensRead, yes.state.tokensRead, no.state.sizeBytes === state.sizeBytes); // 31 32 true
 * device.dispose();
 * ```
 */
export class Decoder {
  /** The model that reads. */
  readonly model: Model;
  /** The state before the first token. It is the decoder's: never dispose of it. */
  readonly start: DecodeState;
  #device: Device;
  #params: DeviceArray;
  #specs: MapTree<ModelState, Tensor, Spec>;
  #startProgram: StartProgram;
  #token: ReadProgram;
  #short?: ReadProgram;
  #long?: ReadProgram;
  #state: DecodeState;

  private constructor(
    model: Model,
    device: Device,
    programs: { start: StartProgram; token: ReadProgram; params: DeviceArray },
  ) {
    this.model = model;
    this.#device = device;
    this.#params = programs.params;
    this.#specs = stepSpecs(model);
    this.#startProgram = programs.start;
    this.#token = programs.token;
    this.start = this.#state = new DecodeState(programs.start.launch(programs.params), 0, undefined);
  }

  /**
   * Compiles what reading takes; programs of many tokens when they are first needed.
   * @param device Where to run.
   * @param model The model.
   * @param params Its parameters, one flat vector; uploaded once.
   */
  static async create(device: Device, model: Model, params: Float32Array): Promise<Decoder> {
    const flat = spec([model.layout.size]);
    const initial = (vector: Tensor): ModelState => model.stepState(model.initialState(model.unflatten(vector), 1));
    const start: StartProgram = await compile(device, initial, [flat]);
    const one = (vector: Tensor, state: ModelState, placed: Tensor): ForwardResult => {
      const [token, position] = split(placed, [1, 1], 0);
      return model.step(model.unflatten(vector), expandDims(token, 0), { state, position: squeeze(position, 0) });
    };
    const token: ReadProgram = await compile(device, one, [flat, stepSpecs(model), spec([2], "i32")]);
    return new Decoder(model, device, { start, token, params: device.upload(params, flat) });
  }

  /** The model and the number of tokens read, in one line. */
  toString(): string {
    return `decoder on ${this.#device.info.kind} after ${this.tokensRead} tokens: ${this.model}`;
  }

  /** The same for JSON; export the state to continue reading later. */
  toJSON(): { readonly tokensRead: number; readonly device: string; readonly model: ModelConfig } {
    return { tokensRead: this.tokensRead, device: this.#device.info.kind, model: this.model.toJSON() };
  }

  static {
    showAsText(this);
  }

  /**
   * Tokens that one launch reads at most; a piece of a text that ends at a multiple of it is read fast, and so is the
   * next one.
   */
  get tokensAtOnce(): number {
    const { interval } = this.model;
    return interval * Math.ceil(LONG_TOKENS / interval);
  }

  /**
   * Where the decoder's own text stands; the decoder's, and gone once it has read on: {@link DecodeState.export} it, or
   * use {@link prefill}, to keep it.
   */
  get state(): DecodeState {
    return this.#state;
  }

  /** How many tokens of its own text have been read since the beginning. */
  get tokensRead(): number {
    return this.#state.tokensRead;
  }

  /** The logits after the last token of its own text, [V]; undefined at the beginning. */
  get logits(): Float32Array | undefined {
    return this.#state.logits;
  }

  /**
   * Reads tokens of its own text.
   * @param tokens At least one token id.
   * @returns The logits after the last one, [V].
   * @throws {RangeError} if there is no token, or one lies outside the vocabulary.
   */
  async read(tokens: ArrayLike<number>): Promise<Float32Array> {
    const { logits, state } = await this.prefill(tokens, this.#state);
    this.#replace(state);
    return logits;
  }

  /**
   * Goes on from an exported state: its own text is the one that was read then.
   * @throws {RangeError} as {@link importState}.
   */
  restore(exported: ExportedDecodeState): void {
    this.#replace(this.importState(exported));
  }

  /** Forgets all that was read: its own text starts afresh. */
  reset(): void {
    this.#replace(this.start);
  }

  #replace(state: DecodeState): void {
    if (this.#state !== this.start) this.#state.dispose();
    this.#state = state;
  }

  /**
   * Reads tokens after a state, which stays as it is.
   * @param tokens At least one token id.
   * @param state Where to begin. Default: the beginning of a text.
   * @throws {RangeError} if there is no token, one lies outside the vocabulary, or the state was disposed.
   */
  async prefill(tokens: ArrayLike<number>, state: DecodeState = this.start): Promise<DecodeResult> {
    checkTokens(this.model, tokens, state.tokensRead);
    let arrays = state.arrays, next = 0;
    for (;;) {
      const { program, input, count } = await this.#piece(tokens, next, state.tokensRead + next);
      const result = program.launch(this.#params, arrays, input);
      if (arrays !== state.arrays) disposeArrays(arrays);
      arrays = result.state;
      next += count;
      if (next < tokens.length) {
        result.logits.dispose();
        continue;
      }
      const logits = await result.logits.read() as Float32Array;
      result.logits.dispose();
      return { logits, state: new DecodeState(arrays, state.tokensRead + next, logits) };
    }
  }

  /**
   * Reads one token after a state, which stays as it is: {@link prefill} of one token.
   * @param token A token id.
   * @param state What was read before.
   */
  step(token: number, state: DecodeState): Promise<DecodeResult> {
    return this.prefill([token], state);
  }

  /**
   * Puts an exported state on the device.
   * @param exported As {@link DecodeState.export} gave it, of a model with the same configuration and parameters.
   * @throws {RangeError} naming the first array that is missing or has another shape.
   */
  importState(exported: ExportedDecodeState): DecodeState {
    checkExported(exported);
    const { tokensRead, logits, arrays } = exported;
    const { vocabulary } = this.model.config;
    if (!Number.isSafeInteger(tokensRead) || tokensRead < 0) {
      throw new RangeError(`Cannot use a state after ${tokensRead} tokens: it must be a whole number`);
    }
    if (logits && logits.length !== vocabulary) {
      throw new RangeError(`Cannot use a state with ${logits.length} logits: the model has ${vocabulary} tokens`);
    }
    const reason = mismatchOf(this.#specs, arrays);
    if (reason !== undefined) throw new RangeError(`Cannot use this state: ${reason}`);
    const names = namedLeaves(this.#specs, isSpec).map(({ name }) => name);
    let next = 0;
    // They are of f32, as was just checked.
    const upload = (leaf: Spec): DeviceArray => this.#device.upload(arrays[names[next++]].data as Float32Array, leaf);
    return new DecodeState(mapLeaves(this.#specs, isSpec, upload) as DecodeArrays, tokensRead, logits);
  }

  /**
   * Compiles a decoder of this model that reads a token of each of many texts in one launch; the caller's to dispose,
   * before this one.
   * @param rows How many texts.
   */
  batch(rows: number): Promise<BatchDecoder> {
    return BatchDecoder.create(this, rows, { device: this.#device, params: this.#params });
  }

  /** Frees programs, parameters, and the states that are the decoder's; the device and the caller's states stay. */
  dispose(): void {
    this.reset();
    this.start.dispose();
    this.#params.dispose();
    for (const program of [this.#startProgram, this.#token, this.#short, this.#long]) program?.dispose();
  }

  /** What to launch for tokens from `next` on, of which the first is token `at` of the text. */
  async #piece(
    tokens: ArrayLike<number>,
    next: number,
    at: number,
  ): Promise<{ program: ReadProgram; input: Int32Array; count: number }> {
    const { interval } = this.model, left = tokens.length - next;
    const long = this.tokensAtOnce, short = interval === 1 ? SHORT_TOKENS : interval;
    if (at % interval !== 0 || left < short) {
      return { program: this.#token, input: Int32Array.of(tokens[next], positionAt(this.model, at)), count: 1 };
    }
    const count = left >= long ? long : short;
    const program = left >= long
      ? this.#long ??= await this.#parallel(long)
      : this.#short ??= await this.#parallel(short);
    return { program, input: Int32Array.from({ length: count }, (_, i) => tokens[next + i]), count };
  }

  /** Compiles reading `count` tokens, whole intervals from a boundary on, at once. */
  async #parallel(count: number): Promise<ReadProgram> {
    const { model } = this;
    const read = (vector: Tensor, before: ModelState, tokens: Tensor): ForwardResult => {
      const position = add(zeros([], "i32"), count - 1);
      const { logits, state } = model.forward(model.unflatten(vector), tokens, { state: before, position });
      return { logits, state: model.stepState(state) };
    };
    return await compile(this.#device, read, [spec([model.layout.size]), this.#specs, spec([1, count], "i32")]);
  }
}
