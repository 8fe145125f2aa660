/**
 * Reading texts with a model to score what follows them, and to write what it thinks follows.
 *
 * Contexts are read in pieces of P tokens, P a multiple of the interval at which a model's state can be carried on; B
 * rows at once, which end together, so that one launch leaves the states of all of them:
 *
 *     row 0   |--------|--------|--------|---        whole pieces are read once a context;
 *     row 1            |--------|--------|------     the rest of it, at least one token, once a continuation,
 *     row 2                     |--------|-          from a copy of the row's state
 *
 * Two programs do it, of which the second is compiled for contexts longer than a piece: both take tokens [B, P], what is
 * short is padded at its end, where nothing that counts can see it.
 */
import type { Tensor } from "../../core/graph.ts";
import { isTensor } from "../../core/graph.ts";
import { optionNames } from "../../core/options.ts";
import { isSpec, spec } from "../../core/trace.ts";
import { mapLeaves } from "../../core/tree.ts";
import { compile } from "../../kernels/compile.ts";
import type { Device, DeviceArray, Program } from "../../kernels/mod.ts";
import { argmax, crossEntropy, gather, neg } from "../../ops/mod.ts";
import { checkNames, SamplingError } from "../errors.ts";
import { boundarySpecs } from "../models/decode.ts";
import type { Model, ModelState } from "../models/model.ts";
import { type CarriedArrays, disposeCarried } from "../train/carried.ts";
import { resumedState } from "../train/gradient.ts";
import { type Fork, pieceOf, planReading, type ReadingPlan } from "./reading_plan.ts";
import type { ContinuationScore, Scorer, ScoreRequest } from "./scorer.ts";

/** Options of {@link BatchReader.create}; a task's `Subject` has what is required. */
export interface BatchReaderOptions {
  /** Where to run. */
  readonly device: Device;
  /** The model. */
  readonly model: Model;
  /** Its parameters in device memory; they stay the caller's. */
  readonly params: DeviceArray;
  /** Texts that are read at once, B. */
  readonly batch: number;
  /** Tokens that are read at once, rounded up to whole intervals of the model. Default: 64. */
  readonly piece?: number;
  /** The token that an empty context stands for. Default: 10, the newline among bytes. */
  readonly begin?: number;
}

const BATCH_READER_OPTIONS = optionNames<BatchReaderOptions>({
  device: true,
  model: true,
  params: true,
  batch: true,
  piece: true,
  begin: true,
});

const PIECE_TOKENS = 64;

interface Scores {
  /** ln p of each target, [B, P]. */
  readonly logProbability: Tensor;
  /** The most likely token in its place, [B, P]. */
  readonly best: Tensor;
  readonly state: ModelState;
}

type AdvanceProgram = Program<[flat: Tensor, state: ModelState, fresh: Tensor, tokens: Tensor], ModelState>;
type ScoreProgram = Program<
  [flat: Tensor, state: ModelState, picked: Tensor, fresh: Tensor, tokens: Tensor, targets: Tensor],
  Scores
>;

/** Scores and writes texts in batches of rows; contexts are read once, and their states forked. */
export class BatchReader implements Scorer {
  /** The model that reads. */
  readonly model: Model;
  /** Tokens of a row that a launch reads, P. */
  readonly piece: number;
  readonly #device: Device;
  readonly #params: DeviceArray;
  readonly #batch: number;
  readonly #begin: number;
  readonly #start: CarriedArrays;
  readonly #score: ScoreProgram;
  #advance?: AdvanceProgram;

  private constructor(options: Required<BatchReaderOptions>, start: CarriedArrays, score: ScoreProgram) {
    const { device, model, params, batch, piece, begin } = options;
    this.model = model;
    this.piece = piece;
    this.#device = device;
    this.#params = params;
    this.#batch = batch;
    this.#begin = begin;
    this.#start = start;
    this.#score = score;
  }

