/**
 * Faults to plant, one at a time: each a small change of one file that compiles, computes something wrong (or something
 * right only by luck) and has to be caught by a test. The list has one of each kind of mistake that a compiler's author
 * makes, in every pass and every printer.
 */
import type { SuiteGroup } from "./suites.ts";

/** One planted fault. */
export interface Mutation {
  /** What is wrong, as a name. */
  readonly name: string;
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly search: string;
  readonly replace: string;
  /** The groups of suites whose business it is, in the order in which they run. */
  readonly suites: readonly SuiteGroup[];
}

const OPS: readonly Mutation[] = [
  {
    name: "customVjp: a differentiated tensor from outside gets no gradient, and nobody says so",
    file: "core/custom_vjp.ts",
    search: "if (!needed) return;",
    replace: "if (needed || !needed) return;",
    suites: ["core"],
  },
  {
    name: "checkpoint: a tensor that is two arguments gets the gradient of both twice",
    file: "core/checkpoint.ts",
    search: "map((x) => mark(barrier(x, after)))",
    replace: "map((x) => barrier(x, after))",
    suites: ["core"],
  },
  {
    name: "view: a slice starts one element late",
    file: "ops/slice.ts",
    search: "index: index.map((at, axis) => addIndex(at, starts[axis])), where: [] }",
    replace: "index: index.map((at, axis) => addIndex(at, starts[axis] === 0 ? 0 : starts[axis] - 1)), where: [] }",
    suites: ["lower"],
  },
  {
    name: "view: a transpose by the permutation rather than its inverse",
    file: "ops/views.ts",
    search: "index: inversePermutation(axes).map((from) => index[from])",
    replace: "index: axes.map((from) => index[from])",
    suites: ["lower"],
  },
  {
    name: "vjp: the gradient of a transpose by the same permutation",
    file: "ops/views.ts",
    search: "[transpose(g, inversePermutation(axes))]",
    replace: "[transpose(g, g.shape.every((extent) => extent === g.shape[0]) ? axes : inversePermutation(axes))]",
    suites: ["gradients"],
  },
  {
    name: "vjp: a factor of two in the gradient of sqrt",
    file: "ops/unary.ts",
    search: "div(mul(g, 0.5), y)",
    replace: "div(g, y)",
    suites: ["gradients"],
  },
  {
    name: "vjp: the gradient of tanh forgets a square",
    file: "ops/unary.ts",
    search: "mul(g, sub(1, mul(y, y)))",
    replace: "mul(g, sub(1, y))",
    suites: ["gradients"],
  },
  {
    name: "vjp: the gradient of mod in its divisor takes the quotient as it is",
    file: "ops/binary.ts",
    search: "neg(mul(g, floor(div(x, y))))",
    replace: "neg(mul(g, div(x, y)))",
    suites: ["gradients"],
  },
  {
    name: "vjp: the gradient of expm1 by what it gives",
    file: "ops/unary.ts",
    search: '"expm1", "float", Math.expm1, (g, x) => mul(g, exp(x))',
    replace: '"expm1", "float", Math.expm1, (g, _x, y) => mul(g, y)',
    suites: ["gradients"],
  },
  {
    name: "lower: log1p is the logarithm of a rounded sum near 0 too",
    file: "ops/near_zero.ts",
    search: "const LOG1P_NEAR = 0.3;",
    replace: "const LOG1P_NEAR = 0;",
    suites: ["cpu", "lower"],
  },
  {
    name: "vjp: the gradient of a permutation goes by the same permutation",
    file: "ops/along_axis.ts",
    search: "permute(g, inverse, order)",
    replace: "permute(g, order, inverse)",
    suites: ["gradients"],
  },
  {
    name: "sort: of equal elements the later comes first in the network",
    file: "ops/order.ts",
    search: "less(order, otherOrder)",
    replace: "less(otherOrder, order)",
    suites: ["lower"],
  },
  {
    name: "schedule: every row of a scatter takes the first row's numbers",
    file: "kernels/schedule/build_kernel.ts",
    search: "[...outer.slice(0, batch), ...where]",
    replace: "[...outer.slice(0, batch).map(() => outer[0]), ...where]",
    suites: ["cpu"],
  },
  {
    name: "vjp: the gradient of an inverse reaches into the other triangle",
    file: "ops/triangular_inverse.ts",
    search: "[tril(neg(matmul(matmul(transposed, g), transposed)), { diagonal })]",
    replace: "[neg(matmul(matmul(transposed, g), transposed))]",
    suites: ["gradients"],
  },
  {
    name: "vjp: the gradient of a recurrence does not shift its factors",
    file: "ops/linear_scan.ts",
    search: "splatValue(a) === undefined ? shiftAgainst(a, axis, reverse) : a",
    replace: "a",
    suites: ["gradients"],
  },
  {
    name: "vjp: scattered updates that were dropped get NaN",
    file: "ops/gather.ts",
    search: "needs[2] ? gatherOrZero(g, indices, operand.shape[attrs.axis], updates, attrs) : undefined,",
    replace: "needs[2] ? apply(gatherOp, [g, indices], attrs) : undefined,",
    suites: ["gradients", "ops"],
  },
  {
    name: "simplify: padding of padding adds the wrong sides",
    file: "ops/slice.ts",
    search: "[amount + inner.low[axis], high[axis] + inner.high[axis]]",
    replace: "[amount + inner.low[axis], high[axis] + inner.low[axis]]",
    suites: ["ops", "lower", "fuzz"],
  },
  {
    name: "simplify: a loop drops a history that is used",
    file: "core/prune_loop.ts",
    search: "body.outputs[c] === body.inputs[c] && !historyUsed.includes(c)",
    replace: "body.outputs[c] === body.inputs[c]",
    suites: ["core", "schedule", "fuzz"],
  },
  {
    name: "scan: the gradient runs the loop forwards",
    file: "core/scan.ts",
    search: "reverse: !reverse,",
    replace: "reverse,",
    suites: ["core"],
  },
  {
    name: "scan: saved values are handed to the gradient in another order",
    file: "core/scan.ts",
    search: "body.outputs.slice(carryCount + yCount).map((tensor, i) => [tensor, kept[i]])",
    replace:
      "body.outputs.slice(carryCount + yCount).map((tensor, i) => [tensor, kept.findLast((x) => x.shape.join() === tensor.shape.join()) ?? kept[i]])",
    suites: ["core", "schedule", "fuzz"],
  },
];

