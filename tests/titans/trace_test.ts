import { assert, assertEquals, assertThrows } from "@std/assert";
import { grad } from "../../core/grad.ts";
import { isTensor, type Tensor } from "../../core/graph.ts";
import { mapLeaves } from "../../core/tree.ts";
import { add, expandDims, mean, mul, sliceAxis, sqrt, square, stack, sub, sum } from "../../ops/mod.ts";
import { ConfigError } from "../../titans/errors.ts";
import { type GateGranularity, type LayeredSequence, toLayered } from "../../titans/mixers/titans/gates.ts";
import {
  type Memory,
  type MemoryNetwork,
  type MemoryState,
  mlpMemory,
  readMemory,
  swigluMemory,
} from "../../titans/mixers/titans/memory_network.ts";
import { type MatrixTrace, type MemoryTrace, traceMemory } from "../../titans/mixers/titans/trace.ts";
import { type MemoryInputs, memoryInputs, memoryOf, products } from "./builders.ts";
import { assertClose, leavesOf, norm, reference, type Runner, testOnDevices, type Value } from "./runners.ts";

interface Extents {
  readonly miniBatch: number;
  readonly tile?: number;
  readonly strict?: boolean;
}

/** The trace of the run in matrix products. */
function fast(network: MemoryNetwork, options: Extents): (inputs: MemoryInputs<Tensor>) => MemoryTrace {
  return (inputs) => {
    const [memory, sequence] = memoryOf(network, inputs), all = { ...options, state: inputs.state };
    return traceMemory(memory, sequence, products(memory, sequence, all).output, all);
  };
}

/** The same by definition: a weight matrix for every token, and norms of matrices. */
function naive(
  network: MemoryNetwork,
  { miniBatch, strict = false }: Extents,
): (inputs: MemoryInputs<Tensor>) => MemoryTrace {
  return (inputs) => {
    const [memory, given] = memoryOf(network, inputs),
      sequence = toLayered(given, network.layers.length),
      T = sequence.key.shape[2];
    const tokens: MemoryTrace[] = [];
    let state: MemoryState = inputs.state, start = state.weights;
    for (let t = 0; t < T; t++) {
      if (t % miniBatch === 0) start = state.weights;
      const token = mapLeaves(sequence, isTensor, (x) => sliceAxis(x, 2, t, 1));
      const [next, trace] = naiveToken(memory, state, start, token, strict);
      tokens.push(trace);
      state = next;
    }
    // Leaves [B, H, 1] of all tokens, side by side: [B, H, T].
    const join = <T>(all: readonly T[]): T => {
      if (isTensor(all[0])) return stack((all as unknown as Tensor[]).map((x) => sum(x, { axes: 2 })), 2) as T;
      if (Array.isArray(all[0])) return all[0].map((_, i) => join(all.map((x) => (x as T[])[i]))) as T;
      return Object.fromEntries(
        Object.keys(all[0] as object).map((key) => [key, join(all.map((x) => x[key as keyof T]))]),
      ) as T;
    };
    return join(tokens);
  };
}

/** One token of the naive loop. */
function naiveToken(
  memory: Memory,
  state: MemoryState,
  start: readonly Tensor[],
  { query, key, value, gates }: LayeredSequence,
  strict: boolean,
): [MemoryState, MemoryTrace] {
  const errorAt = (weights: readonly Tensor[], x: Tensor): Tensor =>
    mean(square(sub(readMemory(memory, weights, x), value)), { axes: -1 }); // [B, H, 1]
  const gradient = grad((weights: readonly Tensor[]) => sum(errorAt(weights, key)))(start);
  const all = (x: Tensor): Tensor => expandDims(x, -1); // [B, H, 1] -> [B, H, 1, 1]
  const surprise = state.surprise.map((s, l) => sub(mul(all(gates[l].eta), s), mul(all(gates[l].theta), gradient[l])));
  const keep = gates.map(({ alpha }) => sub(1, alpha.rank === 3 ? all(alpha) : alpha));
  const weights = state.weights.map((w, l) => add(mul(keep[l], w), surprise[l]));
  const squared = (x: Tensor): Tensor => expandDims(sum(square(x), { axes: [-1, -2] }), 2); // [B, H, 1]
  const describe = (ls: readonly number[]): MatrixTrace => {
    const root = (of: (l: number) => Tensor): Tensor =>
      sqrt(ls.map((l) => squared(of(l))).reduce((total, x) => add(total, x)));
    const average = (of: (l: number) => Tensor): Tensor =>
      mul(ls.map(of).reduce((total, x) => add(total, x)), 1 / ls.length);
    return {
      surprise: root((l) => gradient[l]),
      theta: average((l) => gates[l].theta),
      eta: average((l) => gates[l].eta),
      alpha: average((l) => gates[l].alpha.rank === 3 ? gates[l].alpha : mean(gates[l].alpha, { axes: -1 })),
      momentumNorm: root((l) => surprise[l]),
      updateNorm: root((l) => sub(weights[l], state.weights[l])),
      memoryNorm: root((l) => weights[l]),
    };
  };
  const matrices = memory.network.layers.map((_, l) => l);
  const trace: MemoryTrace = {
    ...describe(matrices),
    loss: errorAt(start, key),
    error: errorAt(weights, key),
    readError: errorAt(strict ? state.weights : weights, query),
    matrices: matrices.map((l) => describe([l])),
  };
  return [{ weights, surprise }, trace];
}

