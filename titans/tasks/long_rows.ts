/**
 * Rows of tokens of any length, read in pieces that carry their state on: one program and constant memory, whatever the
 * length, so that a task is asked far beyond what was trained on.
 */
import type { Tensor } from "../../core/graph.ts";
import { isSpec, spec } from "../../core/trace.ts";
import { mapLeaves } from "../../core/tree.ts";
import { compile } from "../../kernels/compile.ts";
import type { Program } from "../../kernels/mod.ts";
import { argmax, cast } from "../../ops/mod.ts";
import { boundarySpecs } from "../models/decode.ts";
import type { ModelState } from "../models/model.ts";
import { type CarriedArrays, disposeCarried } from "../train/carried.ts";
import { resumedState } from "../train/gradient.ts";
import type { BatchArrays } from "../train/objective.ts";
import { proportion } from "./figures.ts";
import type { Score, Subject, TaskInstance } from "./task.ts";
import type { TokenBatch } from "./token_task.ts";

/** What a piece takes beside the parameters, and what it gives. */
interface Piece {
  readonly state: ModelState;
  readonly said: Tensor;
}
type PieceProgram = Program<[flat: Tensor, state: ModelState, fresh: Tensor, tokens: Tensor], Piece>;

// Tokens of a piece at most: enough for products of matrices, little enough to write a word after.
const PIECE_TOKENS = 256;

/** A model that says the most likely next token of rows. */
export class RowReader {
  readonly #subject: Subject;
  readonly #program: PieceProgram;
  readonly #piece: number;

  private constructor(subject: Subject, program: PieceProgram, piece: number) {
    this.#subject = subject;
    this.#program = program;
    this.#piece = piece;
  }

  /** @param tokens Of the shortest row. */
  static async create(subject: Subject, tokens: number): Promise<RowReader> {
    const { device, model, batch } = subject, { interval } = model;
    const piece = Math.ceil(Math.min(tokens, PIECE_TOKENS) / interval) * interval;
    const read = (flat: Tensor, before: ModelState, fresh: Tensor, tokens: Tensor): Piece => {
      const params = model.unflatten(flat);
      const { logits, state } = model.forward(params, tokens, {
        state: resumedState(model, params, { state: before, fresh }),
      });
      return { state, said: cast(argmax(logits, { axis: -1 }), "i32") };
    };
    const types = [spec([model.layout.size]), boundarySpecs(model, batch), spec([batch]), spec([batch, piece], "i32")];
    return new RowReader(subject, await compile(device, read, types as never), piece);
  }

  /** What the model says after each token. @param rows Tokens [batch, length]. @returns [batch, length] */
  async said(rows: Int32Array, length: number): Promise<Int32Array> {
    const { batch } = this.#subject, said = new Int32Array(rows.length);
    let state = this.#zeros();
    try {
      for (let from = 0; from < length; from += this.#piece) {
        const count = Math.min(this.#piece, length - from), tokens = new Int32Array(batch * this.#piece);
        for (let row = 0; row < batch; row++) {
          tokens.set(rows.subarray(row * length + from, row * length + from + count), row * this.#piece);
        }
        const fresh = new Float32Array(batch).fill(from === 0 ? 1 : 0);
        const result = this.#program.launch(this.#subject.params, state as never, fresh, tokens);
        disposeCarried(state);
        state = result.state as never;
        const read = await result.said.read();
        result.said.dispose();
        for (let row = 0; row < batch; row++) {
          for (let t = 0; t < count; t++) said[row * length + from + t] = read[row * this.#piece + t];
        }
      }
      return said;
    } finally {
      disposeCarried(state);
    }
  }

  /** Frees the program. */
  dispose(): void {
    this.#program.dispose();
  }

  #zeros(): CarriedArrays {
    const { device, model, batch } = this.#subject;
    return mapLeaves(
      boundarySpecs(model, batch),
      isSpec,
      (type) => device.upload(new Float32Array(type.shape.reduce((size, extent) => size * extent, 1)), type),
    ) as unknown as CarriedArrays;
  }
}

/**
 * Measures variants of a task, such as other lengths, on their test splits: `accuracy, length 512`, and `exactMatch`
 * where it is asked for. Variants that are longer than the model can read are left out.
 * @param variants By what is different about them.
 */
export async function measureVariants(
  subject: Subject,
  variants: Readonly<Record<string, TaskInstance<TokenBatch>>>,
  { exact = false }: { readonly exact?: boolean } = {},
): Promise<readonly Score[]> {
  const { model, samples, batch } = subject, steps = Math.max(1, Math.ceil(samples / batch));
  const readable = Object.entries(variants).filter(([, { length }]) => length <= model.maxLength);
  const shortest = Math.min(...readable.map(([, { length }]) => length)), scores: Score[] = [];
  let reader: RowReader | undefined;
  subject.ahead?.(Object.fromEntries(readable.map(([variant]) => [variant, steps * batch])));
  try {
    for (const [variant, task] of readable) {
      const measure = async (): Promise<readonly Score[]> => {
        subject.expect(steps * batch);
        reader ??= await RowReader.create(subject, shortest);
        const data = task.batches("test", batch, 0), tally = new Tally();
        for (let step = 0; step < steps; step++) {
          const rows = data.batch(step);
          tally.add(rows, await reader.said(rows.tokens as Int32Array, task.length), task.length);
          subject.advance(batch);
        }
        return tally.scores(variant, { exact, chance: task.chance?.accuracy });
      };
      scores.push(...await subject.cell(variant, measure));
    }
  } finally {
    reader?.dispose();
  }
  return scores;
}

/** How many answers are right, and of how many rows all are. */
class Tally {
  #right = 0;
  #count = 0;
  #exact = 0;
  #rows = 0;

  /** Adds a batch. @param said Of each of its tokens. */
  add({ tokens, targets, mask }: BatchArrays<TokenBatch>, said: ArrayLike<number>, length: number): void {
    for (let row = 0; row < tokens.length; row += length) {
      let right = 0, count = 0;
      for (let at = row; at < row + length; at++) {
        count += mask[at];
        if (mask[at] > 0 && said[at] === targets[at]) right++;
      }
      this.#right += right;
      this.#count += count;
      if (count > 0) this.#rows++;
      if (count > 0 && right === count) this.#exact++;
    }
  }

  scores(variant: string, { exact, chance }: { readonly exact: boolean; readonly chance?: number }): readonly Score[] {
    const accuracy = proportion(`accuracy, ${variant}`, this.#right, this.#count);
    return [
      chance === undefined ? accuracy : { ...accuracy, chance },
      ...(exact ? [proportion(`exactMatch, ${variant}`, this.#exact, this.#rows)] : []),
    ];
  }
}