const SCHEDULE: readonly Mutation[] = [
  {
    name: "schedule: what is recomputed does not wait for the backward pass",
    file: "kernels/schedule/access.ts",
    search: "if (scope.stored.has(tensor)) return [tensor];",
    replace: "if (scope.stored.has(tensor)) return [];",
    suites: ["core", "schedule"],
  },
  {
    name: "schedule: what an elementwise kernel reads by a view is read as it lies",
    file: "kernels/schedule/elementwise.ts",
    search: "load(read.tensor, read.index)",
    replace: "load(read.tensor, read.index.map((at, axis) => index[axis] ?? at))",
    suites: ["schedule", "fuzz"],
  },
  {
    name: "index: a quotient ignores the constant that was split off",
    file: "core/index_expr.ts",
    search: "(index.constant - restOf(index.constant, by)) / by",
    replace: "0",
    suites: ["core", "schedule"],
  },
  {
    name: "index: a remainder of a remainder by a number that does not divide it",
    file: "core/index_expr.ts",
    search: 'if (atom.kind === "mod" && atom.by % by === 0) return modIndex(atom.of, by);',
    replace: 'if (atom.kind === "mod") return modIndex(atom.of, by);',
    suites: ["core", "schedule", "fuzz"],
  },
  {
    name: "schedule: the identity of max is 0",
    file: "core/expr.ts",
    search: "const lowest = isFloat(dtype) ? -Infinity",
    replace: "const lowest = isFloat(dtype) ? 0",
    suites: ["schedule", "cpu"],
  },
  {
    name: "schedule: run-time indices are clamped one too far",
    file: "kernels/schedule/pull.ts",
    search: 'last = e.const(extent - 1, "i32");',
    replace: 'last = e.const(extent, "i32");',
    suites: ["schedule"],
  },
  {
    name: "schedule: recurrences forget that they run backwards",
    file: "kernels/schedule/build_kernel.ts",
    search: "      time: done.fixed[0],\n      reverse,",
    replace: "      time: done.fixed[0],\n      reverse: false,",
    suites: ["schedule"],
  },
  {
    name: "schedule: a band of the mask that begins one step late",
    file: "kernels/schedule/find_region.ts",
    search: "return below(x, y);",
    replace: "return below(addIndex(x, 1), y);",
    suites: ["schedule"],
  },
  {
    name: "schedule: a loop's carries alternate between one slot",
    file: "kernels/schedule/places.ts",
    search: "modIndex(number, 2)",
    replace: "modIndex(number, 1)",
    suites: ["schedule"],
  },
  {
    name: "donation: an output takes an input that is read at the same step, whatever the element",
    file: "kernels/in_place.ts",
    search: "return keys.size === 1;",
    replace: "return keys.size >= 1;",
    suites: ["schedule"],
  },
  {
    name: "donation: an output takes an input that is read later",
    file: "kernels/in_place.ts",
    search: 'if (access !== "write") of.lastRead = top;',
    replace: 'if (access !== "write" && of.lastRead < 0) of.lastRead = top;',
    suites: ["schedule"],
  },
  {
    name: "plan: live ranges that meet share memory",
    file: "kernels/plan_memory.ts",
    search: "other.first > last || first > other.last",
    replace: "other.first >= last || first >= other.last",
    suites: ["plan"],
  },
  {
    name: "plan: what a turn of a loop leaves for the next does not keep its memory",
    file: "kernels/plan_memory.ts",
    search: "for (const { slotted, loops } of accesses) if (slotted && loops.indexOf(slotted) < depth) cover(slotted);",
    replace: "",
    suites: ["plan"],
  },
  {
    name: "pieces: the first element of a piece is taken for one of the piece before",
    file: "kernels/devices/webgpu/print_pieces.ts",
    search: "if (at < ${(start + bytes) / elementBytes})",
    replace: "if (at <= ${(start + bytes) / elementBytes})",
    suites: ["pieces"],
  },
  {
    name: "pieces: a part of a kernel reads and writes beside its window",
    file: "kernels/schedule/split.ts",
    search: "addIndex(index, -windows[operand].first)",
    replace: "addIndex(index, -windows[operand].first + 1)",
    suites: ["pieces"],
  },
];

