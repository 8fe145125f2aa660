/** What a step is given, as the fields of its objective. */
import { isSpec } from "../../core/trace.ts";
import { flatten } from "../../core/tree.ts";
import { checkNames, ConfigError } from "../errors.ts";
import type { BatchArray, BatchArrays, Objective } from "./objective.ts";
import type { StepInput } from "./training.ts";

/** A batch in two parts. */
export interface SplitBatch {
  /** The fields of the objective. */
  readonly data: BatchArrays;
  /** Which rows start afresh, if given. */
  readonly fresh?: Float32Array;
}

/**
 * Takes a batch apart, and adds the mask of a batch of text that is without padding.
 * @throws {ConfigError} if it has a field that the objective does not, or lacks one.
 */
export function completeBatch(
  given: StepInput,
  { objective, length, stream }: {
    readonly objective: Objective;
    readonly length: number;
    /** Whether rows continue from step to step, and batches can mark those that do not. */
    readonly stream: boolean;
  },
): SplitBatch {
  const batch = given instanceof Int32Array
    ? { tokens: given }
    : given as BatchArrays & { readonly fresh?: BatchArray };
  const { fresh, ...data } = batch, fields = objective.fields(length);
  if (data.mask && !Object.hasOwn(fields, "mask")) {
    throw new ConfigError("Cannot train on a batch with a mask: make the trainer with masked: true", "masked");
  }
  if (fresh && !stream) {
    throw new ConfigError("Cannot begin texts in a batch: make the trainer with stream: true", "stream");
  }
  checkNames("a batch", data, Object.keys(fields));
  const complete: BatchArrays = Object.hasOwn(fields, "mask") && data.mask === undefined
    ? { ...data, mask: new Float32Array(rowsOf(data, objective, length) * length).fill(1) }
    : data;
  const missing = Object.keys(fields).find((field) => complete[field] === undefined);
  if (missing !== undefined) {
    throw new ConfigError(`Cannot train on a batch without ${missing}: give all fields`, missing);
  }
  return { data: complete, fresh: fresh as Float32Array | undefined };
}

/** How many rows a batch has, by its first field; not an integer where that has no whole rows. */
export function rowsOf(data: BatchArrays, objective: Objective, length: number): number {
  const fields = flatten(objective.fields(length), isSpec), { leaves, paths } = flatten(data, isArray);
  const field = fields.leaves[fields.paths.indexOf(paths[0])];
  return field ? leaves[0].length / field.shape.reduce((size, extent) => size * extent, 1) : 0;
}

function isArray(value: unknown): value is BatchArray {
  return ArrayBuffer.isView(value);
}

/** Windows of text with a mask of padding. */
export interface MaskedWindows extends Record<string, BatchArray> {
  /** [batch, length + 1] */
  readonly tokens: Int32Array;
  /** [batch, length] */
  readonly mask: Float32Array;
}

/**
 * Windows [n, length + 1] in batches; the last one is filled up with padding.
 * @throws {ConfigError} unless there are whole windows.
 */
export function windowBatches(windows: Int32Array, batch: number, length: number): MaskedWindows[] {
  const width = length + 1, count = windows.length / width;
  if (!Number.isInteger(count) || count < 1) {
    throw new ConfigError(
      `Cannot validate on ${windows.length} tokens: windows of ${width} tokens are expected, at least one`,
      "windows",
    );
  }
  return Array.from({ length: Math.ceil(count / batch) }, (_, i) => {
    const own = windows.subarray(i * batch * width, (i + 1) * batch * width), tokens = new Int32Array(batch * width);
    tokens.set(own);
    return { tokens, mask: new Float32Array(batch * length).fill(1, 0, own.length / width * length) };
  });
}
