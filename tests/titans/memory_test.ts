/**
 * The memory in matrix products against its definition: every depth, every fineness of gates, and both things to forget
 * to.
 */
import { assert, assertEquals } from "@std/assert";
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { add, mul, sigmoid, sum, swiglu } from "../../ops/mod.ts";
import type { GateGranularity } from "../../titans/mixers/titans/gates.ts";
import { type Activation, type MemoryNetwork, mlpMemory } from "../../titans/mixers/titans/memory_network.ts";
import { naiveMemory } from "../../titans/mixers/titans/naive.ts";
import {
  evaluateMemory,
  type MemoryEvaluation,
  type MemoryInputs,
  memoryInputs,
  products,
  reading,
  runMemory,
  type RunOptions,
} from "./builders.ts";
import {
  assertClose,
  leavesOf,
  noise,
  norm,
  prepareReference,
  reference,
  relativeError,
  type Runner,
  testOnDevices,
  type Value,
} from "./runners.ts";

const DEPTHS = [1, 2, 3, 4] as const;
const GRANULARITIES: readonly GateGranularity[] = ["head", "layer", "channel"];
const FORGET_TO = ["start", "zero"] as const;
const MINI_BATCH = { miniBatch: 4 };

/** A way to forget for each of some cases, in turns. */
const inTurns = (i: number): typeof FORGET_TO[number] => FORGET_TO[i % 2];

const mlp = (depth: number, activation: Activation = "gelu", width = 4): MemoryNetwork =>
  mlpMemory({ width, depth, expansion: 2, activation, norm: activation === "gelu" });

/** What the reference says of the token loop. */
function tokenLoop(
  network: MemoryNetwork,
  inputs: MemoryInputs<Value>,
  strict?: boolean,
): Promise<MemoryEvaluation> {
  return evaluateMemory(reference, runMemory(naiveMemory, network, { ...MINI_BATCH, strict }), inputs);
}

async function assertEqualForms(
  run: Runner,
  network: MemoryNetwork,
  inputs: MemoryInputs<Value>,
  { tolerance, tile, strict, expected = tokenLoop(network, inputs, strict) }: {
    readonly tolerance: number;
    readonly tile?: number;
    readonly strict?: boolean;
    readonly expected?: Promise<MemoryEvaluation>;
  },
): Promise<void> {
  assertClose(
    await evaluateMemory(run, runMemory(products, network, { ...MINI_BATCH, strict, tile }), inputs),
    await expected,
    tolerance,
  );
}