  /** Compiles what scoring takes. */
  static async create(options: BatchReaderOptions): Promise<BatchReader> {
    checkNames("BatchReader.create", options, BATCH_READER_OPTIONS);
    const { device, model, batch, piece = PIECE_TOKENS, begin = 10 } = options;
    const P = pieceOf(model, piece), states = boundarySpecs(model, batch), tokens = spec([batch, P], "i32");
    const score = (
      flat: Tensor,
      before: ModelState,
      picked: Tensor,
      fresh: Tensor,
      tokens: Tensor,
      targets: Tensor,
    ) => {
      const params = model.unflatten(flat);
      const forked = mapLeaves(before, isTensor, (leaf) => gather(leaf, picked)) as ModelState;
      const state = resumedState(model, params, { state: forked, fresh });
      const read = model.forward(params, tokens, { state });
      return {
        logProbability: neg(crossEntropy(read.logits, targets, { reduction: "none" })),
        best: argmax(read.logits, { axis: -1 }),
        state: read.state,
      };
    };
    const program: ScoreProgram = await compile(device, score, [
      spec([model.layout.size]),
      states,
      spec([batch], "i32"),
      spec([batch]),
      tokens,
      tokens,
    ]);
    // No row reads these numbers: all that begin are given the state of a beginning.
    const start = mapLeaves(
      states,
      isSpec,
      (type) => device.upload(new Float32Array(type.shape.reduce((size, extent) => size * extent, 1)), type),
    ) as CarriedArrays;
    return new BatchReader({ ...options, piece: P, begin }, start, program);
  }

  /**
   * Scores continuations of contexts.
   * @throws {RangeError} if a continuation is empty, a token lies outside the vocabulary, or a text is longer than the
   * model's attention holds.
   * @throws {SamplingError} if logits are not finite.
   */
  async score(
    requests: readonly ScoreRequest[],
    progress?: (requests: number) => void,
  ): Promise<readonly (readonly ContinuationScore[])[]> {
    const results = requests.map(({ continuations }) => new Array<ContinuationScore>(continuations.length));
    for (const plan of this.#plans(requests)) {
      const states = await this.#readContexts(plan);
      try {
        for (const forks of plan.chunks) await this.#scoreForks(states, forks, results);
      } finally {
        if (states !== this.#start) disposeCarried(states);
      }
      progress?.(plan.contexts.length);
    }
    return results;
  }

  /**
   * Writes the most likely tokens after each context, one after the other (greedy decoding).
   *
   * All tokens are guessed at once and read; those after the first wrong guess are guessed again by what was read. Each
   * launch settles at least one more token of each row, and as many as were guessed right.
   * @param tokens How many to write.
   * @param progress Is called with how many further contexts are done.
   * @returns Token ids, `tokens` of each context.
   * @throws {RangeError} as {@link score}.
   */
  async write(
    contexts: readonly ArrayLike<number>[],
    tokens: number,
    progress?: (contexts: number) => void,
  ): Promise<readonly Int32Array[]> {
    const written = contexts.map(() => new Int32Array(tokens));
    const requests = contexts.map((context, i) => ({ context, continuations: [written[i]] }));
    for (const plan of this.#plans(requests)) {
      const states = await this.#readContexts(plan);
      try {
        for (const forks of plan.chunks) {
          for (let settled = 0; settled < tokens;) {
            settled = tokens;
            const best = forks.map(() => new Int32Array(tokens));
            await this.#readForks(
              states,
              forks,
              (fork, at, from, scores) => best[fork].set(scores.best.subarray(...from), at),
            );
            forks.forEach(({ continuation }, i) => {
              const guess = continuation as Int32Array, wrong = guess.findIndex((token, j) => token !== best[i][j]);
              guess.set(best[i]);
              if (wrong >= 0) settled = Math.min(settled, wrong + 1);
            });
          }
        }
      } finally {
        if (states !== this.#start) disposeCarried(states);
      }
      progress?.(plan.contexts.length);
    }
    return written;
  }

  /** Frees the programs; device and parameters stay. */
  dispose(): void {
    disposeCarried(this.#start);
    this.#score.dispose();
    this.#advance?.dispose();
  }

  /** {@link dispose}, at the end of a block that holds the reader with `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  #plans(requests: readonly ScoreRequest[]): Iterable<ReadingPlan> {
    return planReading(requests, { model: this.model, batch: this.#batch, piece: this.piece, begin: this.#begin });
  }

  /** The states of rows after the whole pieces of their contexts; the caller's, unless no context has any. */
  async #readContexts({ contexts }: ReadingPlan): Promise<CarriedArrays> {
    const P = this.piece, B = this.#batch, most = Math.max(...contexts.map(({ pieces }) => pieces));
    let states = this.#start;
    for (let launch = 0; launch < most; launch++) {
      const tokens = new Int32Array(B * P), fresh = new Float32Array(B).fill(1);
      contexts.forEach((context, row) => {
        const piece = launch - (most - context.pieces);
        if (piece < 0) return;
        tokens.set(context.tokens.subarray(piece * P, (piece + 1) * P), row * P);
        fresh[row] = piece === 0 ? 1 : 0;
      });
      this.#advance ??= await this.#compileAdvance();
      const after = this.#advance.launch(this.#params, states, fresh, tokens) as CarriedArrays;
      if (states !== this.#start) disposeCarried(states);
      states = after;
    }
    return states;
  }

  async #compileAdvance(): Promise<AdvanceProgram> {
    const { model } = this, B = this.#batch;
    const advance = (flat: Tensor, state: ModelState, fresh: Tensor, tokens: Tensor): ModelState => {
      const params = model.unflatten(flat);
      return model.forward(params, tokens, { state: resumedState(model, params, { state, fresh }) }).state;
    };
    const states = boundarySpecs(model, B);
    return await compile(this.#device, advance, [
      spec([model.layout.size]),
      states,
      spec([B]),
      spec([B, this.piece], "i32"),
    ]);
  }

