/** Schedules compute what graphs mean, and fuse what can be fused. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { CompileError } from "../../core/errors.ts";
import type { Expr } from "../../core/expr.ts";
import { grad, valueAndGrad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import type { Index } from "../../core/index_expr.ts";
import type { NdArray } from "../../core/op.ts";
import { scan } from "../../core/scan.ts";
import { spec, trace } from "../../core/trace.ts";
import { accessesOf } from "../../kernels/cost.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import type { Schedule } from "../../kernels/plan.ts";
import { schedule } from "../../kernels/schedule.ts";
import * as ops from "../../ops/mod.ts";
import { TOKEN_CASE_NAMES, tokenLayer } from "../golden_layers.ts";
import { OP_CASES } from "../op_cases.ts";
import { lossOf } from "../op_suites/evaluate.ts";
import { check, integers, kernelSteps, MAX_OPERANDS, numbers, type Program } from "./check_schedule.ts";

/** The kinds of a schedule's kernels. */
function kindsOf({ steps }: Schedule): string[] {
  return kernelSteps(steps).map(({ kernel }) => kernel.kind);
}

/** Checks values and the kinds of kernels. */
function assertKernels(
  fn: Program,
  inputs: readonly NdArray[],
  kinds: readonly string[],
  maxOperands = MAX_OPERANDS,
): Schedule {
  const scheduled = check(fn, inputs, maxOperands);
  assertEquals(kindsOf(scheduled), kinds);
  return scheduled;
}

Deno.test("schedules of the op table and its gradients give the values of the references", () => {
  const failures: string[] = [];
  for (const opCase of OP_CASES) {
    const fn = (...args: Tensor[]) => {
      const { differentiable } = opCase;
      const gradients = differentiable.length === 0
        ? []
        : grad(lossOf(opCase), { argnums: differentiable })(...args) as Tensor[];
      return [opCase.fn(...args), ...gradients];
    };
    try {
      check(fn, opCase.inputs);
      check(fn, opCase.inputs, 6);
    } catch (error) {
      failures.push(`${opCase.name}: ${error}`);
    }
  }
  assertEquals(failures, []);
});

Deno.test("chains of elementwise ops are one kernel", () => {
  const x = numbers([64, 96]), w = numbers([96], 1), b = numbers([96], 2);
  assertKernels((x, w, b) => ops.add(ops.gelu(ops.add(ops.mul(x, w), b)), x), [x, w, b], ["map"]);
  assertKernels((x) => ops.rotaryEmbedding(x), [numbers([2, 2, 24, 16])], ["map"]);
  assertKernels((x, w) => ops.silu(ops.causalConv1d(x, w)), [numbers([2, 24, 32]), numbers([32, 4])], ["map"]);
  assertKernels((x) => ops.transpose(ops.flip(ops.reshape(x, [4, 16, 96]), [1])), [x], ["map"]);
});

Deno.test("contiguous elementwise work runs over one variable", () => {
  const { steps } = check((x, y) => ops.add(ops.tanh(x), y), [numbers([2, 16, 8, 4]), numbers([2, 16, 8, 4], 1)]);
  const [{ kernel }] = kernelSteps(steps);
  assert(kernel.kind === "map");
  assertEquals(kernel.space.map(({ extent }) => extent), [1024]);
});

Deno.test("each norm, softmax and cross-entropy is one kernel", () => {
  const x = numbers([4, 16, 32]), gain = numbers([32], 1), bias = numbers([32], 2);
  assertKernels((x) => ops.softmax(x), [numbers([64, 33])], ["row"]);
  assertKernels((x) => ops.softmax(x, { axis: 1 }), [numbers([8, 16, 33])], ["row"]);
  assertKernels((x) => ops.logSoftmax(x), [numbers([64, 33])], ["row"]);
  assertKernels((x) => ops.logSumExp(x), [numbers([64, 33])], ["row"]);
  assertKernels((x, gain, bias) => ops.layerNorm(x, { gain, bias }), [x, gain, bias], ["row"]);
  assertKernels((x, gain) => ops.rmsNorm(x, { gain }), [x, gain], ["row"]);
  assertKernels((x) => ops.l2Normalize(x), [x], ["row"]);
  assertKernels((x, t) => ops.crossEntropy(x, t, { reduction: "none" }), [numbers([60, 33]), integers([60], 33)], [
    "row",
  ]);
});