for (const granularity of GRANULARITIES) {
  for (const forgetTo of FORGET_TO) {
    const name = `gates a ${granularity}, forgetting to ${forgetTo}`;

    for (const depth of DEPTHS) {
      Deno.test(`reference: ${name}, depth ${depth}: matrix products and reading equal the token loop, gradients too`, async () => {
        for (const activation of forgetTo === "zero" ? ["gelu", "silu"] as const : ["gelu"] as const) {
          const network = mlp(depth, activation), inputs = memoryInputs(network, { T: 11, granularity, forgetTo });
          const expected = await evaluateMemory(reference, runMemory(naiveMemory, network, MINI_BATCH), inputs);
          for (const [leaf, values] of Object.entries(leavesOf(expected))) {
            assert(norm(values) > 1e-9, `${leaf} is zero`);
          }
          assertClose(
            await evaluateMemory(reference, runMemory(products, network, MINI_BATCH), inputs),
            expected,
            1e-10,
          );
          if (activation === "gelu") {
            assertClose(
              await evaluateMemory(reference, runMemory(reading, network, MINI_BATCH), inputs),
              expected,
              1e-9,
            );
          }
        }
      });
    }

    Deno.test(`reference: ${name}: any length, tile, checkpoint policy, and reading before writing give the numbers of the token loop`, async () => {
      for (const T of [1, 3, 4, 8, 9]) {
        for (const strict of [false, true]) {
          const inputs = memoryInputs(mlp(2), { T, granularity, forgetTo });
          const expected = await evaluateMemory(
            reference,
            runMemory(naiveMemory, mlp(2), { ...MINI_BATCH, strict }),
            inputs,
          );
          const variants: RunOptions[] = [{ ...MINI_BATCH, strict }, {
            ...MINI_BATCH,
            tile: T % 2 ? 2 : 1,
            strict,
            checkpoint: "save",
          }];
          for (const options of variants) {
            assertClose(await evaluateMemory(reference, runMemory(products, mlp(2), options), inputs), expected, 1e-10);
          }
        }
      }
    });
  }

  Deno.test(`reference: gates a ${granularity}: sequences of a batch do not touch each other, nor do heads`, async () => {
    await assertApart(reference, granularity);
  });

  Deno.test(`reference: gates a ${granularity}: where theta is zero a token is not stored: its value does not matter`, async () => {
    for (const depth of DEPTHS) {
      const inputs = memoryInputs(mlp(depth), { T: 11, granularity, forgetTo: inTurns(depth) }),
        { sequence } = inputs,
        { value } = sequence;
      const gates = sequence.gates.map((gate) => ({
        ...gate,
        theta: { ...gate.theta, data: Float64Array.from(gate.theta.data, (x, i) => (i % 11 === 6 ? 0 : x)) },
      }));
      const other = {
        ...value,
        data: Float64Array.from(value.data, (x, i) => (Math.floor(i / 4) % 11 === 6 ? x + 5 : x)),
      };
      const run = (changed: object): Promise<unknown> =>
        reference(runMemory(products, mlp(depth), MINI_BATCH), [{ ...inputs, sequence: { ...sequence, ...changed } }]);
      assertEquals(leavesOf(await run({ gates, value: other })), leavesOf(await run({ gates })));
      assert(
        relativeError((leavesOf(await run({ value: other }))).output, (leavesOf(await run({}))).output) > 1e-3,
        "a token that is stored matters",
      );
    }
  });

  for (const depth of DEPTHS) {
    Deno.test(`gates a ${granularity}, depth ${depth}: the gradient through the memory is that of finite differences, in every input`, () => {
      const network = mlp(depth),
        inputs = memoryInputs(network, { B: 1, H: 1, T: 6, granularity, forgetTo: inTurns(depth) });
      const loss = (arg: MemoryInputs<Tensor>, w: Tensor): Tensor =>
        sum(mul(sigmoid(runMemory(products, network, { miniBatch: 3 })(arg).output), w));
      const weights = noise([1, 1, 6, 4], 90), valueOf = prepareReference(loss, [inputs, weights]);
      const gradient = leavesOf(prepareReference(grad(loss), [inputs, weights])([inputs, weights]));
      for (const [name, values] of Object.entries(leavesOf(inputs))) {
        assert(norm(gradient[name]) > 1e-9, `the gradient of ${name} is zero`);
        // Norms of short rows bend the loss strongly, so the step is small and the difference one of fourth order.
        const direction = noise([values.length], 80).data, step = 1e-5;
        const moved = (sign: number): number => {
          const array = values as Float64Array, before = Float64Array.from(array);
          array.forEach((_, i) => array[i] = before[i] + sign * step * direction[i]);
          const { data } = valueOf([inputs, weights]);
          array.set(before);
          return data[0];
        };
        const expected = (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12 * step);
        const actual = Array.from(gradient[name]).reduce((total, g, i) => total + g * direction[i], 0);
        assert(
          Math.abs(actual - expected) <= 1e-6 * Math.max(1e-2, Math.abs(expected)),
          `${name}: gradient ${actual}, finite difference ${expected}`,
        );
      }
    });
  }
}

