/**
 * Measuring a model on windows without learning from them: each with a memory of its own, or with memory that is
 * carried from window to window.
 */
import type { Tensor } from "../../core/graph.ts";
import { isSpec, spec } from "../../core/trace.ts";
import { mapLeaves, type MapTree } from "../../core/tree.ts";
import { compile, type Device, type DeviceArray, type Program } from "../../kernels/mod.ts";
import { ConfigError } from "../errors.ts";
import type { Model, ModelState } from "../models/model.ts";
import { boundarySpecs, namedLeaves } from "../models/decode.ts";
import type { TrainingBatch, ValidationMetrics } from "./trainer.ts";
import { type ValidationExtras, type ValidationResult, validationStep } from "./training_step.ts";

type WindowsProgram = Program<[params: Tensor, tokens: Tensor], ValidationResult>;
type StreamsProgram = Program<[params: Tensor, tokens: Tensor, extras: ValidationExtras], ValidationResult>;
type CarriedArrays = MapTree<ModelState, Tensor, DeviceArray>;

/** What was read of some windows. */
interface Measured {
  /** Sum over predictions, or over the means of windows, in nats. */
  readonly loss: number;
  /** Norms and means as `validationStep` gives them. */
  readonly memory: ArrayLike<number>;
  /** How many windows the norms, and how many tokens the means are of. */
  readonly windows: number;
  readonly tokens: number;
}

/** The compiled validations of a trainer. */
export class Validation {
  readonly #device: Device;
  readonly #model: Model;
  readonly #shape: { readonly batch: number; readonly length: number };
  #windows?: WindowsProgram;
  /** For batches of a number of rows. */
  #streams?: { readonly rows: number; readonly program: StreamsProgram };

  /** @param shape Windows that go through the model at once, and tokens of a window. */
  constructor(device: Device, model: Model, shape: { readonly batch: number; readonly length: number }) {
    this.#device = device;
    this.#model = model;
    this.#shape = shape;
  }

