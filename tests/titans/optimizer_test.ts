/** Optimizers against their equations in plain JavaScript, schedules against numbers by hand. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { add as addScalar } from "../../ops/mod.ts";
import { ConfigError } from "../../titans/errors.ts";
import { matrix, ParameterLayout, table, vector } from "../../titans/nn/parameters.ts";
import {
  completeOptimizer,
  defineOptimizer,
  learningRateAt,
  type OptimizerConfig,
  stateSlots,
  stepScalars,
} from "../../titans/train/optimizer_config.ts";
import { isHiddenMatrix } from "../../titans/train/optimizers/muon.ts";
import type { Optimizer } from "../../titans/train/optimizers/optimizer.ts";
import { OPTIMIZERS } from "../../titans/train/optimizers/registry.ts";
import { scheduleAt } from "../../titans/train/schedules.ts";
import { applyGradient, clipByGlobalNorm, type OptimizerState } from "../../titans/train/update.ts";
import { noise, reference, relativeError, type Value } from "./runners.ts";

/** Parameters of every sort: matrices wide, tall and stacked, an embedding, a head, vectors. */
const LAYOUT = new ParameterLayout({
  blocks: [{ wide: matrix([3, 5]), tall: matrix([5, 3]), memory: matrix([2, 4, 6]), gain: vector([7], 1) }],
  embedding: table([4, 3], 1),
  head: matrix([3, 4]),
});
const P = LAYOUT.size;

/** Numbers where parameters are, zeros in the padding, as gradients have them. */
function flat(seed: number): number[] {
  const values = new Array<number>(P).fill(0), { data } = noise([P], seed);
  for (const { offset, size } of LAYOUT.entries) for (let i = offset; i < offset + size; i++) values[i] = data[i];
  return values;
}

type Slots = Record<string, number[]>;
/** A step of a rule: its direction. What it keeps is changed. */
type Rule = (g: readonly number[], slots: Slots, step: number) => number[];

const adam = (g: readonly number[], { first, second }: Slots, step: number): number[] =>
  g.map((x, i) => {
    first[i] = 0.9 * first[i] + 0.1 * x;
    second[i] = 0.95 * second[i] + 0.05 * x * x;
    return first[i] / (1 - 0.9 ** (step + 1)) / (Math.sqrt(second[i] / (1 - 0.95 ** (step + 1))) + 1e-8);
  });

/** The rules by their papers' equations. */
const RULES: Readonly<Record<string, { readonly options?: Partial<OptimizerConfig>; readonly rule: Rule }>> = {
  adamW: { rule: adam },
  sgd: {
    rule: (g, { momentum }) => g.map((x, i) => momentum[i] = 0.9 * momentum[i] + x),
  },
  "sgd with nesterov": {
    options: { optimizer: "sgd", nesterov: true, momentum: 0.8 },
    rule: (g, { momentum }) => g.map((x, i) => x + 0.8 * (momentum[i] = 0.8 * momentum[i] + x)),
  },
  lion: {
    rule: (g, { momentum }) =>
      g.map((x, i) => {
        const direction = Math.sign(0.9 * momentum[i] + 0.1 * x);
        momentum[i] = 0.99 * momentum[i] + 0.01 * x;
        return direction;
      }),
  },
  muon: { rule: muonRule },
};

/** Muon: one matrix after the other, the iteration written out. */
function muonRule(g: readonly number[], slots: Slots, step: number): number[] {
  const before = [...slots.first], direction = adam(g, slots, step);
  for (const entry of LAYOUT.entries.filter(isHiddenMatrix)) {
    const { offset, size, parameter: { shape } } = entry, [rows, columns] = shape.slice(-2);
    for (let i = offset; i < offset + size; i++) {
      slots.first[i] = 0.95 * before[i] + 0.05 * g[i];
      slots.second[i] = 0;
    }
    for (let start = offset; start < offset + size; start += rows * columns) {
      const momentum = Array.from({ length: rows }, (_, r) =>
        Array.from({ length: columns }, (_, c) => {
          const i = start + r * columns + c;
          return 0.95 * slots.first[i] + 0.05 * g[i];
        }));
      newtonSchulz(momentum).forEach((row, r) =>
        row.forEach((x, c) => direction[start + r * columns + c] = 0.2 * Math.sqrt(Math.max(rows, columns)) * x)
      );
    }
  }
  return direction;
}

const product = (a: number[][], b: number[][]): number[][] =>
  a.map((row) => b[0].map((_, c) => row.reduce((sum, x, k) => sum + x * b[k][c], 0)));
const transposed = (a: number[][]): number[][] => a[0].map((_, c) => a.map((row) => row[c]));
const combined = (a: number[][], b: number[][], [x, y]: [number, number]): number[][] =>
  a.map((row, r) => row.map((value, c) => x * value + y * b[r][c]));

