/**
 * Observes a model while it reads: what its mixers report at each token of a text of any length, such as what memories
 * do.
 *
 * One program reads pieces of a fixed length and observes them; the state stays on the device from piece to piece, so the
 * memory that this takes does not grow with the text. A text's last piece is filled up on the right, which is harmless,
 * since no position sees a later one.
 */
import type { Tensor } from "../../core/graph.ts";
import { showAsText } from "../../core/inspect.ts";
import { optionNames } from "../../core/options.ts";
import { spec } from "../../core/trace.ts";
import { flatten, type MapTree } from "../../core/tree.ts";
import { compile } from "../../kernels/compile.ts";
import type { CompileWatch, Device, DeviceArray, Program } from "../../kernels/mod.ts";
import { concat, crossEntropy, sliceAxis, squeeze } from "../../ops/mod.ts";
import type { ModelConfig } from "./config.ts";
import { checkNames, ConfigError } from "../errors.ts";
import { boundarySpecs } from "./decode.ts";
import type { Model, ModelState, Observation } from "./model.ts";

/** A row of figures, one at each token: a quantity that a mixer observes, of one of its heads. */
export interface ObservedRow {
  /** As the mixer calls it, such as `surprise`. */
  readonly quantity: string;
  /** Counted from 0. */
  readonly block: number;
  /** Counted from 0. */
  readonly head: number;
}

/** What to look at. Default: all blocks and heads. */
export interface TraceSelection {
  /** Counted from 0. */
  readonly block?: number;
  /** Counted from 0. */
  readonly head?: number;
}

const TRACE_SELECTION = optionNames<TraceSelection>({ block: true, head: true });

/** Consecutive tokens of a text and what was observed at them. */
export class TracedPiece {
  readonly #values: Float32Array;
  readonly #rows: readonly ObservedRow[];

  /**
   * Made by {@link Inspector.read}.
   * @param start Position of the first token in the text.
   * @param tokens Token ids.
   * @param bits What each token cost the model before it was read: -log2 of the probability it gave it; NaN for the
   * first token of a text.
   * @param values Row by row [rows, length]; more tokens than there are may follow.
   * @param rows What the rows are.
   */
  constructor(
    readonly start: number,
    readonly tokens: Int32Array,
    readonly bits: Float64Array,
    values: Float32Array,
    rows: readonly ObservedRow[],
  ) {
    this.#values = values;
    this.#rows = rows;
  }

