/**
 * Fast vectors: the gain of the memory's norm as part of the memory, and gains and biases in networks of the user's
 * own.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { grad } from "../../core/grad.ts";
import { isTensor, type Tensor } from "../../core/graph.ts";
import { mapLeaves } from "../../core/tree.ts";
import { requestDevice } from "../../kernels/mod.ts";
import {
  add,
  expandDims,
  layerNorm,
  matmul,
  mean,
  mul,
  ones,
  sigmoid,
  sliceAxis,
  sqrt,
  square,
  stack,
  sub,
  sum,
} from "../../ops/mod.ts";
import { completeConfig, differingField } from "../../titans/models/config.ts";
import { ConfigError } from "../../titans/errors.ts";
import type { GateGranularity } from "../../titans/mixers/titans/gates.ts";
import {
  fastVector,
  type MemoryNetwork,
  mlpMemory,
  readMemory,
  swigluMemory,
} from "../../titans/mixers/titans/memory_network.ts";
import {
  decodeCheckpoint,
  decodeMemory,
  Decoder,
  defineConfig,
  defineOptimizer,
  encodeCheckpoint,
  encodeMemory,
  fingerprint,
  Model,
  type ModelConfig,
  RandomWindows,
  Trainer,
} from "../../titans/mod.ts";
import { naiveMemory } from "../../titans/mixers/titans/naive.ts";
import { decodeSafetensors, encodeSafetensors } from "../../titans/models/safetensors.ts";
import { traceMemory } from "../../titans/mixers/titans/trace.ts";
import {
  evaluateMemory,
  type MemoryEvaluation,
  type MemoryForm,
  type MemoryInputs,
  memoryInputs,
  memoryOf,
  products,
  reading,
  runMemory,
  type RunOptions,
  TINY,
} from "./builders.ts";
import {
  assertClose,
  leavesOf,
  noise,
  norm,
  reference,
  relativeError,
  type Runner,
  testOnDevices,
  type Value,
} from "./runners.ts";

const B = 2, H = 2, K = 4;

const mlp = (depth: number): MemoryNetwork => mlpMemory({ width: K, depth, expansion: 2, gain: "fast" });

/** A gain between two matrices, a bias after them. */
const OWN: MemoryNetwork = {
  layers: [{ in: K, out: 5 }, fastVector(5), { in: 5, out: K }, fastVector(K)],
  gains: [],
  forward: (linear, x, _, vector) => add(linear(2, sigmoid(mul(linear(0, x), add(vector(1), 1)))), vector(3)),
};

const NETWORKS: Readonly<Record<string, MemoryNetwork>> = {
  "depth 1": mlp(1),
  "depth 2": mlp(2),
  swiglu: swigluMemory({ width: K, expansion: 1.5, gain: "fast" }),
  "a network of the user's own": OWN,
};

type Inputs<Leaf> = MemoryInputs<Leaf>;

function inputsFor(
  network: MemoryNetwork,
  granularity: GateGranularity,
  { T = 11, start = false }: { readonly T?: number; readonly start?: boolean } = {},
): Inputs<Value> {
  return memoryInputs(network, { T, granularity, forgetTo: start ? "start" : "zero" });
}

function evaluate(
  run: Runner,
  [form, options]: readonly [MemoryForm, RunOptions],
  network: MemoryNetwork,
  inputs: Inputs<Value>,
): Promise<MemoryEvaluation> {
  return evaluateMemory(run, runMemory(form, network, options), inputs);
}

for (const granularity of ["head", "layer", "channel"] as const) {
  Deno.test(`reference: fast vectors, gates a ${granularity}: in matrix products and token by token, numbers and gradients are those of the token loop`, async () => {
    for (const [name, network] of Object.entries(NETWORKS)) {
      const inputs = inputsFor(network, granularity, { T: 7, start: network !== OWN });
      const expected = await evaluate(reference, [naiveMemory, { miniBatch: 4 }], network, inputs);
      for (const [leaf, values] of Object.entries(leavesOf(expected))) {
        assert(norm(values) > 1e-9, `${name}: ${leaf} is zero`);
      }
      assertClose(await evaluate(reference, [products, { miniBatch: 4 }], network, inputs), expected, 1e-10);
      if (network !== OWN) continue;
      assertClose(await evaluate(reference, [products, { miniBatch: 4, tile: 2 }], network, inputs), expected, 1e-10);
      assertClose(await evaluate(reference, [reading, { miniBatch: 4 }], network, inputs), expected, 1e-10);
    }
    for (const T of [1, 5]) {
      const inputs = inputsFor(mlp(2), granularity, { T, start: true }), options = { miniBatch: 4, strict: true };
      const expected = await evaluate(reference, [naiveMemory, options], mlp(2), inputs);
      for (const form of [products, reading]) {
        assertClose(await evaluate(reference, [form, options], mlp(2), inputs), expected, 1e-10);
      }
    }
  });
}

