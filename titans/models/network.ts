/** What can be trained: any function of named parameters and an input. A model is one, and every layer can be one. */
import type { Tensor } from "../../core/graph.ts";
import { showAsText } from "../../core/inspect.ts";
import type { Metric } from "../mixers/mixer_interface.ts";
import type { Layer } from "../nn/layer.ts";
import { type NamedArrays, ParameterLayout } from "../nn/parameters.ts";
import type { MapTree } from "../../core/tree.ts";
import type { Parameter } from "../nn/parameters.ts";
import type { BlockLayer } from "./blocks.ts";
import type { ForwardOptions, ForwardResult, ModelState } from "./model.ts";

/** What a trainer trains and a validation measures. */
export interface Network<Params = unknown> {
  /** The position of each parameter in the flat vector. */
  readonly layout: ParameterLayout<Params>;
  /** The layers of its blocks, for diagnosis and reports; empty where it has none. */
  readonly layers: readonly BlockLayer[];
  /** What validation reports of its mixers, by name. */
  readonly metrics: Readonly<Record<string, Metric>>;
  /** Rows of its input between two boundaries at which a state can be carried on. */
  readonly interval: number;
  /** Rows that an input may have. */
  readonly maxLength: number;
  /** First parameters, reproducible by the seed. */
  initialize(seed: number): NamedArrays;
  /** The tree of parameters in a flat vector. */
  unflatten(flat: Tensor): Params;
  /** The state before the first row of `batch` inputs; empty where nothing is carried. */
  initialState(params: Params, batch: number): ModelState;
  /** Reads an input, [B, ...]. */
  forward(params: Params, input: Tensor, options?: ForwardOptions): ForwardResult;
  /** One line about it. */
  toString(): string;
  /** What it is, for JSON. */
  toJSON(): unknown;
}

/** A layer as a network, which carries nothing from one input to the next. */
export class LayerNetwork<Params = unknown> implements Network<Params> {
  /** The position of each parameter in the flat vector. */
  readonly layout: ParameterLayout<Params>;
  /** It has no blocks. */
  readonly layers: readonly BlockLayer[] = [];
  /** It reports nothing. */
  readonly metrics: Readonly<Record<string, Metric>> = {};
  /** An input is read as a whole. */
  readonly interval = 1;
  /** Its layer says what it takes. */
  readonly maxLength: number = Infinity;

  /**
   * A network of a layer.
   * @param name What it is called.
   * @param layer Its parameters and its function of one input.
   */
  constructor(readonly name: string, readonly layer: Layer<Params>) {
    this.layout = new ParameterLayout<Params>(layer.parameters as MapTree<Params, Tensor, Parameter>);
  }

  /** Name and size, such as `dlinear: 18,624 parameters`. */
  toString(): string {
    return `${this.name}: ${this.layout.parameterCount.toLocaleString("en")} parameters`;
  }

  /** Its name and size. */
  toJSON(): { readonly name: string; readonly parameters: number } {
    return { name: this.name, parameters: this.layout.parameterCount };
  }

  static {
    showAsText(this);
  }

  /** First parameters, reproducible by the seed. */
  initialize(seed: number): NamedArrays {
    return this.layout.initialize(seed);
  }

  /** The tree of parameters in a flat vector. */
  unflatten(flat: Tensor): Params {
    return this.layout.unflatten(flat);
  }

  /** Nothing is carried. */
  initialState(): ModelState {
    return [];
  }

  /** Applies the layer. */
  forward(params: Params, input: Tensor): ForwardResult {
    return { logits: this.layer.apply(params, input), state: [] };
  }
}
