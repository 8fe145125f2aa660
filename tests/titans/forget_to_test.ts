import { assert } from "@std/assert";
import { valueAndGrad } from "../../core/grad.ts";
import { isTensor, type Tensor } from "../../core/graph.ts";
import { mapLeaves, type MapTree } from "../../core/tree.ts";
import { add, concat, equal, iota, mean, mul, sliceAxis, sqrt, square, stack, sub, sum } from "../../ops/mod.ts";
import { chunkedMemory, type ChunkedMemoryOptions } from "../../titans/chunked_memory.ts";
import { toLayered } from "../../titans/gates.ts";
import { layeredMemory } from "../../titans/layered_memory.ts";
import { type Memory, type MemorySequence, type MemoryState, mlpMemory, readMemory } from "../../titans/memory_network.ts";
import { readToken } from "../../titans/memory_reading.ts";
import { naiveMemory } from "../../titans/naive.ts";
import { traceMemory } from "../../titans/trace.ts";
import { assertClose, leavesOf, noise, norm, reference, type Runner, testOnDevices, type Value } from "./runners.ts";

const B = 2, H = 2, K = 4;

/** All that a memory with a start takes, as a tree. */
interface Inputs<Leaf> {
  readonly sequence: { readonly [K in keyof MemorySequence]: Leaf };
  readonly state: { readonly weights: readonly Leaf[]; readonly surprise: readonly Leaf[] };
  readonly gains: readonly Leaf[];
  readonly start: readonly Leaf[];
}

const network = (depth: number): ReturnType<typeof mlpMemory> => mlpMemory({ width: K, depth, expansion: 2 });

function inputsFor(depth: number, T: number, mostForgotten = 0.3): Inputs<Value> {
  const { layers, gains } = network(depth);
  const gate = (seed: number, high: number): Value => {
    const { shape, data } = noise([B, H, T], seed);
    return { shape, data: Float64Array.from(data, (x) => Math.fround(high / (1 + Math.exp(-2 * x)))) };
  };
  return {
    sequence: {
      query: noise([B, H, T, K], 1, 0.5),
      key: noise([B, H, T, K], 2, 0.5),
      value: noise([B, H, T, K], 3),
      theta: gate(4, 1),
      eta: gate(5, 1),
      alpha: gate(6, mostForgotten),
    },
    state: {
      weights: layers.map((layer, l) => noise([B, H, layer.in, layer.out], 10 + l, 1 / Math.sqrt(layer.in))),
      surprise: layers.map((layer, l) => noise([B, H, layer.in, layer.out], 20 + l, 0.1)),
    },
    gains: gains.map((shape, i) => noise([H, ...shape], 30 + i, 0.1)),
    start: layers.map((layer, l) => noise([H, layer.in, layer.out], 40 + l, 1 / Math.sqrt(layer.in))),
  };
}

interface Result {
  readonly output: Tensor;
  readonly state: MemoryState;
}

type Run = (memory: Memory, sequence: MemorySequence, options: ChunkedMemoryOptions) => Result;
type Extents = Omit<ChunkedMemoryOptions, "state">;

/** Outputs, final state, and the gradient of a random functional of both with respect to every input, the start among them. */
function evaluate(
  run: Runner,
  of: Run,
  inputs: Inputs<Value>,
  options: Extents,
): Promise<{ output: Value; state: MapTree<MemoryState, Tensor, Value>; gradient: Inputs<Value> }> {
  const fn = (arg: Inputs<Tensor>, weights: readonly Tensor[]): Result & { gradient: Inputs<Tensor> } => {
    const functional = ({ sequence, state, gains, start }: Inputs<Tensor>): [Tensor, Result] => {
      const { output, state: last } = of({ network: network(start.length), gains, start }, sequence, { state, ...options });
      const all = [output, ...last.weights, ...last.surprise];
      return [all.map((x, i) => sum(mul(x, weights[i]))).reduce((total, x) => add(total, x)), { output, state: last }];
    };
    const [[, result], gradient] = valueAndGrad(functional)(arg);
    return { ...result, gradient };
  };
  const weights = [inputs.sequence.query, ...inputs.state.weights, ...inputs.state.surprise].map(({ shape }, i) => noise(shape, 60 + i));
  return run(fn, [inputs, weights]);
}

const layered: Run = (memory, sequence, options) => layeredMemory(memory, toLayered(sequence, memory.network.layers.length), options);

/** Token by token with its own weights, as a reader does it. */
const reading: Run = (memory, sequence, { state, miniBatch, strict = false }) => {
  const tokens = toLayered(sequence, memory.network.layers.length), T = sequence.query.shape[2];
  const outputs: Tensor[] = [];
  let current = { ...state, start: state.weights };
  for (let t = 0; t < T; t++) {
    const token = mapLeaves(tokens, isTensor, (x) => sliceAxis(x, 2, t, 1));
    const endsMiniBatch = equal(iota([1], 0), t % miniBatch === miniBatch - 1 ? 0 : 1);
    const next = readToken(memory, token, { state: current, endsMiniBatch, strict });
    outputs.push(next.output);
    current = { ...next.state, start: [...next.state.start] };
  }
  return { output: concat(outputs, 2), state: { weights: current.weights, surprise: current.surprise } };
};

