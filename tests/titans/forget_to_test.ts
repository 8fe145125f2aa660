/** Forgetting towards a start: what is not in the tables of memory_test.ts. */
import { assert } from "@std/assert";
import { isTensor, type Tensor } from "../../core/graph.ts";
import { mapLeaves } from "../../core/tree.ts";
import { add, mean, sliceAxis, sqrt, square, stack, sub, sum } from "../../ops/mod.ts";
import { toLayered } from "../../titans/mixers/titans/gates.ts";
import { type Memory, type MemoryState, mlpMemory, readMemory } from "../../titans/mixers/titans/memory_network.ts";
import { naiveMemory } from "../../titans/mixers/titans/naive.ts";
import { traceMemory } from "../../titans/mixers/titans/trace.ts";
import { type MemoryInputs, memoryInputs, memoryOf, products } from "./builders.ts";
import { assertClose, reference, type Value } from "./runners.ts";

const network = mlpMemory({ width: 4, depth: 2, expansion: 2 });

const inputsFor = (T: number): MemoryInputs<Value> => memoryInputs(network, { T, forgetTo: "start" });

Deno.test("a memory that learns nothing more comes back to its start, and without one to zero", async () => {
  const T = 64, inputs = inputsFor(T);
  const gates = inputs.sequence.gates.map((gate) => ({
    ...gate,
    theta: { ...gate.theta, data: new Float64Array(gate.theta.data.length) },
  }));
  const silent = { ...inputs, sequence: { ...inputs.sequence, gates } };
  const left = (arg: MemoryInputs<Tensor>): Tensor[] => {
    const [withStart, sequence] = memoryOf(network, arg);
    const distance = (memory: Memory): Tensor => {
      const { weights } = products(memory, sequence, { state: arg.state, miniBatch: 8 }).state;
      return sqrt(
        weights.map((w, l) => sum(square(memory.start ? sub(w, memory.start[l]) : w))).reduce((total, x) =>
          add(total, x)
        ),
      );
    };
    return [distance(withStart), distance({ ...withStart, start: undefined })];
  };
  for (const { data } of await reference(left, [silent])) assert(data[0] < 0.01, `${data[0]} is left`);
});

Deno.test("the trace of a memory that forgets towards a start: norms are those of the definition", async () => {
  const T = 11, miniBatch = 4;
  const inputs = inputsFor(T);
  const fast = (arg: MemoryInputs<Tensor>): Norms[] => {
    const [memory, sequence] = memoryOf(network, arg),
      { state } = arg,
      { output } = products(memory, sequence, { state, miniBatch });
    return [sequence, toLayered(sequence, network.layers.length)].map((given) => {
      const { memoryNorm, updateNorm, momentumNorm, loss, error } = traceMemory(memory, given, output, {
        state,
        miniBatch,
        tile: 2,
      });
      return { memoryNorm, updateNorm, momentumNorm, loss, error };
    });
  };
  const slow = (arg: MemoryInputs<Tensor>): Norms => {
    const [memory, sequence] = memoryOf(network, arg), { state } = arg;
    const upTo = (t: number): typeof sequence => mapLeaves(sequence, isTensor, (x) => sliceAxis(x, 2, 0, t));
    const states = Array.from(
      { length: T + 1 },
      (_, t) => t === 0 ? state : naiveMemory(memory, upTo(t), { state, miniBatch }).state,
    );
    const norms = (xs: readonly Tensor[]): Tensor =>
      sqrt(xs.map((x) => sum(square(x), { axes: [-1, -2] })).reduce((total, x) => add(total, x)));
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
