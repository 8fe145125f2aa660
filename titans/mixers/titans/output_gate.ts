/** The gate at the end of MAC and MAG. */
import type { Tensor } from "../../../core/graph.ts";
import { mul, rmsNorm, sigmoid, silu } from "../../../ops/mod.ts";
import type { OutputGate } from "./options.ts";

/** What the gate takes. */
interface Gated {
  /** What attention gave, [B, T, D]. */
  readonly y: Tensor;
  /** Gain of the norm of y, [D]. */
  readonly gain: Tensor;
  /** What the memory gave, normalised, [B, T, D]. */
  readonly memory: Tensor;
}

/** What attention gave, gated by what the memory gave (`outputGate`): [B, T, D]. */
export function gateOutput(
  { outputGate }: { readonly outputGate: OutputGate },
  { y, gain, memory }: Gated,
): Tensor {
  const normed = rmsNorm(y, { gain });
  return outputGate === "silu" ? silu(mul(normed, memory)) : mul(normed, sigmoid(memory));
}
