/**
 * Kernels printed as WebAssembly against their meaning: every kernel kind, odd sizes, on one thread and shared among
 * three.
 */
import { assert, assertEquals } from "@std/assert";
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { interpret } from "../../core/interpret.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { simplify } from "../../core/simplify.ts";
import { type Spec, spec, trace } from "../../core/trace.ts";
import { compile } from "../../kernels/compile.ts";
import { requestCpuDevice } from "../../kernels/mod.ts";
import * as ops from "../../ops/mod.ts";
import { columnsOf, panelsOf } from "../../kernels/codegen/contract_blocks.ts";
import { findFeatures } from "../../kernels/devices/wasm/features.ts";
import { printCpuKernel, TILES } from "../../kernels/devices/wasm/print_kernel.ts";
import { encodeModule, printFunction } from "../../kernels/codegen/wasm_encoder.ts";
import type { Kernel, RowKernel } from "../../kernels/kernel.ts";
import {
  binaryKernel,
  chainKernel,
  contractKernel,
  embeddedKernels,
  flatKernel,
  gatherKernel,
  loopKernel,
  mapKernel,
  normKernel,
  recurrenceKernel,
  reduceKernel,
  reshapeKernel,
  scatterKernel,
  shiftKernel,
  softmaxKernel,
  unaryKernel,
} from "./print_cases.ts";
import { randomElements, runReference } from "./print_harness.ts";
import type { Elements } from "./print_harness.ts";

const RELAXED = findFeatures().relaxed ? [true, false] : [false];

interface RunOptions {
  readonly relaxed: boolean;
  /** Threads among which the kernel is shared, and for which it is printed. */
  readonly threads: number;
  readonly printedFor?: number;
  readonly loops?: readonly number[];
}

/** Runs a printed kernel, each thread's share after the other. */
function run(kernel: Kernel, data: readonly Elements[], { relaxed, threads, printedFor, loops = [] }: RunOptions) {
  const { fn, scratchBytes } = printCpuKernel(kernel, { relaxed, threads: printedFor });
  const module = new WebAssembly.Module(
    encodeModule({ shared: false, functions: [fn], exports: new Map([["kernel", 0]]) }),
  );
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536 });
  const exports = new WebAssembly.Instance(module, { m: { m: memory } }).exports as {
    kernel: (...args: number[]) => void;
  };
  let end = 65536;
  const addresses = data.map(({ byteLength }) => {
    const address = end;
    end += Math.ceil(byteLength / 256) * 256 + 256;
    return address;
  });
  memory.grow(Math.ceil((end + scratchBytes) / 65536));
  const views = data.map((elements, i) =>
    new (elements.constructor as Float32ArrayConstructor)(memory.buffer, addresses[i], elements.length)
  );
  views.forEach((view, i) => view.set(data[i] as Float32Array));
  for (let thread = 0; thread < threads; thread++) exports.kernel(thread, threads, end, ...addresses, ...loops);
  return views;
}

/**
 * Compares every operand with its reference. `allowance` is relative to the largest reference value of an operand, at
 * least 1.
 */
function compare(
  label: string,
  kernel: Kernel,
  allowance = 1e-5,
  data?: Elements[],
  loops: readonly number[] = [],
): void {
  const inputs = data ?? kernel.operands.map(({ dtype, size }, at) => randomElements(dtype, size, at + 1));
  const wanted = runReference(kernel, inputs, loops);
  for (const relaxed of RELAXED) {
    const found = run(kernel, inputs, { relaxed, threads: 1, loops });
    wanted.forEach((reference, operand) => {
      const scale = Array.from(reference).reduce(
        (max, value) => (Number.isFinite(value) ? Math.max(max, Math.abs(value)) : max),
        1,
      );
      for (let at = 0; at < reference.length; at++) {
        const a = reference[at], b = found[operand][at];
        if (Object.is(a, b) || Math.abs(a - b) <= allowance * scale) continue;
        throw new Error(
          `${label} (relaxed ${relaxed}): operand ${operand}[${at}] is ${b}, should be ${a} (allowance ${
            allowance * scale
          })`,
        );
      }
    });
    const shared = run(kernel, inputs, { relaxed, threads: 3, loops });
    shared.forEach((elements, operand) =>
      assertEquals(elements, found[operand], `${label}: three threads give what one gives`)
    );
  }
}

