/** Evaluates a model without training: on independent batches, or on rows that continue from one batch to the next. */
import type { Tensor } from "../../core/graph.ts";
import { isSpec, type Spec, spec } from "../../core/trace.ts";
import { mapLeaves, type MapTree } from "../../core/tree.ts";
import { compile } from "../../kernels/compile.ts";
import type { ArrayLeaf, Device, DeviceArray, Program } from "../../kernels/mod.ts";
import { ConfigError } from "../errors.ts";
import { boundarySpecs, namedLeaves } from "../models/decode.ts";
import type { ModelState } from "../models/model.ts";
import type { Network } from "../models/network.ts";
import type { StepBatch } from "./gradient.ts";
import { checkStreams, isDeviceArray } from "./carried.ts";
import { type Collective, SOLO } from "./collective.ts";
import type { BatchArrays, BatchTree, Objective } from "./objective.ts";
import { type FigureNames, type ValidationResult, validationStep } from "./validation_step.ts";

type ValidationProgram = Program<[params: Tensor, batch: StepBatch], ValidationResult>;

/** Mean loss, and what objective and mixers report, by name. */
export interface Figures {
  /** Mean of the loss over all that counts. */
  readonly loss: number;
  /** A figure of the objective, or of the mixers. */
  readonly [figure: string]: number;
}

/** Figures, and of how much each is the mean. */
export interface Measurement {
  /** By name. */
  readonly figures: Figures;
  /** Sums of weights, by name. */
  readonly weights: Readonly<Record<string, number>>;
}

/** What each of some batches adds to figures, as JSON can hold it, so that other processes can add it up. */
export interface BatchFigures {
  /** The figures. */
  readonly names: readonly string[];
  /** Those that are roots of means. */
  readonly roots: readonly string[];
  /** Of each batch a sum and a weight for each figure, one after the other. */
  readonly batches: readonly (readonly number[])[];
}

/**
 * The means over batches, which are added in their order.
 * @throws {ConfigError} if nothing counts.
 */
export function measurementOf({ names, roots, batches }: BatchFigures): Measurement {
  const totals = new Totals({ names, roots: new Set(roots) });
  for (const batch of batches) totals.add(batch);
  return totals.measured();
}

/** A batch and which of its rows start afresh. */
export interface ValidationBatch {
  /** The fields of the objective. */
  readonly data: BatchArrays;
  /** [rows]. Default: only in the first batch. */
  readonly fresh?: Float32Array;
}

/** The compiled validations of an objective. */
export class Validation {
  readonly #device: Device;
  readonly #model: Network;
  /** What is measured. */
  readonly objective: Objective;
  readonly #length: number;
  readonly #collective: Collective;
  readonly #known: FigureNames = { names: [], roots: new Set() };
  /** By number of rows, and whether they continue. */
  readonly #programs = new Map<string, ValidationProgram>();

  /**
   * @param length Tokens of a row.
   * @param collective The ranks that measure together, each its own rows. Default: this process alone.
   */
  constructor(
    device: Device,
    model: Network,
    objective: Objective,
    length: number,
    collective: Collective = SOLO,
  ) {
    this.#device = device;
    this.#model = model;
    this.objective = objective;
    this.#length = length;
    this.#collective = collective;
  }

