/**
 * Steps that ranks share: each computes the gradient of its rows, the gradients are added up over all ranks, and each
 * rank makes the update. Sums of losses and weights travel with the gradients, and so does the request to stop, so that
 * all ranks see the same step and stop after the same one.
 */
import type { Tensor } from "../../core/graph.ts";
import type { MapTree } from "../../core/tree.ts";
import { compile } from "../../kernels/compile.ts";
import type { ArrayLeaf, Device, DeviceArray, Program } from "../../kernels/mod.ts";
import { ConfigError } from "../errors.ts";
import { mismatchOf } from "../models/decode.ts";
import { PARAMETER_ALIGNMENT } from "../nn/parameters.ts";
import { joinStates, rowsOfBatch, rowsOfStates } from "./batch_rows.ts";
import { type CarriedArrays, carriedSpecs, disposeCarried, downloadCarried, uploadCarried } from "./carried.ts";
import { type Collective, gatherFloats, type Share, shareOf } from "./collective.ts";
import { CompressedSum, type Compression } from "./compressed_sum.ts";
import { firstBadTensor } from "./diagnose.ts";
import type { StepBatch } from "./gradient.ts";
import { optimizerName, stateSlots } from "./optimizer_config.ts";
import { uploadState } from "./optimizer_state.ts";
import { optimizerOf } from "./optimizers/registry.ts";
import { unpackScaling } from "./precision.ts";
import { areTakenOnce, rowsTaken, type RowSums, rowSums } from "./rows_seen.ts";
import {
  type BeforeUpdate,
  BEHIND,
  elementShare,
  type GradientArguments,
  type RowsGradient,
  sharedFunctions,
  type SharedUpdated,
  type SummedStep,
} from "./shared_step.ts";
import {
  flag,
  type RunnerParts,
  type StartedStep,
  type StepProgram,
  type StepRunner,
  type StepStart,
  uploadScaling,
} from "./step_runner.ts";
import type { SplitBatch } from "./step_input.ts";
import type { TrainingState } from "./training.ts";
import { isWhole, type OptimizerState, trainedPoint } from "./update.ts";

type GradientProgram = Program<GradientArguments, RowsGradient>;
type UpdateProgram = Program<[before: BeforeUpdate, step: SummedStep], SharedUpdated>;

/** How ranks share a step. */
export interface SharedParts extends RunnerParts {
  readonly collective: Collective;
  /** Whether each rank keeps and updates a part of the optimizer's vectors. */
  readonly shard: boolean;
  /** In how many parts rows are added in a fixed order; 0 for whatever order is fast. */
  readonly deterministic: number;
  /** How gradients travel. */
  readonly compress: Compression;
}

/** The rows of one launch of the gradient, and what they carry. */
interface RowsPart {
  readonly rows: Share;
  carried?: CarriedArrays;
}

/** Steps of several ranks, or of one that adds in the order of several. */
export class SharedSteps implements StepRunner {
  readonly #device: Device;
  readonly #parts: SharedParts;
  readonly #gradient: GradientProgram;
  readonly #update: UpdateProgram;
  /** Parts of this rank: one, or with a fixed order as many as fall to it. */
  readonly #rows: readonly RowsPart[];
  /** The elements that this rank updates; undefined for all. */
  readonly #elements: Share | undefined;
  /** Undefined where gradients travel as they are. */
  readonly #compressed: CompressedSum | undefined;
  #state: OptimizerState<DeviceArray>;
  #healthy: DeviceArray;
  /** The scaling of the loss, equal on all ranks; undefined for steps that are not in f16. */
  #scaling: DeviceArray | undefined;
  #stopped = false;
  /** The steps so far: each waits for the one before. */
  #steps: Promise<unknown> = Promise.resolve();