/** The error function by its Maclaurin series, and 1 far out. */
function erf(x: number): number {
  if (Math.abs(x) > 4) return Math.sign(x) * (1 - 1.54e-8);
  let term = x, sum = x;
  for (let n = 1; n < 120; n++) sum += (term *= -x * x / n) / (2 * n + 1);
  return (2 / Math.sqrt(Math.PI)) * sum;
}

Deno.test("cpu: no kernel touches what lies beside its results", () => {
  for (const [name, kernel] of embeddedKernels()) compare(name, kernel);
});

Deno.test("cpu: map kernels compute every point once, whatever the shape", () => {
  for (const [rows, columns] of [[1, 1], [3, 5], [17, 4], [5, 64], [63, 77], [8, 257], [12, 20]]) {
    compare(`map ${rows}x${columns}`, mapKernel(rows, columns));
  }
  for (const shape of [[1], [4], [5], [3, 5, 7], [2, 3, 4], [77, 5]]) compare(`flat ${shape}`, flatKernel(shape));
});

Deno.test("cpu: shifted, padded, flipped and reshaped reads find their elements, and masked ones never leave memory", () => {
  for (
    const [rows, columns, shift] of [[3, 16, 4], [3, 16, 1], [5, 17, 3], [2, 8, -4], [2, 8, -3], [1, 8, 40000], [
      1,
      8,
      -40000,
    ]]
  ) {
    compare(`shift ${rows}x${columns} by ${shift}`, shiftKernel(rows, columns, shift));
  }
  for (const [a, b, c] of [[3, 5, 7], [4, 8, 16], [1, 6, 4], [2, 3, 8]]) {
    compare(`reshape ${a},${b},${c}`, reshapeKernel(a, b, c));
  }
});

Deno.test("cpu: gathers read rows by number, NaN outside", () => {
  for (const [table, width, count] of [[7, 8, 5], [7, 3, 9], [256, 64, 17]]) {
    const kernel = gatherKernel(table, width, count);
    const data = kernel.operands.map(({ dtype, size }, at) => randomElements(dtype, size, at + 1));
    data[0].set([0, table - 1, table, -1], 0);
    compare(`gather ${table}x${width}`, kernel, 1e-6, data);
  }
});

Deno.test("cpu: enclosing loops' indices are parameters", () => {
  for (const size of [3, 8, 64]) compare(`loop ${size}`, loopKernel(5, size), 1e-6, undefined, [2, 3]);
});

Deno.test("cpu: reductions along rows and across them", () => {
  for (const combine of ["sum", "max", "min", "argmax"] as const) {
    for (const axis of [0, 1] as const) {
      for (const [rows, columns] of [[1, 1], [3, 5], [5, 64], [63, 77], [8, 257], [1, 1000]]) {
        compare(`${combine} ${rows}x${columns} along ${axis}`, reduceKernel(combine, rows, columns, axis));
      }
    }
    compare(`${combine} of integers`, reduceKernel(combine, 5, 17, 1, "i32"), 0);
  }
  for (const [rows, columns] of [[1, 1], [3, 5], [5, 64], [33, 77]]) {
    for (const masked of [false, true]) compare(`softmax ${rows}x${columns}`, softmaxKernel(rows, columns, masked));
    for (const axis of [0, 1] as const) {
      compare(`norm ${rows}x${columns} along ${axis}`, normKernel(rows, columns, axis), 1e-4);
    }
  }
});

Deno.test("cpu: a NaN anywhere in a row makes its extremes NaN, infinities are extremes", () => {
  for (const combine of ["max", "min"] as const) {
    for (const axis of [0, 1] as const) {
      for (const [rows, columns] of [[3, 5], [20, 64], [21, 77]]) {
        const kernel = reduceKernel(combine, rows, columns, axis);
        const data = kernel.operands.map(({ dtype, size }, at) => randomElements(dtype, size, at + 1));
        // Every fourth element or so of the first rows: first, middle and last lanes and groups, and the rest beyond
        // the last group.
        for (let at = 0; at < data[0].length; at += 4 * columns + 3) data[0][at] = NaN;
        data[0].set([-Infinity, Infinity], columns);
        compare(`${combine} ${rows}x${columns} along ${axis}`, kernel, 0, data);
      }
    }
  }
});

