/** What models cost: counted in the kernels that they are compiled to, and in what they carry from token to token. */
import type { Tensor } from "../core/graph.ts";
import { sizeOfShape } from "../core/shape.ts";
import { simplify } from "../core/simplify.ts";
import { isSpec, spec, trace } from "../core/trace.ts";
import { flopsOfSteps } from "../kernels/cost.ts";
import type { DeviceLimits } from "../kernels/device.ts";
import { schedule } from "../kernels/schedule.ts";
import { defineConfig } from "../titans/models/config.ts";
import { namedLeaves, stepSpecs } from "../titans/models/decode.ts";
import { Model } from "../titans/models/model.ts";
import type { ModelKind } from "../titans/mixers/recipes.ts";

/** The bytes that decoding a text carries from token to token. */
export function stateBytesOf(model: Model): number {
  return namedLeaves(stepSpecs(model), isSpec).reduce((bytes, { leaf }) => bytes + 4 * sizeOfShape(leaf.shape), 0);
}

/** Those of a roomy device: what is counted does not depend on them. */
const LIMITS: DeviceLimits = {
  maxOperands: 64,
  maxTensorBytes: Infinity,
  maxBufferBytes: Infinity,
  alignmentBytes: 16,
  lanes: 4,
};

/** The arithmetic of reading the first tokens of a text, counted from the kernels. */
export function readingFlops(model: Model, tokens: number): number {
  const read = (flat: Tensor, text: Tensor): Tensor => model.forward(model.unflatten(flat), text).logits;
  const { graph } = trace(read, [spec([model.layout.size]), spec([1, tokens], "i32")]);
  return flopsOfSteps(schedule(simplify(graph), LIMITS).steps);
}

const KINDS: readonly ModelKind[] = ["transformer", "swa", "lmm", "mac", "gatedDeltaNet"];
const LENGTHS = [256, 512, 1024, 2048, 4096];

/** The cost of a model at a length of text. */
export interface CostAt {
  readonly model: ModelKind;
  readonly tokens: number;
  /** A multiply-add is two. */
  readonly flopsPerToken: number;
  readonly stateBytes: number;
}

/** What reading costs over the length of a text, of models in their smallest preset: one after the other. */
export function* costs(lengths: readonly number[] = LENGTHS): Generator<CostAt> {
  for (const model of KINDS) {
    for (const tokens of lengths) {
      // Full attention keeps keys and values for as long a text as it is made for.
      const built = new Model(defineConfig({ model, ...(model === "transformer" ? { maxLength: tokens } : {}) }));
      yield { model, tokens, flopsPerToken: readingFlops(built, tokens) / tokens, stateBytes: stateBytesOf(built) };
    }
  }
}
