import { assert, assertThrows } from "@std/assert";
import { grad, valueAndGrad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import type { MapTree } from "../../core/tree.ts";
import { add, mul, sigmoid, sum } from "../../ops/mod.ts";
import { chunkedMemory, type ChunkedMemoryOptions } from "../../titans/chunked_memory.ts";
import { ConfigError } from "../../titans/errors.ts";
import type { LayeredSequence } from "../../titans/gates.ts";
import { layeredMemory } from "../../titans/layered_memory.ts";
import { type Memory, type MemoryNetwork, type MemoryState, mlpMemory, swigluMemory } from "../../titans/memory_network.ts";
import { naiveMemory } from "../../titans/naive.ts";
import { assertClose, leavesOf, noise, norm, reference, type Runner, testOnDevices, type Value } from "./runners.ts";

/** All that a memory takes, as a tree. */
interface Inputs<Leaf> {
  readonly sequence: {
    readonly query: Leaf;
    readonly key: Leaf;
    readonly value: Leaf;
    readonly gates: readonly { readonly theta: Leaf; readonly eta: Leaf; readonly alpha: Leaf }[];
  };
  readonly state: { readonly weights: readonly Leaf[]; readonly surprise: readonly Leaf[] };
  readonly gains: readonly Leaf[];
}

type Granularity = "layer" | "channel";

const B = 2, H = 2, K = 4;

function gate(shape: readonly number[], seed: number, high: number): Value {
  return { shape, data: Float64Array.from(noise(shape, seed).data, (x) => Math.fround(high / (1 + Math.exp(-2 * x)))) };
}

function inputsFor(network: MemoryNetwork, granularity: Granularity, T: number): Inputs<Value> {
  return {
    sequence: {
      query: noise([B, H, T, K], 1, 0.5),
      key: noise([B, H, T, K], 2, 0.5),
      value: noise([B, H, T, K], 3),
      gates: network.layers.map(({ out }, l) => ({
        theta: gate([B, H, T], 4 + 3 * l, 1),
        eta: gate([B, H, T], 5 + 3 * l, 1),
        alpha: gate(granularity === "channel" ? [B, H, T, out] : [B, H, T], 6 + 3 * l, 0.3),
      })),
    },
    state: {
      weights: network.layers.map((layer, l) => noise([B, H, layer.in, layer.out], 30 + l, 1 / Math.sqrt(layer.in))),
      surprise: network.layers.map((layer, l) => noise([B, H, layer.in, layer.out], 40 + l, 0.1)),
    },
    gains: network.gains.map((shape, i) => noise([H, ...shape], 50 + i, 0.1)),
  };
}

type Run = (memory: Memory, sequence: LayeredSequence, options: ChunkedMemoryOptions) => { output: Tensor; state: MemoryState };
type Extents = Omit<ChunkedMemoryOptions, "state">;

/** Outputs, final state, and the gradient of a random functional of both with respect to every input. */
function evaluate(
  run: Runner,
  [memory, options]: readonly [Run, Extents],
  network: MemoryNetwork,
  inputs: Inputs<Value>,
): Promise<{ output: Value; state: MapTree<MemoryState, Tensor, Value>; gradient: Inputs<Value> }> {
  const fn = (arg: Inputs<Tensor>, weights: readonly Tensor[]): { output: Tensor; state: MemoryState; gradient: Inputs<Tensor> } => {
    const functional = ({ sequence, state, gains }: Inputs<Tensor>): [Tensor, { output: Tensor; state: MemoryState }] => {
      const result = memory({ network, gains }, sequence, { state, ...options });
      const all = [result.output, ...result.state.weights, ...result.state.surprise];
      return [all.map((x, i) => sum(mul(x, weights[i]))).reduce((a, b) => add(a, b)), { output: result.output, state: result.state }];
    };
    const [[, { output, state }], gradient] = valueAndGrad(functional)(arg);
    return { output, state, gradient };
  };
  const weights = [inputs.sequence.query, ...inputs.state.weights, ...inputs.state.surprise].map(({ shape }, i) => noise(shape, 60 + i));
  return run(fn, [inputs, weights]);
}

const mlp = (depth: number): MemoryNetwork => mlpMemory({ width: K, depth, expansion: 2 });

const NETWORKS: Readonly<Record<string, MemoryNetwork>> = {
  "depth 1": mlp(1),
  "depth 2": mlp(2),
  "depth 3": mlp(3),
  "depth 4": mlp(4),
  "swiglu": swigluMemory({ width: K, expansion: 1.5 }),
};

for (const granularity of ["layer", "channel"] as const) {
  for (const [name, network] of Object.entries(NETWORKS)) {
    Deno.test(`reference: gates a ${granularity}, ${name}: the matmul-only form equals the token loop, gradients too`, async () => {
      const inputs = inputsFor(network, granularity, 11);
      const expected = await evaluate(reference, [naiveMemory, { miniBatch: 4 }], network, inputs);
      for (const [leaf, values] of Object.entries(leavesOf(expected))) assert(norm(values) > 1e-9, `${leaf} is zero`);
      assertClose(await evaluate(reference, [layeredMemory, { miniBatch: 4 }], network, inputs), expected, 1e-10);
    });
  }

  Deno.test(`reference: gates a ${granularity}: any length, tile, checkpoint policy, and reading before writing give the numbers of the token loop`, async () => {
    for (const T of [1, 3, 4, 8, 9]) {
      const inputs = inputsFor(mlp(2), granularity, T);
      for (const strict of [false, true]) {
        const expected = await evaluate(reference, [naiveMemory, { miniBatch: 4, strict }], mlp(2), inputs);
        const variants: Extents[] = [{ miniBatch: 4, strict }, { miniBatch: 4, tile: 2, strict, checkpoint: "save" }, { miniBatch: 4, tile: 1, strict }];
        for (const options of variants) assertClose(await evaluate(reference, [layeredMemory, options], mlp(2), inputs), expected, 1e-10);
      }
    }
  });

  testOnDevices(`gates a ${granularity}: the matmul-only form equals the token loop, gradients too`, async ({ run, device }) => {
    const inputs = inputsFor(mlp(2), granularity, 11);
    const expected = await evaluate(reference, [naiveMemory, { miniBatch: 4 }], mlp(2), inputs);
    assertClose(await evaluate(run, [layeredMemory, { miniBatch: 4 }], mlp(2), inputs), expected, 1e-4);
    // Each variant is another program, and the software adapter compiles slowly.
    if (device.info.kind === "webgpu") return;
    assertClose(await evaluate(run, [layeredMemory, { miniBatch: 4, tile: 2 }], mlp(2), inputs), expected, 1e-4);
    for (const network of [mlp(1), mlp(3), mlp(4)]) {
      const inputs = inputsFor(network, granularity, 11);
      const expected = await evaluate(reference, [naiveMemory, { miniBatch: 4 }], network, inputs);
      assertClose(await evaluate(run, [layeredMemory, { miniBatch: 4 }], network, inputs), expected, 1e-4);
    }
  });
}

Deno.test("gates a layer that are equal give what gates a head give", async () => {
  const inputs = inputsFor(mlp(2), "layer", 11);
  const { query, key, value, gates: [first] } = inputs.sequence;
  const fine = await evaluate(reference, [layeredMemory, { miniBatch: 4 }], mlp(2), { ...inputs, sequence: { query, key, value, gates: [first, first] } });
  const coarse = await reference(
    (state: MemoryState, gains: readonly Tensor[], sequence: Omit<LayeredSequence, "gates"> & { theta: Tensor; eta: Tensor; alpha: Tensor }) => {
      const result = chunkedMemory({ network: mlp(2), gains }, sequence, { state, miniBatch: 4 });
      return { output: result.output, state: result.state };
    },
    [inputs.state, inputs.gains, { query, key, value, ...first }],
  );
  assertClose({ output: fine.output, state: fine.state }, coarse, 1e-10);
});

Deno.test("the gradient through a memory that forgets by channel is that of finite differences, in every input", async () => {
  const network = mlp(2), inputs = inputsFor(network, "channel", 6);
  const weights = noise([B, H, 6, K], 70);
  const loss = ({ sequence, state, gains }: Inputs<Tensor>, w: Tensor): Tensor =>
    sum(mul(sigmoid(layeredMemory({ network, gains }, sequence, { state, miniBatch: 3 }).output), w));
  const gradient = leavesOf(await reference(grad(loss), [inputs, weights]));
  for (const [name, values] of Object.entries(leavesOf(inputs))) {
    assert(norm(gradient[name]) > 1e-9, `the gradient of ${name} is zero`);
    const direction = noise([values.length], 80).data, step = 1e-5;
    const moved = async (sign: number): Promise<number> => {
      const array = values as Float64Array, before = Float64Array.from(array);
      array.forEach((_, i) => array[i] = before[i] + sign * step * direction[i]);
      const { data } = await reference(loss, [inputs, weights]);
      array.set(before);
      return data[0];
    };
    const expected = (await moved(1) - await moved(-1)) / (2 * step);
    const actual = Array.from(gradient[name]).reduce((total, g, i) => total + g * direction[i], 0);
    assert(Math.abs(actual - expected) <= 1e-6 * Math.max(1e-2, Math.abs(expected)), `${name}: gradient ${actual}, finite difference ${expected}`);
  }
});

Deno.test("gates that do not belong to the network are refused", () => {
  const inputs = inputsFor(mlp(2), "channel", 3);
  const attempt = (gates: Inputs<Value>["sequence"]["gates"], tile?: number): Promise<unknown> =>
    evaluate(reference, [layeredMemory, { miniBatch: 4, tile }], mlp(2), { ...inputs, sequence: { ...inputs.sequence, gates } });
  const [first, second] = inputs.sequence.gates;
  assertThrows(() => attempt([first]), ConfigError, "2 matrices with gates for 1");
  assertThrows(() => attempt([second, first]), ConfigError, "Cannot forget 4 columns of matrix 0: it has 8");
  assertThrows(() => attempt([first, second], 3), ConfigError, "tiles of 3 tokens");
});