Deno.test("a memory that forgets towards a start: in matrix products, with gates a matrix and token by token, the numbers and gradients are those of the definition", async () => {
  for (const depth of [1, 2, 3]) {
    for (const T of [1, 8, 11]) {
      for (const strict of [false, true]) {
        const inputs = inputsFor(depth, T), options = { miniBatch: 4, strict };
        const expected = await evaluate(reference, naiveMemory, inputs, options);
        for (const [name, values] of Object.entries(leavesOf(expected.gradient.start))) assert(norm(values) > 1e-4, `the start's gradient ${name} is zero`);
        assertClose(await evaluate(reference, chunkedMemory, inputs, options), expected, 1e-9);
        assertClose(await evaluate(reference, chunkedMemory, inputs, { ...options, tile: 2 }), expected, 1e-9);
        assertClose(await evaluate(reference, layered, inputs, options), expected, 1e-9);
        if (T === 11) assertClose(await evaluate(reference, reading, inputs, options), expected, 1e-9);
      }
    }
  }
});

testOnDevices("a memory that forgets towards a start: numbers and gradients are those of the reference", async ({ run }) => {
  const inputs = inputsFor(2, 11), options = { miniBatch: 4 };
  const expected = await evaluate(reference, naiveMemory, inputs, options);
  for (const  of of[chunkedMemory, layered]) assertClose(await evaluate(run, of, inputs, options), expected, 1e-4);
});

Deno.test("a memory that learns nothing more comes back to its start, and without one to zero", async () => {
  const T = 64, inputs = inputsFor(2, T);
  const silent = { ...inputs, sequence: { ...inputs.sequence, theta: { shape: [B, H, T], data: new Float64Array(B * H * T) } } };
  const left = ({ sequence, state, gains, start }: Inputs<Tensor>): Tensor[] => {
    const distance = (memory: Memory): Tensor => {
      const { weights } = chunkedMemory(memory, sequence, { state, miniBatch: 8 }).state;
      return sqrt(weights.map((w, l) => sum(square(memory.start ? sub(w, memory.start[l]) : w))).reduce((total, x) => add(total, x)));
    };
    return [distance({ network: network(2), gains, start }), distance({ network: network(2), gains })];
  };
  for (const { data } of await reference(left, [silent])) assert(data[0] < 0.01, `${data[0]} is left`);
});

Deno.test("the trace of a memory that forgets towards a start: norms are those of the definition", async () => {
  const T = 11, miniBatch = 4;
  const inputs = inputsFor(2, T), L = inputs.start.length;
  const fast = ({ sequence, state, gains, start }: Inputs<Tensor>): Norms[] => {
    const memory = { network: network(L), gains, start }, { output } = chunkedMemory(memory, sequence, { state, miniBatch });
    return [sequence, toLayered(sequence, L)].map((given) => {
      const { memoryNorm, updateNorm, momentumNorm, loss, error } = traceMemory(memory, given, output, { state, miniBatch, tile: 2 });
      return { memoryNorm, updateNorm, momentumNorm, loss, error };
    });
  };
  const slow = ({ sequence, state, gains, start }: Inputs<Tensor>): Norms => {
    const memory = { network: network(L), gains, start };
    const upTo = (t: number): MemorySequence => mapLeaves(sequence, isTensor, (x) => sliceAxis(x, 2, 0, t));
    const states = Array.from({ length: T + 1 }, (_, t) => t === 0 ? state : naiveMemory(memory, upTo(t), { state, miniBatch }).state);
    const norms = (xs: readonly Tensor[]): Tensor => sqrt(xs.map((x) => sum(square(x), { axes: [-1, -2] })).reduce((total, x) => add(total, x)));
    const each = (of: (t: number) => Tensor): Tensor => stack(Array.from({ length: T }, (_, t) => of(t + 1)), 2); // [B, H] -> [B, H, T]
    const errorAt = (t: number, { weights }: MemoryState): Tensor => {
      const row = (x: Tensor): Tensor => sliceAxis(x, 2, t - 1, 1);
      return mean(square(sub(readMemory(memory, weights, row(sequence.key)), row(sequence.value))), { axes: [-1, -2] });
    };
    return {
      memoryNorm: each((t) => norms(states[t].weights)),
      updateNorm: each((t) => norms(states[t].weights.map((w, l) => sub(w, states[t - 1].weights[l])))),
      momentumNorm: each((t) => norms(states[t].surprise)),
      loss: each((t) => errorAt(t, states[t - 1 - (t - 1) % miniBatch])),
      error: each((t) => errorAt(t, states[t])),
    };
  };
  const expected = await reference(slow, [inputs]);
  for (const traced of await reference(fast, [inputs])) assertClose(traced, expected, 1e-9);
});

type Norms = Readonly<Record<"memoryNorm" | "updateNorm" | "momentumNorm" | "loss" | "error", Tensor>>;
