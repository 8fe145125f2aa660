/**
 * Layers of registered mixers by themselves: the many ways in which they give the same numbers, and what is checked of
 * them on a device.
 */
import { assert, assertEquals } from "@std/assert";
import { valueAndGrad } from "../../core/grad.ts";
import { isTensor, type Tensor } from "../../core/graph.ts";
import { scan } from "../../core/scan.ts";
import { flatten, mapLeaves, unflatten } from "../../core/tree.ts";
import type { Device } from "../../kernels/mod.ts";
import { add, iota, mean, mul, reshape, square, sum, transpose } from "../../ops/mod.ts";
import type { AnyMixer, MixerLayer } from "../../titans/mixers/mixer_interface.ts";
import { type MixerName, MIXERS } from "../../titans/mixers/registry.ts";
import { HostRng } from "../../titans/nn/host_rng.ts";
import { initialValues } from "../../titans/nn/initializers.ts";
import { Parameter } from "../../titans/nn/parameters.ts";
import { defaultsOf, type OptionRecord } from "../../titans/options/option_table.ts";
import { TINY } from "./builders.ts";
import {
  assertClose,
  leavesOf,
  noise,
  onDevice,
  prepareOnDevice,
  reference,
  relativeError,
  type Value,
} from "./runners.ts";

/** The mixers by name. */
export const ALL_MIXERS = Object.entries(MIXERS) as [MixerName, AnyMixer][];

/** Lengths of texts: one token, fewer than a chunk, none that a chunk divides but the last, which is the longest. */
export const LENGTHS: readonly number[] = [1, 2, 17, 63, 77, 512];

const LONGEST = 1024;

// deno-lint-ignore no-explicit-any -- the parameters and states of any mixer
export type Layer = MixerLayer<any, any>;
/** Parameters or states. */
export type Tree = Record<string, unknown>;

/** How many tokens a mixer may compute together, if that is an option of its own; else what it does by itself. */
export const chunksOf = ({ options }: AnyMixer): readonly number[] => "chunk" in options ? [1, 8, 16, 64] : [0];

/** A layer with tiny options where its mixer has them. */
export function layerOf(
  { create, options: table }: AnyMixer,
  { width = 8, ...options }: OptionRecord & { readonly width?: number } = {},
): Layer {
  const known = (record: object) => Object.fromEntries(Object.entries(record).filter(([name]) => name in table));
  const all = { ...defaultsOf(table), ...known({ ...TINY, tile: 2, maxLength: LONGEST }), ...known(options) };
  return create(all, { width, block: 1, blocks: 3 });
}

/** The leaf test of descriptions of parameters. */
export const isParameter = (value: unknown): value is Parameter => value instanceof Parameter;

/** First values of a layer's parameters; moved, so that none is zero, unless they are to be as they start. */
export function parametersOf(layer: Layer, moved: number): Tree {
  const { leaves, paths, spec } = flatten(layer.parameters(1), isParameter, "a parameter");
  const values = leaves.map(({ shape, initializer }, i): Value => {
    const start = initialValues(initializer, shape, new HostRng(1, paths[i])), by = noise(shape, 50 + i, moved);
    return { shape, data: start.map((x, j) => x + by.data[j]) };
  });
  return unflatten(spec, values) as Tree;
}

/** Outputs of many tokens at once. */
export const atOnce = (layer: Layer) => (params: Tree, x: Tensor): Tensor =>
  layer.forward(params, x, { state: layer.initialState(params, x.shape[0]) }).output;

/** Outputs of one token after the other, from a state after `position` tokens. */
function tokenLoop(layer: Layer, params: Tree, x: Tensor, start: unknown, position?: Tensor): Tensor {
  const [B, T, D] = x.shape, positions = iota([T], 0);
  const step = (state: unknown, { row, position }: { row: Tensor; position: Tensor }): [unknown, Tensor] => {
    const token = reshape(row, [B, 1, D]);
    const next = layer.step ? layer.step(params, token, { state, position }) : layer.forward(params, token, { state });
    return [next.state, next.output];
  };
  const [, outputs] = scan(step as never, (layer.stepState?.(start) ?? start) as never, {
    row: transpose(x, [1, 0, 2]),
    position: position ? add(positions, position) : positions,
  } as never) as unknown as [unknown, Tensor];
  return transpose(reshape(outputs, [T, B, D]), [1, 0, 2]);
}