  /**
   * Measures batches of `rows` rows whose memories start afresh in each.
   * @param counts Whether they count; if not, another rank measures them too.
   * @throws {ConfigError} if nothing counts.
   */
  async batches(
    params: DeviceArray,
    rows: number,
    batches: Iterable<BatchArrays>,
    counts = true,
  ): Promise<Measurement> {
    const program = await this.#program(rows, false), totals = new Totals(this.#known);
    for (const data of batches) {
      const { figures } = await program.run(params, { data } as MapTree<StepBatch, Tensor, ArrayLeaf>);
      totals.add(figures.data);
    }
    await totals.addRanks(this.#collective, counts);
    return totals.measured();
  }

  /** What each batch of `rows` rows adds to the figures; memories start afresh in each. */
  async each(params: DeviceArray, rows: number, batches: Iterable<BatchArrays>): Promise<BatchFigures> {
    const program = await this.#program(rows, false), sums: number[][] = [];
    for (const data of batches) {
      const { figures } = await program.run(params, { data } as MapTree<StepBatch, Tensor, ArrayLeaf>);
      sums.push(Array.from(figures.data));
    }
    return { names: this.#known.names, roots: [...this.#known.roots], batches: sums };
  }

  /** Measures batches of `rows` rows that continue from one to the next; else as {@link batches}. */
  async streams(
    params: DeviceArray,
    rows: number,
    batches: Iterable<ValidationBatch>,
    counts = true,
  ): Promise<Measurement> {
    const program = await this.#program(rows, true), totals = new Totals(this.#known);
    let state = mapLeaves(
      boundarySpecs(this.#model, rows),
      isSpec,
      (type) => this.#device.upload(new Float32Array(type.shape.reduce((size, extent) => size * extent, 1)), type),
    ) as MapTree<ModelState, Tensor, DeviceArray>;
    try {
      let first = true;
      for (const { data, fresh = new Float32Array(rows) } of batches) {
        const carried = { state, fresh: first ? new Float32Array(rows).fill(1) : fresh };
        first = false;
        const result = program.launch(params, { data, carried } as MapTree<StepBatch, Tensor, ArrayLeaf>);
        state = result.carried!;
        totals.add(await result.figures.read());
        result.figures.dispose();
      }
    } finally {
      for (const { leaf } of namedLeaves(state, isDeviceArray)) leaf.dispose();
    }
    await totals.addRanks(this.#collective, counts);
    return totals.measured();
  }

  /** Frees the programs. */
  dispose(): void {
    for (const program of this.#programs.values()) program.dispose();
  }

  async #program(rows: number, goesOn: boolean): Promise<ValidationProgram> {
    const key = `${rows} ${goesOn}`, made = this.#programs.get(key);
    if (made) return made;
    const model = this.#model, length = this.#length;
    if (goesOn) checkStreams(model, length);
    const batch = {
      data: batchSpecs(this.objective, length, [rows]),
      ...(goesOn ? { carried: { state: boundarySpecs(model, rows), fresh: spec([rows]) } } : {}),
    } as MapTree<StepBatch, Tensor, Spec>;
    const program: ValidationProgram = await compile(
      this.#device,
      validationStep(model, this.objective, this.#known),
      [spec([model.layout.size]), batch],
      { donate: goesOn ? [1] : [] },
    );
    this.#programs.set(key, program);
    return program;
  }
}

/** The types of a batch's fields, with leading axes. */
export function batchSpecs(
  objective: Objective,
  length: number,
  axes: readonly number[],
): MapTree<BatchTree, Tensor, Spec> {
  return mapLeaves(objective.fields(length), isSpec, ({ shape, dtype }) => spec([...axes, ...shape], dtype)) as MapTree<
    BatchTree,
    Tensor,
    Spec
  >;
}

/** Sums of figures over batches. */
class Totals {
  #sums: Float64Array = new Float64Array(0);

  constructor(readonly known: FigureNames) {}

  /** Adds [n, 2]. */
  add(figures: ArrayLike<number>): void {
    if (this.#sums.length === 0) this.#sums = new Float64Array(figures.length);
    for (let i = 0; i < figures.length; i++) this.#sums[i] += figures[i];
  }

  /** The means over what was added. */
  measured(): Measurement {
    const { names, roots } = this.known;
    if (!(this.#sums[1] > 0)) {
      throw new ConfigError("Cannot validate on batches of padding alone: give some text", "windows");
    }
    const means = names.map((name, i) => {
      const mean = this.#sums[2 * i] / this.#sums[2 * i + 1];
      return [name, roots.has(name) ? Math.sqrt(mean) : mean];
    });
    return {
      figures: Object.fromEntries(means) as Figures,
      weights: Object.fromEntries(names.map((name, i) => [name, this.#sums[2 * i + 1]])),
    };
  }

  /** Adds what other ranks measured, in their order, so that all ranks get the same bits. */
  async addRanks(collective: Collective, counts: boolean): Promise<void> {
    if (collective.size === 1) return;
    const own = counts ? new Uint8Array(this.#sums.slice().buffer) : new Uint8Array();
    this.#sums = new Float64Array(0);
    for (const bytes of await collective.gather(own)) {
      if (bytes.length > 0) this.add(new Float64Array(bytes.slice().buffer));
    }
  }
}
