/** Blocks that are alike as one loop: the same losses, gradients, states and observations as one by one. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { spec, trace } from "../../core/trace.ts";
import { compile, type Device, requestDevice } from "../../kernels/mod.ts";
import { add, mul } from "../../ops/mod.ts";
import {
  ConfigError,
  defineConfig,
  defineMixer,
  defineOptimizer,
  type Dimensions,
  gradient,
  Model,
  type ModelConfig,
  nextToken,
  StreamWindows,
  Trainer,
} from "../../titans/mod.ts";
import { namedLeaves } from "../../titans/models/decode.ts";
import { TINY } from "./builders.ts";
import { relativeError } from "./runners.ts";

const BLOCKS = 3, B = 2, T = 12;
const KINDS = ["lmm", "mac", "mag", "mal", "transformer"] as const;

function modelOf(options: Partial<ModelConfig>): Model {
  return new Model(defineConfig({ ...TINY, vocabulary: 13, blocks: BLOCKS, ...options }));
}

/** The same model stacked and not. */
function pairOf(options: Partial<ModelConfig>): [stacked: Model, plain: Model] {
  return [modelOf({ ...options, stackBlocks: "always" }), modelOf({ ...options, stackBlocks: "never" })];
}

const TOKENS = Int32Array.from({ length: B * (T + 1) }, (_, i) => (i * i + 3 * i) % 13);

/** Loss and gradient by name. */
async function gradientOf(device: Device, model: Model) {
  const data = { tokens: spec([1, B, T + 1], "i32") };
  const program = await compile(device, gradient(model, nextToken({ masked: false })), [spec([model.layout.size]), {
    data,
  }]);
  const { lossSum, gradientSum } = await program.run(model.layout.pack(model.initialize(3)), {
    data: { tokens: TOKENS },
  });
  program.dispose();
  return { loss: lossSum.data[0], gradient: model.layout.unpack(gradientSum.data) };
}

function assertClose(found: ArrayLike<number>, wanted: ArrayLike<number>, allowance: number, what: string): void {
  assertEquals(found.length, wanted.length, what);
  const error = relativeError(Array.from(found), Array.from(wanted));
  assert(error <= allowance, `${what}: ${error}`);
}

async function compareGradients(device: Device, options: Partial<ModelConfig>, allowance: number): Promise<void> {
  const [stacked, plain] = pairOf(options),
    found = await gradientOf(device, stacked),
    wanted = await gradientOf(device, plain);
  assertClose([found.loss], [wanted.loss], allowance, `${options.model}: loss`);
  assertEquals(Object.keys(found.gradient), Object.keys(wanted.gradient));
  for (const [name, values] of Object.entries(wanted.gradient)) {
    assertClose(found.gradient[name], values, allowance, `${options.model}: gradient of ${name}`);
  }
}

Deno.test("stacked blocks have the losses and gradients of blocks one by one", async () => {
  using reference = await requestDevice({ kind: "reference" }), cpu = await requestDevice({ kind: "cpu" });
  for (const model of KINDS) await compareGradients(reference, { model }, 1e-6);
  for (const model of ["mac", "transformer"] as const) await compareGradients(cpu, { model }, 2e-4);
  await compareGradients(cpu, { model: "lmm", checkpoint: "recompute" }, 2e-4);
});

/** What a model makes of two pieces of a text: logits, states, observations, and those of one token after the first. */
async function readTwice(device: Device, model: Model) {
  const paths: string[] = [], PIECE = 8;
  const read = (flat: Tensor, first: Tensor, second: Tensor, token: Tensor, position: Tensor) => {
    const params = model.unflatten(flat), seen: Tensor[] = [];
    const { state } = model.forward(params, first);
    const piece = model.forward(params, second, {
      state,
      observe: ({ path, tensor }) => {
        paths.push(path);
        seen.push(tensor);
      },
    });
    return { ...piece, seen, step: model.step(params, token, { state: model.stepState(state), position }) };
  };
  const piece = spec([1, PIECE], "i32");
  const program = await compile(device, read, [
    spec([model.layout.size]),
    piece,
    piece,
    spec([1, 1], "i32"),
    spec([], "i32"),
  ]);
  const { logits, state, seen, step } = await program.run(
    model.layout.pack(model.initialize(5)),
    TOKENS.subarray(0, PIECE),
    TOKENS.subarray(PIECE, 2 * PIECE),
    TOKENS.subarray(PIECE, PIECE + 1),
    [PIECE],
  );
  program.dispose();
  const isArray = (value: unknown): value is { readonly data: Float32Array } =>
    typeof value === "object" && value !== null && "data" in value;
  const leavesOf = (tree: unknown) => namedLeaves(tree, isArray).map(({ name, leaf }) => ({ name, data: leaf.data }));
  return [
    { name: "logits", data: logits.data },
    { name: "logits of a step", data: step.logits.data },
    ...leavesOf(state),
    ...leavesOf(step.state).map(({ name, data }) => ({ name: `${name} of a step`, data })),
    ...seen.map(({ data }, i) => ({ name: `observed ${paths[i]}`, data })),
  ];
}

