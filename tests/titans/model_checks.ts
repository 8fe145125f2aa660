/** What must hold of a model on a device. */
import { assert, assertEquals } from "@std/assert";
import { valueAndGrad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { flatten, unflatten } from "../../core/tree.ts";
import type { Device } from "../../kernels/mod.ts";
import { crossEntropy, sliceAxis } from "../../ops/mod.ts";
import {
  decodeMemory,
  Decoder,
  encodeMemory,
  fingerprint,
  type Recipe,
  type RecipeName,
  RECIPES,
} from "../../titans/mod.ts";
import type { ModelConfig } from "../../titans/models/config.ts";
import { Model, type ModelState } from "../../titans/models/model.ts";
import { decodeSafetensors, encodeSafetensors } from "../../titans/models/safetensors.ts";
import { cut, rowsOf, tinyModel, tokensOf } from "./builders.ts";
import {
  assertClose,
  isValue,
  leavesOf,
  prepareOnDevice,
  prepareReference,
  reference,
  relativeError,
  type Value,
} from "./runners.ts";

/** What a model gives. */
export interface Run {
  readonly logits: Tensor;
  readonly state: ModelState;
}

/** Tokens [B, T] with one of the first sequence changed. */
export function changed(tokens: Value, at: number): Value {
  return { ...tokens, data: Int32Array.from(tokens.data, (x, i) => (i === at ? (x + 1) % 11 : x)) };
}

/**
 * That two runs of two sequences of T tokens differ from token `at` of the first sequence on, and are the same bits in
 * all else.
 */
export function assertApart(
  before: { logits: Value; state: unknown },
  after: { logits: Value; state: unknown },
  at: number,
  T: number,
): void {
  assertEquals(rowsOf(after.logits, 0, at), rowsOf(before.logits, 0, at), `rows before token ${at}`);
  assertEquals(rowsOf(after.logits, T, 2 * T), rowsOf(before.logits, T, 2 * T), "the other sequence");
  assert(
    relativeError(rowsOf(after.logits, at, T), rowsOf(before.logits, at, T)) > 1e-6,
    `token ${at} changes nothing`,
  );
  const states = leavesOf(before.state);
  for (const [leaf, values] of Object.entries(leavesOf(after.state))) {
    assertEquals(Array.from(values).slice(values.length / 2), Array.from(states[leaf]).slice(values.length / 2), leaf);
  }
}

const TEXT = tokensOf(2, 20);
/** The first sequence's memory leaves some tokens out, the second one's learns all. */
const STORE: Value = {
  shape: [2, 19],
  data: Float64Array.from({ length: 38 }, (_, i) => (i < 19 && i % 5 === 3 ? 0 : 1)),
};

/** What a model does on T tokens of two texts after a state; with the gradient of its loss if that is asked for. */
function modelRun(model: Model, T: number, isDifferentiated: boolean) {
  return (flat: Tensor, tokens: Tensor, update: Tensor, state: ModelState): Run & { readonly gradient?: Tensor } => {
    const forward = (flat: Tensor): Run => {
      const { logits, state: after } = model.forward(model.unflatten(flat), sliceAxis(tokens, 1, 0, T), {
        state,
        update,
      });
      return { logits, state: after };
    };
    if (!isDifferentiated) return forward(flat);
    const [[, run], gradient] = valueAndGrad((flat: Tensor): [Tensor, Run] => {
      const run = forward(flat);
      return [crossEntropy(run.logits, sliceAxis(tokens, 1, 1, T)), run];
    })(flat);
    return { ...run, gradient };
  };
}

/** A state as it comes back from a file. */
function throughFile(state: unknown): unknown {
  const { leaves, paths, spec } = flatten(state, isValue);
  const tensors = Object.fromEntries(
    leaves.map(({ shape, data }, i) => [paths[i], { shape, data: Float32Array.from(data) }]),
  );
  const stored = decodeSafetensors(encodeSafetensors({ tensors, metadata: {} })).tensors;
  return unflatten(spec, paths.map((path) => stored[path]));
}

/** How {@link checkOnDevice} checks a model. */
export interface DeviceCheck {
  /** Whether gradients are checked too. */
  readonly isDifferentiated: boolean;
  /** The tile on the device; the reference has the model's own. */
  readonly tile: number;
  /** Tokens that are read at once: by default a segment of 8 and part of another; at least 8. */
  readonly length?: number;
}

/**
 * Checks a model on a device against the reference device: numbers, with gradients if asked for, at a tile of its own,
 * pieces, masks, causality, batches, files, single tokens.
 */
export async function checkOnDevice(
  device: Device,
  options: Partial<ModelConfig>,
  { isDifferentiated, tile, length: T = 11 }: DeviceCheck,
): Promise<void> {
  // Norms of four features, and large steps in a memory that forgets its start at once, are too badly conditioned for
  // f32.
  const { model, params } = tinyModel({ ...options, width: 16, thetaMax: 0.25, alphaBias: -5 });
  const initial = await reference((flat: Tensor) => model.initialState(model.unflatten(flat), 2), [params]);
  const first = [params, cut(TEXT, 0, T + 1), cut(STORE, 0, T), initial] as never,
    second = (state: unknown) => [params, cut(TEXT, 8, 9 + T), cut(STORE, 8, 8 + T), state] as never;
  const expected = prepareReference(modelRun(model, T, isDifferentiated), first);
  const { run, dispose } = await prepareOnDevice(
    device,
    modelRun(new Model({ ...model.config, tile }), T, isDifferentiated),
    first,
  );
  const begun = await run(first), exact = expected(first);
  assertClose(begun, exact, 1e-4);
  const carried = await run(second(begun.state));
  assertClose(carried, expected(second(exact.state)), 1e-4);
  assertEquals(leavesOf(await run(second(throughFile(begun.state)))), leavesOf(carried), "a state through a file");
  assertApart(begun, await run([params, changed(cut(TEXT, 0, T + 1), 5), cut(STORE, 0, T), initial] as never), 5, T);
  dispose();
  await checkReading(device, model, Float32Array.from(params.data), begun.logits);
}

/**
 * Reads the second text token by token, with a memory file in the middle: the logits are those of the parallel form.
 */
async function checkReading(device: Device, model: Model, params: Float32Array, logits: Value): Promise<void> {
  const T = logits.shape[1];
  const decoder = await Decoder.create(device, model, params), owner = { model, weights: fingerprint(params) };
  for (let t = 0; t < T; t++) {
    const token = TEXT.data[20 + t];
    if (t === 6) {
      const bytes = encodeMemory(owner, { reading: await decoder.state.export(), notes: {} }),
        without = await decoder.step(token, decoder.state);
      decoder.restore(decodeMemory(bytes, owner).reading);
      assertEquals((await decoder.step(token, decoder.state)).logits, without.logits, "a memory through a file");
    }
    assert(
      relativeError(await decoder.read([token]), rowsOf(logits, T + t, T + t + 1)) < 1e-4,
      `token ${t} read alone`,
    );
  }
  decoder.dispose();
}

/** Recipes of several mixers or with a recurrent memory: one period each. The others are variants of attention. */
export const RECIPE_CASES: readonly { readonly name: string; readonly options: Partial<ModelConfig> }[] =
  (Object.entries(RECIPES) as [RecipeName, Recipe][]).flatMap(([name, { blocks, recurrentTokens }]) =>
    blocks.length > 1 || recurrentTokens
      ? [{ name, options: { model: name, blocks: blocks.length, recurrentSegment: 4 } }]
      : []
  );