Deno.test("gradients of norms and softmax take one kernel, and one more for the parameters' sums", () => {
  const x = numbers([4, 16, 32]), gain = numbers([32], 1), bias = numbers([32], 2), y = numbers([4, 16, 32], 5);
  const against = (f: Program, count: number): Program => (y, ...args) =>
    grad((...args) => ops.sum(ops.mul(y, f(...args) as Tensor)), {
      argnums: Array.from({ length: count }, (_, i) => i),
    })(...args);
  assertKernels(against((x) => ops.softmax(x), 1), [y, x], ["row"]);
  assertKernels(against((x) => ops.logSoftmax(x), 1), [y, x], ["row"]);
  assertKernels(against((x) => ops.l2Normalize(x), 1), [y, x], ["row"]);
  assertKernels(against((x, gain) => ops.rmsNorm(x, { gain }), 2), [y, x, gain], ["row", "row"]);
  assertKernels(against((x, gain, bias) => ops.layerNorm(x, { gain, bias }), 3), [y, x, gain, bias], ["row", "row"]);
  const loss = (x: Tensor, t: Tensor) => valueAndGrad((x: Tensor) => ops.crossEntropy(x, t))(x);
  assertKernels(loss, [numbers([60, 33]), integers([60], 33)], ["row", "row"]);
});

Deno.test("products take their elementwise consumers along", () => {
  const x = numbers([4, 64, 32]), w = numbers([32, 96], 1), b = numbers([96], 2);
  assertKernels((x, w, b) => ops.gelu(ops.add(ops.matmul(x, w), b)), [x, w, b], ["contract"]);
  assertKernels(
    (x, w, b) => {
      const z = ops.add(ops.matmul(x, w), b);
      return [z, ops.gelu(z)];
    },
    [x, w, b],
    ["contract"],
  );
  assertKernels((x, w) => ops.transpose(ops.reshape(ops.matmul(x, w), [4, 64, 3, 32]), [0, 2, 1, 3]), [x, w], [
    "contract",
  ]);
  assertKernels(
    (x, w) => ops.matmul(ops.transpose(x, [0, 2, 1]), ops.broadcastTo(ops.reshape(w, [1, 64, 48]), [4, 64, 48])),
    [x, w],
    ["contract"],
  );
});

Deno.test("the gradient of a layer with gelu stores the pre-activation once and fuses gelu's gradient", () => {
  const loss = (x: Tensor, a: Tensor, b: Tensor, c: Tensor) =>
    ops.sum(ops.mul(ops.matmul(ops.gelu(ops.add(ops.matmul(x, a), b)), c), x));
  const inputs = [numbers([64, 32]), numbers([32, 96]), numbers([96]), numbers([96, 32], 1)];
  // Forward product with gelu, the output's weight gradient, the product with gelu's gradient, the bias's sum, the
  // weight gradient.
  assertKernels(grad(loss, { argnums: [1, 2, 3] }), inputs, ["contract", "contract", "contract", "row", "contract"]);
});

Deno.test("causal attention is four kernels: projection, scores, softmax, mix", () => {
  const fn = (x: Tensor, w: Tensor) => {
    const heads = (z: Tensor) => ops.transpose(ops.reshape(z, [2, 24, 2, 16]), [0, 2, 1, 3]);
    const [q, k, v] = ops.split(ops.matmul(x, w), [32, 32, 32], -1).map(heads);
    return ops.attention(q, k, v, { causal: true });
  };
  assertKernels(fn, [numbers([2, 24, 32]), numbers([32, 96])], ["contract", "contract", "row", "contract"]);
});

