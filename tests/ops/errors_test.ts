/** Misuse of ops: each is an error of the right class, with the operands and the rule in its text. */
import { assertStringIncludes, assertThrows } from "@std/assert";
import { CompileError, DTypeError, OptionError, ShapeError } from "../../core/errors.ts";
import type { DType } from "../../core/dtype.ts";
import type { Tensor } from "../../core/graph.ts";
import { spec, trace } from "../../core/trace.ts";
import * as ops from "../../ops/mod.ts";

type Types = Readonly<Record<string, readonly [readonly number[], DType?]>>;

const TYPES = {
  m: [[8, 64]],
  n: [[32, 16]],
  v: [[3]],
  s: [[]],
  i: [[3], "i32"],
  u: [[3], "u32"],
  b: [[3], "bool"],
  t: [[2, 3, 5]],
  e: [[0, 3]],
  key: [[2], "u32"],
} satisfies Types;

type Operands = { readonly [K in keyof typeof TYPES]: Tensor };

function fails(
  fn: (x: Operands) => unknown,
  ErrorClass: typeof ShapeError | typeof DTypeError | typeof CompileError | typeof OptionError,
  ...texts: string[]
): void {
  const specs = Object.fromEntries(
    Object.entries(TYPES).map(([name, [shape, dtype]]) => [name, spec(shape, dtype as DType | undefined)]),
  );
  const run = () => trace((x: Operands) => fn(x) as Tensor, [specs as never]);
  const { message } = assertThrows(run, ErrorClass as typeof ShapeError);
  for (const text of ["Cannot", ...texts]) assertStringIncludes(message, text);
}

Deno.test("errors: matmul names both operands and the axes", () => {
  fails(
    ({ m, n }) => ops.matmul(m, n),
    ShapeError,
    "Cannot multiply lhs f32[8, 64] by rhs f32[32, 16]: inner axes must be equal, lhs axis 1 is 64 and rhs axis 0 is 32",
  );
  fails(({ s, v }) => ops.matmul(s, v), ShapeError, "use mul for scalars");
  fails(({ i }) => ops.matmul(i, i), DTypeError, "i32[3]");
  fails(({ v, i }) => ops.matmul(v, i), DTypeError, "f32[3] and i32[3]");
  fails(({ t }) => ops.matmul(t, ops.reshape(t, [3, 5, 2])), ShapeError, "multiply leading axes of", "[2] and [3]");
});

Deno.test("errors: elementwise ops name shapes and dtypes", () => {
  fails(({ m, v }) => ops.add(m, v), ShapeError, "add shapes [8, 64] and [3]", "64 and 3");
  fails(({ v, i }) => ops.mul(v, i), DTypeError, "mul f32[3] and i32[3]", "use cast");
  fails(({ b }) => ops.sub(b, b), DTypeError, "sub bool[3]");
  fails(({ i }) => ops.exp(i), DTypeError, "exp i32[3]", "only floats");
  fails(({ u }) => ops.neg(u), DTypeError, "neg u32[3]");
  fails(({ i }) => ops.add(i, 0.5), DTypeError, "i32 cannot hold 0.5");
  fails(({ u }) => ops.add(u, -1), DTypeError, "u32 cannot hold -1");
  fails(({ i }) => ops.pow(i, -1), DTypeError, "pow i32[3]");
  fails(({ i }) => ops.reciprocal(i), DTypeError, "i32[3]");
  fails(({ b }) => ops.less(b, b), DTypeError, "less bool[3]");
  fails(({ v }) => ops.logicalNot(v), DTypeError, "only bool");
  fails(({ v }) => ops.where(v, v, v), DTypeError, "the condition must be bool");
  fails(({ b, v, i }) => ops.where(b, v, i), DTypeError, "choose between f32[3] and i32[3]");
  fails(({ b, m }) => ops.where(b, m, m), ShapeError, "choose between");
});