Deno.test("cpu: matrix products of all layouts and sizes", () => {
  for (
    const [m, n, k] of [[1, 1, 1], [1, 64, 33], [64, 1, 33], [2, 3, 5], [4, 8, 4], [5, 9, 7], [17, 33, 300], [
      130,
      140,
      20,
    ], [64, 64, 64]]
  ) {
    for (let layout = 0; layout < 8; layout++) {
      const [transposeLhs, transposeRhs, transposeOut] = [1, 2, 4].map((bit) => (layout & bit) > 0);
      compare(
        `contract ${m}x${n}x${k}, layout ${layout}`,
        contractKernel({ m, n, k, transposeLhs, transposeRhs, transposeOut, fused: layout % 3 === 0 }),
        2e-5,
      );
    }
  }
  compare("a batch", contractKernel({ batch: 5, m: 12, n: 20, k: 9, fused: true }), 2e-5);
});

Deno.test("cpu: sums of products do not depend on the blocks, which the number of threads decides", () => {
  for (const [batch, m, n, k] of [[1, 130, 140, 20], [1, 64, 256, 300], [5, 17, 33, 64], [3, 200, 24, 9]]) {
    for (const transposeOut of [false, true]) {
      const kernel = contractKernel({ batch, m, n, k, transposeOut, fused: m === 64 });
      const data = kernel.operands.map(({ dtype, size }, at) => randomElements(dtype, size, at + 1));
      const one = run(kernel, data, { relaxed: RELAXED[0], threads: 1, printedFor: 1 });
      for (const printedFor of [2, 16]) {
        const many = run(kernel, data, { relaxed: RELAXED[0], threads: 3, printedFor });
        many.forEach((elements, operand) =>
          assertEquals(elements, one[operand], `${batch} x ${m} x ${n} x ${k} printed for ${printedFor} threads`)
        );
      }
    }
  }
});

Deno.test("cpu: panels cover the columns of a block, without superfluous ones where their number divides by 4", () => {
  for (let columns = 1; columns <= 300; columns++) {
    const covered = columnsOf(panelsOf(columns, TILES), TILES);
    assert(covered >= columns && covered < columns + 8, `${covered} columns for ${columns}`);
    if (columns % 4 === 0 && columns >= 8) assertEquals(covered, columns);
  }
});

Deno.test("cpu: what several passes over a row need and takes long is computed once", () => {
  // Only an exponential shifts integers, once for each evaluation of one that is not positive.
  const countOf = (kernel: Kernel) =>
    printCpuKernel(kernel, { relaxed: true }).fn.code.filter(([op]) => op === "i32x4.shl").length;
  assertEquals(countOf(softmaxKernel(33, 64, true)), 1);
  // It lies in the row of the result in the meantime, unless there are two results.
  const scratchOf = (kernel: Kernel): number => printCpuKernel(kernel, { relaxed: true }).scratchBytes;
  const kernel = softmaxKernel(33, 64, true) as RowKernel, [store] = kernel.elementStores;
  const operands = [...kernel.operands, kernel.operands[store.operand]];
  const twice = { ...kernel, operands, elementStores: [store, { ...store, operand: kernel.operands.length }] };
  assertEquals([scratchOf(kernel), scratchOf(twice)], [0, 256]);
  compare("softmax, stored twice", twice);
  // A row that does not fit in the cache is not kept.
  assertEquals(countOf(softmaxKernel(33, 2 ** 16, true)), 2);
});

Deno.test("cpu: recurrences and scatters go through time and positions in order", () => {
  for (const [batch, time, width] of [[1, 5, 1], [2, 17, 3], [3, 9, 8]]) {
    for (const reverse of [false, true]) {
      compare(`recurrence ${batch},${time},${width}`, recurrenceKernel(batch, time, width, reverse));
      compare(`chain ${batch},${time},${width}`, chainKernel(batch, time, width, reverse));
    }
  }
  for (const [table, width, count] of [[7, 8, 5], [7, 3, 19], [16, 1, 33]]) {
    const kernel = scatterKernel(table, width, count);
    const data = kernel.operands.map(({ dtype, size }, at) => randomElements(dtype, size, at + 1));
    data[0].set([0, table - 1, table, -1, 0], 0);
    compare(`scatter ${table}x${width}`, kernel, 1e-5, data);
  }
});

