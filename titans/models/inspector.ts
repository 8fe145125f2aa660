/**
 * Watching a model read: what its memories do at each token of a text of any length.
 *
 * One program reads pieces of a fixed length and traces them; the state stays on the device from piece to piece, so the
 * memory that this takes does not grow with the text. A text's last piece is filled up on the right, which is harmless,
 * since no position sees a later one.
 */
import type { Tensor } from "../../core/graph.ts";
import { showAsText } from "../../core/inspect.ts";
import { optionNames } from "../../core/options.ts";
import { spec } from "../../core/trace.ts";
import { flatten, type MapTree } from "../../core/tree.ts";
import { compile, type CompileWatch, type Device, type DeviceArray, type Program } from "../../kernels/mod.ts";
import { crossEntropy, sliceAxis, squeeze, stack } from "../../ops/mod.ts";
import type { ModelConfig } from "../config.ts";
import { checkNames, ConfigError } from "../errors.ts";
import type { Model, ModelState } from "./model.ts";
import { boundarySpecs } from "./decode.ts";
import type { MemoryTrace } from "../mixers/titans/trace.ts";

/** What is known about a memory at a token; {@link MemoryTrace} defines each. */
export type TraceQuantity = Exclude<keyof MemoryTrace, "matrices">;

/** The quantities of a trace, in a fixed order. */
export const TRACE_QUANTITIES: readonly TraceQuantity[] = [
  "surprise",
  "loss",
  "error",
  "readError",
  "theta",
  "eta",
  "alpha",
  "updateNorm",
  "momentumNorm",
  "memoryNorm",
];

/** Which memories to look at: all blocks and heads unless said. */
export interface TraceSelection {
  /** Counted from 0. */
  readonly block?: number;
  /** Counted from 0. */
  readonly head?: number;
}

const TRACE_SELECTION = optionNames<TraceSelection>({ block: true, head: true });

/** Consecutive tokens of a text and what the memories did at them. */
export class TracedPiece {
  readonly #values: Float32Array;
  readonly #extents: { readonly blocks: number; readonly heads: number; readonly length: number };

  /**
   * Made by {@link Inspector.read}.
   * @param start Position of the first token in the text.
   * @param tokens Token ids.
   * @param bits What each token cost the model before it was read: -log2 of the probability it gave it; NaN for the
   * first token of a text.
   * @param values Quantity by quantity [Q, blocks, heads, length], in the order of {@link TRACE_QUANTITIES}; more
   * tokens than there are may follow.
   * @param extents Of the values.
   */
  constructor(
    readonly start: number,
    readonly tokens: Int32Array,
    readonly bits: Float64Array,
    values: Float32Array,
    extents: { readonly blocks: number; readonly heads: number; readonly length: number },
  ) {
    this.#values = values;
    this.#extents = extents;
  }

  /**
   * A quantity at each token: of one memory, or the mean over those selected.
   * @throws {ConfigError} if there is no such block or head.
   */
  values(quantity: TraceQuantity, selection: TraceSelection = {}): Float64Array {
    checkNames("values", selection, TRACE_SELECTION);
    const { block, head } = selection;
    const { blocks, heads, length } = this.#extents;
    const chosen = (name: "block" | "head", index: number | undefined, count: number): number[] => {
      if (index === undefined) return Array.from({ length: count }, (_, i) => i);
      if (Number.isInteger(index) && index >= 0 && index < count) return [index];
      throw new ConfigError(`Cannot look at ${name} ${index}: the model has ${count}, counted from 0`, name);
    };
    const rows = chosen("block", block, blocks).flatMap((b) => chosen("head", head, heads).map((h) => b * heads + h));
    const from = TRACE_QUANTITIES.indexOf(quantity) * blocks * heads;
    return Float64Array.from(
      this.tokens,
      (_, t) => rows.reduce((total, row) => total + this.#values[(from + row) * length + t], 0) / rows.length,
    );
  }
}

interface Watched {
  /** Nats of the token after each one, [T]. */
  readonly losses: Tensor;
  /** [Q, blocks, heads, T] */
  readonly values: Tensor;
  readonly state: ModelState;
}

type StateArrays = MapTree<ModelState, Tensor, DeviceArray>;
type WatchProgram = Program<[flat: Tensor, state: ModelState, tokens: Tensor], Watched>;
type StartProgram = Program<[flat: Tensor], ModelState>;

/** Options of {@link Inspector.create}. */
export interface InspectorOptions extends CompileWatch {
  /**
   * Tokens of a piece, rounded up to whole intervals of the model; 256 unless said. A longer one runs faster a token
   * and takes more memory.
   */
  readonly length?: number;
}

const INSPECTOR_OPTIONS = optionNames<InspectorOptions>({ length: true, progress: true, signal: true });

/** Shows what the memories of a model do while it reads. */
export class Inspector {
  /** The model that reads. */
  readonly model: Model;
  /** Tokens of a piece. */
  readonly length: number;
  readonly #start: StartProgram;
  readonly #watch: WatchProgram;
  readonly #params: DeviceArray;

