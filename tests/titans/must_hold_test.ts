/**
 * What must hold of every model, at every depth of its memory and fineness of its gates, and whatever it forgets to.
 * The reference device takes all of them; cpu each model with each depth and each fineness; webgpu, which compiles
 * slowly on a software adapter, each depth with each fineness.
 */
import { assert, assertEquals } from "@std/assert";
import { grad, valueAndGrad } from "../../core/grad.ts";
import { isTensor, type Tensor } from "../../core/graph.ts";
import { scan } from "../../core/scan.ts";
import { type Device, requestDevice } from "../../kernels/mod.ts";
import { add, crossEntropy, iota, mul, reshape, sliceAxis, squeeze, sum, transpose } from "../../ops/mod.ts";
import type { ModelConfig } from "../../titans/models/config.ts";
import type { Model, ModelState } from "../../titans/models/model.ts";
import {
  cut,
  MEMORY_MODELS,
  memoryStates,
  MODELS,
  partsOf,
  readModel,
  rowsOf,
  tinyModel,
  tokensOf,
} from "./builders.ts";
import { assertApart, changed, checkOnDevice, type DeviceCheck, type Run } from "./model_checks.ts";
import { openNative } from "../kernels/native_tests.ts";
import { assertClose, noise, norm, prepareReference, reference, relativeError } from "./runners.ts";

const DEPTHS = [1, 2, 3, 4] as const;
const GRANULARITIES = ["head", "layer", "channel"] as const;

interface Case {
  readonly name: string;
  readonly options: Partial<ModelConfig>;
}

/** Model m with memory depth d and gates g, each counted from 0; what the memory forgets to alternates. */
function caseOf(m: number, d: number, g: number): Case {
  const [name, model] = MEMORY_MODELS[m], forgetTo = (m + d + g) % 2 ? "zero" : "start";
  const options = { ...model, memoryDepth: DEPTHS[d], gateGranularity: GRANULARITIES[g], forgetTo, blocks: 1 } as const;
  return { name: `${name}, depth ${DEPTHS[d]}, gates a ${GRANULARITIES[g]}, forgetting to ${forgetTo}`, options };
}

/** Checks all depths and gates of a model; an error says which. */
async function forAllMemories(
  m: number,
  check: (options: Partial<ModelConfig>) => Promise<void> | void,
): Promise<void> {
  for (let d = 0; d < DEPTHS.length; d++) {
    for (let g = 0; g < GRANULARITIES.length; g++) {
      const { name, options } = caseOf(m, d, g);
      try {
        await check(options);
      } catch (error) {
        throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
      }
    }
  }
}

/** Tokens [1, T] one at a time: every weight written at every token, as a decoder does it. T ends at a boundary. */
function tokenLoop(model: Model, flat: Tensor, tokens: Tensor): Run {
  const params = model.unflatten(flat), T = tokens.shape[1];
  const step = (state: ModelState, token: { id: Tensor; position: Tensor }): [ModelState, Tensor] => {
    const next = model.step(params, reshape(token.id, [1, 1]), { state, position: token.position });
    return [next.state, next.logits];
  };
  const text = { id: squeeze(tokens, 0), position: iota([T], 0) };
  const start = model.initialState(params, 1);
  const [state, logits] = scan(step, model.stepState(start), text);
  return { logits: transpose(logits, [1, 0, 2]), state: withPartsOf(start, state) };
}

/** The parts of a tree that another one has: of a state those that it has at a boundary too. */
function withPartsOf<T>(of: T, tree: T): T {
  if (isTensor(of) || typeof of !== "object" || of === null) return tree;
  const parts = Object.entries(of).map(([key, part]) => [key, withPartsOf(part, tree[key as keyof T])]);
  return (Array.isArray(of) ? parts.map(([, part]) => part) : Object.fromEntries(parts)) as T;
}

/** Logits, state, and the gradient of a random functional of logits and memory in all parameters. */
function withGradient(run: (flat: Tensor, tokens: Tensor) => Run) {
  return (flat: Tensor, tokens: Tensor, weights: readonly Tensor[]): Run & { readonly gradient: Tensor } => {
    const [[, result], gradient] = valueAndGrad((flat: Tensor): [Tensor, Run] => {
      const { logits, state } = run(flat, tokens);
      const all = [logits, ...memoryStates(state).flatMap(({ weights, surprise }) => [...weights, ...surprise])];
      return [all.map((x, i) => sum(mul(x, weights[i]))).reduce((total, x) => add(total, x)), { logits, state }];
    })(flat);
    return { ...result, gradient };
  };
}

