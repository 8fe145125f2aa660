/** Linear maps and tables of vectors. */
import { ShapeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/graph.ts";
import { optionNames } from "../../core/options.ts";
import { formatType } from "../../core/shape.ts";
import { add, gather, matmul, reshape, transpose } from "../../ops/mod.ts";
import { checkNames } from "../errors.ts";
import { type InitializerFor, initializerFor, lecunNormal, normal, zeros } from "./initializers.ts";
import type { Layer } from "./layer.ts";
import { Parameter } from "./parameters.ts";

/** Parameters of {@link linear}. */
export interface LinearParameters<Leaf> {
  /** [in, out] */
  readonly weight: Leaf;
  /** [out], if the layer has one. */
  readonly bias?: Leaf;
}

/** Options of {@link linear}. */
export interface LinearOptions {
  /** Whether a bias is added. Default: true. */
  readonly bias?: boolean;
  /** How the weights are initialised. Default: LeCun's normal. */
  readonly weightInitializer?: InitializerFor;
  /** How the bias is initialised. Default: zero. */
  readonly biasInitializer?: InitializerFor;
}

const LINEAR_OPTIONS = optionNames<LinearOptions>({ bias: true, weightInitializer: true, biasInitializer: true });

/**
 * `x W + b`: [..., in] to [..., out].
 * @param inWidth Extent of the last axis that goes in.
 * @param outWidth Extent of the last axis that comes out.
 * @example
 * ```ts
 * import { compile, requestDevice, spec } from "@mneme/titans";
 * import { initialize, linear, ones } from "@mneme/titans/nn";
 *
 * const layer = linear(3, 1, { weightInitializer: ones() });
 * const device = await requestDevice({ kind: "reference" });
 * const program = await compile(device, layer.apply, [{ weight: spec([3, 1]), bias: spec([1]) }, spec([2, 3])]);
 * const y = await program.run(initialize(layer.parameters, 0), [[1, 2, 3], [4, 5, 6]]);
 * if (String(y.toNested()) !== "6,15") throw new Error(`6 and 15 were expected, not ${y.toNested()}`);
 * device.dispose();
 * ```
 */
export function linear(
  inWidth: number,
  outWidth: number,
  options: LinearOptions = {},
): Layer<LinearParameters<Tensor>> {
  checkNames("linear", options, LINEAR_OPTIONS);
  const { bias = true, weightInitializer = lecunNormal(), biasInitializer = zeros() } = options;
  const shape = [inWidth, outWidth];
  return {
    parameters: {
      weight: new Parameter(shape, initializerFor(weightInitializer, shape), true),
      ...(bias && { bias: new Parameter([outWidth], initializerFor(biasInitializer, [outWidth]), false) }),
    },
    apply: ({ weight, bias }, x) => {
      requireWidth("apply a linear layer to", x, inWidth);
      const y = x.rank === 1 ? reshape(matmul(reshape(x, [1, inWidth]), weight), [outWidth]) : matmul(x, weight);
      return bias ? add(y, bias) : y;
    },
  };
}

/** Checks the last axis of what goes into a layer. @throws {ShapeError} if it has another extent. */
export function requireWidth(action: string, x: Tensor, width: number): void {
  if (x.shape[x.rank - 1] === width) return;
  throw new ShapeError(
    `Cannot ${action} ${formatType(x)}: it was made for a last axis of ${width}, this one has ${
      x.rank === 0 ? "no axis" : x.shape[x.rank - 1]
    }`,
    [x.shape],
  );
}

/** Parameters of {@link embedding}. */
export interface EmbeddingParameters<Leaf> {
  /** [count, width] */
  readonly table: Leaf;
}

/** Options of {@link embedding}. */
export interface EmbeddingOptions {
  /** How the table is initialised. Default: normal with deviation `1 / sqrt(width)`. */
  readonly initializer?: InitializerFor;
}

const EMBEDDING_OPTIONS = optionNames<EmbeddingOptions>({ initializer: true });

/** A table of vectors. */
export interface Embedding extends Layer<EmbeddingParameters<Tensor>> {
  /** Scores of all rows: `x` times the table transposed, [..., width] to [..., count]. For output layers that share it. */
  attend(params: EmbeddingParameters<Tensor>, x: Tensor): Tensor;
}

/**
 * A table of vectors by number: i32 or u32 [...] to [..., width]. A number that the table does not have gives NaN.
 * @param count Rows of the table.
 * @param width Extent of a row.
 */
export function embedding(count: number, width: number, options: EmbeddingOptions = {}): Embedding {
  checkNames("embedding", options, EMBEDDING_OPTIONS);
  const { initializer = normal(1 / Math.sqrt(width)) } = options, shape = [count, width];
  return {
    parameters: { table: new Parameter(shape, initializerFor(initializer, shape), false) },
    apply: ({ table }, numbers) => gather(table, numbers, { axis: 0 }),
    attend: ({ table }, x) => {
      requireWidth("compare a table with", x, width);
      return matmul(x, transpose(table));
    },
  };
}