testOnDevices("fast vectors: numbers and gradients are those of the reference", async ({ run, device }) => {
  // Each is another program, and the software adapter compiles slowly.
  const cases = device.info.kind === "webgpu" ? ["head"] as const : ["head", "layer", "channel"] as const;
  for (const granularity of cases) {
    const inputs = inputsFor(mlp(2), granularity, { T: 8, start: true });
    const expected = await evaluate(reference, [naiveMemory, { miniBatch: 4 }], mlp(2), inputs);
    assertClose(await evaluate(run, [products, { miniBatch: 4 }], mlp(2), inputs), expected, 1e-4);
  }
});

Deno.test("the gain of a token is the one that the gradient of the definition gives, written out", async () => {
  const network = mlp(1), T = 4, inputs = inputsFor(network, "head", { T });
  const written = (
    { sequence: { key, value, gates: [{ theta, eta, alpha }] }, state: { weights: [w, g0], surprise: [, s0] } }: Inputs<
      Tensor
    >,
  ): Tensor[] => {
    const at = (x: Tensor, t: number): Tensor => sliceAxis(x, 2, t, 1); // [B, H, 1, ...]
    const scalar = (x: Tensor, t: number): Tensor => expandDims(at(x, t), -1);
    const normed = layerNorm(matmul(key, w)), error = sub(add(key, mul(normed, add(g0, 1))), value);
    const gradient = mul(normed, mul(error, 2 / K)); // xhat o d, [B, H, T, K]
    let gain = g0, surprise = s0;
    for (let t = 0; t < T; t++) {
      surprise = sub(mul(scalar(eta, t), surprise), mul(scalar(theta, t), at(gradient, t)));
      gain = add(mul(sub(1, scalar(alpha, t)), gain), surprise);
    }
    return [gain, surprise];
  };
  const learned = (arg: Inputs<Tensor>): Tensor[] => {
    const { weights, surprise } = products(...memoryOf(network, arg), { state: arg.state, miniBatch: T }).state;
    return [weights[1], surprise[1]];
  };
  assertClose(await reference(learned, [inputs]), await reference(written, [inputs]), 1e-12);
});

Deno.test("a fast vector is a matrix of one row that is read by rows of ones", async () => {
  const plain: MemoryNetwork = {
    ...OWN,
    forward(linear, x) {
      const vector = (l: number): Tensor => linear(l, ones([...x.shape.slice(0, -1), 1]));
      return OWN.forward(linear, x, [], vector);
    },
  };
  for (const granularity of ["head", "channel"] as const) {
    const inputs = inputsFor(OWN, granularity), options = { miniBatch: 4, tile: 2 };
    assertClose(
      await evaluate(reference, [products, options], plain, inputs),
      await evaluate(reference, [products, options], OWN, inputs),
      1e-12,
    );
  }
});

Deno.test("the gradient through a memory with fast vectors is that of finite differences, in every input", async () => {
  for (const [network, granularity] of [[mlp(2), "head"], [OWN, "layer"]] as const) {
    const inputs = inputsFor(network, granularity, { T: 6, start: true }), weights = noise([B, H, 6, K], 90);
    const loss = (arg: Inputs<Tensor>, w: Tensor): Tensor =>
      sum(mul(sigmoid(products(...memoryOf(network, arg), { state: arg.state, miniBatch: 3 }).output), w));
    const gradient = leavesOf(await reference(grad(loss), [inputs, weights]));
    for (const [name, values] of Object.entries(leavesOf(inputs))) {
      assert(norm(gradient[name]) > 1e-9, `the gradient of ${name} is zero`);
      const direction = noise([values.length], 91).data, step = 1e-6;
      const moved = async (sign: number): Promise<number> => {
        const array = values as Float64Array, before = Float64Array.from(array);
        array.forEach((_, i) => array[i] = before[i] + sign * step * direction[i]);
        const { data } = await reference(loss, [inputs, weights]);
        array.set(before);
        return data[0];
      };
      const expected = (await moved(1) - await moved(-1)) / (2 * step);
      const actual = Array.from(gradient[name]).reduce((total, g, i) => total + g * direction[i], 0);
      assert(
        Math.abs(actual - expected) <= 1e-6 * Math.max(1e-2, Math.abs(expected)),
        `${name}: gradient ${actual}, finite difference ${expected}`,
      );
    }
  }
});

