import { assert, assertEquals } from "@std/assert";
import { grad, valueAndGrad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import type { MapTree } from "../../core/tree.ts";
import { add, mul, sigmoid, sum, swiglu } from "../../ops/mod.ts";
import { chunkedMemory, type ChunkedMemoryOptions } from "../../titans/chunked_memory.ts";
import { type Activation, type MemoryNetwork, type MemorySequence, type MemoryState, mlpMemory } from "../../titans/memory_network.ts";
import { naiveMemory } from "../../titans/naive.ts";
import { assertClose, leavesOf, noise, norm, reference, relativeError, type Runner, testOnDevices, type Value } from "./runners.ts";

/** All that a memory takes, as a tree. */
interface Inputs<Leaf> {
  readonly sequence: { readonly [K in keyof MemorySequence]: Leaf };
  readonly state: { readonly weights: readonly Leaf[]; readonly surprise: readonly Leaf[] };
  readonly gains: readonly Leaf[];
}

interface Extents {
  readonly B: number;
  readonly H: number;
  readonly T: number;
  readonly K: number;
}

const gate = (shape: readonly number[], seed: number, low: number, high: number): Value => ({
  shape,
  data: Float64Array.from(noise(shape, seed).data, (x) => Math.fround(low + (high - low) / (1 + Math.exp(-2 * x)))),
});

function inputsFor(network: MemoryNetwork, { B, H, T, K }: Extents): Inputs<Value> {
  return {
    sequence: {
      query: noise([B, H, T, K], 1, 0.5),
      key: noise([B, H, T, K], 2, 0.5),
      value: noise([B, H, T, K], 3),
      theta: gate([B, H, T], 4, 0, 1),
      eta: gate([B, H, T], 5, 0, 1),
      alpha: gate([B, H, T], 6, 0, 0.3),
    },
    state: {
      weights: network.layers.map((layer, l) => noise([B, H, layer.in, layer.out], 10 + l, 1 / Math.sqrt(layer.in))),
      surprise: network.layers.map((layer, l) => noise([B, H, layer.in, layer.out], 20 + l, 0.1)),
    },
    gains: network.gains.map((shape, i) => noise([H, ...shape], 30 + i, 0.1)),
  };
}

type Run = (network: MemoryNetwork, inputs: Inputs<Tensor>) => { output: Tensor; state: MemoryState };

const naive = (miniBatch: number, strict = false): Run => (network, { sequence, state, gains }) =>
  naiveMemory({ network, gains }, sequence, { state, miniBatch, strict });

const chunked = (options: Omit<ChunkedMemoryOptions, "state">): Run => (network, { sequence, state, gains }) =>
  chunkedMemory({ network, gains }, sequence, { state, ...options });

/** Outputs, final state, and the gradient of a random functional of both with respect to every input. */
function evaluate(
  run: Runner,
  memory: Run,
  network: MemoryNetwork,
  inputs: Inputs<Value>,
): Promise<{ output: Value; state: MapTree<MemoryState, Tensor, Value>; gradient: Inputs<Value> }> {
  const fn = (arg: Inputs<Tensor>, weights: readonly Tensor[]): { output: Tensor; state: MemoryState; gradient: Inputs<Tensor> } => {
    const functional = (arg: Inputs<Tensor>): [Tensor, ReturnType<Run>] => {
      const result = memory(network, arg);
      const all = [result.output, ...result.state.weights, ...result.state.surprise];
      return [all.map((x, i) => sum(mul(x, weights[i]))).reduce((a, b) => add(a, b)), { output: result.output, state: result.state }];
    };
    const [[, { output, state }], gradient] = valueAndGrad(functional)(arg);
    return { output, state, gradient };
  };
  const weights = [inputs.sequence.query, ...inputs.state.weights, ...inputs.state.surprise].map(({ shape }, i) => noise(shape, 40 + i));
  return run(fn, [inputs, weights]);
}

const SMALL = { B: 2, H: 2, T: 11, K: 8 };

/** A property that holds on any device, up to its rounding. */
interface Property {
  readonly name: string;
  readonly check: (run: Runner, tolerance: number) => Promise<void>;
  /** Whether it is also checked on a device that compiles; compiling takes longer than running here. */
  readonly onDevices?: boolean;
}

const properties: Property[] = [];

for (const depth of [1, 2, 3, 4]) {
  for (const [activation, withNorm] of [["gelu", true], ["silu", false]] as [Activation, boolean][]) {
    properties.push({
      name: `the matmul-only form equals the token loop: depth ${depth}, ${activation}, ${withNorm ? "norm" : "no norm"}; gradients too`,
      onDevices: withNorm,
      check: async (run, tolerance) => {
        const network = mlpMemory({ width: 8, depth, expansion: 2, activation, norm: withNorm });
        const inputs = inputsFor(network, SMALL);
        const expected = await evaluate(reference, naive(4), network, inputs);
        for (const [name, values] of Object.entries(leavesOf(expected))) assert(norm(values) > 1e-9, `${name} is zero`);
        assertClose(await evaluate(run, chunked({ miniBatch: 4 }), network, inputs), expected, tolerance);
        if (run !== reference && depth === 2) assertClose(await evaluate(run, naive(4), network, inputs), expected, tolerance);
      },
    });
  }
}

properties.push({
  name: "the matmul-only form equals the token loop for a memory that reads before it writes, and for one that the user wrote",
  check: async (run, tolerance) => {
    const gated: MemoryNetwork = {
      layers: [{ in: 8, out: 5 }, { in: 8, out: 5 }, { in: 5, out: 8 }],
      gains: [],
      forward: (linear, x) => linear(2, swiglu(linear(0, x), linear(1, x))),
    };
    for (const network of [mlpMemory({ width: 8, depth: 2, expansion: 2 }), gated]) {
      const inputs = inputsFor(network, SMALL);
      for (const strict of [false, true]) {
        const expected = await evaluate(reference, naive(4, strict), network, inputs);
        assertClose(await evaluate(run, chunked({ miniBatch: 4, strict }), network, inputs), expected, tolerance);
      }
    }
  },
}, {
  name: "any length works, shorter than a mini-batch or no multiple of it",
  check: async (run, tolerance) => {
    const network = mlpMemory({ width: 8, depth: 2, expansion: 2 });
    for (const T of [1, 2, 3, 4, 5, 8, 9, 15]) {
      const inputs = inputsFor(network, { ...SMALL, T });
      for (const strict of [false, true]) {
        const expected = await evaluate(reference, naive(4, strict), network, inputs);
        assertClose(await evaluate(run, chunked({ miniBatch: 4, strict }), network, inputs), expected, tolerance);
      }
    }
  },
}, {
  name: "tile and checkpoint policy change no number",
  onDevices: true,
  check: async (run, tolerance) => {
    const network = mlpMemory({ width: 8, depth: 2, expansion: 2 });
    const inputs = inputsFor(network, { ...SMALL, T: 21 });
    const variants: Omit<ChunkedMemoryOptions, "state">[] = [{ miniBatch: 8, tile: 2, checkpoint: "save" }];
    // Each variant is another program: on a device one has to do.
    if (run === reference) variants.push({ miniBatch: 8, tile: 1 }, { miniBatch: 8, tile: 4 }, { miniBatch: 8, tile: 2, strict: true });
    for (const options of variants) {
      const expected = await evaluate(reference, chunked({ miniBatch: 8, strict: options.strict }), network, inputs);
      assertClose(await evaluate(run, chunked(options), network, inputs), expected, tolerance);
    }
  },
}, {
  name: "gates at 0 and 1 are harmless: no division, no logarithm",
  check: async (run, tolerance) => {
    const network = mlpMemory({ width: 8, depth: 2, expansion: 2 });
    const inputs = inputsFor(network, SMALL);
    const extreme = (value: Value, period: number): Value => ({
      shape: value.shape,
      data: Float64Array.from(value.data, (_, i) => (i % period === 0 ? 1 : 0)),
    });
    const edge = { ...inputs, sequence: { ...inputs.sequence, eta: extreme(inputs.sequence.eta, 3), alpha: extreme(inputs.sequence.alpha, 5) } };
    assertClose(await evaluate(run, chunked({ miniBatch: 4 }), network, edge), await evaluate(reference, naive(4), network, edge), tolerance);
  },
}, {
  name: "sequences of a batch do not touch each other, nor do heads",
  onDevices: true,
  check: async (run) => {
    const network = mlpMemory({ width: 8, depth: 2, expansion: 2 });
    const inputs = inputsFor(network, SMALL);
    const read = (arg: Inputs<Tensor>): Tensor => chunked({ miniBatch: 4 })(network, arg).output;
    const before = Float64Array.from((await run(read, [inputs])).data), size = before.length / 4;
    const key = { shape: inputs.sequence.key.shape, data: Float64Array.from(inputs.sequence.key.data, (x, i) => (i < size ? x + 1 : x)) };
    const after = Float64Array.from((await run(read, [{ ...inputs, sequence: { ...inputs.sequence, key } }])).data);
    assert(relativeError(after.subarray(0, size), before.subarray(0, size)) > 1e-6);
    assertEquals(after.subarray(size), before.subarray(size));
  },
}, {
  name: "where theta is zero a token is not stored: its value does not matter",
  check: async (run) => {
    const network = mlpMemory({ width: 8, depth: 2, expansion: 2 });
    const inputs = inputsFor(network, SMALL);
    const { theta, value } = inputs.sequence;
    const masked = { shape: theta.shape, data: Float64Array.from(theta.data, (x, i) => (i % SMALL.T === 6 ? 0 : x)) };
    const other = { shape: value.shape, data: Float64Array.from(value.data, (x, i) => (Math.floor(i / SMALL.K) % SMALL.T === 6 ? x + 5 : x)) };
    const readAll = (arg: Inputs<Tensor>): { output: Tensor; state: MemoryState } => {
      const { output, state } = chunked({ miniBatch: 4 })(network, arg);
      return { output, state };
    };
    const first = leavesOf(await run(readAll, [{ ...inputs, sequence: { ...inputs.sequence, theta: masked } }]));
    const second = leavesOf(await run(readAll, [{ ...inputs, sequence: { ...inputs.sequence, theta: masked, value: other } }]));
    for (const [name, values] of Object.entries(first)) assertEquals(second[name], values, name);
  },
});

for (const { name, check } of properties) Deno.test(`reference: ${name}`, () => check(reference, 1e-10));

testOnDevices("the matmul-only form equals the token loop, and what else must hold", async ({ run, t }) => {
  for (const { name, check } of properties.filter((property) => property.onDevices)) await t.step(name, () => check(run, 1e-4));
});

Deno.test("the gradient through the memory is that of finite differences, in every input", async () => {
  const network = mlpMemory({ width: 2, depth: 2, expansion: 2 });
  const inputs = inputsFor(network, { B: 1, H: 1, T: 6, K: 2 });
  const weights = noise([1, 1, 6, 2], 50);
  const loss = (arg: Inputs<Tensor>, w: Tensor): Tensor => sum(mul(sigmoid(chunked({ miniBatch: 3 })(network, arg).output), w));
  const gradient = leavesOf(await reference(grad(loss), [inputs, weights]));
  for (const [name, values] of Object.entries(leavesOf(inputs))) {
    assert(norm(gradient[name]) > 1e-9, `the gradient of ${name} is zero`);
    const direction = noise([values.length], 60).data, step = 1e-5;
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