/** Greatest error of a function over points, relative to the value or, below `floor`, to the floor. */
function errorOf(
  op: Parameters<typeof unaryKernel>[0],
  x: Float32Array,
  f: (x: number) => number,
  floor: number,
): number {
  let worst = 0;
  for (const relaxed of RELAXED) {
    const [, y] = run(unaryKernel(op, x.length), [x, new Float32Array(x.length)], { relaxed, threads: 1 });
    x.forEach((value, at) => {
      const wanted = f(value);
      if (Math.abs(wanted) > 3.4e38 || Object.is(Math.fround(wanted), y[at])) return;
      worst = Math.max(worst, Math.abs(y[at] - wanted) / Math.max(Math.abs(wanted), floor));
    });
  }
  return worst;
}

/** Points of an interval; their number is no multiple of 4, so that the last are computed one by one. */
function points(low: number, high: number): Float32Array {
  return Float32Array.from({ length: 10003 }, (_, i) => low + (high - low) * (i + 0.5) / 10003);
}

Deno.test("cpu: elementary functions are as accurate as documented", () => {
  const ULP = 2 ** -23;
  const cases: [Parameters<typeof unaryKernel>[0], number, number, (x: number) => number, number, number][] = [
    ["exp", -87, 88, Math.exp, ULP, 0],
    ["exp", -1, 1, Math.exp, ULP, 0],
    ["log", 1e-3, 20, Math.log, 2 * ULP, 0],
    ["log", 0.95, 1.05, Math.log, 2 * ULP, 0],
    ["tanh", -20, 20, Math.tanh, 3 * ULP, 0],
    ["tanh", -0.1, 0.1, Math.tanh, 3 * ULP, 0],
    ["sigmoid", -80, 80, (x) => 1 / (1 + Math.exp(-x)), 3 * ULP, 0],
    ["erf", -3.9, 3.9, erf, 1e-6, 0.1],
    ["erf", -0.1, 0.1, erf, 1e-6, 0],
    ["sin", -100, 100, Math.sin, 3e-7, 1],
    ["cos", -100, 100, Math.cos, 3e-7, 1],
    ["sqrt", 0, 50, Math.sqrt, ULP, 0],
    ["rsqrt", 0.01, 50, (x) => 1 / Math.sqrt(x), 2 * ULP, 0],
  ];
  for (const [op, low, high, f, allowance, floor] of cases) {
    const error = errorOf(op, points(low, high), f, floor);
    assert(error <= allowance, `${op} on ${low} .. ${high} is off by ${error}, allowed are ${allowance}`);
  }
});

Deno.test("cpu: elementary functions are safe beyond their range", () => {
  const wanted: [Parameters<typeof unaryKernel>[0], number, number][] = [
    ["exp", 1000, Infinity],
    ["exp", -1000, 0],
    ["exp", -100, Math.fround(Math.exp(-100))],
    ["exp", -103.9, 2 ** -149],
    ["exp", -104, 0],
    ["exp", -150.3, 0],
    ["exp", -175.6, 0],
    ["exp", -176, 0],
    ["exp", -1e30, 0],
    ["exp", -Infinity, 0],
    ["exp", NaN, NaN],
    ["log", 0, -Infinity],
    ["log", -1, NaN],
    ["log", Infinity, Infinity],
    ["log", 1e-40, Math.fround(Math.log(Math.fround(1e-40)))],
    ["tanh", 1e30, 1],
    ["tanh", -1e30, -1],
    ["sigmoid", -1e30, 0],
    ["sigmoid", 1e30, 1],
    ["erf", -50, -1],
    ["sign", NaN, NaN],
    ["sign", -0.5, -1],
  ];
  for (const [op, x, y] of wanted) {
    for (const size of [1, 4]) {
      const [, found] = run(unaryKernel(op, size), [new Float32Array(size).fill(x), new Float32Array(size)], {
        relaxed: RELAXED[0],
        threads: 1,
      });
      for (const value of found) assertEquals(value, y, `${op}(${x})`);
    }
  }
});