  private constructor(
    device: Device,
    programs: readonly [GradientProgram, UpdateProgram],
    parts: SharedParts,
    params: Float32Array,
  ) {
    const { model, optimizer, state, shape, stream, collective, compress } = parts, { accumulate } = shape;
    this.#device = device;
    this.#parts = parts;
    [this.#gradient, this.#update] = programs;
    this.#elements = elementsOf(parts);
    this.#compressed = compress === "none" || collective.size === 1
      ? undefined
      : new CompressedSum(collective, compress, model.layout.size);
    this.#state = uploadState(device, model, { config: optimizer, params, state, part: this.#elements });
    this.#healthy = flag(device, 1);
    this.#scaling = uploadScaling(device, parts);
    const stored = state?.carried, mismatch = stream && stored && mismatchOf(carriedSpecs(model, shape), stored);
    if (mismatch) {
      throw new ConfigError(
        `Cannot go on with the texts of this state: ${mismatch}; train with the same batch and model`,
        "state",
      );
    }
    this.#rows = rowParts(parts).map((rows) => {
      if (!stream) return { rows };
      const specs = carriedSpecs(model, { batch: rows.count, accumulate });
      return { rows, carried: uploadCarried(device, specs, stored && rowsOfStates(stored, rows)) };
    });
  }

  /** Compiles both halves of the step, and puts the state on the device. @throws {ConfigError} if rows cannot be shared so. */
  static async create(device: Device, parts: SharedParts): Promise<SharedSteps> {
    checkSharing(parts);
    const { progress, signal, phase } = parts, rows = rowParts(parts);
    const { first, second } = sharedFunctions(parts, rows, elementsOf(parts));
    const [gradient, update, params] = await Promise.all([
      compile(device, first.fn, first.specs, { ...first.options, progress, signal, phase }),
      compile(device, second.fn, second.specs, { ...second.options, signal }),
      parts.params(),
    ]);
    return new SharedSteps(device, [gradient, update], parts, params);
  }

  get program(): StepProgram {
    return this.#gradient as unknown as StepProgram;
  }

  get state(): OptimizerState<DeviceArray> {
    return this.#state;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  start(batch: SplitBatch, options: StepStart): StartedStep {
    const step = this.#steps.then(() => this.#step(batch, options));
    this.#steps = step.catch(() => {}); // who reads the step learns of it
    return { read: () => step, dispose: () => {} };
  }

  settled(): Promise<unknown> {
    return this.#steps;
  }

  async #step(batch: SplitBatch, { scalars, probe = false }: StepStart): Promise<ArrayLike<number> | undefined> {
    if (this.#stopped && !probe) return undefined;
    const { collective, stopRequested, deterministic } = this.#parts;
    const after: CarriedArrays[] = [], sums = await this.#sums(batch, after), behind = sums.subarray(this.#size);
    behind[BEHIND.stop] = stopRequested?.() ? 1 : 0;
    behind.set(this.#rowsTaken(batch), BEHIND.rows);
    if (this.#compressed) await this.#compressed.add(sums.subarray(0, this.#size), !probe);
    // Of compressed gradients what is behind them is exact.
    const exact = this.#compressed ? behind : sums;
    await collective.allReduceSum(exact, deterministic > 0 ? "tree" : "any");
    if (!areTakenOnce(behind.subarray(BEHIND.rows))) {
      after.forEach(disposeCarried);
      throw new ConfigError(
        "Cannot train on this batch: its rows are not taken once each by the ranks; give all of them the same data, batch and accumulate",
        "data",
      );
    }
    const before = this.#rows.map(({ carried }) => carried!);
    const { state, healthy, scaling, report, carried } = this.#update.launch(
      {
        state: this.#state,
        healthy: probe ? flag(this.#device, 0) : this.#healthy,
        ...(this.#scaling ? { scaling: this.#scaling } : {}),
        ...(after.length > 0 ? { carried: before } : {}),
      } as unknown as MapTree<BeforeUpdate, Tensor, ArrayLeaf>,
      { sums, scalars, ...(after.length > 0 ? { carried: after } : {}) } as unknown as MapTree<
        SummedStep,
        Tensor,
        ArrayLeaf
      >,
    );
    after.forEach(disposeCarried);
    this.#scaling = scaling as DeviceArray | undefined;
    this.#rows.forEach((part, i) => part.carried = carried?.[i] as CarriedArrays | undefined);
    this.#state = this.#elements ? await this.#joined(state as OptimizerState<DeviceArray>) : state;
    if (probe) healthy.dispose();
    else this.#healthy = healthy;
    if (behind[BEHIND.stop] > 0) this.#stopped = true;
    const values = await report.read();
    report.dispose();
    return values;
  }

  /** The sums over this rank's rows, its parts added as a tree. @param after Receives what the rows carry. */
  async #sums(batch: SplitBatch, after: CarriedArrays[]): Promise<Float32Array<ArrayBuffer>> {
    const params = trainedPoint(this.#parts.optimizer, this.#state);
    const tree = async (from: number, to: number): Promise<Float32Array<ArrayBuffer>> => {
      if (to - from > 1) {
        const middle = (from + to) / 2, lhs = await tree(from, middle), rhs = await tree(middle, to);
        for (let i = 0; i < lhs.length; i++) lhs[i] += rhs[i];
        return lhs;
      }
      const { rows, carried } = this.#rows[from], { data, fresh } = this.#rowsOf(batch, rows);
      const input = { data, ...(carried ? { carried: { state: carried, fresh } } : {}) };
      const result = this.#gradient.launch(
        params,
        input as MapTree<StepBatch, Tensor, ArrayLeaf>,
        ...(this.#scaling ? [this.#scaling] as const : []),
      );
      if (result.carried) after.push(result.carried as CarriedArrays);
      const sums = await result.sums.read() as Float32Array<ArrayBuffer>;
      result.sums.dispose();
      return sums;
    };
    return await tree(0, this.#rows.length);
  }

  /** What this rank tells the others of the rows that it took. */
  #rowsTaken(batch: SplitBatch): RowSums {
    const { objective, shape, collective: { size } } = this.#parts;
    if (size === 1) return [0, 0];
    const sums = (part: SplitBatch, rows: Share): RowSums =>
      rowSums(part, { objective, length: shape.length, axes: shape, rows });
    const taken = this.#rows.map(({ rows }) => sums(this.#rowsOf(batch, rows), rows))
      .reduce((lhs, rhs) => [lhs[0] + rhs[0], lhs[1] + rhs[1]]);
    return rowsTaken(taken, sums(batch, { first: 0, count: shape.batch }), size);
  }

  #rowsOf(batch: SplitBatch, rows: Share): SplitBatch {
    const { objective, shape } = this.#parts;
    return rowsOfBatch(batch, { objective, length: shape.length, axes: shape, rows });
  }

  /** The state in which the vectors that all ranks need are whole again. */
  async #joined(updated: OptimizerState<DeviceArray>): Promise<OptimizerState<DeviceArray>> {
    const joined: Record<string, DeviceArray> = { ...updated };
    for (const slot of Object.keys(updated).filter(isWhole)) {
      const own = await updated[slot].read() as Float32Array;
      updated[slot].dispose();
      joined[slot] = this.#device.upload(await this.#whole(own), { shape: [this.#size], dtype: "f32" });
    }
    return joined as unknown as OptimizerState<DeviceArray>;
  }

  get #size(): number {
    return this.#parts.model.layout.size;
  }

  /** A vector of all elements from the parts of all ranks. */
  async #whole(own: Float32Array, root?: number): Promise<Float32Array> {
    const whole = new Float32Array(this.#size);
    let at = 0;
    for (const part of await gatherFloats(this.#parts.collective, own, root)) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  async firstBad(batch: SplitBatch): Promise<string> {
    const { model, objective, shape, optimizer, collective } = this.#parts;
    const params = trainedPoint(optimizer, this.#state), encoder = new TextEncoder(), decoder = new TextDecoder();
    let found = "";
    for (const { rows, carried } of this.#rows) {
      const { data, fresh } = this.#rowsOf(batch, rows);
      const step = {
        params,
        objective,
        data,
        shape: { ...shape, batch: rows.count },
        carried: carried && fresh ? { arrays: carried, fresh } : undefined,
      };
      const look = await firstBadTensor(this.#device, model, step).catch(() => "");
      found = `${look}, of the rows from ${rows.first} on`;
      if (!isFinite(look)) break;
    }
    const all = (await collective.gather(encoder.encode(found))).map((bytes) => decoder.decode(bytes));
    return all.find((look) => !isFinite(look)) ?? all[0];
  }

  async download(root?: number): ReturnType<StepRunner["download"]> {
    const { model: { layout }, optimizer, collective } = this.#parts,
      isRoot = root === undefined || collective.rank === root;
    const vectors: Record<string, Float32Array> = {};
    for (const slot of ["params", ...stateSlots(optimizer)]) {
      const own = await this.#state[slot].read() as Float32Array;
      vectors[slot] = this.#elements && !isWhole(slot) ? await this.#whole(own, root) : own;
    }
    const carried = await this.#downloadCarried(root), scaling = await this.#scaling?.read();
    if (!isRoot) return undefined;
    const { params, ...slots } = Object.fromEntries(
      Object.entries(vectors).map(([slot, vector]) => [slot, layout.unpack(vector)]),
    );
    return {
      params,
      optimizer: { name: optimizerName(optimizer), slots },
      ...(scaling ? { scaling: unpackScaling(scaling) } : {}),
      ...(carried ? { carried } : {}),
    };
  }

  /** What the rows of all ranks carry, by name. */
  async #downloadCarried(root?: number): Promise<TrainingState["carried"]> {
    if (this.#rows[0].carried === undefined) return undefined;
    const parts = await Promise.all(this.#rows.map(({ carried }) => downloadCarried(carried!)));
    const own = joinStates(parts), tensors = Object.entries(own);
    const flat = new Float32Array(tensors.reduce((sum, [, { data }]) => sum + data.length, 0));
    let at = 0;
    for (const [, { data }] of tensors) {
      flat.set(data as Float32Array, at);
      at += data.length;
    }
    const rows = this.#rows.reduce((sum, { rows }) => sum + rows.count, 0);
    const all = (await gatherFloats(this.#parts.collective, flat, root)).map((data) => {
      // All states have as many elements per row, so the length says how many rows a rank has.
      const count = rows * data.length / flat.length;
      let from = 0;
      return Object.fromEntries(tensors.map(([name, { shape: [accumulate, , ...rest] }]) => {
        const shape = [accumulate, count, ...rest], size = shape.reduce((a, b) => a * b, 1);
        return [name, { shape, data: data.subarray(from, from += size) }];
      }));
    });
    return all.length > 0 ? joinStates(all) : undefined;
  }

  dispose(): void {
    for (const array of [...Object.values(this.#state), this.#healthy]) array.dispose();
    this.#scaling?.dispose();
    for (const { carried } of this.#rows) if (carried) disposeCarried(carried);
    this.#gradient.dispose();
    this.#update.dispose();
  }
}

function isFinite(look: string): boolean {
  return look === "" || look.startsWith("none") || look.startsWith(",");
}

/** The parts of the rows that fall to a rank, all of one size where there is more than one. */
function rowParts({ shape: { batch }, collective, deterministic }: SharedParts): Share[] {
  if (deterministic === 0) return [shareOf(batch, collective)];
  const { first, count } = shareOf(deterministic, collective), size = batch / deterministic;
  return Array.from({ length: count }, (_, i) => ({ first: (first + i) * size, count: size }));
}

/** The elements that a rank updates; undefined for all. */
function elementsOf({ model: { layout }, collective, shard }: SharedParts): Share | undefined {
  return shard && collective.size > 1 ? elementShare(layout.size, collective) : undefined;
}

function checkSharing(parts: SharedParts): void {
  const { shape: { batch }, collective: { size }, deterministic, shard, compress, optimizer, model: { layout } } =
    parts;
  if (compress !== "none" && deterministic > 0) {
    throw new ConfigError(
      `Cannot add in a fixed order what travels in ${compress}: its rounding depends on the number of ranks; leave compress or deterministic out`,
      "compress",
    );
  }
  if (batch < size) {
    throw new ConfigError(
      `Cannot share a batch of ${batch} rows among ${size} ranks: each needs a row; use a larger batch or fewer ranks`,
      "batch",
    );
  }
  if (
    deterministic > 0 && (!isPowerOfTwo(deterministic) || deterministic % size !== 0 || batch % deterministic !== 0)
  ) {
    throw new ConfigError(
      `Cannot add ${batch} rows in ${deterministic} parts on ${size} ranks: the parts must be a power of two that divides the rows, and the ranks must divide the parts`,
      "deterministic",
    );
  }
  if (!shard || size === 1) return;
  if (!optimizerOf(optimizer.optimizer).elementwise) {
    throw new ConfigError(
      `Cannot share the state of ${
        optimizerName(optimizer)
      } among ranks: it updates whole matrices; use another optimizer, or leave shard out`,
      "shard",
    );
  }
  if (layout.size / PARAMETER_ALIGNMENT < size) {
    throw new ConfigError(
      `Cannot share ${layout.size} elements among ${size} ranks: each needs ${PARAMETER_ALIGNMENT}; use fewer ranks, or leave shard out`,
      "shard",
    );
  }
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(Math.log2(value));
}