/** An AdamW step on flat tensors. */
function adamW(p: Tensor, m: Tensor, v: Tensor, g: Tensor, t: Tensor): Tensor[] {
  const first = ops.add(ops.mul(m, 0.9), ops.mul(g, 0.1)),
    second = ops.add(ops.mul(v, 0.95), ops.mul(ops.square(g), 0.05));
  const unbiased = (x: Tensor, beta: number) => ops.div(x, ops.sub(1, ops.pow(beta, t)));
  const step = ops.add(ops.div(unbiased(first, 0.9), ops.add(ops.sqrt(unbiased(second, 0.95)), 1e-8)), ops.mul(p, 0.1));
  return [ops.sub(p, ops.mul(step, 1e-3)), first, second];
}

Deno.test("the optimiser's update of all parameters is one kernel", () => {
  const moment = numbers([5000], 3), time: NdArray = { shape: [], dtype: "f32", data: Float64Array.of(7) };
  const positive = { ...moment, data: moment.data.map(Math.abs) };
  assertKernels(adamW, [numbers([5000]), moment, positive, numbers([5000], 4), time], ["map"]);
});

Deno.test("the pieces of a flat gradient are stored in place, more of them than a kernel has operands", () => {
  const pieces = Array.from({ length: 30 }, (_, i) => numbers([2 + i % 5, 64], i));
  const flat = (...gs: Tensor[]) => ops.concat(gs.map((g) => ops.reshape(ops.matmul(g, ops.transpose(g)), [-1])), 0);
  assertEquals(new Set(kindsOf(check(flat, pieces))), new Set(["contract"]));
  const copied = (...gs: Tensor[]) => ops.square(ops.concat(gs.map((g) => ops.reshape(g, [-1])), 0));
  check(copied, pieces);
  check((a, b) => ops.concat([ops.matmul(a, b), a], 1), [numbers([5, 5]), numbers([5, 5], 1)]);
});

Deno.test("parts that start at a multiple of 256 bytes are bound as parts, so that layers share kernels", () => {
  const layers = (x: Tensor, flat: Tensor) => {
    let h = x;
    for (let layer = 0; layer < 3; layer++) {
      const w = ops.reshape(ops.slice(flat, [layer * 1024 + 64], [1024]), [32, 32]);
      h = ops.tanh(ops.matmul(h, w));
    }
    return h;
  };
  const { steps, values } = check(layers, [numbers([16, 32]), numbers([4096])]);
  const kernels = kernelSteps(steps);
  assertEquals(kernels.map(({ operands }) => values[operands[1]].storage), [
    { kind: "alias", of: 1, byteOffset: 256 },
    { kind: "alias", of: 1, byteOffset: 256 + 4096 },
    { kind: "alias", of: 1, byteOffset: 256 + 8192 },
  ]);
  assertEquals(new Set(kernels.map(({ kernel }) => textOf(kernel))).size, 1);
});

Deno.test("long reductions to few elements run in two stages", () => {
  assertKernels((x) => ops.sum(x), [numbers([100, 100])], ["row", "row"]);
  assertKernels((x) => ops.max(x, { axes: 1 }), [numbers([3, 5003])], ["row", "row"]);
  assertKernels((x) => ops.mean(ops.square(x), { axes: [0, 2] }), [numbers([97, 3, 64])], ["row", "row"]);
  assertKernels((x) => ops.sum(x), [numbers([4000])], ["row"]);
});

Deno.test("recurrences take coefficients and consumers along", () => {
  const x = numbers([2, 12, 6]);
  assertKernels((x) => ops.mul(ops.linearScan(ops.sigmoid(x), ops.square(x), { axis: 1 }), 2), [x], ["recurrence"]);
  assertKernels((x) => ops.cumsum(x, { axis: 2, reverse: true }), [x], ["recurrence"]);
});