  private constructor(
    model: Model,
    length: number,
    programs: { start: StartProgram; watch: WatchProgram; params: DeviceArray },
  ) {
    this.model = model;
    this.length = length;
    this.#start = programs.start;
    this.#watch = programs.watch;
    this.#params = programs.params;
  }

  /**
   * Compiles what watching takes.
   * @param device Where to run.
   * @param model The model.
   * @param params Its parameters, one flat vector; uploaded once.
   * @throws {ConfigError} if the length is no positive integer.
   */
  static async create(
    device: Device,
    model: Model,
    params: Float32Array,
    options: InspectorOptions = {},
  ): Promise<Inspector> {
    checkNames("Inspector.create", options, INSPECTOR_OPTIONS);
    const { length: asked = 256, progress, signal } = options;
    if (!Number.isInteger(asked) || asked < 1) {
      throw new ConfigError(`Cannot read pieces of ${asked} tokens: give an integer of at least 1`, "length");
    }
    const length = Math.ceil(asked / model.interval) * model.interval;
    const flat = spec([model.layout.size]);
    const initial = (vector: Tensor): ModelState => model.initialState(model.unflatten(vector), 1);
    const start: StartProgram = await compile(device, initial, [flat]);
    const watch: WatchProgram = await compile(device, watching(model, length), [
      flat,
      boundarySpecs(model, 1),
      spec([1, length + 1], "i32"),
    ], {
      progress,
      signal,
    });
    return new Inspector(model, length, { start, watch, params: device.upload(params, flat) });
  }

  /** What it watches, in a line. */
  toString(): string {
    return `inspector of pieces of ${this.length} tokens: ${this.model}`;
  }

  /** The same for JSON. */
  toJSON(): { readonly length: number; readonly model: ModelConfig } {
    return { length: this.length, model: this.model.toJSON() };
  }

  static {
    showAsText(this);
  }

  /**
   * Reads a text from its beginning, piece by piece.
   * @param text Token ids, at once or as they come, in parts of any length.
   * @returns The pieces in order, each as soon as it and the token after it are known.
   * @throws {RangeError} if a token lies outside the vocabulary.
   */
  async *read(text: ArrayLike<number> | AsyncIterable<ArrayLike<number>>): AsyncGenerator<TracedPiece, void, void> {
    const { blocks, heads } = this.model.config, { length } = this;
    let state: StateArrays = this.#start.launch(this.#params);
    let before = NaN, start = 0;
    try {
      for await (const tokens of windows(text, length, this.model.config.vocabulary)) {
        const padded = new Int32Array(length + 1);
        padded.set(tokens);
        const result = this.#watch.launch(this.#params, state, padded);
        disposeAll(state);
        state = result.state;
        const [losses, values] = await Promise.all([result.losses.read(), result.values.read()]) as Float32Array[];
        result.losses.dispose();
        result.values.dispose();
        const count = Math.min(length, tokens.length);
        const bits = Float64Array.from({ length: count }, (_, i) => i === 0 ? before : losses[i - 1] / Math.LN2);
        before = losses[count - 1] / Math.LN2;
        yield new TracedPiece(start, tokens.slice(0, count), bits, values, { blocks, heads, length });
        start += count;
      }
    } finally {
      disposeAll(state);
    }
  }

  /** Frees programs and arrays; the device stays. */
  dispose(): void {
    this.#params.dispose();
    this.#start.dispose();
    this.#watch.dispose();
  }
}

function watching(model: Model, length: number): (flat: Tensor, state: ModelState, tokens: Tensor) => Watched {
  return (flat, state, tokens) => {
    const result = model.forward(model.unflatten(flat), sliceAxis(tokens, 1, 0, length), { state, trace: true });
    const losses = crossEntropy(result.logits, sliceAxis(tokens, 1, 1, length), { reduction: "none" });
    const quantity = (name: TraceQuantity): Tensor => stack(result.trace!.map((trace) => squeeze(trace[name], 0)), 0);
    return { losses: squeeze(losses, 0), values: stack(TRACE_QUANTITIES.map(quantity), 0), state: result.state };
  };
}

/** Cuts a text into windows of `length` tokens and the one after; the last is what is left. */
async function* windows(
  text: ArrayLike<number> | AsyncIterable<ArrayLike<number>>,
  length: number,
  vocabulary: number,
): AsyncGenerator<Int32Array> {
  const window = new Int32Array(length + 1);
  let filled = 0;
  for await (const part of Symbol.asyncIterator in text ? text : [text]) {
    for (let i = 0; i < part.length; i++) {
      const token = part[i];
      if (!Number.isInteger(token) || token < 0 || token >= vocabulary) {
        throw new RangeError(`Cannot read token ${token}: tokens of this model go from 0 to ${vocabulary - 1}`);
      }
      window[filled++] = token;
      if (filled > length) {
        yield window.slice();
        window[0] = window[length];
        filled = 1;
      }
    }
  }
  if (filled > 0) yield window.slice(0, filled);
}

function disposeAll(state: StateArrays): void {
  const isArray = (value: unknown): value is DeviceArray =>
    typeof value === "object" && value !== null && "dispose" in value;
  for (const array of flatten(state, isArray).leaves) array.dispose();
}