function newtonSchulz(matrix: number[][]): number[][] {
  if (matrix.length > matrix[0].length) return transposed(newtonSchulz(transposed(matrix)));
  const norm = Math.sqrt(matrix.flat().reduce((sum, x) => sum + x * x, 0));
  let x = matrix.map((row) => row.map((value) => value / norm));
  for (let i = 0; i < 5; i++) {
    const gram = product(x, transposed(x));
    x = combined(x, product(combined(gram, product(gram, gram), [-4.775, 2.0315]), x), [3.4445, 1]);
  }
  return x;
}

/** Three steps of a configuration by the library. */
async function stepsOf(config: OptimizerConfig, gradients: readonly number[][]): Promise<OptimizerState<Value>> {
  const zeros = (): Value => ({ shape: [P], data: new Array(P).fill(0) });
  let state: OptimizerState<Value> = {
    params: { shape: [P], data: flat(9) },
    ...Object.fromEntries(
      stateSlots(config).map((slot) => [slot, slot === "iterate" ? { shape: [P], data: flat(9) } : zeros()]),
    ),
  };
  for (const [step, data] of gradients.entries()) {
    const update = (state: OptimizerState, gradient: Tensor, scalars: Tensor): OptimizerState =>
      applyGradient(state, gradient, { config, scalars, layout: LAYOUT });
    const scalars = stepScalars(config, step);
    const result = await reference(update, [state, { shape: [P], data }, { shape: [scalars.length], data: scalars }]);
    state = result as unknown as OptimizerState<Value>;
  }
  return state;
}

Deno.test("every registered optimizer has its equations here", () => {
  assertEquals(Object.keys(OPTIMIZERS).filter((name) => !Object.hasOwn(RULES, name)), []);
});

for (const [name, { options = { optimizer: name }, rule }] of Object.entries(RULES)) {
  Deno.test(`optimizer ${name} makes the steps that its equations make, with decay of matrices alone`, async () => {
    const config = defineOptimizer({ ...options, learningRate: 0.1, warmupSteps: 0, totalSteps: 10, weightDecay: 0.2 });
    const gradients = [1, 2, 3].map(flat), p = flat(9);
    const slots: Slots = Object.fromEntries(stateSlots(config).map((slot) => [slot, new Array(P).fill(0)]));
    for (const [step, g] of gradients.entries()) {
      const direction = rule(g, slots, step), rate = learningRateAt(config, step);
      for (let i = 0; i < P; i++) p[i] -= rate * (direction[i] + (i < LAYOUT.decayEnd ? 0.2 * p[i] : 0));
    }
    const state = await stepsOf(config, gradients);
    // The scalars of a step are f32, which rounds rates and corrections; the rest is computed with doubles.
    assert(relativeError(state.params.data, p) < 2e-7, `${relativeError(state.params.data, p)}`);
    for (const [slot, values] of Object.entries(slots)) assert(relativeError(state[slot].data, values) < 1e-12, slot);
  });
}

Deno.test("muon brings the singular values of every hidden matrix near one, and leaves embedding, head and gains to Adam", async () => {
  assertEquals(LAYOUT.entries.filter(isHiddenMatrix).map(({ name }) => name), [
    "blocks.0.memory",
    "blocks.0.tall",
    "blocks.0.wide",
  ]);
  const config = defineOptimizer({ optimizer: "muon", learningRate: 1, warmupSteps: 0, weightDecay: 0 });
  const { params } = await stepsOf(config, [flat(1)]), before = flat(9);
  const { offset } = LAYOUT.entries.find(({ name }) => name === "blocks.0.wide")!;
  const moved = Array.from({ length: 3 }, (_, r) =>
    Array.from({ length: 5 }, (_, c) => {
      const i = offset + 5 * r + c;
      return (before[i] - params.data[i]) / (0.2 * Math.sqrt(5));
    }));
  const gram = product(moved, transposed(moved));
  for (let i = 0; i < 3; i++) {
    assert(gram[i][i] > 0.4 && gram[i][i] < 1.6, `diagonal ${gram[i][i]}`);
    for (let j = 0; j < i; j++) assert(Math.abs(gram[i][j]) < 0.5, `row ${i} and ${j}: ${gram[i][j]}`);
  }
});

Deno.test("a moving average of the weights follows them, and begins with them rather than with the first weights", async () => {
  const config = defineOptimizer({ optimizer: "sgd", learningRate: 1, warmupSteps: 0, weightDecay: 0, ema: 0.9 });
  const gradients = [1, 2, 3].map(flat), { params, iterate } = await stepsOf(config, gradients);
  const plain = await stepsOf(defineOptimizer({ ...config, ema: 0 }), gradients);
  assert(relativeError(iterate.data, plain.params.data) < 1e-12);
  // (1 + step) / (10 + step), until that reaches 0.9.
  const decays = [1 / 10, 2 / 11, 3 / 12], average = flat(9);
  for (const [step, decay] of decays.entries()) {
    const { params: at } = await stepsOf(defineOptimizer({ ...config, ema: 0 }), gradients.slice(0, step + 1));
    for (let i = 0; i < P; i++) average[i] = decay * average[i] + (1 - decay) * at.data[i];
  }
  assert(relativeError(params.data, average) < 1e-7);
  assertAlmostEquals(stepScalars(config, 1000)[1], 0.9, 1e-7);
});