Deno.test("errors: reductions name the axis", () => {
  fails(({ m }) => ops.sum(m, { axes: 2 }), ShapeError, "sum axis 2", "from -2 to 1");
  fails(({ m }) => ops.max(m, { axes: [0, -2] }), ShapeError, "named twice");
  fails(({ e }) => ops.max(e, { axes: 0 }), ShapeError, "max of f32[0, 3] over axis 0", "at least 1, it is 0");
  fails(({ e }) => ops.argmax(e), ShapeError, "at least 1");
  fails(({ b }) => ops.sum(b), DTypeError, "bool[3]");
  fails(({ i }) => ops.mean(i), DTypeError, "only floats");
});

Deno.test("errors: views name sizes and ranges", () => {
  fails(({ m }) => ops.reshape(m, [3, 5]), ShapeError, "reshape f32[8, 64] to [3, 5]", "512 and 15");
  fails(({ m }) => ops.reshape(m, [-1, -1]), ShapeError, "at most one extent may be -1");
  fails(({ m }) => ops.reshape(m, [-1, 7]), ShapeError, "512 elements are not a multiple");
  fails(({ m }) => ops.reshape(m, [512, 1.5]), ShapeError, "1.5");
  fails(({ m }) => ops.transpose(m, [0, 0]), ShapeError, "each of its 2 axes once");
  fails(({ m }) => ops.transpose(m, [0]), ShapeError, "each of its 2 axes once");
  fails(({ m }) => ops.broadcastTo(m, [8, 65]), ShapeError, "axis 1 is 64 and the target's axis 1 is 65");
  fails(({ m }) => ops.broadcastTo(m, [64]), ShapeError, "rank 1, below 2");
  fails(({ m }) => ops.squeeze(m, 0), ShapeError, "must be 1, it is 8");
  fails(({ m }) => ops.slice(m, [0, 60], [8, 5]), ShapeError, "axis 1 from 60, size 5", "0 .. 64");
  fails(({ m }) => ops.slice(m, [0], [8]), ShapeError, "2 axes");
  fails(({ m }) => ops.sliceAxis(m, 1, -1, 2), ShapeError, "from -1");
  fails(({ m }) => ops.split(m, [3, 4], 0), ShapeError, "add up to 8, not 7");
  fails(({ m }) => ops.pad(m, [[0, -1], [0, 0]]), ShapeError, "by -1");
  fails(({ m }) => ops.pad(m, [[1, 1]]), ShapeError, "2 axes");
  fails(({ m, n }) => ops.concat([m, n], 0), ShapeError, "axis 1 is 64 and 16");
  fails(({ m, v }) => ops.concat([m, v], 0), ShapeError, "ranks must be equal, they are 2 and 1");
  fails(({ v, i }) => ops.concat([v, i], 0), DTypeError, "f32[3] and i32[3]");
  fails(() => ops.concat([], 0), ShapeError, "at least one tensor");
  fails(({ m }) => ops.flip(m, 5), ShapeError, "flip axis 5");
});

Deno.test("errors: sources", () => {
  fails(() => ops.iota([3], 1), ShapeError, "axis 1");
  fails(() => ops.iota([3], 0, "bool"), DTypeError, "bool");
  fails(() => ops.full([-1], 0), ShapeError, "-1");
  fails(() => ops.full([2], 0.5, "i32"), DTypeError, "cannot hold it");
  fails(() => ops.constant([1, 2, 3], [2, 2]), ShapeError, "holds 4 elements, 3 were given");
  fails(() => ops.constant([1, 2.5], [2], "i32"), DTypeError, "cannot hold 2.5");
});

Deno.test("errors: gathers, recurrences, random numbers", () => {
  fails(({ m, v }) => ops.gather(m, v), DTypeError, "only i32 and u32");
  fails(({ m, i }) => ops.gather(m, i, { axis: 2 }), ShapeError, "axis 2");
  fails(({ m, i, n }) => ops.scatterAdd(m, i, n), ShapeError, "updates must have shape [3, 64]");
  fails(({ v, i }) => ops.scatterAdd(v, i, i), DTypeError, "f32[3] and i32[3]");
  fails(({ v }) => ops.oneHot(v, 3), DTypeError, "only i32 and u32");
  fails(({ v }) => ops.cumsum(v, { axis: 1 }), ShapeError, "axis 1");
  fails(({ v, m }) => ops.linearScan(v, m, { axis: 0 }), ShapeError, "linearScan shapes");
  fails(({ v }) => ops.randomBits(v, [2]), ShapeError, "a key must be u32[2]");
  fails(({ key }) => ops.uniform(key, [1.5]), ShapeError, "1.5");
  fails(({ key, i }) => ops.foldIn(key, i), ShapeError, "must be a scalar");
});

