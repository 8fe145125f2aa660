/**
 * Cases of random numbers and of the composites: activations, norms, softmax, losses, attention, convolution, rotation.
 */
import { apply } from "../../core/graph.ts";
import type { NdArray } from "../../core/op.ts";
import { threefryOp } from "../../ops/random.ts";
import * as ops from "../../ops/mod.ts";
import { array, at, build, distinct, integers, random } from "../numeric.ts";
import { type OpCase, opCase } from "./op_case.ts";

const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const mapped = (scalar: (x: number) => number) => (x: NdArray) => x.data.map(scalar);

/** Applies `fn` to each row of the last axis. */
const perRow = (fn: (row: number[], index: number) => ArrayLike<number>) => (x: NdArray): number[] => {
  const size = x.shape[x.shape.length - 1], count = size === 0 ? 0 : x.data.length / size;
  return Array.from({ length: count }, (_, i) => [...Array.from(fn([...x.data.subarray(i * size, (i + 1) * size)], i))])
    .flat();
};

const key = array([2], [0x13198a2e, 0x03707344], "u32");
const randomCases: OpCase[] = [
  // Known answers of the authors' Random123 library: counter and key of zeros, of ones, of the digits of pi.
  ...[[0, 0, 0, 0, 0x6b200159], [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x1cb996fc], [
    0x13198a2e,
    0x03707344,
    0x243f6a88,
    0x85a308d3,
    0xc4923a9c,
  ]]
    .map(([key0, key1, counter0, counter1, answer], i) =>
      opCase("threefry", [], () => knownAnswer([key0, key1, counter0, counter1], 0), {
        name: `known answer ${i}`,
        expected: () => [answer],
        tolerance: "exact",
      })
    ),
  ...[[0, 0, 0, 0, 0x99ba4efe], [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xbb002be7], [
    0x13198a2e,
    0x03707344,
    0x243f6a88,
    0x85a308d3,
    0x483df7a0,
  ]]
    .map(([key0, key1, counter0, counter1, answer], i) =>
      opCase("threefry", [], () => knownAnswer([key0, key1, counter0, counter1], 1), {
        name: `known answer ${i}, second word`,
        expected: () => [answer],
        tolerance: "exact",
      })
    ),
  opCase("randomBits", [key], (k) => ops.randomBits(k, [3, 5]), { tolerance: "exact" }),
  opCase("randomBits", [array([2], [0, 0], "u32")], (k) => ops.randomBits(k, []), {
    name: "scalar",
    expected: () => [0x6b200159],
    tolerance: "exact",
  }),
  opCase("randomBits", [key], (k) => ops.randomBits(k, [0]), {
    name: "of nothing",
    expected: () => [],
    tolerance: "exact",
  }),
  opCase("uniform", [key], (k) => ops.uniform(k, [67]), { tolerance: "exact" }),
  opCase("uniform", [key], (k) => ops.uniform(k, [3, 5], { low: -2, high: 3 }), { name: "between numbers" }),
  opCase("uniform", [key, array([], [-1]), array([], [2])], (k, low, high) => ops.uniform(k, [7], { low, high }), {
    name: "between tensors",
  }),
  opCase("normal", [key], (k) => ops.normal(k, [67]), { tolerance: "function" }),
  opCase("foldIn", [array([2], [0, 0], "u32")], (k) => ops.foldIn(k, 0), {
    expected: () => [0x6b200159, 0x99ba4efe],
    tolerance: "exact",
  }),
  opCase("foldIn", [key, array([], [7], "i32")], ops.foldIn, { name: "a tensor", tolerance: "exact" }),
];

function knownAnswer(words: readonly number[], word: number) {
  return apply(threefryOp, words.map((value) => ops.constant([value], [1], "u32")), { word });
}