for (const [m, [name]] of MEMORY_MODELS.entries()) {
  Deno.test(`reference: ${name}, all depths and gates: the parallel form equals the token loop: logits, state, gradients in every parameter, none of them zero`, () =>
    forAllMemories(m, async (options) => {
      const { model, params } = tinyModel({ ...options, miniBatch: 2, segment: 4 }), T = 8, tokens = tokensOf(1, T);
      const parallel = (flat: Tensor, tokens: Tensor): Run => {
        const { logits, state } = model.forward(model.unflatten(flat), tokens);
        return { logits, state };
      };
      const memories = await reference((flat: Tensor) => memoryStates(model.initialState(model.unflatten(flat), 1)), [
        params,
      ]);
      const shapes = [
        [1, T, model.config.vocabulary],
        ...memories.flatMap((m) => [...m.weights, ...m.surprise].map(({ shape }) => shape)),
      ];
      const weights = shapes.map((shape, i) => noise(shape, 20 + i));
      const expected = await reference(withGradient((flat, tokens) => tokenLoop(model, flat, tokens)), [
        params,
        tokens,
        weights,
      ]);
      assertClose(await reference(withGradient(parallel), [params, tokens, weights]), expected, 1e-9);
      for (const { part, indices } of partsOf(model)) {
        assert(norm(indices.map((i) => expected.gradient.data[i])) > 1e-9, `the gradient of ${part} is zero`);
      }
    }));

  Deno.test(`reference: ${name}, all depths and gates: a changed token changes nothing before it, and no other sequence of the batch`, () =>
    forAllMemories(m, (options) => {
      const { model, params } = tinyModel(options), T = 11, tokens = tokensOf(2, T);
      const read = prepareReference((flat: Tensor, tokens: Tensor) => model.forward(model.unflatten(flat), tokens), [
        params,
        tokens,
      ]);
      const before = read([params, tokens]);
      for (const at of [2, 8]) assertApart(before, read([params, changed(tokens, at)]), at, T);
    }));

  Deno.test(`reference: ${name}, all depths and gates: a sequence equals its pieces with carried state, whatever the tile`, () =>
    forAllMemories(m, async (options) => {
      const { model, params } = tinyModel(options), T = 19, tokens = tokensOf(1, T);
      const whole = (await readModel(reference, model, params, tokens)).logits;
      const other = tinyModel({ ...options, tile: 2 }).model;
      const at = 9, boundary = at - at % model.interval;
      const first = await readModel(reference, other, params, cut(tokens, 0, at));
      const second = await readModel(reference, other, params, cut(tokens, boundary, T), first.state);
      assert(relativeError(first.logits.data, rowsOf(whole, 0, at)) < 1e-10, `the piece up to ${at}`);
      assert(relativeError(second.logits.data, rowsOf(whole, boundary, T)) < 1e-10, `the piece from ${at}`);
    }));

  Deno.test(`reference: ${name}, all depths and gates: the memory learns only from tokens that the mask stores`, () =>
    forAllMemories(m, (options) => {
      const { model, params } = tinyModel({ ...options, persistentTokens: 0, momentum: false }),
        T = 8,
        tokens = tokensOf(1, T);
      const surprises = (flat: Tensor, tokens: Tensor, update: Tensor): Tensor[] =>
        memoryStates(model.forward(model.unflatten(flat), tokens, { update }).state).flatMap((
          { surprise },
        ) => [...surprise]);
      const read = prepareReference(surprises, [params, tokens, { shape: [1, T], data: [] }]);
      // Without momentum the surprise is that of the last token.
      const stored = read([params, tokens, { shape: [1, T], data: [0, 0, 0, 0, 0, 0, 0, 1] }]);
      const not = read([params, tokens, { shape: [1, T], data: [1, 1, 1, 1, 1, 1, 1, 0] }]);
      for (const { data } of stored) assert(norm(data) > 1e-6);
      for (const { data } of not) assertEquals(norm(data), 0);
    }));

  Deno.test(`reference: ${name}, depths 1, 3 and 4: the gradient of the loss is that of finite differences, in what makes keys, values, queries, gates, the start and the tokens`, async () => {
    // Depth 2 is in model_test.ts, in every parameter.
    for (const d of [0, 2, 3]) {
      const { name, options } = caseOf(m, d, (m + d) % 3);
      await assertDifferences(name, options);
    }
  });
}