Deno.test("errors: einsum", () => {
  fails(({ m, n }) => ops.einsum("ik,kj->ij", m, n), ShapeError, "axis k has extents 64 and 32");
  fails(({ m }) => ops.einsum("ii->i", m), ShapeError, "repeats a letter");
  fails(({ m }) => ops.einsum("i->i", m), ShapeError, "names 1 axes of a tensor of rank 2");
  fails(({ m }) => ops.einsum("ij,jk->ik", m), ShapeError, "2 tensors, 1 were given");
  fails(({ m }) => ops.einsum("ij->ik", m), ShapeError, "axis k");
  fails(({ m }) => ops.einsum("...j->j", m), ShapeError, "letters only");
});

Deno.test("errors: composites", () => {
  fails(({ s }) => ops.layerNorm(s), ShapeError, "its rank is 0");
  fails(({ s }) => ops.rmsNorm(s), ShapeError, "its rank is 0");
  fails(({ i }) => ops.softmax(i), DTypeError, "i32[3]");
  fails(({ m, i }) => ops.crossEntropy(m, i), ShapeError, "f32[8, 64] with targets i32[3]", "[8]");
  fails(({ m, v }) => ops.crossEntropy(m, v), DTypeError, "targets f32[3]");
  fails(({ m, n }) => ops.causalConv1d(m, n), ShapeError, "x must be [B, T, D]");
  fails(({ t, m }) => ops.causalConv1d(t, ops.zeros([5, 4]), { state: m }), ShapeError, "[2, 3, 5]");
  fails(({ t }) => ops.rotaryEmbedding(t), ShapeError, "K even");
  fails(({ m, v }) => ops.rotaryEmbedding(m, { offset: v }), ShapeError, "must be a scalar");
  fails(({ m, n }) => ops.attention(m, n, n), ShapeError, "q f32[8, 64], k f32[32, 16]");
  fails(({ m }) => ops.attention(m, m, m, { window: 0 }), ShapeError, "window 0");
  fails(({ m }) => ops.attention(m, m, m, { prefix: 9 }), ShapeError, "prefix 9", "0 .. 8");
});

Deno.test("errors: ops outside a trace say so", () => {
  const { message } = assertThrows(() => ops.zeros([2]), CompileError);
  assertStringIncludes(message, "outside a trace");
});

Deno.test("errors: sorting, taking and slicing at run time say what does not fit", () => {
  fails(({ b }) => ops.sort(b), DTypeError, "sort bool[3]");
  fails(({ v }) => ops.argsort(v, { axis: 1 }), ShapeError, "argsort along axis 1");
  fails(({ v }) => ops.topK(v, 4)[0], ShapeError, "top 4 of f32[3] along axis 0", "from 0 to 3");
  fails(({ t, i }) => ops.takeAlongAxis(t, i), ShapeError, "f32[2, 3, 5] by i32[3]", "3 and 1");
  fails(({ t, v }) => ops.takeAlongAxis(t, v), DTypeError, "take by f32[3]");
  fails(({ m, i }) => ops.dynamicSlice(m, i, [1, 1]), ShapeError, "f32[8, 64] from i32[3]", "[2]");
  fails(({ m, v }) => ops.dynamicSlice(m, [v, 0], [1, 1]), DTypeError, "slice from f32[3]");
  fails(({ m, i }) => ops.dynamicSlice(m, [0, i], [1, 1]), ShapeError, "along axis 1", "must be a scalar");
  fails(({ m }) => ops.dynamicSlice(m, [0, 0.5], [1, 1]), ShapeError, "from 0.5", "an integer");
  fails(({ m }) => ops.dynamicSlice(m, [0, 0], [1, 65]), ShapeError, "size 65 along axis 1", "from 0 to 64");
  fails(({ m, n }) => ops.dynamicUpdateSlice(m, n, [0, 0]), ShapeError, "size 32 along axis 0", "from 0 to 8");
  fails(({ m, i }) => ops.dynamicUpdateSlice(m, i, [0]), DTypeError, "dtypes must be equal");
});

