/**
 * The jobs of the comparison: sizes, work, and where the data come from. `randn(n, scale, seed)` is the generator of
 * the golden numbers; tests/golden_layers.ts has it. Parameters that train are updated by Adam (rate 1e-3, betas 0.9
 * and 0.999, epsilon 1e-8) in the same program or step.
 *
 * - matmul N: `a b`, randn scale 1, seeds 1 and 2. Batched likewise, [256, 64, 64].
 * - gelu(xw + b) + x: x, w, b [4194304], scale 1, seeds 1, 2, 3; gelu by tanh.
 * - softmax: x [4096, 256], scale 1, seed 1, over the last axis.
 * - layer norm: gradients w.r.t. x [4096, 256] (seed 1), gain and bias [256] (seeds 2, 3) of `sum(layerNorm(x) dy)`, dy
 *   seed 4; epsilon 1e-5.
 * - MLP: x [512, 256] seed 3, y seed 4; w1 [256, 1024] scale 1/16 seed 1, b1 0, w2 [1024, 256] scale 1/32 seed 2, b2 0;
 *   loss = mean((gelu(x w1 + b1) w2 + b2 - y)^2).
 * - attention: wq, wk, wv, wo [256, 256] scale 1/16 seeds 1-4; x [4, 256, 256] seed 5, dy seed 6; gradients w.r.t.
 *   weights and x of `sum(out dy)`.
 * - layers: those of tests/golden_layers.ts (chunk 16 divides theta by 16), loss and gradients w.r.t. all parameters,
 *   then Adam.
 * - layers of baselines: those of baseline_layers.ts, B 2, D 128, 2 heads, RetNet and GLA without convolution, the others
 *   with theirs of four tokens. The peers' run in chunks of 64 tokens, with decays per channel of 16; Mamba's is a loop over
 *   time.
 */
import type { JobName } from "./contestant.ts";

/** A job in numbers. */
export interface Job {
  readonly name: JobName;
  /**
   * Floating-point operations that a run needs at least, a multiply-add as two; undefined where counting says little.
   */
  readonly flops?: number;
  /** Bytes that a run must move at least. */
  readonly bytes?: number;
}

/** In the order of the table. */
export const JOBS: readonly Job[] = [
  { name: "matmul 256", flops: 2 * 256 ** 3 },
  { name: "matmul 512", flops: 2 * 512 ** 3 },
  { name: "matmul 1024", flops: 2 * 1024 ** 3 },
  { name: "matmul 256 x 64^3", flops: 2 * 256 * 64 ** 3 },
  { name: "gelu(xw + b) + x, 4M", bytes: 16 * 2 ** 22 },
  { name: "softmax 4096 x 256", bytes: 8 * 4096 * 256 },
  { name: "layer norm 4096 x 256, forward + backward", bytes: 12 * 4096 * 256 },
  { name: "MLP 256-1024-256, batch 512, Adam", flops: 12 * 512 * 256 * 1024 },
  { name: "causal attention B4 T256 D256 H4, forward + backward" },
  { name: "chunk layer, chunk 64, Adam" },
  { name: "chunk layer, chunk 16, Adam" },
  { name: "per-token layer, b 64, Adam" },
  { name: "per-token layer, b 16, Adam" },
  { name: "retnet layer, T 2048, Adam" },
  { name: "gla layer, T 2048, Adam" },
  { name: "mamba2 layer, T 2048, Adam" },
  { name: "deltaNet layer, T 2048, Adam" },
  { name: "gatedDeltaNet layer, T 2048, Adam" },
  { name: "mamba layer, T 2048, Adam" },
];