Deno.test("cpu: integers divide without traps, and powers follow NumPy", () => {
  const integers = (...values: number[]) => Int32Array.from(values);
  const x = integers(7, -7, 7, -7, 5, -2147483648, 9), y = integers(2, 2, -2, -2, 0, -1, 4);
  const resultOf = (op: Parameters<typeof binaryKernel>[0], a: Elements, b: Elements, dtype: "f32" | "i32") =>
    Array.from(run(binaryKernel(op, a.length, dtype), [a, b, a.slice()], { relaxed: RELAXED[0], threads: 1 })[2]);
  assertEquals(resultOf("div", x, y, "i32"), [3, -3, -3, 3, 5, -2147483648, 2]);
  assertEquals(resultOf("mod", x, y, "i32"), [1, 1, -1, -1, 0, 0, 1]);
  assertEquals(resultOf("pow", integers(2, -3, 5, 0, 2), integers(10, 3, 0, 0, -1), "i32"), [1024, -27, 1, 1, 0]);
  const bases = Float32Array.of(-2, -2, -2, 0, 0, 2, 0, 3, -1.5),
    exponents = Float32Array.of(3, 2, 0.5, 0, 2, -1, -1, 0, 3);
  const powers = resultOf("pow", bases, exponents, "f32");
  const wanted = [-8, 4, NaN, 1, 0, 0.5, Infinity, 1, -3.375];
  powers.forEach((value, i) =>
    assert(Object.is(value, wanted[i]) || Math.abs(value - wanted[i]) < 1e-6, `${bases[i]}^${exponents[i]} is ${value}`)
  );
});

Deno.test("cpu: printed text of a map kernel", () => {
  const text = printFunction(printCpuKernel(unaryKernel("neg", 8), { relaxed: true }).fn);
  for (const part of ["(param $thread i32)", "v128.load 0", "f32x4.neg", "v128.store 0", "br_if 0"]) {
    assert(text.includes(part), `${part} is missing in\n${text}`);
  }
});

Deno.test("cpu: gradients of gathers along an axis scatter each into its own column, whatever the sizes", async () => {
  const shapes = [[1, 9, 2], [2, 3, 4], [3, 5, 1], [4, 2, 3], [1, 1, 8], [2, 8, 3], [5, 1, 2], [1, 6, 6], [1, 9, 3]];
  // Indices for each column, or the same for all along another axis.
  const cases = shapes.flatMap((shape) =>
    [0, 1, 2].flatMap((axis) => [0, 1, 2].map((same) => ({ shape, axis, same })))
  );
  const gradients = (x: Tensor, picks: Tensor): Tensor[] =>
    cases.map(({ shape, axis, same }) => {
      const size = sizeOfShape(shape), taken = shape.with(axis, 2), given = same === axis ? taken : taken.with(same, 1);
      const indices = ops.mod(ops.reshape(ops.slice(picks, [0], [sizeOfShape(given)]), given), shape[axis]);
      const weights = ops.add(ops.cast(ops.reshape(ops.iota([sizeOfShape(taken)], 0), taken), "f32"), 1);
      return grad((own: Tensor) => ops.sum(ops.mul(ops.takeAlongAxis(own, indices, { axis }), weights)))(
        ops.reshape(ops.slice(x, [0], [size]), shape),
      );
    });
  const specs: [Spec, Spec] = [spec([72]), spec([144], "i32")];
  const x = Float64Array.from({ length: 72 }, (_, i) => i),
    picks = Int32Array.from({ length: 144 }, (_, i) => 7 * i % 11);
  const wanted = interpret(simplify(trace(gradients, specs).graph), [
    { ...specs[0], data: x },
    { ...specs[1], data: Float64Array.from(picks) },
  ]);
  using device = await requestCpuDevice({ threads: 1, poison: true });
  const program = await compile(device, gradients, specs), found = await program.run(Float32Array.from(x), picks);
  found.forEach(({ data }, at) => assertEquals([...data], [...wanted[at].data], JSON.stringify(cases[at])));
});