Deno.test("errors: copies, turns and triangles say what does not fit", () => {
  fails(({ v }) => ops.repeat(v, -1), ShapeError, "repeat f32[3] -1 times");
  fails(({ v }) => ops.tile(v, [1.5]), ShapeError, "tile f32[3] 1.5 times");
  fails(({ m }) => ops.roll(m, [1, 2, 3], { axes: [0, 1] }), ShapeError, "[1, 2, 3] along axes [0, 1]");
  fails(({ v }) => ops.tril(v), ShapeError, "lower triangle of f32[3]", "it has 1");
  fails(({ m }) => ops.triu(m, { diagonal: 0.5 }), ShapeError, "at diagonal 0.5");
  fails(() => ops.eye(-1), ShapeError, "identity matrix", "-1");
});

Deno.test("errors: conv1d, inverses and losses say what does not fit", () => {
  fails(({ t, m }) => ops.conv1d(t, m), ShapeError, "f32[2, 3, 5] with w f32[8, 64] in 1 groups", "[O, I / groups, W]");
  fails(({ t, i }) => ops.conv1d(t, i), DTypeError, "f32[2, 3, 5] and i32[3]");
  fails(({ m }) => ops.triangularInverse(m), ShapeError, "f32[8, 64]", "must be equal");
  fails(({ v }) => ops.triangularInverse(v), ShapeError, "f32[3]");
  const scan = (t: Tensor, c: Tensor, piece?: number): Tensor =>
    ops.selectiveScan({ u: t, delta: t, a: ops.ones([4, 5]), b: ops.ones([2, 3, 4]), c }, { piece })[0];
  fails(({ t }) => scan(t, t), ShapeError, "u f32[2, 3, 5] with c f32[2, 3, 5]", "c must be [B, T, N], here [2, 3, 4]");
  fails(({ t, i }) => scan(t, i), DTypeError, "f32[2, 3, 5] and i32[3]");
  fails(({ t }) => scan(t, ops.ones([2, 3, 4]), 0), ShapeError, "pieces of 0", "at least 1");
  fails(({ m, v }) => ops.mse(m, v), ShapeError, "squared error", "64 and 3");
  fails(({ v, b }) => ops.binaryCrossEntropy(v, b), DTypeError, "f32[3] and bool[3]", "use cast");
  fails(
    ({ key, t, v }) => ops.categorical(key, t, { shape: [3] }) && v,
    ShapeError,
    "shape [3] by f32[2, 3, 5]",
    "[2, 3]",
  );
  fails(({ v, key, m }) => ops.bernoulli(key, [4], { p: v }) && m, ShapeError, "broadcast f32[3]");
});

Deno.test("errors: numbers that conv1d, huber and cross-entropy cannot use are refused by name", () => {
  const refused: [(x: Operands) => unknown, string][] = [
    [({ t }) => ops.conv1d(t, ops.ones([1, 5, 1]), { stride: 0 }), "stride 0 of conv1d"],
    [({ t }) => ops.conv1d(t, ops.ones([1, 5, 1]), { padding: [0, 0.5] }), "padding 0.5 of conv1d"],
    [({ v }) => ops.huber(v, v, { delta: 0 }), "delta 0 of huber"],
    [({ m }) => ops.crossEntropy(m, ops.zeros([8], "i32"), { labelSmoothing: 2 }), "labelSmoothing 2"],
  ];
  for (const [fn, text] of refused) fails(fn, OptionError, text);
});