  /**
   * Measures on windows with a memory of their own, token ids [n, length + 1]. @throws {ConfigError} unless there are
   * whole windows.
   */
  async windows(params: DeviceArray, windows: Int32Array): Promise<ValidationMetrics> {
    const { batch, length } = this.#shape;
    const width = length + 1, count = windows.length / width;
    if (!Number.isInteger(count) || count < 1) {
      throw new ConfigError(
        `Cannot validate on ${windows.length} tokens: windows of ${width} tokens are expected, at least one`,
        "windows",
      );
    }
    const model = this.#model;
    this.#windows ??= await compile(this.#device, validationStep(model), [
      spec([model.layout.size]),
      spec([batch, width], "i32"),
    ]) as WindowsProgram;
    const measured: Measured[] = [];
    for (let start = 0; start < count; start += batch) {
      const used = Math.min(batch, count - start);
      const tokens = new Int32Array(batch * width);
      // The last batch is filled up with its own windows; their losses do not count.
      for (let row = 0; row < batch; row++) {
        tokens.set(windows.subarray((start + row % used) * width, (start + row % used + 1) * width), row * width);
      }
      const { losses, memory } = await this.#windows.run(params, tokens);
      const loss = sum((losses.data as Float32Array).subarray(0, used));
      measured.push({ loss, memory: memory.data, windows: 1, tokens: 1 });
    }
    return metrics(measured, count);
  }

  /**
   * Measures on batches whose rows go on from one to the next. @throws {ConfigError} if batches differ in rows, or lack
   * something to predict.
   */
  async streams(params: DeviceArray, batches: readonly TrainingBatch[]): Promise<ValidationMetrics> {
    const { length } = this.#shape, width = length + 1, rows = (batches[0]?.tokens.length ?? 0) / width;
    if (!Number.isInteger(rows) || rows < 1 || batches.some(({ tokens }) => tokens.length !== rows * width)) {
      throw new ConfigError(
        `Cannot validate on these batches: windows of ${width} tokens are expected, and as many rows in each batch`,
        "windows",
      );
    }
    const program = await this.#streamsProgram(rows), measured: Measured[] = [];
    let carried = mapLeaves(
      boundarySpecs(this.#model, rows),
      isSpec,
      (type) => this.#device.upload(new Float32Array(type.shape.reduce((size, extent) => size * extent, 1)), type),
    ) as CarriedArrays;
    try {
      for (
        const [i, { tokens, mask = new Float32Array(rows * length).fill(1), fresh = new Float32Array(rows) }] of batches
          .entries()
      ) {
        const result = program.launch(params, tokens, {
          mask,
          carried,
          fresh: i === 0 ? new Float32Array(rows).fill(1) : fresh,
        });
        carried = result.carried!;
        const [losses, memory] = await Promise.all([result.losses.read(), result.memory.read()]) as Float32Array[];
        result.losses.dispose();
        result.memory.dispose();
        measured.push({ loss: sum(losses), memory, windows: activeRows(mask, length), tokens: sum(mask) });
      }
    } finally {
      for (const { leaf } of namedLeaves(carried, isArray)) leaf.dispose();
    }
    const predicted = measured.reduce((total, { tokens }) => total + tokens, 0);
    if (predicted === 0) {
      throw new ConfigError("Cannot validate on batches of padding alone: give some text", "windows");
    }
    return metrics(measured, predicted);
  }

  /** Frees the programs. */
  dispose(): void {
    this.#windows?.dispose();
    this.#streams?.program.dispose();
  }

  async #streamsProgram(rows: number): Promise<StreamsProgram> {
    if (this.#streams?.rows === rows) return this.#streams.program;
    this.#streams?.program.dispose();
    const model = this.#model, { length } = this.#shape;
    if (length % model.interval !== 0) {
      throw new ConfigError(
        `Cannot carry memory through windows of ${length} tokens: the length must be a multiple of ${model.interval}`,
        "length",
      );
    }
    const extras = { mask: spec([rows, length]), carried: boundarySpecs(model, rows), fresh: spec([rows]) };
    const program: StreamsProgram = await compile(
      this.#device,
      validationStep(model) as (params: Tensor, tokens: Tensor, extras: ValidationExtras) => ValidationResult,
      [spec([model.layout.size]), spec([rows, length + 1], "i32"), extras],
      { donate: [2] },
    );
    this.#streams = { rows, program };
    return program;
  }
}

/** The metrics of what was measured. @param count How many losses there are in all. */
function metrics(measured: readonly Measured[], count: number): ValidationMetrics {
  const loss = measured.reduce((total, part) => total + part.loss, 0) / count;
  const mean = (of: (part: Measured) => number, weight: (part: Measured) => number): number =>
    measured.reduce((total, part) => total + of(part) * weight(part), 0) /
    measured.reduce((total, part) => total + weight(part), 0);
  const rms = (i: number): number => Math.sqrt(mean(({ memory }) => memory[i] ** 2, ({ windows }) => windows));
  const average = (i: number): number => mean(({ memory }) => memory[i], ({ tokens }) => tokens);
  const norms = { memoryNorm: rms(0), surpriseNorm: rms(1), memoryChange: rms(2) };
  return { loss, bitsPerByte: loss / Math.LN2, ...norms, innerLoss: average(3), updateNorm: average(4) };
}

/** Rows of a mask that hold something to predict. */
function activeRows(mask: Float32Array, length: number): number {
  let count = 0;
  for (let start = 0; start < mask.length; start += length) {
    if (mask.subarray(start, start + length).some((value) => value > 0)) count++;
  }
  return count;
}

function sum(values: Float32Array): number {
  return values.reduce((total, value) => total + value, 0);
}

function isArray(value: unknown): value is DeviceArray {
  return typeof value === "object" && value !== null && "dispose" in value;
}