Deno.test("the trace has a fast vector as one more matrix: norms are those of the definition", async () => {
  const network = mlp(2), T = 6, miniBatch = 4;
  const perMatrix = (norms: (l: number) => Tensor): Tensor[] => network.layers.map((_, l) => norms(l));
  const traced = (arg: Inputs<Tensor>): Record<string, Tensor[]> => {
    const [memory, given] = memoryOf(network, arg), { state } = arg;
    const { matrices } = traceMemory(memory, given, products(memory, given, { state, miniBatch }).output, {
      state,
      miniBatch,
      tile: 2,
    });
    return {
      memory: perMatrix((l) => matrices[l].memoryNorm),
      momentum: perMatrix((l) => matrices[l].momentumNorm),
      update: perMatrix((l) => matrices[l].updateNorm),
      surprise: perMatrix((l) => matrices[l].surprise),
    };
  };
  const defined = (arg: Inputs<Tensor>): Record<string, Tensor[]> => {
    const [memory, given] = memoryOf(network, arg), { state } = arg;
    const states = Array.from({ length: T + 1 }, (_, t) => {
      return t === 0
        ? state
        : naiveMemory(memory, mapLeaves(given, isTensor, (x) => sliceAxis(x, 2, 0, t)), { state, miniBatch }).state;
    });
    const each = (of: (t: number) => Tensor): Tensor =>
      stack(Array.from({ length: T }, (_, t) => sqrt(sum(square(of(t + 1)), { axes: [-1, -2] }))), 2);
    const row = (x: Tensor, t: number): Tensor => sliceAxis(x, 2, t - 1, 1);
    const gradientAt = (t: number): readonly Tensor[] => {
      const loss = (weights: readonly Tensor[]): Tensor =>
        sum(mean(square(sub(readMemory(memory, weights, row(given.key, t)), row(given.value, t))), { axes: [-1] }));
      return grad(loss)(states[t - 1 - (t - 1) % miniBatch].weights);
    };
    return {
      memory: perMatrix((l) => each((t) => states[t].weights[l])),
      momentum: perMatrix((l) => each((t) => states[t].surprise[l])),
      update: perMatrix((l) => each((t) => sub(states[t].weights[l], states[t - 1].weights[l]))),
      surprise: perMatrix((l) => each((t) => gradientAt(t)[l])),
    };
  };
  for (const [granularity, start] of [["head", true], ["channel", false]] as const) {
    const inputs = inputsFor(network, granularity, { T, start });
    assertClose(await reference(traced, [inputs]), await reference(defined, [inputs]), 1e-9);
  }
});

const FAST: Partial<ModelConfig> = {
  ...TINY,
  model: "lmm",
  vocabulary: 13,
  width: 16,
  blocks: 1,
  memoryGain: "fast",
  alphaBias: -2,
};
const TOKENS = Array.from({ length: 30 }, (_, i) => (i * i + 3 * i) % 13);

/** A model whose learned start is nowhere zero. */
function tiny(options: Partial<ModelConfig>): { model: Model; params: Float32Array } {
  const model = new Model(defineConfig({ ...FAST, ...options })), params = model.initialize(2);
  for (const [name, array] of Object.entries(params)) {
    if (array.every((x) => x === 0)) array.set(Float32Array.from(noise([array.length], name.length, 0.3).data));
  }
  return { model, params: model.layout.pack(params) };
}

const READ: readonly Partial<ModelConfig>[] = [
  {},
  { gateGranularity: "channel", strictRetrieval: true },
  { memory: "swiglu", gateGranularity: "layer", forgetTo: "zero" },
  { model: "mac" },
  { model: "mac", memoryQuery: "learned", memoryTokens: 3 },
  { model: "mag" },
  { model: "mal" },
];