/** Outputs of one token after the other. */
export const oneByOne = (layer: Layer) => (params: Tree, x: Tensor): Tensor =>
  tokenLoop(layer, params, x, layer.initialState(params, x.shape[0]));

/** The gradient of a random functional of the outputs in all parameters and inputs. */
export const gradientOf =
  (form: (params: Tree, x: Tensor) => Tensor) => (params: Tree, x: Tensor, weights: Tensor): unknown =>
    valueAndGrad((params: Tree, x: Tensor) => sum(mul(form(params, x), weights)), { argnums: [0, 1] })(params, x)[1];

/** As {@link gradientOf}, and in the state before the first token. */
const fromState =
  (form: (params: Tree, x: Tensor, state: unknown) => Tensor) =>
  (params: Tree, x: Tensor, weights: Tensor, state: unknown): unknown => {
    const functional = (params: Tree, x: Tensor, state: unknown): Tensor => sum(mul(form(params, x, state), weights));
    return valueAndGrad(functional as never, { argnums: [0, 1, 2] })(...[params, x, state] as never)[1];
  };

/** Some rows of each text of [B, T, D]. */
export function rowsOf({ shape: [, T, D], data }: Value, from: number, to: number): number[] {
  return Array.from(data).filter((_, i) => {
    const t = Math.floor(i / D) % T;
    return t >= from && t < to;
  });
}

/** What {@link layerCheck} checks. */
export interface LayerCheck {
  /** Tokens of a text. */
  readonly T: number;
  /** Tokens that are computed together, where that is an option. */
  readonly chunk: number;
  /** Whether gradients, and the form of one token after the other, are checked too. Default: true. */
  readonly isThorough?: boolean;
}

/** Norms of four features, and large steps of a memory, are badly conditioned: over 512 tokens too much so for f32. */
const FOR_F32: OptionRecord & { readonly width: number } = { width: 16, thetaMax: 0.1, alphaBias: -5 };
const B = 2, TOLERANCE = 1e-4;

/** What the program of a {@link layerCheck} gives. */
interface LayerRun {
  readonly output: Value;
  readonly after: unknown;
  readonly tokens?: Value;
  readonly gradient?: unknown;
}

/**
 * Checks a layer on devices, by one program on each, against one token after the other in f64, which is evaluated once:
 * that tokens at once and one after the other give the same, and so do pieces; that gradients in parameters, inputs and
 * state are those of the token loop; that a changed token changes nothing before it and nothing in another text, to the
 * bit.
 */