const CPU: readonly Mutation[] = [
  {
    name: "cpu: no barrier between kernels of several threads",
    file: "kernels/codegen/thread_program.ts",
    search: "const needed = this.#touched.conflicts(regions);",
    replace: "const needed = false;",
    suites: ["cpu"],
  },
  {
    name: "cpu: threads that wait for each other in each iteration of a loop are taken to wait once",
    file: "kernels/codegen/thread_program.ts",
    search: "this.meetings += this.#turns;",
    replace: "this.meetings++;",
    suites: ["cpu"],
  },
  {
    name: "cpu: waking workers and waiting for them costs nothing",
    file: "kernels/devices/wasm/module.ts",
    search: "togetherCosts: { launch: LAUNCH * minParallel, meeting: MEETING * minParallel },",
    replace: "togetherCosts: { launch: 0, meeting: 0 },",
    suites: ["cpu"],
  },
  {
    name: "cpu: no barrier between threads whose shares of a tensor are of unlike sizes",
    file: "kernels/codegen/footprint.ts",
    search: "if (stripe === undefined || stripe !== rhs.stripe) return true;",
    replace: "if (stripe === undefined || rhs.stripe === undefined) return true;",
    suites: ["cpu"],
  },
  {
    name: "cpu: a kernel that reads beyond a thread's share of a tensor is taken to stay in it",
    file: "kernels/codegen/footprint.ts",
    search: "return high - turn < stride ? stride : undefined;",
    replace: "return high >= turn ? stride : undefined;",
    suites: ["cpu"],
  },
  {
    name: "cpu: an output in the place of an input is taken for memory of its own",
    file: "kernels/codegen/thread_program.ts",
    search: "return { memory: takes === undefined ? word : this.table.inputs + takes, offset };",
    replace: "return { memory: takes === undefined ? word : word, offset };",
    suites: ["cpu"],
  },
  {
    name: "cpu: the points after the last whole group of four are left out",
    file: "kernels/codegen/walk.ts",
    search: "rest: points % lanes === 0 ? undefined : scalarWalk(space, lanes * groups),",
    replace: "rest: undefined,",
    suites: ["cpu"],
  },
  {
    name: "cpu: every thread takes the points that are left over",
    file: "kernels/codegen/walk.ts",
    search: 'w.when(w.op("i32.eq", [next, threads]), () => {',
    replace: 'w.when(w.op("i32.le_s", [next, threads]), () => {',
    suites: ["cpu"],
  },
  {
    name: "cpu: the sides of a choice are swapped where the condition is a vector",
    file: "kernels/codegen/lanes.ts",
    search: "[splat(w, then), splat(w, otherwise), cond]",
    replace: "[splat(w, otherwise), splat(w, then), cond]",
    suites: ["cpu"],
  },
  {
    name: "cpu: casts to integers round to the nearest",
    file: "kernels/codegen/lanes.ts",
    search: '  return w.op(dtype === "u32" ? "u32.from_f32" : "i32.from_f32", [x]);',
    replace:
      '  x = f(w, "floor", f(w, "add", x, w.literal(0.5, "f32")));\n  return w.op(dtype === "u32" ? "u32.from_f32" : "i32.from_f32", [x]);',
    suites: ["cpu"],
  },
  {
    name: "cpu: shifts to the right keep the sign",
    file: "kernels/codegen/scalar_ops.ts",
    search: 'const name = op === "shiftLeft" ? "shl" : "shr_u";',
    replace: 'const name = op === "shiftLeft" ? "shl" : "shr_s";',
    suites: ["cpu"],
  },
  {
    name: "cpu: a backward load of four elements does not turn them round",
    file: "kernels/codegen/evaluator.ts",
    search: "laneNumbers(w).toReversed()",
    replace: "[2, 3, 1, 0]",
    suites: ["cpu"],
  },
  {
    name: "cpu: a packed panel of a product has the wrong stride",
    file: "kernels/codegen/contract_pack.ts",
    search: 'w.effect("lanes.store", [corner, value], [offset + 4 * width * at])',
    replace: 'w.effect("lanes.store", [corner, value], [offset + 4 * 8 * at])',
    suites: ["cpu"],
  },
  {
    name: "cpu: the last rows of a product's tiles are left out",
    file: "kernels/codegen/print_contract_tiles.ts",
    search: "if (rest === 0) return;",
    replace: "if (rest <= 1) return;",
    suites: ["cpu"],
  },
  {
    name: "cpu: a scatter adds where the number lies outside",
    file: "kernels/codegen/print_scatter.ts",
    search: "w.when(condition, add);",
    replace: "add();",
    suites: ["cpu"],
  },
];