Deno.test("recurrences that walk alike are one kernel, and so are their gradients", () => {
  const x = numbers([2, 12, 6]), y = numbers([2, 12, 6]);
  const chain = (x: Tensor, y: Tensor) => {
    const p = ops.linearScan(x, ops.square(y), { axis: 1 });
    return ops.linearScan(ops.sigmoid(y), ops.add(p, 1), { axis: 1 });
  };
  assertKernels(chain, [x, y], ["recurrence"]);
  assertKernels((x, y) => [ops.cumsum(x, { axis: 1 }), ops.linearScan(x, y, { axis: 1 })], [x, y], ["recurrence"]);
  assertKernels(grad((x: Tensor, y: Tensor) => ops.sum(ops.square(chain(x, y))), { argnums: [0, 1] }), [x, y], [
    "recurrence",
    "recurrence",
  ]);
  // Another direction, another axis, another shape, what an earlier step left: walks of their own.
  assertKernels((x, y) => ops.cumsum(ops.cumsum(ops.mul(x, y), { axis: 1 }), { axis: 1, reverse: true }), [x, y], [
    "recurrence",
    "recurrence",
  ]);
  assertKernels((x, y) => ops.cumsum(ops.cumsum(ops.mul(x, y), { axis: 1 }), { axis: 2 }), [x, y], [
    "recurrence",
    "recurrence",
  ]);
  assertKernels((x) => ops.cumsum(ops.sliceAxis(ops.cumsum(x, { axis: 1 }), 1, 0, 11), { axis: 1 }), [x], [
    "recurrence",
    "recurrence",
  ]);
  const shifted = (x: Tensor) => ops.pad(ops.sliceAxis(x, 1, 0, 11), [[0, 0], [1, 0], [0, 0]]);
  assertKernels((x) => ops.cumsum(shifted(ops.cumsum(x, { axis: 1 })), { axis: 1 }), [x], ["recurrence", "recurrence"]);
});

Deno.test("sums of two are written out", () => {
  assertKernels((x) => ops.sum(ops.square(x), { axes: 1 }), [numbers([5, 2, 6])], ["map"]);
  assertKernels((x, w) => ops.sum(ops.reshape(ops.matmul(x, w), [7, 2, 4]), { axes: 1 }), [
    numbers([7, 5]),
    numbers([5, 8]),
  ], ["contract", "map"]);
  assertKernels((x) => ops.sum(x, { axes: 1 }), [numbers([5, 3, 6])], ["row"]);
});

Deno.test("a product reads broadcast factors rather than their stored product", () => {
  const scaled = (x: Tensor, w: Tensor, m: Tensor) => {
    const rows = ops.mul(ops.expandDims(x, 1), ops.expandDims(w, 2)); // [T, 2, K]
    return ops.matmul(ops.reshape(rows, [12, 32]), m);
  };
  assertKernels(scaled, [numbers([12, 16]), numbers([12, 2]), numbers([32, 8])], ["contract"]);
});

Deno.test("a scatter starts from a copy and adds to it in place", () => {
  const embed = (table: Tensor, t: Tensor) => grad((table: Tensor) => ops.sum(ops.square(ops.gather(table, t))))(table);
  assertKernels(embed, [numbers([33, 16]), integers([2, 10], 33)], ["map", "scatter"]);
  assertKernels((x, t, u) => ops.scatterAdd(x, t, u), [numbers([9, 4]), integers([5], 9), numbers([5, 4])], [
    "map",
    "scatter",
  ]);
});

/** A recurrent cell with a matrix state, run over xs. */
function cell(reverse: boolean, length: number): Program {
  return (w: Tensor, h: Tensor, xs: Tensor) =>
    scan(
      (h: Tensor, x: Tensor): [Tensor, Tensor] => {
        const next = ops.tanh(ops.add(ops.matmul(h, w), ops.mul(x, 0.5)));
        return [next, ops.sum(ops.mul(next, x), { axes: 1 })];
      },
      h,
      xs,
      { reverse, length },
    );
}