async function compare(
  run: Runner,
  network: MemoryNetwork,
  granularity: GateGranularity,
  [T, options, tolerance]: [number, Extents, number],
): Promise<void> {
  const inputs = memoryInputs(network, { T, granularity });
  const expected = await reference(naive(network, options), [inputs]);
  for (const [leaf, values] of Object.entries(leavesOf(expected))) assert(norm(values) > 1e-9, `${leaf} is zero`);
  assertClose(await run(fast(network, options), [inputs]), expected, tolerance);
}

const mlp = (depth: number): MemoryNetwork => mlpMemory({ width: 4, depth, expansion: 2 });

for (const granularity of ["head", "layer", "channel"] as const) {
  Deno.test(`reference: trace, gates a ${granularity}: every quantity is that of the token loop`, async () => {
    for (const network of [mlp(1), mlp(2), mlp(4), swigluMemory({ width: 4, expansion: 1.5 })]) {
      await compare(reference, network, granularity, [11, { miniBatch: 4 }, 1e-10]);
    }
  });

  Deno.test(`reference: trace, gates a ${granularity}: any length, tile, and reading before writing`, async () => {
    for (const T of [1, 3, 4, 9]) {
      for (const strict of [false, true]) {
        await compare(reference, mlp(2), granularity, [T, { miniBatch: 4, tile: 2, strict }, 1e-10]);
      }
    }
  });

  testOnDevices(`trace, gates a ${granularity}: every quantity is that of the token loop`, async ({ run, device }) => {
    await compare(run, mlp(2), granularity, [11, { miniBatch: 4 }, 1e-4]);
    // Each variant is another program, and the software adapter compiles slowly.
    if (device.info.kind === "cpu") await compare(run, mlp(3), granularity, [11, { miniBatch: 4, tile: 2 }, 1e-4]);
  });
}

Deno.test("trace: the worked example of one number", async () => {
  const network: MemoryNetwork = { layers: [{ in: 1, out: 1 }], gains: [], forward: (linear, x) => linear(0, x) };
  const one = (value: number, rank: number): Value => ({ shape: Array(rank).fill(1), data: [value] });
  const inputs: MemoryInputs<Value> = {
    sequence: {
      query: one(1, 4),
      key: one(1, 4),
      value: one(0, 4),
      gates: [{ theta: one(0.25, 3), eta: one(0, 3), alpha: one(0, 3) }],
    },
    state: { weights: [one(2, 4)], surprise: [one(0, 4)] },
    gains: [],
    start: [],
  };
  const { matrices: _, ...trace } = await reference(fast(network, { miniBatch: 1 }), [inputs]);
  const numbers = Object.fromEntries(Object.entries(trace).map(([name, value]) => [name, value.data[0]]));
  assertEquals(numbers, {
    surprise: 4,
    loss: 4,
    theta: 0.25,
    eta: 0,
    alpha: 0,
    momentumNorm: 1,
    updateNorm: 1,
    memoryNorm: 1,
    error: 1,
    readError: 1,
  });
});

Deno.test("trace: a tile that does not divide the mini-batch is refused", () => {
  const attempt = (inputs: MemoryInputs<Tensor>): MemoryTrace =>
    traceMemory(...memoryOf(mlp(1), inputs), inputs.sequence.value, { state: inputs.state, miniBatch: 4, tile: 3 });
  assertThrows(
    () => reference(attempt, [memoryInputs(mlp(1), { T: 3 })]),
    ConfigError,
    "tiles of 3 tokens: the tile must divide the mini-batch of 4",
  );
});