Deno.test("stacked blocks carry the states and show the observations of blocks one by one", async () => {
  using device = await requestDevice({ kind: "reference" });
  for (const model of KINDS) {
    const [found, wanted] = await Promise.all(pairOf({ model }).map((each) => readTwice(device, each)));
    assertEquals(found.map(({ name }) => name), wanted.map(({ name }) => name));
    assert(wanted.some(({ name }) => name.startsWith("observed blocks.2.")));
    wanted.forEach(({ name, data }, i) => assertClose(found[i].data, data, 1e-5, `${model}: ${name}`));
  }
});

Deno.test("a run with a stream goes on from a state of either form", async () => {
  using device = await requestDevice({ kind: "cpu" });
  const texts = [7, 60, 33].map((length, i) => ({ text: Int32Array.from({ length }, (_, t) => (t * t + i * t) % 13) }));
  const losses: number[][] = [];
  const options = { optimizer: defineOptimizer(), shape: { batch: B, length: 8 }, seed: 1, stream: true };
  for (const [before, after] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
    const models = pairOf({ model: "lmm" }),
      data = new StreamWindows(texts, options.shape, 2);
    const first = await Trainer.create(device, { ...options, model: models[before] });
    const begun = await first.run(data, 3), state = await first.exportState();
    const second = await Trainer.create(device, { ...options, model: models[after], state });
    losses.push([...begun, ...await second.run(data, 3)].map(({ loss }) => loss));
    first.dispose();
    second.dispose();
  }
  for (const other of losses.slice(1)) assertClose(other, losses[0], 1e-4, "losses");
});

Deno.test("runs of blocks that are alike are stacked from two or four on, others are not", () => {
  const blocks = ["lmm", "lmm", "attention", "attention", "attention", "attention", "lmm"].map((mixer) => ({ mixer }));
  const countsOf = (options: Partial<ModelConfig>) => modelOf(options).runs.map(({ count }) => count);
  assertEquals(countsOf({ blocks }), [1, 1, 4, 1]);
  assertEquals(countsOf({ blocks, stackBlocks: "always" }), [2, 4, 1]);
  assertEquals(countsOf({ blocks, stackBlocks: "never" }), [1, 1, 1, 1, 1, 1, 1]);
  assertEquals(countsOf({ blocks: 3 }), [1, 1, 1]);
  const windows = [4, 4, 6, 6].map((window) => ({ mixer: "mag", window }));
  assertEquals(countsOf({ blocks: windows, stackBlocks: "always" }), [2, 2]);
});

/** A mixer that scales tokens by what a function makes of its block's number, asked for when it is made or traced. */
function scaling(when: "never" | "made" | "traced") {
  return defineMixer({
    name: `scaling${when}`,
    summary: "scales tokens",
    options: {},
    create: (_options, dimensions: Dimensions) => {
      const factor = when === "made" ? dimensions.block : 1;
      return {
        interval: 1,
        parameters: () => ({}),
        initialState: () => ({}),
        forward: (_params: unknown, x: Tensor) => ({
          output: mul(add(x, 1), when === "traced" ? dimensions.block : factor),
          state: {},
        }),
      };
    },
  });
}

Deno.test("blocks whose mixer looks at their position are not stacked", () => {
  const make = (when: Parameters<typeof scaling>[0]) => {
    const mixer = scaling(when);
    return modelOf({ blocks: Array.from({ length: 4 }, () => ({ mixer })) });
  };
  assertEquals(make("never").runs.length, 1);
  assertEquals(make("made").runs.length, 4);
  const late = make("traced");
  const read = (flat: Tensor, tokens: Tensor) => late.forward(late.unflatten(flat), tokens).logits;
  assertThrows(
    () => trace(read, [spec([late.layout.size]), spec([1, 4], "i32")]),
    ConfigError,
    "Cannot stack blocks 0 to 3: their mixer scalingtraced read its block's number",
  );
});

Deno.test("a step of many blocks is a graph of as many nodes, and as many kernels, as one of few", async () => {
  using device = await requestDevice({ kind: "cpu" });
  const sizes = [];
  for (const blocks of [4, 12]) {
    const shape = { batch: B, length: 8 };
    const trainer = await Trainer.create(device, {
      model: modelOf({ model: "lmm", blocks }),
      optimizer: defineOptimizer(),
      shape,
      seed: 1,
    });
    sizes.push([trainer.program.graph.nodes.length, trainer.program.toJSON().kernels]);
    trainer.dispose();
  }
  assertEquals(sizes[1], sizes[0]);
});