/** Changes the keys of one sequence and head of four, and looks at the others. */
async function assertApart(run: Runner, granularity: GateGranularity): Promise<void> {
  const inputs = memoryInputs(mlp(2), { T: 11, granularity, forgetTo: "start" }), { key } = inputs.sequence;
  const read = async (key: Value): Promise<Float64Array> => {
    const { output } = await run(runMemory(products, mlp(2), MINI_BATCH), [{
      ...inputs,
      sequence: { ...inputs.sequence, key },
    }]);
    return Float64Array.from(output.data);
  };
  const before = await read(key), size = before.length / 4;
  const after = await read({ ...key, data: Float64Array.from(key.data, (x, i) => (i < size ? x + 1 : x)) });
  assert(relativeError(after.subarray(0, size), before.subarray(0, size)) > 1e-6);
  assertEquals(after.subarray(size), before.subarray(size));
}

/** Token loops by their cases: all devices are compared with the same. */
const known = new Map<string, Promise<MemoryEvaluation>>();

// On devices every second case runs in tiles of two tokens. The software adapter compiles slowly: there each case has
// one thing to forget to.
testOnDevices("matrix products equal the token loop, gradients too", async ({ run, device, t }) => {
  for (const [g, granularity] of GRANULARITIES.entries()) {
    for (const depth of DEPTHS) {
      const all = device.info.kind === "cpu" ? FORGET_TO : [inTurns(g + depth)];
      for (const forgetTo of all) {
        const tile = (depth + (all.length > 1 ? FORGET_TO.indexOf(forgetTo) : 0)) % 2 ? 2 : 4;
        await t.step(`gates a ${granularity}, depth ${depth}, forgetting to ${forgetTo}, tile ${tile}`, () => {
          // Norms of four features are too badly conditioned for f32.
          const network = mlp(depth, "gelu", 8), key = `${granularity} ${depth} ${forgetTo}`;
          const inputs = memoryInputs(network, { T: 11, K: 8, granularity, forgetTo });
          const expected = known.get(key) ?? tokenLoop(network, inputs);
          known.set(key, expected);
          return assertEqualForms(run, network, inputs, { tolerance: 1e-4, tile, expected });
        });
      }
    }
  }
  await t.step("the token loop itself", async () => {
    const inputs = memoryInputs(mlp(2), { T: 11 }), naive = runMemory(naiveMemory, mlp(2), MINI_BATCH);
    assertClose(await evaluateMemory(run, naive, inputs), await evaluateMemory(reference, naive, inputs), 1e-4);
  });
  await t.step("sequences of a batch do not touch each other, nor do heads", () => assertApart(run, "head"));
});

Deno.test("reference: a network that the user wrote: matrix products equal the token loop, also for a memory that reads before it writes", async () => {
  const gated: MemoryNetwork = {
    layers: [{ in: 4, out: 5 }, { in: 4, out: 5 }, { in: 5, out: 4 }],
    gains: [],
    forward: (linear, x) => linear(2, swiglu(linear(0, x), linear(1, x))),
  };
  const residual: MemoryNetwork = {
    layers: [{ in: 4, out: 4 }, { in: 4, out: 4 }],
    gains: [],
    forward: (linear, x) => linear(1, add(x, sigmoid(linear(0, x)))),
  };
  for (const network of [gated, residual]) {
    for (const granularity of GRANULARITIES) {
      for (const strict of [false, true]) {
        await assertEqualForms(reference, network, memoryInputs(network, { T: 11, granularity }), {
          tolerance: 1e-10,
          strict,
        });
      }
    }
  }
});

Deno.test("reference: gates at 0 and 1 are harmless: no division, no logarithm", async () => {
  for (const granularity of GRANULARITIES) {
    const inputs = memoryInputs(mlp(2), { T: 11, granularity });
    const extreme = (value: Value, period: number): Value => ({
      ...value,
      data: Float64Array.from(value.data, (_, i) => (i % period === 0 ? 1 : 0)),
    });
    const gates = inputs.sequence.gates.map(({ theta, eta, alpha }) => ({
      theta,
      eta: extreme(eta, 3),
      alpha: extreme(alpha, 5),
    }));
    await assertEqualForms(reference, mlp(2), { ...inputs, sequence: { ...inputs.sequence, gates } }, {
      tolerance: 1e-10,
    });
  }
});