  /**
   * A quantity at each token: of one head of a block, or the mean over those selected that have it.
   * @throws {ConfigError} if there is no such quantity, block or head.
   */
  values(quantity: string, selection: TraceSelection = {}): Float64Array {
    checkNames("values", selection, TRACE_SELECTION);
    const all = this.#rows.map((row, index) => ({ ...row, index })).filter((row) => row.quantity === quantity);
    if (all.length === 0) {
      const others = [...new Set(this.#rows.map((row) => row.quantity))].join(", ");
      throw new ConfigError(
        `Cannot look at ${quantity}: the model's mixers observe ${others || "nothing"}`,
        "quantity",
      );
    }
    const chosen = (["block", "head"] as const).reduce((rows, name) => {
      const index = selection[name], found = rows.filter((row) => index === undefined || row[name] === index);
      if (found.length > 0) return found;
      const count = Math.max(...rows.map((row) => row[name])) + 1;
      const rule = Number.isInteger(index) && index! >= 0 && index! < count
        ? `it has no ${quantity}`
        : `the model has ${count}, counted from 0`;
      throw new ConfigError(`Cannot look at ${name} ${index}: ${rule}`, name);
    }, all);
    const { length } = this.#values, width = length / this.#rows.length;
    return Float64Array.from(
      this.tokens,
      (_, t) => chosen.reduce((total, { index }) => total + this.#values[index * width + t], 0) / chosen.length,
    );
  }
}

interface Watched {
  /** Nats of the token after each one, [T]. */
  readonly losses: Tensor;
  /** [rows, T]; absent where nothing is observed. */
  readonly values?: Tensor;
  readonly state: ModelState;
}

type StateArrays = MapTree<ModelState, Tensor, DeviceArray>;
type WatchProgram = Program<[flat: Tensor, state: ModelState, tokens: Tensor], Watched>;
type StartProgram = Program<[flat: Tensor], ModelState>;

/** Options of {@link Inspector.create}. */
export interface InspectorOptions extends CompileWatch {
  /**
   * Tokens of a piece, rounded up to whole intervals of the model. Default: 256. A longer one runs faster per token and
   * takes more memory.
   */
  readonly length?: number;
}

const INSPECTOR_OPTIONS = optionNames<InspectorOptions>({ length: true, progress: true, signal: true, phase: true });

/** Shows what the mixers of a model observe while it reads. */
export class Inspector {
  /** The model that reads. */
  readonly model: Model;
  /** Tokens of a piece. */
  readonly length: number;
  /** What is observed at each token, in the order of the flow. */
  readonly rows: readonly ObservedRow[];
  readonly #start: StartProgram;
  readonly #watch: WatchProgram;
  readonly #params: DeviceArray;

  private constructor(
    model: Model,
    { length, rows }: { readonly length: number; readonly rows: readonly ObservedRow[] },
    programs: { start: StartProgram; watch: WatchProgram; params: DeviceArray },
  ) {
    this.model = model;
    this.length = length;
    this.rows = rows;
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
    const { length: asked = 256, progress, signal, phase } = options;
    if (!Number.isInteger(asked) || asked < 1) {
      throw new ConfigError(`Cannot read pieces of ${asked} tokens: give an integer of at least 1`, "length");
    }
    const { interval, maxLength } = model, rows: ObservedRow[] = [];
    const length = Math.max(1, Math.min(Math.ceil(asked / interval), Math.floor(maxLength / interval))) * interval;
    const flat = spec([model.layout.size]);
    const initial = (vector: Tensor): ModelState => model.initialState(model.unflatten(vector), 1);
    const start: StartProgram = await compile(device, initial, [flat]);
    const watch: WatchProgram = await compile(device, watching(model, length, rows), [
      flat,
      boundarySpecs(model, 1),
      spec([1, length + 1], "i32"),
    ], {
      progress,
      signal,
      phase,
    });
    return new Inspector(model, { length, rows }, { start, watch, params: device.upload(params, flat) });
  }

  /** The model and options, in one line. */
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

  /** The quantities that are observed, each once; none where no mixer observes any. */
  get quantities(): readonly string[] {
    return [...new Set(this.rows.map(({ quantity }) => quantity))];
  }

  /**
   * Reads a text from its beginning, piece by piece.
   * @param text Token ids, at once or as they come, in parts of any length.
   * @returns The pieces in order, each as soon as it and the token after it are known.
   * @throws {RangeError} if a token lies outside the vocabulary.
   */
  async *read(text: ArrayLike<number> | AsyncIterable<ArrayLike<number>>): AsyncGenerator<TracedPiece, void, void> {
    const { length, rows } = this;
    let state: StateArrays = this.#start.launch(this.#params);
    let before = NaN, start = 0;
    try {
      for await (const tokens of windows(text, length, this.model.config.vocabulary)) {
        const padded = new Int32Array(length + 1);
        padded.set(tokens);
        const result = this.#watch.launch(this.#params, state, padded);
        disposeAll(state);
        state = result.state;
        const [losses, values = new Float32Array()] = await Promise.all(
          [result.losses.read(), result.values?.read()],
        ) as [Float32Array, Float32Array | undefined];
        result.losses.dispose();
        result.values?.dispose();
        const count = Math.min(length, tokens.length);
        if (start + count > this.model.maxLength) {
          throw new RangeError(
            `Cannot read more than ${this.model.maxLength} tokens: this model's attention holds no more; give it a larger maxLength, or a window`,
          );
        }
        const bits = Float64Array.from({ length: count }, (_, i) => i === 0 ? before : losses[i - 1] / Math.LN2);
        before = losses[count - 1] / Math.LN2;
        yield new TracedPiece(start, tokens.slice(0, count), bits, values, rows);
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

/** Reads and observes `length` tokens; `rows` becomes what is observed, as soon as the function is traced. */
function watching(
  model: Model,
  length: number,
  rows: ObservedRow[],
): (flat: Tensor, state: ModelState, tokens: Tensor) => Watched {
  return (flat, state, tokens) => {
    const values: Tensor[] = [];
    rows.length = 0;
    const observe = ({ block, name: quantity, tensor, axes }: Observation): void => {
      if (String(axes) !== "batch,head,time") return;
      values.push(squeeze(tensor, 0)); // [H, T]
      for (let head = 0; head < tensor.shape[1]; head++) rows.push({ quantity, block, head });
    };
    const result = model.forward(model.unflatten(flat), sliceAxis(tokens, 1, 0, length), { state, observe });
    const losses = crossEntropy(result.logits, sliceAxis(tokens, 1, 1, length), { reduction: "none" });
    const observed = values.length > 0 ? { values: concat(values, 0) } : {};
    return { losses: squeeze(losses, 0), ...observed, state: result.state };
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
