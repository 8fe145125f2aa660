/**
 * Reading and writing token by token, with a state of constant size.
 *
 * A model's state can be carried on only at a boundary (a mini-batch or a segment). So a {@link Reader} keeps the state at the last boundary and the tokens
 * since, and runs a program of one fixed length over these tokens, padded on the right: padding is harmless, since no position sees a later one.
 */
import { type Spec, spec, trace } from "../core/trace.ts";
import { isTensor, type Tensor } from "../core/graph.ts";
import { mapLeaves, type MapTree } from "../core/tree.ts";
import { compile, type Device, type DeviceArray, type Program } from "../kernels/mod.ts";
import { ConfigError } from "./errors.ts";
import type { Model, ModelState } from "./model.ts";
import { Sampler, type SamplingOptions } from "./sampling.ts";

type StateArrays = MapTree<ModelState, Tensor, DeviceArray>;
type ReadProgram = Program<[flat: Tensor, state: ModelState, tokens: Tensor, position: Tensor], { logits: Tensor; state: ModelState }>;
type StartProgram = Program<[flat: Tensor], ModelState>;

/** A model that reads one text on a device. */
export class Reader {
  /** The model that reads. */
  readonly model: Model;
  #params: DeviceArray;
  #start: StartProgram;
  #read: ReadProgram;
  #state: StateArrays;
  /** Tokens since the boundary: fewer than the interval. */
  #pending: number[] = [];
  #tokensRead = 0;
  #logits?: Float32Array;

  private constructor(model: Model, programs: { start: StartProgram; read: ReadProgram; params: DeviceArray }) {
    this.model = model;
    this.#params = programs.params;
    this.#start = programs.start;
    this.#read = programs.read;
    this.#state = this.#start.launch(this.#params);
  }

  /**
   * Compiles what reading takes.
   * @param device Where to run.
   * @param model The model.
   * @param params Its parameters, one flat vector; uploaded once.
   */
  static async create(device: Device, model: Model, params: Float32Array): Promise<Reader> {
    const flat = spec([model.layout.size]);
    const initial = (vector: Tensor): ModelState => model.initialState(model.unflatten(vector), 1);
    const step = (vector: Tensor, state: ModelState, tokens: Tensor, position: Tensor): { logits: Tensor; state: ModelState } =>
      model.forward(model.unflatten(vector), tokens, { state, position });
    const start: StartProgram = await compile(device, initial, [flat]);
    const read: ReadProgram = await compile(device, step, [flat, stateSpecs(model), spec([1, model.interval], "i32"), spec([], "i32")]);
    return new Reader(model, { start, read, params: device.upload(params, flat) });
  }

  /** How many tokens have been read since the beginning. */
  get tokensRead(): number {
    return this.#tokensRead;
  }

  /** The logits after the last token read, [V]; undefined at the beginning. */
  get logits(): Float32Array | undefined {
    return this.#logits;
  }