Deno.test("loops run their bodies' kernels, whatever their length and direction", () => {
  for (const reverse of [false, true]) {
    for (const length of [1, 2, 3, 6]) {
      const inputs = [numbers([4, 4]), numbers([3, 4], 1), numbers([length, 3, 4], 2)];
      check(cell(reverse, length), inputs);
      const loss = (...args: Tensor[]) => {
        const [h, ys] = cell(reverse, length)(...args) as [Tensor, Tensor];
        return ops.add(ops.sum(ops.square(h)), ops.sum(ops.square(ys)));
      };
      check(grad(loss, { argnums: [0, 1, 2] }), inputs);
      const hvp = (w: Tensor, h: Tensor, xs: Tensor) =>
        grad((w: Tensor) => ops.sum(ops.square(grad(loss)(w, h, xs) as Tensor)))(w);
      check(hvp, inputs);
    }
    check(cell(reverse, 0), [numbers([4, 4]), numbers([3, 4]), numbers([0, 3, 4])]);
  }
});

Deno.test("kernels do not multiply with a loop's length", () => {
  const count = (length: number): string[] => {
    const inputs = [numbers([4, 4]), numbers([3, 4], 1), numbers([length, 3, 4], 2)];
    const fn = grad((...args: Tensor[]) => ops.sum((cell(false, length)(...args) as [Tensor, Tensor])[1]), {
      argnums: [0, 1],
    });
    return kernelSteps(check(fn, inputs).steps).map(({ kernel }) => kernel.origins.join(" "));
  };
  assertEquals(count(5), count(9));
});

Deno.test("loops nest, exchange carries and pass invariants through", () => {
  const fibonacci = (x: Tensor) =>
    scan(
      (c: { a: Tensor; b: Tensor }): [{ a: Tensor; b: Tensor }, Tensor] => [{ a: c.b, b: ops.add(c.a, c.b) }, c.a],
      { a: x, b: x },
      undefined,
      {
        length: 7,
      },
    );
  check(fibonacci, [numbers([5])]);
  const nested = (w: Tensor, x: Tensor) =>
    scan(
      (c: Tensor, row: Tensor): [Tensor, Tensor] => {
        const [inner, ys] = scan(
          (d: Tensor, y: Tensor): [Tensor, Tensor] => [ops.sin(ops.add(ops.mul(d, w), y)), ops.mul(d, y)],
          c,
          row,
          { reverse: true },
        );
        return [ops.add(inner, c), ys];
      },
      ops.zerosLike(w),
      x,
    );
  const inputs = [numbers([3]), numbers([4, 5, 3])];
  check(nested, inputs);
  check(
    grad((w: Tensor, x: Tensor) => {
      const [c, ys] = nested(w, x);
      return ops.add(ops.sum(ops.square(c)), ops.sum(ops.square(ys)));
    }, { argnums: [0, 1] }),
    inputs,
  );
});

Deno.test("tables of sines are computed once before a loop, masks in its steps", () => {
  const rotated = (x: Tensor, rows: Tensor): Tensor =>
    scan(
      (c: Tensor, row: Tensor): [Tensor, Tensor] => {
        const turned = ops.rotaryEmbedding(ops.add(c, row));
        const at = (axis: number): Tensor => ops.iota([6, 4], axis, "i32");
        return [ops.where(ops.less(at(0), at(1)), turned, c), turned];
      },
      x,
      rows,
    )[1];
  const inputs = [numbers([6, 4]), numbers([5, 6, 4], 1)];
  for (const fn of [rotated, grad((x: Tensor, rows: Tensor) => ops.sum(ops.square(rotated(x, rows))))]) {
    const { steps } = check(fn, inputs);
    const origins = (kernels: ReturnType<typeof kernelSteps>): Set<string> =>
      new Set(kernels.flatMap(({ kernel }) => kernel.origins));
    const inLoops = origins(kernelSteps(steps.filter(({ kind }) => kind === "loop")));
    assert(inLoops.has("less") && !inLoops.has("sin") && !inLoops.has("cos"), [...inLoops].join());
    assert(origins(kernelSteps(steps)).has("sin"));
  }
});

