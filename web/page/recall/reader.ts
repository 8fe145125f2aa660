/** A model that reads a text byte by byte, with its memory in view after each. */
import { compile, type Device, type DeviceArray, type Program, scan, spec, type Tensor } from "../../../mod.ts";
import { concat, gather, greater, mul, reshape, split, sqrt, squeeze, sub, sum, where } from "../../../ops/mod.ts";
import { mapState, stepSpecs, tensorsOf } from "../../../titans/models/decode.ts";
import { disposeArrays } from "../../../titans/models/decode_state.ts";
import type { Model, ModelState } from "../../../titans/mod.ts";

/** Bytes that one launch reads. */
export const PIECE = 32;

/** A state in device memory, and how many bytes were read to come there. */
export interface Place {
  readonly arrays: DeviceState;
  readonly bytesRead: number;
}

type DeviceState = ReturnType<StartProgram["launch"]>;
type StartProgram = Program<[flat: Tensor], ModelState>;

interface PieceResult {
  readonly state: ModelState;
  /** [PIECE, V], after each byte. */
  readonly logits: Tensor;
  /** One head's memory after each byte, [PIECE, K, K]. */
  readonly memory: Tensor;
  /** How far each head's memory moved, [PIECE, heads of all blocks]. */
  readonly moved: Tensor;
}
type PieceProgram = Program<[flat: Tensor, state: ModelState, bytes: Tensor, head: Tensor], PieceResult>;

/** What reading a piece showed. */
export interface PieceSeen {
  readonly place: Place;
  readonly count: number;
  /** V numbers a byte. */
  readonly logits: Float32Array;
  /** K * K numbers a byte. */
  readonly memory: Float32Array;
  /** As many numbers a byte as there are heads. */
  readonly moved: Float32Array;
}

/** Reads for the recall page: a model whose memories are single matrices. */
export class Reader {
  readonly model: Model;
  /** Before the first byte; the reader's. */
  readonly start: Place;
  readonly #flat: DeviceArray;
  readonly #programs: { readonly start: StartProgram; readonly piece: PieceProgram };

  private constructor(model: Model, flat: DeviceArray, programs: { start: StartProgram; piece: PieceProgram }) {
    this.model = model;
    this.#flat = flat;
    this.#programs = programs;
    this.start = { arrays: programs.start.launch(flat), bytesRead: 0 };
  }

  /**
   * Compiles what reading takes.
   * @param params All parameters, one flat vector.
   */
  static async create(device: Device, model: Model, params: Float32Array): Promise<Reader> {
    const flat = spec([model.layout.size]);
    const initial = (vector: Tensor): ModelState => model.stepState(model.initialState(model.unflatten(vector), 1));
    const start: StartProgram = await compile(device, initial, [flat]);
    const piece: PieceProgram = await compile(device, pieceOf(model), [
      flat,
      stepSpecs(model),
      spec([PIECE, 3], "i32"),
      spec([], "i32"),
    ]);
    return new Reader(model, device.upload(params, flat), { start, piece });
  }

  /** How many heads there are, and the sides of their matrices. */
  get shape(): { readonly heads: number; readonly side: number } {
    const { width, heads } = this.model.config;
    return { heads: heads * this.model.layers.length, side: width / heads };
  }

  /**
   * Reads at most {@link PIECE} bytes.
   * @param place Where to begin; it stays as it is.
   * @param options.head Whose memory is shown, counted through all blocks.
   * @param options.learns Whether the memory learns from each byte.
   */
  async read(
    bytes: ArrayLike<number>,
    place: Place,
    { head, learns }: { readonly head: number; readonly learns: readonly boolean[] },
  ): Promise<PieceSeen> {
    const count = Math.min(PIECE, bytes.length), input = new Int32Array(3 * PIECE);
    for (let i = 0; i < count; i++) input.set([bytes[i], place.bytesRead + i, learns[i] ? 2 : 1], 3 * i);
    const result = this.#programs.piece.launch(this.#flat, place.arrays, input, Int32Array.of(head));
    const seen = [result.logits, result.memory, result.moved];
    const [logits, memory, moved] = await Promise.all(seen.map((array) => array.read())) as Float32Array[];
    for (const array of seen) array.dispose();
    return { place: { arrays: result.state, bytesRead: place.bytesRead + count }, count, logits, memory, moved };
  }

  /** Frees a place that was read to. */
  dispose(place: Place): void {
    if (place !== this.start) disposeArrays(place.arrays);
  }
}

/** Whether a leaf of a state is what a memory has learned, rather than what it needs to go on. */
function isLearned(name: string): boolean {
  return /\.memory\.(weights|surprise|start)\.\d+$/.test(name);
}

/** The matrices of all heads, [heads of all blocks, K, K]. */
function memoriesOf(state: ModelState): Tensor {
  const weights = tensorsOf(state).filter(({ name }) => name.endsWith(".memory.weights.0"));
  return concat(weights.map(({ leaf }) => squeeze(leaf, 0)), 0);
}

/** `after` where a condition holds, else `before`, in the leaves whose names are asked for; the others are `after`. */
function chosen(
  condition: Tensor,
  [after, before]: readonly [ModelState, ModelState],
  isAsked: (name: string) => boolean,
): ModelState {
  const others = tensorsOf(before);
  return mapState(after, (leaf, i, name) => (isAsked(name) ? where(condition, leaf, others[i].leaf) : leaf));
}

/** Reads {@link PIECE} bytes one by one. Each has its number, its position, and 0: none; 1: read; 2: learned from. */
function pieceOf(model: Model) {
  return (vector: Tensor, before: ModelState, input: Tensor, head: Tensor): PieceResult => {
    const params = model.unflatten(vector);
    const step = (state: ModelState, row: Tensor): [ModelState, Omit<PieceResult, "state">] => {
      const [byte, position, how] = split(row, [1, 1, 1], 0).map((part) => squeeze(part, 0));
      const { logits, state: after } = model.step(params, reshape(byte, [1, 1]), { state, position });
      const learned = chosen(greater(how, 1), [after, state], isLearned);
      const next = chosen(greater(how, 0), [learned, state], () => true);
      const memories = memoriesOf(next), change = sub(memories, memoriesOf(state));
      const moved = sqrt(sum(mul(change, change), { axes: [1, 2] }));
      return [next, { logits: squeeze(logits, 0), memory: gather(memories, head), moved }];
    };
    const [state, seen] = scan(step, before, input);
    return { state, ...seen };
  };
}