  /**
   * Reads tokens and gives the logits after the last one.
   * @param tokens At least one token id.
   * @returns [V]
   * @throws {RangeError} if there is no token, or one lies outside the vocabulary.
   */
  async read(tokens: ArrayLike<number>): Promise<Float32Array> {
    const { interval, config: { vocabulary } } = this.model;
    if (tokens.length === 0) throw new RangeError("Cannot read an empty list of tokens: give at least one");
    for (let i = 0; i < tokens.length; i++) {
      if (!Number.isInteger(tokens[i]) || tokens[i] < 0 || tokens[i] >= vocabulary) {
        throw new RangeError(`Cannot read token ${tokens[i]}: tokens of this model go from 0 to ${vocabulary - 1}`);
      }
    }
    let next = 0;
    for (;;) {
      while (this.#pending.length < interval && next < tokens.length) this.#pending.push(tokens[next++]);
      const padded = new Int32Array(interval);
      padded.set(this.#pending);
      const { logits, state } = this.#read.launch(this.#params, this.#state, padded, this.#pending.length - 1);
      const last = next === tokens.length;
      const result = last ? await logits.read() : undefined;
      logits.dispose();
      const complete = this.#pending.length === interval;
      disposeAll(complete ? this.#state : state);
      if (complete) {
        this.#state = state;
        this.#pending = [];
      }
      if (result) {
        this.#tokensRead += tokens.length;
        this.#logits = result as Float32Array;
        return this.#logits;
      }
    }
  }

  /** Forgets all that was read: the state is the one of the beginning. */
  reset(): void {
    disposeAll(this.#state);
    this.#state = this.#start.launch(this.#params);
    this.#pending = [];
    this.#tokensRead = 0;
    this.#logits = undefined;
  }

  /** Frees programs and arrays; the device stays. */
  dispose(): void {
    disposeAll(this.#state);
    this.#params.dispose();
    this.#start.dispose();
    this.#read.dispose();
  }
}

/** The types of a model's state for one text. */
function stateSpecs(model: Model): MapTree<ModelState, Tensor, Spec> {
  let specs: MapTree<ModelState, Tensor, Spec> | undefined;
  trace((flat: Tensor) => {
    const state = model.initialState(model.unflatten(flat), 1);
    specs = mapLeaves(state, isTensor, (leaf) => spec(leaf.shape, leaf.dtype)) as MapTree<ModelState, Tensor, Spec>;
    return state;
  }, [spec([model.layout.size])]);
  return specs!;
}

function disposeAll(state: StateArrays): void {
  const isArray = (value: unknown): value is DeviceArray => typeof value === "object" && value !== null && "dispose" in value;
  mapLeaves(state, isArray, (array) => array.dispose());
}

/** Options of {@link generate}. */
export interface GenerateOptions extends SamplingOptions {
  /** Most tokens to write. */
  readonly maxTokens: number;
  /** What an empty prompt at the beginning of a text stands for; 10, the newline among bytes, unless said. */
  readonly start?: number;
  /** Sequences of tokens that end the writing where they would appear; they are not given. A text as bytes where tokens are bytes. */
  readonly stop?: readonly ArrayLike<number>[];
}

/**
 * Writes tokens after a prompt, giving each as soon as it is chosen; with stop sequences, as soon as it is sure to be part of none.
 * @param reader Where the text stands; writing goes on from there. The last token written is not read yet: begin the next prompt with it to go on.
 * @param prompt Token ids; may be empty.
 * @param options How many and how to choose.
 * @throws {RangeError} if a token lies outside the vocabulary.
 * @throws {ConfigError} if an option cannot be.
 */
export async function* generate(reader: Reader, prompt: ArrayLike<number>, options: GenerateOptions): AsyncGenerator<number, void, void> {
  const sampler = new Sampler(options);
  const stop = (options.stop ?? []).map((sequence) => Array.from(sequence));
  if (stop.some((sequence) => sequence.length === 0)) throw new ConfigError("Cannot stop at an empty stop sequence: give at least one token", "stop");
  const held: number[] = [];
  let logits = prompt.length > 0 ? await reader.read(prompt) : reader.logits ?? await reader.read([options.start ?? 10]);
  for (let n = 0; n < options.maxTokens; n++) {
    const token = sampler.choose(logits, n);
    held.push(token);
    const found = stop.find((sequence) => sequence.length <= held.length && matches(sequence, held, held.length - sequence.length));
    if (found) {
      yield* held.slice(0, held.length - found.length);
      return;
    }
    yield* held.splice(0, held.length - undecided(stop, held));
    if (n + 1 < options.maxTokens) logits = await reader.read([token]);
  }
  yield* held;
}

/** How many of the last tokens may be the beginning of a stop sequence. */
function undecided(stop: readonly number[][], tokens: readonly number[]): number {
  const from = tokens.findIndex((_, start) => stop.some((sequence) => tokens.length - start < sequence.length && matches(sequence, tokens, start)));
  return from < 0 ? 0 : tokens.length - from;
}

/** Whether the tokens from `start` on are those with which a sequence begins. */
function matches(sequence: readonly number[], tokens: readonly number[], start: number): boolean {
  return tokens.slice(start).every((token, i) => i >= sequence.length || token === sequence[i]);
}
