/** What a layer is: parameters to be trained, and what is computed with them. */
import type { Tensor } from "../../core/graph.ts";
import type { MapTree } from "../../core/tree.ts";
import { type NamedArrays, type Parameter, ParameterLayout } from "./parameters.ts";

/**
 * A layer: descriptions of its parameters, and a function of parameters and inputs. It holds no values: a model is a
 * tree of layers' parameters, and a function that applies the layers to the tree's parts.
 */
export interface Layer<P, Args extends readonly unknown[] = [x: Tensor], R = Tensor> {
  /** A tree of descriptions. */
  readonly parameters: MapTree<P, Tensor, Parameter>;
  /** What the layer computes: a function of a tree of tensors like `parameters` and of its inputs. */
  apply(params: P, ...args: Args): R;
}

/** The tree of tensors that a tree of descriptions stands for. */
export type ParametersOf<P> = MapTree<P, Parameter, Tensor>;

/** A first value on the host: an argument of programs, as results of runs are. */
export interface InitialValue {
  /** Row-major. */
  readonly data: Float32Array;
  /** Extents. */
  readonly shape: readonly number[];
  /** Always f32. */
  readonly dtype: "f32";
}

/**
 * First values of a tree of parameters, reproducible: each is drawn from a stream of its own, named by its path, so
 * adding one leaves the others as they were.
 * @param parameters A tree of descriptions.
 * @param seed Whole number.
 * @returns The tree with arrays, to be passed to a program or a function of `jit`.
 */
export function initialize<P>(parameters: P, seed: number): MapTree<P, Parameter, InitialValue> {
  return valuesOf(parameters, layoutOf(parameters).initialize(seed));
}

/**
 * Values of a tree of parameters from arrays by name, as files hold them.
 * @param parameters A tree of descriptions.
 * @param arrays One for each parameter, under its path.
 * @throws {RangeError} if one is missing or has another size.
 */
export function valuesOf<P>(parameters: P, arrays: NamedArrays): MapTree<P, Parameter, InitialValue> {
  const layout = layoutOf(parameters);
  layout.pack(arrays); // checks names and sizes
  const values = layout.entries.map(({ name, parameter }): InitialValue => ({
    data: arrays[name],
    shape: parameter.shape,
    dtype: "f32",
  }));
  return layout.treeOf(values) as MapTree<P, Parameter, InitialValue>;
}

/** The layout of a tree of parameters in one flat vector, which optimizers take: a few kernels for any number of them. */
export function layoutOf<P>(parameters: P): ParameterLayout<ParametersOf<P>> {
  return new ParameterLayout<ParametersOf<P>>(
    parameters as MapTree<ParametersOf<P>, Tensor, Parameter>,
  );
}

/**
 * Layers one after another; plain functions of a tensor, such as `relu`, may stand between them.
 * @example
 * ```ts
 * import { sequential, linear } from "@mneme/titans/nn";
 * import { tanh } from "@mneme/titans/ops";
 *
 * const model = sequential(linear(2, 16), tanh, linear(16, 1)); // its parameters are a list of three trees
 * if (model.parameters.length !== 3) throw new Error("3 were expected");
 * ```
 */
export function sequential(
  ...layers: readonly (Layer<unknown> | ((x: Tensor) => Tensor))[]
): Layer<readonly unknown[]> {
  return {
    parameters: layers.map((layer) => (typeof layer === "function" ? {} : layer.parameters)),
    apply: (params, x) =>
      layers.reduce((y, layer, i) => (typeof layer === "function" ? layer(y) : layer.apply(params[i], y)), x),
  };
}
