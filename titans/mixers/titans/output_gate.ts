/** The output gate of MAC and MAG. */
import type { Tensor } from "../../../core/graph.ts";
import { mul, rmsNorm, sigmoid, silu } from "../../../ops/mod.ts";
import type { OutputGate } from "./options.ts";

/** The inputs of the gate. */
interface Gated {
  /** The output of attention, [B, T, D]. */
  readonly y: Tensor;
  /** Gain of the norm of y, [D]. */
  readonly gain: Tensor;
  /** The normalised output of the memory, [B, T, D]. */
  readonly memory: Tensor;
}

/** The output of attention, gated by that of the memory (`outputGate`): [B, T, D]. */
export function gateOutput(
  { outputGate }: { readonly outputGate: OutputGate },
  { y, gain, memory }: Gated,
): Tensor {
  const normed = rmsNorm(y, { gain });
  return outputGate === "silu" ? silu(mul(normed, memory)) : mul(normed, sigmoid(memory));
}