export function layerCheck(
  mixer: AnyMixer,
  { T, chunk, isThorough = true }: LayerCheck,
): (device: Device) => Promise<void> {
  const layer = layerOf(mixer, { ...FOR_F32, maxLength: 2 * T, chunk }), { width: D } = FOR_F32;
  const boundary = T - T % layer.interval, params = parametersOf(layer, 0.1);
  const both = noise([B, boundary + T, D], 2), weights = noise([B, T, D], 3);
  const piece = (from: number): Value => ({ shape: [B, T, D], data: rowsOf(both, from, from + T) });
  const fn = (params: Tree, x: Tensor, weights: Tensor, state: unknown, position: Tensor): unknown => {
    const { output, state: after } = layer.forward(params, x, { state });
    if (!isThorough) return { output, after };
    const tokens = tokenLoop(layer, params, x, state, position);
    const gradient = fromState((params, x, state) => layer.forward(params, x, { state }).output);
    return { output, after, tokens, gradient: gradient(params, x, weights, state) };
  };
  const evaluate = async () => {
    const initial = await reference((params: Tree) => layer.initialState(params, B), [params] as never);
    const ofTokens = fromState((params, x, state) => tokenLoop(layer, params, x, state));
    return {
      initial,
      output: await reference(oneByOne(layer), [params, both] as never) as Value,
      gradient: isThorough && await reference(ofTokens as never, [params, piece(0), weights, initial] as never),
    };
  };
  let evaluated: ReturnType<typeof evaluate> | undefined;
  return async (device) => {
    const expected = await (evaluated ??= evaluate()), { initial } = expected;
    const at = (x: Value, state: unknown, position: number) =>
      [params, x, weights, state, { shape: [], dtype: "i32", data: [position] }] as never;
    const { run: runAt, dispose } = await prepareOnDevice(device, fn as never, at(piece(0), initial, 0));
    const run = async (x: Value, state: unknown, position: number): Promise<LayerRun> =>
      await runAt(at(x, state, position)) as unknown as LayerRun;
    const first = await run(piece(0), initial, 0), second = await run(piece(boundary), first.after, boundary);
    for (const [from, { output, tokens }] of [[0, first], [boundary, second]] as const) {
      const rows = rowsOf(expected.output, from, from + T);
      for (const [form, values] of Object.entries({ "at once": output, "one by one": tokens ?? output })) {
        const error = relativeError(values.data, rows);
        assert(error < TOLERANCE, `tokens ${from} to ${from + T} ${form}: off by ${error}`);
      }
    }
    if (isThorough) assertClose(first.gradient, expected.gradient, TOLERANCE);
    assertApart(first.output, (await run(withChange(piece(0), T >> 1), initial, 0)).output, T >> 1);
    dispose();
  };
}

/** Texts of which one token of the first is another. */
function withChange({ shape, data }: Value, at: number): Value {
  const D = shape[2];
  return { shape, data: Array.from(data, (x, i) => Math.floor(i / D) === at ? x + 1 : x) };
}

/** That outputs differ from token `at` of the first text on, and are the same bits before it and in the other text. */
function assertApart(before: Value, after: Value, at: number): void {
  const [, T, D] = before.shape, [a, b] = [before, after].map(({ data }) => Array.from(data));
  assertEquals(b.slice(0, at * D), a.slice(0, at * D), `rows before token ${at}`);
  assertEquals(b.slice(T * D), a.slice(T * D), "the other text");
  assert(relativeError(b.slice(at * D, T * D), a.slice(at * D, T * D)) > 1e-6, `token ${at} changes nothing`);
}

/**
 * Checks that outputs and gradients of 8,192 tokens are finite before anything was learned: of a random text, and of one
 * token again and again, so that all keys are equal. Sizes are as models have them; all earlier tokens would be T^2
 * scores.
 */
export async function checkFinite(device: Device, mixer: AnyMixer): Promise<void> {
  const T = 8192, width = 16, random = Array.from(noise([1, T, width], 4).data);
  const x = { shape: [2, T, width], data: [...random, ...random.map((_, i) => random[i % width])] };
  const options = { ...defaultsOf(mixer.options), ...("span" in mixer.options ? { span: "window" } : {}) };
  const layer: Layer = mixer.create(options, { width, block: 1, blocks: 3 });
  const fn = (params: Tree, x: Tensor): unknown => {
    const loss = (params: Tree, x: Tensor): Tensor => mean(square(atOnce(layer)(params, x)));
    const [value, gradient] = valueAndGrad(loss, { argnums: [0, 1] })(params as never, x);
    // Sums, so that little is read back: one that is not finite makes its sum so.
    const sums = (tree: unknown): unknown => mapLeaves(tree as Tensor, isTensor, (g) => sum(square(g)));
    return { value, gradient: sums(gradient) };
  };
  const result = await onDevice(device)(fn as never, [parametersOf(layer, 0), x] as never);
  for (const [path, values] of Object.entries(leavesOf(result))) {
    assert(Array.from(values).every(Number.isFinite), `${path} is ${values[0]}`);
  }
}