Deno.test("the golden memory layers keep their values through schedules", () => {
  const [name] = TOKEN_CASE_NAMES;
  const layer = tokenLayer(name, { form: "matmul" });
  const names = Object.keys(layer.parameters).sort();
  const arrays = [...names.map((name) => layer.parameters[name]), layer.x, layer.y];
  const fn = (...args: Tensor[]) => {
    const results = layer.evaluate(
      Object.fromEntries(names.map((name, i) => [name, args[i]])),
      args[names.length],
      args[names.length + 1],
    );
    return Object.values(results);
  };
  check(fn, arrays.map(({ shape, data }) => ({ shape, dtype: "f32", data: Float64Array.from(data) })), 16);
});

Deno.test("outputs that are inputs, repeated or constant are copied, empty ones take no kernel", () => {
  check((x) => [x, x, ops.transpose(x), ops.full([3], 2, "f32"), ops.constant([1, 2], [2], "f32")], [numbers([3, 4])]);
  check((x) => [ops.matmul(x, ops.transpose(x)), ops.sum(x), ops.concat([x, x], 0), ops.pad(x, [[1, 0], [0, 2]])], [
    numbers([0, 4]),
  ]);
  assertKernels((x) => ops.mul(x, 2), [numbers([0, 4])], []);
  check((x) => [ops.sum(x, { axes: 0 }), ops.matmul(ops.transpose(x), x)], [numbers([0, 4])]);
});

Deno.test("equal graphs have equal schedules", () => {
  const fn = (x: Tensor, w: Tensor) =>
    valueAndGrad((w: Tensor) => ops.sum(ops.softmax(ops.matmul(ops.layerNorm(x), w))))(w);
  const inputs = [numbers([12, 8]), numbers([8, 10])];
  const text = ({ steps }: Schedule) =>
    kernelSteps(steps).map(({ kernel, operands }) => `${textOf(kernel)} ${operands}`);
  assertEquals(text(check(fn, inputs)), text(check(fn, inputs)));
});

Deno.test("too few operands are refused", () => {
  const { graph } = trace((x: Tensor) => ops.neg(x), [spec([2])]);
  assertThrows(
    () => schedule(graph, { maxOperands: 3 }),
    CompileError,
    "Cannot schedule kernels of 3 operands: at least 6 are needed",
  );
});

/** A kernel as text, without the identities of its variables. */
function textOf(kernel: Kernel): string {
  const index = ({ constant, terms }: Index): string =>
    [
      ...terms.map(({ atom, coefficient }) =>
        `${coefficient} ${
          atom.kind === "var"
            ? atom.variable.name
            : atom.kind === "value"
            ? expr(atom.value)
            : `(${index(atom.of)} ${atom.kind} ${atom.by})`
        }`
      ).sort(),
      constant,
    ].join(" + ");
  const expr = (root: Expr): string =>
    JSON.stringify(root, (key, value) => (key === "index" ? index(value) : key === "variable" ? value.name : value));
  const shape = Object.values(kernel).flat().filter((part) => part?.extent !== undefined).map(({ name, extent }) =>
    `${name} ${extent}`
  );
  const accesses = accessesOf(kernel).map((access) => `${access.mode} ${access.operand} ${index(access.index)}`);
  return [
    kernel.kind,
    ...kernel.origins,
    ...shape,
    ...kernel.operands.map((operand) => JSON.stringify(operand)),
    ...accesses,
  ].join("\n");
}