for (const options of READ) {
  Deno.test(`a fast gain is read as it is trained, token by token or cut anywhere, and kept in memory files: ${JSON.stringify(options)}`, async () => {
    const device = await requestDevice({ kind: "reference" });
    const { model, params } = tiny(options), owner = { model, weights: fingerprint(params) };
    const decoder = await Decoder.create(device, model, params);
    const { data } = await reference(
      (flat: Tensor, tokens: Tensor) => model.forward(model.unflatten(flat), tokens).logits,
      [
        { shape: [params.length], data: params },
        { shape: [1, TOKENS.length], dtype: "i32", data: TOKENS },
      ],
    );
    const logits = Array.from(data).slice(-13);
    for (const cuts of [TOKENS.map((_, i) => i + 1), [7, 8, 21, 30], [3, 30]]) {
      decoder.reset();
      let at = 0;
      for (const to of cuts) {
        await decoder.read(TOKENS.slice(at, to));
        at = to;
        assertEquals(decoder.state.sizeBytes, decoder.start.sizeBytes);
      }
      assert(relativeError(decoder.logits!, logits) < 1e-6, `cut at ${cuts}`);
    }
    decoder.reset();
    await decoder.read(TOKENS.slice(0, 13));
    const stored =
      decodeMemory(encodeMemory(owner, { reading: await decoder.state.export(), notes: {} }), owner).reading;
    const gain = Object.entries(stored.arrays).filter(([, { shape }]) => String(shape) === "1,2,1,8").map(([name]) =>
      name
    );
    assertEquals(
      gain.some((name) => /memory\.weights\.\d$/.test(name)) && gain.some((name) => /memory\.surprise\.\d$/.test(name)),
      true,
      String(gain),
    );
    const other = await Decoder.create(device, model, params);
    other.restore(stored);
    // A file holds f32, this device computes with doubles.
    assert(relativeError(await other.read(TOKENS.slice(13)), await decoder.read(TOKENS.slice(13))) < 1e-5);
    for (const each of [decoder, other]) each.dispose();
    device.dispose();
  });
}

Deno.test("a fast gain is trained and checkpointed: its start is learned, without weight decay", async () => {
  const device = await requestDevice({ kind: "reference" }), shape = { batch: 1, length: 12 };
  const model = new Model(defineConfig(FAST));
  const [entry] = model.layout.entries.filter(({ name }) => name.endsWith("initial.2"));
  assertEquals([entry.parameter.shape, entry.parameter.decay], [[2, 1, 8], false]);
  assertEquals(model.layout.entries.some(({ name }) => name.includes("gains")), false);
  const optimizer = defineOptimizer({ learningRate: 1e-2, totalSteps: 2, warmupSteps: 1 });
  const trainer = await Trainer.create(device, { model, optimizer, shape, seed: 1 });
  const before = (await trainer.exportState()).params[entry.name];
  await trainer.run(new RandomWindows(Uint8Array.from(TOKENS), shape, 1), 2);
  const state = await trainer.exportState();
  assertEquals(before.every((x) => x === 0), true);
  assert(state.params[entry.name].every((x) => x !== 0));
  assertEquals(decodeCheckpoint(encodeCheckpoint({ config: model.config, seed: 1, state })).state, state);
  trainer.dispose();
  device.dispose();
});

Deno.test("a record from before there was a choice has an outer gain; one without a norm has none", () => {
  const config = defineConfig({ ...FAST, memoryGain: "outer" }), { memoryGain: _, ...before } = config;
  assertEquals(completeConfig(before), config);
  assertEquals(differingField(completeConfig(before), defineConfig(FAST)), "memoryGain");
  const model = new Model(config),
    arrays = model.initialize(1),
    state = { step: 0, params: arrays, optimizer: { name: "adamW", slots: { first: arrays, second: arrays } } };
  const { tensors, metadata } = decodeSafetensors(encodeCheckpoint({ config, seed: 1, state }));
  assertEquals(
    decodeCheckpoint(encodeSafetensors({ tensors, metadata: { ...metadata, config: JSON.stringify(before) } })).config,
    config,
  );
  assertThrows(
    () => defineConfig({ memoryGain: "fast", memoryNorm: false }),
    ConfigError,
    "a memory without memoryNorm has no gain",
  );
  assertThrows(() => defineConfig({ memoryGain: "slow" as "fast" }), ConfigError, "one of outer, fast");
  assertEquals(mlpMemory({ width: K, depth: 2, norm: false, gain: "fast" }).layers.length, 2);
});
