/** Composites with shapes of their own: attention, convolution, rotary embedding; and random numbers. */
import type { FuzzAttrs, FuzzType, Value } from "../program.ts";
import { broadcasts, type Range, type Scope } from "../scope.ts";
import { literal, nameOf } from "../text.ts";
import { type FuzzOp, fuzzOp } from "./fuzz_op.ts";

const sizeOf = ({ low, high }: Range): number => Math.max(Math.abs(low), Math.abs(high));
const symmetric = (size: number): Range => ({ low: -size, high: size });

/** A float of exactly this shape: one that is there, or a new argument. */
function exactly(scope: Scope, type: FuzzType): Value {
  const same = ({ shape, dtype }: Value) =>
    dtype === type.dtype && shape.length === type.shape.length && shape.every((extent, i) => extent === type.shape[i]);
  return (scope.random.chance(0.7) ? scope.choose(same) : undefined) ?? scope.anyInput(type);
}

const attention = fuzzOp("attention", 0.7, (scope) => {
  const { random } = scope;
  const isQuery = ({ shape }: Value) =>
    shape.length >= 2 && Math.min(...shape) > 0 && shape[shape.length - 1] <= 40 && shape[shape.length - 2] <= 70;
  const q = scope.bounded(
    scope.choose((value) => value.dtype === scope.growth.float && isQuery(value)) ??
      scope.anyInput({ shape: [2, 5, 4], dtype: scope.growth.float }),
    8,
  );
  const lead = q.shape.slice(0, -2), T = q.shape[q.shape.length - 2], K = q.shape[q.shape.length - 1];
  const prefix = random.chance(0.25) ? random.integer(0, 3) : 0,
    S = random.chance(0.7) ? T + prefix : random.integer(Math.max(1, prefix), T + 3);
  const k = scope.bounded(exactly(scope, { shape: [...lead, S, K], dtype: q.dtype }), 8);
  const v = scope.bounded(
    exactly(scope, { shape: [...lead, S, random.chance(0.6) ? K : Math.max(1, scope.extent(16))], dtype: q.dtype }),
    30,
  );
  if (!scope.fits([...lead, T, S])) return undefined;
  const options: FuzzAttrs = {
    ...(random.chance(0.6) && { causal: true }),
    ...(random.chance(0.3) && { window: random.integer(1, 4) }),
    ...(random.chance(0.2) && { segment: random.integer(1, 4) }),
    ...(prefix > 0 && { prefix }),
    ...(random.chance(0.2) && { scale: 0.5 }),
  };
  return scope.define("attention", [q, k, v], options, {
    shape: [...lead, T, v.shape[v.shape.length - 1]],
    dtype: q.dtype,
  }, scope.range(v));
});

const causalConv1d = fuzzOp(
  "causalConv1d",
  0.5,
  (scope) => {
    const isSequence = ({ shape }: Value) => shape.length === 3;
    const x = scope.bounded(scope.float(isSequence), 100);
    if (!isSequence(x)) return undefined;
    const [B, , D] = x.shape, W = scope.random.integer(1, 4);
    const w = scope.bounded(exactly(scope, { shape: [D, W], dtype: x.dtype }), 10);
    const state = scope.random.chance(0.4) ? [exactly(scope, { shape: [B, W - 1, D], dtype: x.dtype })] : [];
    return scope.define(
      "causalConv1d",
      [x, w, ...state],
      {},
      x,
      symmetric(W * sizeOf(scope.range(x)) * sizeOf(scope.range(w))),
    );
  },
  ({ args }) =>
    `causalConv1d(${nameOf(args[0])}, ${nameOf(args[1])}${args.length > 2 ? `, { state: ${nameOf(args[2])} }` : ""})`,
);

const conv1d = fuzzOp("conv1d", 0.5, (scope) => {
  const { random } = scope, isSequence = ({ shape }: Value) => shape.length === 3 && shape[2] > 0 && shape[2] <= 16;
  const x = scope.bounded(scope.float(isSequence), 30);
  if (!isSequence(x)) return undefined;
  const [B, T, I] = x.shape, W = random.integer(1, 4), isDepthwise = random.chance(0.3);
  const groups = isDepthwise ? I : I % 2 === 0 && random.chance(0.3) ? 2 : 1;
  const O = groups * random.integer(1, isDepthwise ? 2 : 3),
    stride = random.integer(1, 3),
    dilation = random.integer(1, 2);
  const padding = random.of(["causal", [0, 2], [3, 1]] as const);
  const reach = (W - 1) * dilation, [before, after] = typeof padding === "string" ? [reach, 0] : padding;
  const length = Math.max(0, Math.floor((before + T + after - reach - 1) / stride) + 1);
  const w = scope.bounded(exactly(scope, { shape: [O, I / groups, W], dtype: x.dtype }), 10);
  const shape = [B, length, O], options: FuzzAttrs = { stride, dilation, groups, padding };
  if (!scope.fits(shape)) return undefined;
  const size = W * I * sizeOf(scope.range(x)) * sizeOf(scope.range(w));
  return scope.define("conv1d", [x, w], options, { shape, dtype: x.dtype }, symmetric(size));
});