async function assertDifferences(name: string, options: Partial<ModelConfig>): Promise<void> {
  const { model, params } = tinyModel(options), T = 10, tokens = tokensOf(1, T + 1);
  const loss = (flat: Tensor, tokens: Tensor): Tensor =>
    crossEntropy(model.forward(model.unflatten(flat), sliceAxis(tokens, 1, 0, T)).logits, sliceAxis(tokens, 1, 1, T));
  const gradient = (await reference(grad(loss), [params, tokens])).data;
  const lossOf = prepareReference(loss, [params, tokens]);
  for (
    const { part, indices } of partsOf(model).filter(({ part }) =>
      /memory\.(projection|gates|initial)|embedding/.test(part)
    )
  ) {
    assert(norm(indices.map((i) => gradient[i])) > 1e-9, `${name}: the gradient of ${part} is zero`);
    const direction = noise([indices.length], 7).data, step = 1e-6;
    const moved = (sign: number): number => {
      const data = Float64Array.from(params.data);
      indices.forEach((i, n) => data[i] += sign * step * direction[n]);
      return lossOf([{ ...params, data }, tokens]).data[0];
    };
    const expected = (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12 * step);
    const actual = indices.reduce((total, i, n) => total + gradient[i] * direction[n], 0);
    assert(
      Math.abs(actual - expected) <= 1e-6 * Math.max(1e-3, Math.abs(expected)),
      `${name}: ${part}: gradient ${actual}, finite difference ${expected}`,
    );
  }
}

/**
 * Model, depth and gates of the cases for webgpu, each counted from 0. One case of each model is with gradients, here
 * and on cpu. A gradient through a segment and a part of one takes half again as many kernels as one through a segment:
 * on webgpu lmm alone has it; of memories, memory_test.ts has it there at all depths and gates.
 */
const ON_WEBGPU = [
  [0, 0, 0],
  [0, 2, 2],
  [1, 1, 2],
  [1, 3, 1],
  [2, 2, 1],
  [2, 0, 2],
  [3, 3, 0],
  [3, 1, 1],
  [4, 0, 1],
  [4, 3, 2],
  [5, 1, 0],
  [5, 2, 0],
] as const;
/** Each case compiles its kernels; golden_mixers_test.ts has those of the other mixers. */
const ON_NATIVE = [[0, 1, 0], [1, 2, 1], [4, 3, 2], [5, 0, 1]] as const;
const ON_CPU = [...MEMORY_MODELS.keys()].flatMap((m) => [...DEPTHS.keys()].map((d) => [m, d, (m + d) % 3] as const));

for (
  const [kind, cases, open] of [
    ["webgpu", ON_WEBGPU, () => requestDevice({ kind: "webgpu" })],
    ["cpu", ON_CPU, () => requestDevice({ kind: "cpu" })],
    ["native", ON_NATIVE, openNative],
  ] as const
) {
  Deno.test(`${kind}: models of every depth and gates: numbers of the reference, pieces, masks, causality, batches, files, single tokens`, async (t) => {
    const device: Device = await open();
    const differentiated = (m?: number): DeviceCheck => ({
      isDifferentiated: true,
      tile: 4,
      length: kind === "webgpu" && m !== 0 ? 8 : 11,
    });
    for (const [m, d, g] of cases) {
      const given = caseOf(m, d, g), tile = d % 2 ? 2 : 4;
      const check = d === m % DEPTHS.length ? differentiated(m) : { isDifferentiated: false };
      await t.step(given.name, () => checkOnDevice(device, given.options, { ...check, tile }));
    }
    const swiglu = { model: "mag", gateGranularity: "channel", memory: "swiglu", blocks: 1 } as const;
    for (const [name, options] of kind === "native" ? [] : MODELS.filter((model) => !MEMORY_MODELS.includes(model))) {
      await t.step(name, () => checkOnDevice(device, { ...options, blocks: 1 }, differentiated()));
    }
    await t.step(
      "mag, swiglu memory, gates a channel",
      () => checkOnDevice(device, swiglu, { isDifferentiated: false, tile: 4 }),
    );
    device.dispose();
  });
}