const geluTanh = (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
const far = array([6], [-1000, -90, -20, 20, 90, 1000]);
const activationCases: OpCase[] = [
  ...[distinct([3, 5], -4, 4), distinct([67], -4, 4), distinct([], -4, 4), distinct([0], -4, 4)].flatMap((x) => [
    opCase("relu", [x], ops.relu, { expected: mapped((v) => Math.max(v, 0)), tolerance: "exact" }),
    opCase("silu", [x], ops.silu, { expected: mapped((v) => v * sigmoid(v)), tolerance: "function" }),
    opCase("softplus", [x], ops.softplus, { expected: mapped((v) => Math.log1p(Math.exp(v))), tolerance: "function" }),
    opCase("logSigmoid", [x], ops.logSigmoid, {
      expected: mapped((v) => -Math.log1p(Math.exp(-v))),
      tolerance: "function",
    }),
    opCase("gelu", [x], (t) => ops.gelu(t), { expected: mapped(geluTanh), tolerance: "function" }),
    opCase("gelu", [x], (t) => ops.gelu(t, { approximate: "none" }), { name: "exact", tolerance: "function" }),
  ]),
  opCase("gelu", [array([3], [0, 1, -2])], (t) => ops.gelu(t, { approximate: "none" }), {
    name: "exact, known values",
    // x times the standard normal distribution function, from tables: Phi(1) = 0.8413447460685429, Phi(-2) =
    // 0.02275013194817921.
    expected: () => [0, 0.8413447460685429, -2 * 0.02275013194817921],
    tolerance: "function",
  }),
  opCase("silu", [far], ops.silu, {
    name: "far out",
    expected: () => [0, -90 * sigmoid(-90), -20 * sigmoid(-20), 20 * sigmoid(20), 90, 1000],
    tolerance: "function",
  }),
  opCase("softplus", [far], ops.softplus, {
    name: "far out",
    expected: () => [0, 0, Math.log1p(Math.exp(-20)), 20 + Math.log1p(Math.exp(-20)), 90, 1000],
    tolerance: "function",
  }),
  opCase("logSigmoid", [far], ops.logSigmoid, {
    name: "far out",
    expected:
      () => [-1000, -90, -20 - Math.log1p(Math.exp(-20)), -Math.log1p(Math.exp(-20)), -Math.log1p(Math.exp(-90)), 0],
    tolerance: "function",
  }),
  opCase("softplus", [array([1], [0])], ops.softplus, {
    name: "at 0",
    expected: () => [Math.LN2],
    tolerance: "function",
  }),
  opCase("gelu", [far], (t) => ops.gelu(t), {
    name: "far out",
    expected: () => [0, 0, 0, 20, 90, 1000].map((v) => v + 0),
    tolerance: "function",
  }),
  opCase("swiglu", [random([3, 5]), random([3, 5], -2, 2, 2)], ops.swiglu, {
    expected: (x, y) => x.data.map((v, i) => v * sigmoid(v) * y.data[i]),
    tolerance: "function",
  }),
  opCase(
    "gelu",
    [random([5, 67]), random([67], -1, 1, 2)],
    (x, b) => ops.add(ops.gelu(ops.add(ops.mul(x, 0.7), b)), x),
    {
      name: "in a chain",
      expected: (x, b) => x.data.map((v, i) => geluTanh(v * 0.7 + b.data[i % 67]) + v),
      tolerance: "function",
      golden: true,
    },
  ),
];

const softmaxRow = (row: readonly number[]) => {
  const top = Math.max(...row), weights = row.map((v) => Math.exp(v - top)), sum = total(weights);
  return weights.map((w) => w / sum);
};
const logSumExpRow = (row: readonly number[]) =>
  Math.max(...row) + Math.log(total(row.map((v) => Math.exp(v - Math.max(...row)))));
const large = array([2, 3], [1000, 1001, 999, -1000, -1001, -5000]);
const softmaxCases: OpCase[] = [
  ...[random([3, 5]), random([67], -4, 4), random([2, 3, 7], -4, 4), random([1, 1]), random([0, 3]), large].flatMap((
    x,
    i,
  ) => [
    opCase("softmax", [x], (t) => ops.softmax(t), {
      expected: perRow(softmaxRow),
      tolerance: "function",
      golden: i === 0,
    }),
    opCase("logSoftmax", [x], (t) => ops.logSoftmax(t), {
      expected: perRow((row) => row.map((v) => v - logSumExpRow(row))),
      tolerance: "function",
    }),
    opCase("logSumExp", [x], (t) => ops.logSumExp(t), {
      expected: perRow((row) => [logSumExpRow(row)]),
      tolerance: "function",
    }),
  ]),
  opCase("softmax", [random([5, 3])], (t) => ops.softmax(t, { axis: 0 }), {
    name: "of columns",
    expected: (x) => build([5, 3], ([i, j]) => softmaxRow([0, 1, 2, 3, 4].map((r) => at(x, [r, j])))[i]),
    tolerance: "function",
  }),
  opCase("logSumExp", [random([2, 5, 3])], (t) => ops.logSumExp(t, { axis: 1 }), {
    name: "in the middle",
    expected: (x) => build([2, 3], ([i, j]) => logSumExpRow([0, 1, 2, 3, 4].map((r) => at(x, [i, r, j])))),
    tolerance: "function",
  }),
  opCase("logSumExp", [array([3, 2], [-Infinity, -Infinity, -Infinity, 1, Infinity, 1])], (t) => ops.logSumExp(t), {
    name: "of infinities",
    expected: () => [-Infinity, 1, Infinity],
    tolerance: "function",
    differentiable: [],
  }),
  opCase("softmax", [array([1, 3], [-Infinity, 0, 0])], (t) => ops.softmax(t), {
    name: "with -infinity",
    expected: () => [0, 0.5, 0.5],
    tolerance: "function",
    differentiable: [],
  }),
];

const logits = random([3, 5, 7], -3, 3),
  targets = integers([3, 5], 0, 7),
  ignoring = array([3, 5], targets.data.map((v, i) => i % 4 === 0 ? -100 : v), "i32");
const plainLosses = (x: NdArray, t: NdArray, ignore?: number) =>
  Array.from(
    t.data,
    (target, i) =>
      target === ignore ? 0 : logSumExpRow([...x.data.subarray(i * 7, i * 7 + 7)]) - x.data[i * 7 + target],
  );
const lossCases: OpCase[] = [
  opCase("crossEntropy", [logits, targets], (x, t) => ops.crossEntropy(x, t), {
    expected: (x, t) => [total(plainLosses(x, t)) / 15],
    tolerance: "function",
    golden: true,
  }),
  opCase("crossEntropy", [logits, targets], (x, t) => ops.crossEntropy(x, t, { reduction: "sum" }), {
    name: "sum",
    expected: (x, t) => [total(plainLosses(x, t))],
    tolerance: "function",
  }),
  opCase("crossEntropy", [logits, ignoring], (x, t) => ops.crossEntropy(x, t, { ignoreIndex: -100 }), {
    name: "ignoring",
    expected: (x, t) => [total(plainLosses(x, t, -100)) / [...t.data].filter((v) => v !== -100).length],
    tolerance: "function",
  }),
  opCase(
    "crossEntropy",
    [logits, ignoring],
    (x, t) => ops.crossEntropy(x, t, { ignoreIndex: -100, reduction: "none" }),
    {
      name: "one by one",
      expected: (x, t) => plainLosses(x, t, -100),
      tolerance: "function",
    },
  ),
  opCase(
    "crossEntropy",
    [logits, array([3, 5], new Array(15).fill(0), "i32")],
    (x, t) => ops.crossEntropy(x, t, { ignoreIndex: 0 }),
    {
      name: "ignoring all",
      expected: () => [0],
      tolerance: "function",
    },
  ),
  opCase("crossEntropy", [random([7]), array([], [3], "u32")], (x, t) => ops.crossEntropy(x, t), {
    name: "one",
    expected: (x, t) => plainLosses(x, t),
    tolerance: "function",
  }),
];

const normalized = (row: readonly number[], epsilon = 1e-5) => {
  const mean = total(row) / row.length, variance = total(row.map((v) => (v - mean) ** 2)) / row.length;
  return row.map((v) => (v - mean) / Math.sqrt(variance + epsilon));
};
const scaled = (row: readonly number[], square: number) => row.map((v) => v / Math.sqrt(square));
const squares = (row: readonly number[]) => total(row.map((v) => v * v));
const normCases: OpCase[] = [random([3, 5]), random([2, 3, 67]), random([7])].flatMap((x, i) => {
  const gain = random([x.shape[x.shape.length - 1]], 0.5, 1.5, 7),
    bias = random([x.shape[x.shape.length - 1]], -1, 1, 8);
  return [
    opCase("layerNorm", [x], (t) => ops.layerNorm(t), {
      expected: perRow((row) => normalized(row)),
      tolerance: "function",
      golden: i === 0,
    }),
    opCase("layerNorm", [x, gain, bias], (t, g, b) => ops.layerNorm(t, { gain: g, bias: b }), {
      name: "with gain and bias",
      expected: (t, g, b) => perRow((row) => normalized(row).map((v, j) => v * g.data[j] + b.data[j]))(t),
      tolerance: "function",
    }),
    opCase("rmsNorm", [x, gain], (t, g) => ops.rmsNorm(t, { gain: g }), {
      expected: (t, g) =>
        perRow((row) => scaled(row, squares(row) / row.length + 1e-6).map((v, j) => v * g.data[j]))(t),
      tolerance: "function",
    }),
    opCase("l2Normalize", [x], (t) => ops.l2Normalize(t), {
      expected: perRow((row) => scaled(row, squares(row) + 1e-6)),
      tolerance: "function",
    }),
  ];
});
normCases.push(
  opCase("layerNorm", [array([2, 3], [2, 2, 2, 0, 0, 0])], (t) => ops.layerNorm(t, { epsilon: 0.5 }), {
    name: "of equal values",
    expected: () => [0, 0, 0, 0, 0, 0],
    tolerance: "function",
  }),
  opCase("l2Normalize", [array([1, 3], [0, 0, 0])], (t) => ops.l2Normalize(t, { epsilon: 0.5 }), {
    name: "of zeros",
    expected: () => [0, 0, 0],
    tolerance: "function",
  }),
  opCase("rmsNorm", [random([3, 1])], (t) => ops.rmsNorm(t, { epsilon: 0.1 }), {
    name: "of one",
    expected: mapped((v) => v / Math.sqrt(v * v + 0.1)),
    tolerance: "function",
  }),
);

interface Mask {
  readonly causal?: boolean;
  readonly window?: number;
  readonly segment?: number;
  readonly prefix?: number;
  readonly scale?: number;
}

function plainAttention(
  { causal, window, segment, prefix = 0, scale }: Mask,
): (q: NdArray, k: NdArray, v: NdArray) => number[] {
  return (q, k, v) => {
    const [B, H, T, K] = q.shape, S = k.shape[2], V = v.shape[3];
    return build([B, H, T, V], ([b, h, t, c]) => {
      const keys = Array.from({ length: S }, (_, s) => s).filter((s) => {
        const position = s - prefix;
        if (position < 0) return true;
        return !(causal && position > t) && !(window !== undefined && Math.abs(position - t) >= window) &&
          !(segment !== undefined && Math.floor(position / segment) !== Math.floor(t / segment));
      });
      const scores = keys.map((s) =>
        total(Array.from({ length: K }, (_, i) => at(q, [b, h, t, i]) * at(k, [b, h, s, i]))) *
        (scale ?? 1 / Math.sqrt(K))
      );
      const weights = softmaxRow(scores);
      return total(keys.map((s, i) => weights[i] * at(v, [b, h, s, c])));
    });
  };
}

const MASKS: readonly (readonly [Mask, number, number])[] = [
  [{}, 5, 5],
  [{}, 3, 7],
  [{ causal: true }, 5, 5],
  [{ causal: true, scale: 0.3 }, 1, 1],
  [{ causal: true, window: 3 }, 7, 7],
  [{ window: 2 }, 7, 7],
  [{ segment: 3 }, 7, 7],
  [{ causal: true, segment: 3, prefix: 2 }, 7, 9],
  [{ causal: true, window: 2, prefix: 3 }, 5, 8],
  [{ causal: true, segment: 4, window: 2 }, 7, 7],
];
const attentionCases = MASKS.map(([mask, T, S], i) =>
  opCase(
    "attention",
    [random([2, 3, T, 5], -1, 1, i + 1), random([2, 3, S, 5], -1, 1, i + 20), random([2, 3, S, 4], -1, 1, i + 40)],
    (q, k, v) => ops.attention(q, k, v, mask),
    {
      name: JSON.stringify(mask),
      expected: plainAttention(mask),
      tolerance: "accumulation",
    },
  )
);

const plainConv = (x: NdArray, w: NdArray, state?: NdArray) => {
  const W = w.shape[1];
  return build(x.shape, ([b, t, d]) =>
    total(Array.from({ length: W }, (_, j) => {
      const from = t - (W - 1) + j;
      const value = from >= 0
        ? at(x, [b, from, d])
        : state
        ? state.data[(b * (W - 1) + from + W - 1) * x.shape[2] + d]
        : 0;
      return value * w.data[d * W + j];
    })));
};
const plainRotary = (x: NdArray, base: number, ...offsets: readonly number[]) => {
  const K = x.shape[x.shape.length - 1], half = K / 2;
  return build(x.shape, (index) => {
    const c = index[index.length - 1], t = index[index.length - 2], i = c % half;
    const offset = offsets[index[0]] ?? offsets[0], angle = (offset + t) * base ** (-i / half);
    const value = (feature: number) =>
      x.data[[...index.slice(0, -1), feature].reduce((sum, at, axis) => sum * x.shape[axis] + at, 0)];
    return c < half
      ? value(i) * Math.cos(angle) - value(i + half) * Math.sin(angle)
      : value(i + half) * Math.cos(angle) + value(i) * Math.sin(angle);
  });
};
const sequenceCases: OpCase[] = [
  opCase("causalConv1d", [random([2, 7, 3]), random([3, 4], -1, 1, 2)], (x, w) => ops.causalConv1d(x, w), {
    expected: plainConv,
    tolerance: "accumulation",
  }),
  opCase("causalConv1d", [random([2, 2, 3]), random([3, 4], -1, 1, 2)], (x, w) => ops.causalConv1d(x, w), {
    name: "shorter than the kernel",
    expected: plainConv,
    tolerance: "accumulation",
  }),
  opCase(
    "causalConv1d",
    [random([2, 1, 3]), random([3, 4], -1, 1, 2), random([2, 3, 3], -1, 1, 3)],
    (x, w, state) => ops.causalConv1d(x, w, { state }),
    {
      name: "after a state",
      expected: plainConv,
      tolerance: "accumulation",
    },
  ),
  opCase("causalConv1d", [random([1, 5, 2]), random([2, 1], -1, 1, 2)], (x, w) => ops.causalConv1d(x, w), {
    name: "of width 1",
    expected: plainConv,
    tolerance: "accumulation",
  }),
  opCase("rotaryEmbedding", [random([2, 3, 7, 6])], (x) => ops.rotaryEmbedding(x), {
    expected: (x) => plainRotary(x, 10000, 0),
    tolerance: "function",
  }),
  opCase("rotaryEmbedding", [random([1, 2, 5, 2])], (x) => ops.rotaryEmbedding(x, { base: 100, offset: 3 }), {
    name: "from a number",
    expected: (x) => plainRotary(x, 100, 3),
    tolerance: "function",
  }),
  opCase(
    "rotaryEmbedding",
    [random([3, 4]), array([], [11], "i32")],
    (x, offset) => ops.rotaryEmbedding(x, { offset }),
    {
      name: "from a tensor",
      expected: (x) => plainRotary(x, 10000, 11),
      tolerance: "function",
    },
  ),
  opCase(
    "rotaryEmbedding",
    [random([2, 3, 4]), array([2, 1, 1], [11, 3], "i32")],
    (x, offset) => ops.rotaryEmbedding(x, { offset }),
    {
      name: "from a tensor of one offset per text",
      expected: (x) => plainRotary(x, 10000, 11, 3),
      tolerance: "function",
    },
  ),
];

const wide = random([5, 33], -1, 1, 3);
const fusedCases: OpCase[] = [
  opCase(
    "matmul",
    [wide, random([33, 17], -0.3, 0.3, 4), random([17], -1, 1, 5)],
    (x, w, b) => ops.gelu(ops.add(ops.matmul(x, w), b)),
    {
      name: "with bias and gelu",
      expected: (x, w, b) =>
        build(
          [5, 17],
          ([i, j]) => geluTanh(total(Array.from({ length: 33 }, (_, k) => at(x, [i, k]) * at(w, [k, j]))) + b.data[j]),
        ),
      tolerance: "accumulation",
      golden: true,
    },
  ),
  opCase("scan", [array([2], [0.5, -0.25]), random([5, 2], -1, 1, 6)], (h, xs) =>
    ops.scan(
      (carry: typeof h, x: typeof xs): [typeof h, typeof h] => {
        const next = ops.tanh(ops.add(ops.mul(carry, 0.8), x));
        return [next, ops.mul(next, next)];
      },
      h,
      xs,
    )[1], {
    name: "a recurrent cell",
    expected: (h, xs) => {
      const state = [...h.data];
      return build([5, 2], ([t, j]) => (state[j] = Math.tanh(state[j] * 0.8 + at(xs, [t, j]))) ** 2);
    },
    tolerance: "function",
  }),
];

/** All of them. */
export const COMPOSITE_CASES: readonly OpCase[] = [
  ...randomCases,
  ...activationCases,
  ...softmaxCases,
  ...lossCases,
  ...normCases,
  ...attentionCases,
  ...sequenceCases,
  ...fusedCases,
];