const triangularInverse = fuzzOp("triangularInverse", 0.4, (scope) => {
  const isSquare = ({ shape }: Value) => shape.length > 1 && shape.at(-1) === shape.at(-2) && shape.at(-1)! <= 17;
  const N = scope.extent(17), found = scope.choose((value) => value.dtype === scope.growth.float && isSquare(value));
  // Elements below 1 / 2 keep the inverse from growing like 2^N.
  const x = scope.bounded(found ?? scope.anyInput({ shape: [2, N, N], dtype: scope.growth.float }), 0.5);
  const options = { unitDiagonal: true, ...(scope.random.chance(0.3) && { upper: true }) };
  return scope.define("triangularInverse", [x], options, x, symmetric(1.5 ** x.shape.at(-1)!));
});

const selectiveScan = fuzzOp(
  "selectiveScan",
  0.4,
  (scope) => {
    const { random } = scope,
      fits = ({ shape }: Value) => shape.length === 3 && Math.min(...shape) > 0 && shape[1] <= 40;
    const u = scope.bounded(
      scope.choose((value) => value.dtype === scope.growth.float && fits(value)) ??
        scope.anyInput({ shape: [2, 5, 4], dtype: scope.growth.float }),
      8,
    );
    const [B, T, E] = u.shape, N = random.integer(1, 3), { dtype } = u;
    if (!scope.fits([B, T, N, E])) return undefined;
    const small = (shape: readonly number[]): Value => scope.bounded(exactly(scope, { shape, dtype }), 2);
    const step = small(u.shape), delta = scope.define("sigmoid", [step], {}, step, { low: 0, high: 1 });
    const rate = small([N, E]), a = scope.define("neg", [scope.positive(rate)], {}, rate, { low: -9, high: -0.1 });
    const state = random.chance(0.4) ? [small([B, N, E])] : [];
    const [output, last] = scope.defineAll(
      "selectiveScan",
      [u, delta, a, small([B, T, N]), small([B, T, N]), ...state],
      { piece: random.of([1, 3, 32]) },
      {
        types: [u, { shape: [B, N, E], dtype }],
        ranges: [symmetric(4 * N * T * sizeOf(scope.range(u))), symmetric(2 * T * sizeOf(scope.range(u)))],
      },
    );
    return random.chance(0.7) ? output : last;
  },
  ({ args, attrs: { piece } }) => {
    const [u, delta, a, b, c, state] = args.map(nameOf), start = state ? `state: ${state}, ` : "";
    return `selectiveScan({ u: ${u}, delta: ${delta}, a: ${a}, b: ${b}, c: ${c} }, { ${start}piece: ${
      literal(piece)
    } })`;
  },
);

const rotaryEmbedding = fuzzOp("rotaryEmbedding", 0.5, (scope) => {
  const fits = ({ shape }: Value) => shape.length >= 2 && shape[shape.length - 1] % 2 === 0;
  const x = scope.float(fits);
  if (!fits(x)) return undefined;
  const attrs: FuzzAttrs = {
    ...(scope.random.chance(0.3) && { base: 100 }),
    ...(scope.random.chance(0.4) && { offset: scope.random.integer(0, 50) }),
  };
  return scope.define("rotaryEmbedding", [x], attrs, x, symmetric(2 * sizeOf(scope.range(x))));
});

const RANDOM: readonly FuzzOp[] = [
  fuzzOp("randomBits", 0.4, (scope) => {
    const shape = scope.shape();
    return scope.define("randomBits", [scope.key()], { shape }, { shape, dtype: "u32" }, { low: 0, high: 4294967295 });
  }, ({ args, attrs }) => `randomBits(${nameOf(args[0])}, ${literal(attrs.shape)})`),
  fuzzOp("uniform", 0.4, (scope) => {
    const shape = scope.shape(), options: FuzzAttrs = scope.random.chance(0.4) ? { low: -1.5, high: 2 } : {};
    return scope.define("uniform", [scope.key()], { shape, options }, { shape, dtype: "f32" }, { low: -1.5, high: 2 });
  }, ({ args, attrs }) => `uniform(${nameOf(args[0])}, ${literal(attrs.shape)}, ${literal(attrs.options)})`),
  fuzzOp("normal", 0.4, (scope) => {
    const shape = scope.shape();
    return scope.define("normal", [scope.key()], { shape }, { shape, dtype: "f32" }, symmetric(6));
  }, ({ args, attrs }) => `normal(${nameOf(args[0])}, ${literal(attrs.shape)})`),
  fuzzOp(
    "foldIn",
    0.4,
    (scope) => {
      const scalar = scope.random.chance(0.5)
        ? scope.choose(({ dtype, shape }) => (dtype === "i32" || dtype === "u32") && shape.length === 0)
        : undefined;
      const attrs: FuzzAttrs = scalar ? {} : { number: scope.random.integer(0, 9) };
      return scope.define("foldIn", [scope.key(), ...(scalar ? [scalar] : [])], attrs, { shape: [2], dtype: "u32" }, {
        low: 0,
        high: 4294967295,
      });
    },
    ({ args, attrs }) =>
      `foldIn(${[...args.map(nameOf), ...(attrs.number === undefined ? [] : [literal(attrs.number)])].join(", ")})`,
  ),
];