const WEBGPU: readonly Mutation[] = [
  {
    name: "webgpu: no barrier before a team's partial results are read",
    file: "kernels/devices/webgpu/print_reduce.ts",
    search: '  writer.line("workgroupBarrier();");\n  writer.open(`if (${team.member} < reach)`);',
    replace: "  writer.open(`if (${team.member} < reach)`);",
    suites: ["webgpu"],
  },
  {
    name: "webgpu: a team's tree leaves its last step out",
    file: "kernels/devices/webgpu/print_reduce.ts",
    search: "reach > 0; reach = reach / 2",
    replace: "reach > 1; reach = reach / 2",
    suites: ["webgpu"],
  },
  {
    name: "webgpu: of equal maxima the last lane wins",
    file: "kernels/devices/webgpu/print_reduce.ts",
    search: "(${ties(rhs.value, lhs.value)} & (${j} < ${i}))",
    replace: "(${ties(rhs.value, lhs.value)} & (${j} > ${i}))",
    suites: ["webgpu"],
  },
  {
    name: "webgpu: the lanes of an incomplete last group all store",
    file: "kernels/devices/webgpu/print_space.ts",
    search: "return (at) => (at === 0 ? undefined : `${text} < ${tail - at}`);",
    replace: "return (at) => (at <= 1 ? undefined : `${text} < ${tail - at}`);",
    suites: ["webgpu"],
  },
  {
    name: "webgpu: a product's tile is stored with rows and columns swapped",
    file: "kernels/devices/webgpu/print_contract_registers.ts",
    search: "`${cell(4 * quad + row, line >> 2)}.${LANES[line & 3]}`",
    replace: "`${cell(4 * quad + (line & 3), line >> 2)}.${LANES[row]}`",
    suites: ["webgpu"],
  },
  {
    name: "webgpu: a tile in workgroup memory is not cut at the end of k",
    file: "kernels/devices/webgpu/print_contract_workgroup.ts",
    search: "if (kernel.k.extent % depth !== 0) {",
    replace: "if (kernel.k.extent % depth === 1) {",
    suites: ["webgpu"],
  },
];

const AROUND: readonly Mutation[] = [
  {
    name: "tests: the software driver optimizes the shaders of other files than those of operations",
    file: "tests/run.ts",
    search: "? {} : quickToCompile();",
    replace: "? quickToCompile() : {};",
    suites: ["runner"],
  },
  {
    name: "ranks: --rank-timeout is taken for 5 seconds at most",
    file: "cli/train.ts",
    search: "waitingAtMost(ranks, flags.rankTimeout)",
    replace: "waitingAtMost(ranks, Math.min(flags.rankTimeout, 5))",
    suites: ["ranks"],
  },
  {
    name: "ranks: a gathering waits for the others without end",
    file: "cli/ranks.ts",
    search: "gather: (data, root) => within(ranks.gather(data, root)),",
    replace: "gather: (data, root) => ranks.gather(data, root),",
    suites: ["ranks"],
  },
];

/** All of them. */
export const MUTATIONS: readonly Mutation[] = [...OPS, ...SCHEDULE, ...CPU, ...WEBGPU, ...AROUND];