Deno.test("an optimizer of your own is a value", async () => {
  const own: Optimizer<Record<string, never>, "count"> = {
    name: "constant",
    summary: "moves everything by the rate",
    options: {},
    learningRate: 0.5,
    state: ["count"],
    scalars: (_, step) => [step + 1],
    update: ({ state: { count }, gradient, scalars: [next] }) => ({
      direction: gradient,
      state: { count: addScalar(count, next) },
    }),
  };
  const config = defineOptimizer({ optimizer: own, warmupSteps: 0, weightDecay: 0, schedule: "constant" });
  assertEquals([config.learningRate, learningRateAt(config, 7)], [0.5, 0.5]);
  const state = await stepsOf(config, [flat(1), flat(2)]);
  assertEquals(state.count.data[0], 3);
  assertAlmostEquals(state.params.data[0], flat(9)[0] - 0.5 * (flat(1)[0] + flat(2)[0]), 1e-12);
});

Deno.test("clipping scales a long gradient to the norm and leaves a short one", async () => {
  for (const scale of [1, 10]) {
    const { norm, clipped } = await reference((g: Tensor) => clipByGlobalNorm(g, 8), [
      { shape: [2], data: [3 * scale, 4 * scale] },
    ]);
    assertAlmostEquals(norm.data[0], 5 * scale, 1e-12);
    const expected = scale === 1 ? [3, 4] : [4.8, 6.4];
    assert(relativeError(clipped.data, expected) < 1e-12);
  }
  const { clipped } = await reference((g: Tensor) => clipByGlobalNorm(g, 0), [{ shape: [2], data: [30, 40] }]);
  assertEquals(Array.from(clipped.data), [30, 40]);
});

Deno.test("schedules have the rates that they have by hand", () => {
  const facts = { finalRate: 0.1, warmupSteps: 4, totalSteps: 12, decayShare: 0.25 };
  const at = (schedule: string, steps: readonly number[]): number[] =>
    steps.map((step) => scheduleAt({ ...facts, schedule }, step));
  const close = (actual: readonly number[], expected: readonly number[]): void =>
    actual.forEach((value, i) => assertAlmostEquals(value, expected[i], 1e-12, `place ${i}`));
  for (const schedule of ["cosine", "linear", "constant", "warmup-stable-decay"]) {
    close(at(schedule, [0, 1, 2, 3, 4]), [0.25, 0.5, 0.75, 1, 1]);
  }
  close(at("cosine", [6, 8, 12, 1000]), [0.1 + 0.45 * (1 + Math.SQRT1_2), 0.55, 0.1, 0.1]);
  close(at("linear", [5, 8, 10, 12, 1000]), [0.8875, 0.55, 0.325, 0.1, 0.1]);
  close(at("constant", [5, 12, 1000]), [1, 1, 1]);
  // A quarter of 12 steps: from step 9 on.
  close(at("warmup-stable-decay", [8, 9, 10, 11, 12, 1000]), [1, 1, 0.7, 0.4, 0.1, 0.1]);
  assertEquals(scheduleAt({ ...facts, schedule: "warmup-stable-decay", decayShare: 0 }, 12), 1);
  assertEquals(learningRateAt(defineOptimizer({ learningRate: 2, warmupSteps: 4 }), 0), 0.5);
});

Deno.test("optimizer options that cannot be are refused by name", () => {
  const refused = (options: Partial<OptimizerConfig>, text: string): void => {
    assertThrows(() => defineOptimizer(options), ConfigError, text);
  };
  refused({ learningRate: -1 }, "learningRate -1: it must be above 0");
  refused({ beta2: 1 }, "beta2 1");
  refused({ warmupSteps: 1.5 }, "warmupSteps 1.5");
  refused({ clipNorm: Number.NaN }, "clipNorm");
  refused({ optimizer: "adam" }, "it must be one of adamW, sgd, lion, muon");
  refused({ optimizer: "lion", epsilon: 1e-8 }, "epsilon");
  refused({ schedule: "step" } as unknown as Partial<OptimizerConfig>, "schedule");
  refused({ ema: 1 }, "ema 1");
});

Deno.test("a record from before there was a choice is AdamW with a cosine, and each optimizer has its own default rate", () => {
  const before = {
    learningRate: 1e-3,
    finalRate: 0.2,
    warmupSteps: 5,
    totalSteps: 50,
    beta1: 0.8,
    beta2: 0.9,
    epsilon: 1e-6,
    weightDecay: 0.3,
    clipNorm: 2,
  };
  const complete = { ...before, optimizer: "adamW", schedule: "cosine", decayShare: 0.2, halveEvery: 1000, ema: 0 };
  assertEquals({ ...completeOptimizer(before) } as Record<string, unknown>, complete);
  assertEquals(defineOptimizer({ optimizer: "lion" }).learningRate, OPTIMIZERS.lion.learningRate);
  assertEquals(defineOptimizer({ optimizer: "lion", learningRate: 1 }).learningRate, 1);
});