/** Builds a program from numbers: each triple picks an op and its arguments among what there is. */
function randomProgram(choices: readonly (readonly [number, number, number])[], x: Tensor, y: Tensor): Tensor[] {
  const pool = [x, y];
  const pick = (n: number) => pool[n % pool.length];
  const like = (a: Tensor, b: Tensor) => (a.shape.join() === b.shape.join() ? b : ops.mul(ops.tanh(a), ops.mean(b)));
  const flat = (a: Tensor) =>
    ops.reshape(a, [a.shape.slice(0, -1).reduce((n, extent) => n * extent, 1), a.shape[a.rank - 1]]);
  const indices = (n: number, below: number) => ops.constant([n % below, (n + 2) % below, n % below], [3], "i32");
  const makers: ((a: Tensor, b: Tensor, n: number) => Tensor)[] = [
    (a) => ops.tanh(a),
    (a) => ops.square(ops.sigmoid(a)),
    (a, b) => ops.add(a, like(a, b)),
    (a, b) => ops.mul(a, like(a, b)),
    (a) => ops.transpose(a),
    (a, _b, n) => ops.reshape(a, n % 2 ? [-1] : [a.shape[0], -1, 1]),
    (a) => flat(a),
    (a, _b, n) => ops.sub(a, ops.sum(ops.mul(a, 0.1), { axes: n % a.rank, keepDims: true })),
    (a, _b, n) => ops.softmax(a, { axis: n % a.rank }),
    (a, _b, n) => ops.max(a, { axes: n % a.rank, keepDims: true }),
    (a) => ops.layerNorm(a),
    (a) => ops.mul(ops.matmul(flat(a), ops.transpose(flat(a))), 0.1),
    (a, b) => ops.matmul(flat(a), ops.tanh(ops.broadcastTo(ops.mean(b), [a.shape[a.rank - 1], 3]))),
    (a, _b, n) => ops.sliceAxis(a, n % a.rank, 0, Math.ceil(a.shape[n % a.rank] / 2)),
    (a, _b, n) => ops.pad(a, a.shape.map((_, axis) => (axis === n % a.rank ? [1, 2] : [0, 0]))),
    (a, b) => ops.concat([a, like(a, b), ops.neg(a)], 0),
    (a, _b, n) => ops.flip(a, [n % a.rank]),
    (a, _b, n) => ops.mul(ops.cumsum(a, { axis: n % a.rank }), 0.3),
    (a, _b, n) => ops.gather(a, indices(n, a.shape[0])),
    (a, _b, n) => ops.scatterAdd(a, indices(n, a.shape[0]), ops.gather(ops.neg(a), indices(n, a.shape[0]))),
    (a) => ops.broadcastTo(ops.reshape(a, [1, ...a.shape]), [2, ...a.shape]),
    (a, b) => {
      const scale = ops.sigmoid(ops.mean(b));
      return scan(
        (c: Tensor, row: Tensor): [Tensor, Tensor] => {
          const next = ops.tanh(ops.add(ops.mul(c, scale), row));
          return [next, ops.mul(next, c)];
        },
        ops.mean(a, { axes: 0 }),
        a,
      )[1];
    },
  ];
  for (const [op, first, second] of choices) {
    const a = pick(pool.length - 1 - first % 3 + pool.length), b = pick(second);
    const made = makers[op % makers.length](a, b, second);
    const size = made.shape.reduce((n, extent) => n * extent, 1);
    if (made.rank > 0 && made.rank < 5 && size <= 600) pool.push(made);
  }
  return pool.slice(-3);
}

Deno.test("schedules of random programs and their gradients keep values, bounds and order", () => {
  const step = fc.tuple(fc.nat(21), fc.nat(20), fc.nat(20));
  fc.assert(
    fc.property(fc.array(step, { minLength: 2, maxLength: 10 }), fc.constantFrom(6, 8, 16), (choices, maxOperands) => {
      const loss = (x: Tensor, y: Tensor) =>
        randomProgram(choices, x, y).map((z) => ops.sum(ops.square(z))).reduce((a, b) => ops.add(a, b));
      const fn = (x: Tensor, y: Tensor) => [...randomProgram(choices, x, y), ...grad(loss, { argnums: [0, 1] })(x, y)];
      check(fn, [numbers([4, 6]), numbers([3, 4, 2], 1)], maxOperands);
    }),
    { numRuns: 120, seed: 20251 },
  );
});
