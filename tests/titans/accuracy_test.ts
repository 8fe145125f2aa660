/** How exact the memory is in f32: the matmul-only form beside the token loop, each against the token loop in f64. */
import { assert } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { requestDevice } from "../../kernels/mod.ts";
import { chunkedMemory } from "../../titans/mixers/titans/chunked_memory.ts";
import { type MemorySequence, type MemoryState, mlpMemory } from "../../titans/mixers/titans/memory_network.ts";
import { naiveMemory } from "../../titans/mixers/titans/naive.ts";
import { leavesOf, noise, norm, onDevice, reference, type Value } from "./runners.ts";

const B = 1, H = 2, K = 16;
/** How many times the error of the token loop the other form's may be. */
const FACTOR = 1.5;

const network = mlpMemory({ width: K, depth: 2 });

const gate = (T: number, seed: number, low: number, high: number): Value => {
  const { shape, data } = noise([B, H, T], seed);
  return { shape, data: Float64Array.from(data, (x) => Math.fround(low + (high - low) / (1 + Math.exp(-x)))) };
};

/**
 * Rows of about unit length, as after a norm; the memory forgets 2 in 1,000 a token, so that all of a long sequence is
 * in it.
 */
function inputsFor(T: number) {
  const rows = (seed: number): Value => noise([B, H, T, K], seed, 1 / Math.sqrt(K));
  const weights = network.layers.map((layer, l) => noise([B, H, layer.in, layer.out], 20 + l, 1 / Math.sqrt(layer.in)));
  const surprise = weights.map(({ shape }) => ({ shape, data: new Float64Array(B * H * K * 4 * K) }));
  return {
    sequence: {
      query: rows(1),
      key: rows(2),
      value: rows(3),
      theta: gate(T, 4, 0, 0.2),
      eta: gate(T, 5, 0, 1),
      alpha: gate(T, 6, 0, 0.004),
    },
    state: { weights, surprise },
    gains: network.gains.map((shape, i) => noise([H, ...shape], 30 + i, 0.1)),
  };
}

interface Arguments {
  readonly sequence: MemorySequence;
  readonly state: MemoryState;
  readonly gains: readonly Tensor[];
}

/** The Euclidean norm of the error over that of the exact numbers, for each result. */
function errors(actual: unknown, exact: unknown): Record<string, number> {
  const values = leavesOf(actual);
  return Object.fromEntries(
    Object.entries(leavesOf(exact)).map((
      [name, right],
    ) => [name, norm(Array.from(right, (x, i) => values[name][i] - x)) / norm(right)]),
  );
}

Deno.test("cpu: in f32 the matmul-only form is as exact as the token loop", async (t) => {
  const device = await requestDevice({ kind: "cpu" });
  try {
    for (const [T, miniBatch] of [[64, 16], [64, 64], [512, 16], [512, 64]]) {
      await t.step(`${T} tokens, mini-batches of ${miniBatch}`, async () => {
        const inputs = inputsFor(T);
        const pick = ({ output, state }: { readonly output: Tensor; readonly state: MemoryState }) => ({
          output,
          state,
        });
        const naive = ({ sequence, state, gains }: Arguments) =>
          pick(naiveMemory({ network, gains }, sequence, { state, miniBatch }));
        const chunked = ({ sequence, state, gains }: Arguments) =>
          pick(chunkedMemory({ network, gains }, sequence, { state, miniBatch }));
        const exact = await reference(naive, [inputs]), run = onDevice(device);
        const loop = errors(await run(naive, [inputs]), exact), products = errors(await run(chunked, [inputs]), exact);
        for (const [name, error] of Object.entries(products)) {
          assert(loop[name] > 0, `${name} of the token loop is exact: there is nothing to compare with`);
          assert(error <= FACTOR * loop[name], `${name}: error ${error}, that of the token loop ${loop[name]}`);
        }
      });
    }
  } finally {
    device.dispose();
  }
});