  async #scoreForks(
    states: CarriedArrays,
    forks: readonly Fork[],
    results: readonly ContinuationScore[][],
  ): Promise<void> {
    const each = forks.map(({ continuation }) => new Float32Array(continuation.length));
    const bests = forks.map(({ continuation }) => new Int32Array(continuation.length));
    await this.#readForks(states, forks, (fork, at, [from, to], { logProbability, best }) => {
      each[fork].set(logProbability.subarray(from, to), at);
      bests[fork].set(best.subarray(from, to), at);
    });
    forks.forEach(({ request, choice, continuation }, fork) => {
      const logLikelihood = each[fork].reduce((sum, one) => sum + one, 0);
      if (Number.isNaN(logLikelihood)) {
        throw new SamplingError(
          "Cannot score a text with this model: its logits are not finite; train it again with a lower learning rate",
        );
      }
      results[request][choice] = {
        logLikelihood,
        each: each[fork],
        best: bests[fork],
        greedy: bests[fork].every((token, i) => token === continuation[i]),
      };
    });
  }

  /**
   * Reads the rests of contexts with their continuations.
   * @param see Receives what a launch gave for tokens of a continuation: of fork `fork`, for its tokens from `at` on,
   * those of the range `from` of the arrays.
   */
  async #readForks(
    states: CarriedArrays,
    forks: readonly Fork[],
    see: (fork: number, at: number, range: readonly [from: number, to: number], scores: HostScores) => void,
  ): Promise<void> {
    const P = this.piece, B = this.#batch, pieces = Math.max(...forks.map(({ pieces }) => pieces));
    let before = states;
    let reading: Promise<void> = Promise.resolve();
    for (let piece = 0; piece < pieces; piece++) {
      const tokens = new Int32Array(B * P), targets = new Int32Array(B * P);
      const picked = Int32Array.from({ length: B }, (_, row) => row), fresh = new Float32Array(B);
      forks.forEach((fork, row) => {
        for (let i = piece * P; i < Math.min(fork.length, (piece + 1) * P); i++) {
          tokens[row * P + i % P] = fork.token(i);
          targets[row * P + i % P] = fork.token(i + 1);
        }
        if (piece > 0) return;
        picked[row] = fork.row;
        fresh[row] = fork.atStart ? 1 : 0;
      });
      const after = this.#score.launch(this.#params, before, picked, fresh, tokens, targets);
      if (before !== states) disposeCarried(before);
      before = after.state as CarriedArrays;
      // One launch is read while the next one runs.
      await reading;
      reading = readScores(after).then((scores) =>
        forks.forEach(({ rest, length }, fork) => {
          const from = Math.max(rest - 1, piece * P),
            to = Math.min(length, (piece + 1) * P),
            offset = (fork - piece) * P;
          if (from < to) see(fork, from - (rest - 1), [from + offset, to + offset], scores);
        })
      );
    }
    if (before !== states) disposeCarried(before);
    await reading;
  }
}

/** What a launch gave. */
interface HostScores {
  readonly logProbability: Float32Array;
  readonly best: Int32Array;
}

async function readScores(
  { logProbability, best }: { readonly logProbability: DeviceArray; readonly best: DeviceArray },
): Promise<HostScores> {
  const [values, indices] = await Promise.all([logProbability.read(), best.read()]);
  logProbability.dispose();
  best.dispose();
  return { logProbability: values as Float32Array, best: indices as Int32Array };
}