const drawn = ({ op, args, attrs }: Parameters<FuzzOp["call"]>[0]): string =>
  `${op}(${nameOf(args[0])}, ${literal(attrs.shape)}, ${literal(attrs.options)})`;
const SAMPLED: readonly FuzzOp[] = [
  fuzzOp("splitKey", 0.3, (scope) => {
    const key = { shape: [2], dtype: "u32" } as const, words = { low: 0, high: 4294967295 };
    return scope.random.of(
      scope.defineAll("splitKey", [scope.key()], {}, { types: [key, key], ranges: [words, words] }),
    );
  }),
  fuzzOp("bernoulli", 0.3, (scope) => {
    const shape = scope.shape(), options: FuzzAttrs = scope.random.chance(0.3) ? {} : { p: 0.25 };
    return scope.define("bernoulli", [scope.key()], { shape, options }, { shape, dtype: "bool" }, { low: 0, high: 1 });
  }, drawn),
  fuzzOp("truncatedNormal", 0.3, (scope) => {
    const shape = scope.shape(), options: FuzzAttrs = scope.random.chance(0.3) ? {} : { low: -1, high: 3 };
    return scope.define("truncatedNormal", [scope.key()], { shape, options }, { shape, dtype: "f32" }, {
      low: -2,
      high: 3,
    });
  }, drawn),
  fuzzOp("categorical", 0.3, (scope) => {
    const isRow = ({ shape }: Value) => shape.length > 0 && shape[shape.length - 1] > 0;
    const x = scope.bounded(scope.float(isRow), 30);
    if (!isRow(x)) return undefined;
    const shape = x.shape.slice(0, -1), high = x.shape[x.shape.length - 1] - 1;
    return scope.define("categorical", [scope.key(), x], {}, { shape, dtype: "i32" }, { low: 0, high });
  }),
  fuzzOp("permutation", 0.3, (scope) => {
    const fits = ({ shape }: Value) => shape.length > 0 && shape[0] <= 65;
    const x = scope.choose(fits);
    return x && scope.define("permutation", [scope.key(), x], {}, x, scope.range(x));
  }),
  fuzzOp("dropout", 0.4, (scope) => {
    const x = scope.float(), rate = scope.random.of([0, 0.25, 0.5]), size = 2 * sizeOf(scope.range(x));
    return scope.define("dropout", [scope.key(), x], { rate }, x, symmetric(size));
  }),
];

/** A loss of elements: operands that broadcast, and options. */
function loss(name: string, options: FuzzAttrs, operands: (scope: Scope, x: Value) => Value[] | undefined): FuzzOp {
  return fuzzOp(name, 0.4, (scope) => {
    const x = scope.bounded(scope.float(), 30), others = operands(scope, x);
    const shapes = others?.map(({ shape }) => shape);
    const shape = shapes?.reduce<readonly number[] | undefined>((all, each) => all && broadcasts(all, each), x.shape);
    if (!others || !shape || !scope.fits(shape)) return undefined;
    const reduction = scope.random.of(["mean", "sum", "none"] as const);
    const type = { shape: reduction === "none" ? shape : [], dtype: x.dtype };
    return scope.define(name, [x, ...others], { ...options, reduction }, type, symmetric(1e5));
  });
}

const target = (scope: Scope, x: Value): Value => scope.bounded(scope.partner(x), 30);
const LOSSES: readonly FuzzOp[] = [
  loss("mse", {}, (scope, x) => [target(scope, x)]),
  loss("huber", { delta: 0.75 }, (scope, x) => [target(scope, x)]),
  loss("binaryCrossEntropy", {}, (scope, x) => {
    const y = target(scope, x);
    return [scope.define("sigmoid", [y], {}, y, { low: 0, high: 1 })];
  }),
  loss("gaussianNll", { full: true }, (scope, x) => [target(scope, x), scope.positive(target(scope, x))]),
];

/** The table's rows for layers, random numbers and losses. */
export const LAYERS: readonly FuzzOp[] = [
  attention,
  causalConv1d,
  conv1d,
  triangularInverse,
  selectiveScan,
  rotaryEmbedding,
  ...RANDOM,
  ...SAMPLED,
  ...LOSSES,
];
