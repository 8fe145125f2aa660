/** Printed kernels against their meaning: every kernel kind, odd sizes, both styles, on the machine's adapter. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { CompileError } from "../../core/errors.ts";
import { constantIndex, makeVar } from "../../core/index_expr.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import { printWgsl } from "./print_wgsl.ts";
import type { PrintTarget } from "../../kernels/devices/webgpu/print_wgsl.ts";
import {
  binaryKernel,
  Build,
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
import { Gpu, randomElements, runReference } from "./print_harness.ts";
import type { Elements } from "./print_harness.ts";

const gpu = await Gpu.open();
const STYLES: readonly PrintTarget["style"][] = ["software", "gpu"];
/** Both styles, and the software style with every operand that can be read through a texture read so. */
const TARGETS: readonly PrintTarget[] = [...STYLES.map((style) => gpu.target(style)), gpu.target("software", "always")];

/**
 * Runs a kernel both ways and compares every operand. `allowance` is relative to the largest reference value of an
 * operand, at least 1.
 */
async function compare(
  label: string,
  kernel: Kernel,
  allowance = 1e-5,
  data?: Elements[],
  loops: readonly number[] = [],
): Promise<void> {
  const inputs = data ?? kernel.operands.map(({ dtype, size }, at) => randomElements(dtype, size, at + 1));
  const wanted = runReference(kernel, inputs, loops), texts = new Set<string>();
  for (const target of TARGETS) {
    // What is printed alike for two targets computes alike.
    const { source } = printWgsl(kernel, target);
    if (texts.has(source)) continue;
    texts.add(source);
    const found = await gpu.run(kernel, inputs, target, loops);
    wanted.forEach((reference, operand) => {
      const scale = Array.from(reference).reduce(
        (max, value) => (Number.isFinite(value) ? Math.max(max, Math.abs(value)) : max),
        1,
      );
      for (let at = 0; at < reference.length; at++) {
        const a = reference[at], b = found[operand][at];
        if (Object.is(a, b) || Math.abs(a - b) <= allowance * scale) continue;
        throw new Error(
          `${label} (${target.style}${
            target.texels ? ", texels" : ""
          }): operand ${operand}[${at}] is ${b}, should be ${a} (allowance ${allowance * scale})`,
        );
      }
    });
  }
}

const SIZES = [1, 3, 5, 17, 63, 77, 257];

Deno.test("map kernels compute every point once, whatever the shape", async () => {
  for (const [rows, columns] of [[1, 1], [3, 5], [17, 4], [5, 64], [63, 77], [8, 257], [12, 20]]) {
    await compare(`map ${rows}x${columns}`, mapKernel(rows, columns));
  }
  for (const shape of [[1], [4], [5], [3, 5, 7], [2, 3, 4], [77, 5], [16384, 4]]) {
    await compare(`flat ${shape}`, flatKernel(shape));
  }
});

Deno.test("shifted, padded, flipped and reshaped reads find their elements", async () => {
  for (const [rows, columns, shift] of [[3, 16, 4], [3, 16, 1], [5, 17, 3], [2, 8, -4], [2, 8, -3]]) {
    await compare(`shift ${rows}x${columns} by ${shift}`, shiftKernel(rows, columns, shift));
  }
  for (const [a, b, c] of [[3, 5, 7], [4, 8, 16], [1, 6, 4], [2, 3, 8]]) {
    await compare(`reshape ${a},${b},${c}`, reshapeKernel(a, b, c));
  }
});

Deno.test("gathers read rows by number, NaN outside", async () => {
  for (const [table, width, count] of [[7, 8, 5], [7, 3, 9], [256, 64, 17]]) {
    const kernel = gatherKernel(table, width, count);
    const data = kernel.operands.map(({ dtype, size }, at) => randomElements(dtype, size, at + 1));
    data[0].set([0, table - 1, table, -1], 0);
    await compare(`gather ${table}x${width}`, kernel, 1e-6, data);
  }
});

Deno.test("enclosing loops' indices come from the uniform", async () => {
  for (const size of [3, 8, 64]) await compare(`loop ${size}`, loopKernel(5, size), 1e-6, undefined, [2, 3]);
});

Deno.test("one-operand functions are accurate over their range and safe beyond", async () => {
  const domains: [Parameters<typeof unaryKernel>[0], number, number, number][] = [
    ["exp", -20, 5, 1e-6],
    ["log", 1e-3, 20, 1e-6],
    ["tanh", -100, 100, 3e-7],
    ["sigmoid", -200, 200, 3e-7],
    ["erf", -8, 8, 1.5e-7],
    ["sin", -30, 30, 3e-7],
    ["cos", -30, 30, 3e-7],
    ["sqrt", 0, 50, 1e-6],
    ["rsqrt", 0.01, 50, 1e-6],
    ["floor", -5, 5, 0],
    ["round", -5, 5, 0],
    ["sign", -1, 1, 0],
    ["abs", -3, 3, 0],
    ["neg", -3, 3, 0],
  ];
  for (const [op, low, high, allowance] of domains) {
    const size = 4096, kernel = unaryKernel(op, size);
    const x = Float32Array.from({ length: size }, (_, i) => low + (high - low) * (i + 0.5) / size);
    await compare(op, kernel, allowance, [x, new Float32Array(size)]);
  }
});

Deno.test("log, tanh and erf keep relative accuracy where the result is small", async () => {
  const size = 1024;
  const near = Float32Array.from({ length: size }, (_, i) => (i + 0.5) / size * 0.1 - 0.05);
  for (
    const [op, x, f] of [
      ["log", near.map((value) => 1 + value), Math.log],
      ["tanh", near, Math.tanh],
      [
        "erf",
        near,
        (value: number) => 2 / Math.sqrt(Math.PI) * (value - value ** 3 / 3 + value ** 5 / 10 - value ** 7 / 42),
      ],
    ] as const
  ) {
    const [, y] = await gpu.run(unaryKernel(op, size), [x, new Float32Array(size)], gpu.target("software"));
    x.forEach((value, at) => {
      const wanted = f(value);
      assert(Math.abs(y[at] - wanted) <= 1e-6 * Math.abs(wanted), `${op}(${value}) is ${y[at]}, should be ${wanted}`);
    });
  }
});

Deno.test("powers follow JAX: whole exponents of negative bases, NaN otherwise, 0^0 = 1", async () => {
  const bases = [-2, -2, -2, 0, 0, 2, 2, -1.5, -1.5, 3, 0, 1, -3, -2.5, 7, 9];
  const exponents = [3, 2, 0.5, 0, 2, 0.5, -1, 3, 4, 0, 0.5, 100, -1, -2, 2, 0.5];
  const data = [Float32Array.from(bases), Float32Array.from(exponents), new Float32Array(16)];
  await compare("pow", binaryKernel("pow", 16), 1e-6, data);
  const whole = [
    new Int32Array([2, -3, 0, 5, 1, 7, -2, 10]),
    new Int32Array([10, 3, 0, 0, 31, 2, 5, 4]),
    new Int32Array(8),
  ];
  await compare("integer pow", binaryKernel("pow", 8, "i32"), 0, whole);
});

Deno.test("two-operand functions agree on every dtype", async () => {
  for (const op of ["add", "sub", "mul", "max", "min", "mod"] as const) {
    for (const dtype of ["f32", "i32"] as const) {
      const kernel = binaryKernel(op, 77, dtype);
      const data = kernel.operands.map(({ size }, at) => randomElements(dtype, size, at + 1));
      if (op === "mod") data[1] = data[1].map((value: number) => value || 3) as Elements;
      await compare(`${op} ${dtype}`, kernel, 1e-6, data);
    }
  }
  for (const op of ["add", "mul", "and", "or", "xor", "shiftLeft", "shiftRight"] as const) {
    await compare(op, binaryKernel(op, 64, "u32"), 0);
  }
  for (const op of ["eq", "ne", "lt", "le", "gt", "ge"] as const) {
    for (const dtype of ["f32", "i32", "u32", "bool"] as const) {
      await compare(`${op} ${dtype}`, binaryKernel(op, 64, dtype), 0);
    }
  }
  for (const op of ["and", "or", "xor", "max", "min"] as const) {
    await compare(`${op} bool`, binaryKernel(op, 20, "bool"), 0);
  }
});

Deno.test("reductions along rows and columns of odd sizes", async () => {
  for (const size of SIZES) {
    for (const axis of [0, 1] as const) {
      await compare(`sum axis ${axis} of ${size}`, reduceKernel("sum", axis ? 13 : size, axis ? size : 12, axis));
      await compare(
        `argmax axis ${axis} of ${size}`,
        reduceKernel("argmax", axis ? 13 : size, axis ? size : 9, axis),
        0,
      );
    }
  }
  for (const combine of ["max", "min"] as const) {
    await compare(combine, reduceKernel(combine, 9, 64, 1), 0);
    await compare(`${combine} i32`, reduceKernel(combine, 9, 63, 1, "i32"), 0);
  }
  await compare("sum i32", reduceKernel("sum", 5, 40, 1, "i32"), 0);
});

Deno.test("few long rows are shared by a team", async () => {
  for (const [rows, columns] of [[1, 65536], [3, 4097], [8, 1024]]) {
    await compare(`sum ${rows}x${columns}`, reduceKernel("sum", rows, columns, 1));
    await compare(`argmax ${rows}x${columns}`, reduceKernel("argmax", rows, columns, 1), 0);
  }
  await compare("tall sum", reduceKernel("sum", 3000, 8, 0));
  await compare("softmax 2x5000", softmaxKernel(2, 5000, false));
});

Deno.test("an empty reduction gives its identity", async () => {
  const kernel = reduceKernel("sum", 5, 0, 1);
  for (const style of STYLES) {
    const found = await gpu.run(kernel, [new Float32Array(1), new Float32Array(5).fill(7)], gpu.target(style));
    assertEquals([...found[1]], [0, 0, 0, 0, 0]);
  }
});

Deno.test("argmax takes the first of equal maxima, also where all are -Infinity", async () => {
  for (const columns of [4, 17, 64, 600]) {
    const kernel = reduceKernel("argmax", 2, columns, 1);
    const x = new Float32Array(2 * columns).fill(-Infinity);
    x[columns + 1] = x[columns + 3] = 2;
    await compare(`argmax ties ${columns}`, kernel, 0, [x, new Int32Array(2)]);
  }
});

Deno.test("softmax, masked or not, is one pass chain", async () => {
  for (const [rows, columns] of [[5, 3], [17, 17], [33, 64], [9, 77], [16, 257], [64, 512]]) {
    for (const masked of [false, true]) {
      await compare(`softmax ${rows}x${columns} ${masked}`, softmaxKernel(rows, columns, masked));
    }
  }
});

Deno.test("dependent reductions in place, along either axis", async () => {
  for (const [rows, columns] of [[5, 3], [16, 32], [12, 64], [7, 77], [20, 256], [4, 1000]]) {
    for (const axis of [0, 1] as const) {
      await compare(`norm ${rows}x${columns} axis ${axis}`, normKernel(rows, columns, axis));
    }
  }
});

Deno.test("contractions of odd shapes, transposed operands and results", async () => {
  for (
    const [m, n, k] of [
      [1, 1, 1],
      [3, 5, 17],
      [17, 63, 5],
      [63, 17, 64],
      [64, 64, 64],
      [77, 12, 33],
      [1, 257, 20],
      [257, 3, 16],
      [45, 68, 18],
      [40, 70, 36],
      [
        5,
        5,
        0,
      ],
    ]
  ) {
    for (const flags of [0, 1, 2, 3, 4, 7]) {
      const kernel = contractKernel({
        m,
        n,
        k,
        transposeLhs: (flags & 1) > 0,
        transposeRhs: (flags & 2) > 0,
        transposeOut: (flags & 4) > 0,
      });
      const data = kernel.operands.map(({ dtype, size }, at) => randomElements(dtype, Math.max(1, size), at + 1));
      await compare(`contract ${m}x${n}x${k} flags ${flags}`, kernel, 1e-5, data);
    }
  }
});

Deno.test("batched contractions with fused operands and epilogues", async () => {
  for (const [batch, m, n, k] of [[3, 16, 16, 16], [2, 17, 20, 12], [5, 9, 7, 11], [2, 64, 32, 48]]) {
    for (const flags of [0, 1, 2, 4]) {
      const options = {
        batch,
        m,
        n,
        k,
        transposeLhs: (flags & 1) > 0,
        transposeRhs: (flags & 2) > 0,
        transposeOut: (flags & 4) > 0,
        fused: true,
      };
      await compare(`fused contract ${batch}x${m}x${n}x${k} flags ${flags}`, contractKernel(options));
    }
  }
});

Deno.test("recurrences in both directions", async () => {
  for (const [batch, time, width] of [[1, 1, 1], [2, 17, 8], [3, 63, 5], [2, 64, 12]]) {
    for (const reverse of [false, true]) {
      await compare(`recurrence ${batch},${time},${width}`, recurrenceKernel(batch, time, width, reverse));
      await compare(`chain ${batch},${time},${width}`, chainKernel(batch, time, width, reverse));
    }
  }
});

Deno.test("scatters add every valid position in order", async () => {
  for (const [table, width, count] of [[5, 8, 17], [3, 3, 9], [16, 64, 40]]) {
    await compare(`scatter ${table}`, scatterKernel(table, width, count));
  }
});

Deno.test("no kernel touches what lies beside its results", async () => {
  for (const [name, kernel] of embeddedKernels()) await compare(name, kernel);
});

Deno.test("dispatches beyond a dimension's limit are folded", async () => {
  const target = { ...gpu.target("software"), maxWorkgroupsPerDimension: 3 };
  for (const kernel of [flatKernel([1000]), contractKernel({ m: 60, n: 20, k: 8 }), softmaxKernel(50, 5, false)]) {
    const data = kernel.operands.map(({ dtype, size }, at) => randomElements(dtype, size, at + 1));
    const wanted = runReference(kernel, data);
    for (const style of STYLES) {
      const found = await gpu.run(kernel, data, { ...target, style, maxWorkgroupsPerDimension: 7 });
      wanted.forEach((reference, operand) =>
        reference.forEach((value, at) => assert(Math.abs(value - found[operand][at]) < 1e-4))
      );
    }
  }
});

Deno.test("large contractions through workgroup memory", async () => {
  const [m, n, k] = [1000, 520, 36];
  for (const flags of [0, 1, 2, 3]) {
    const [transposeLhs, transposeRhs] = [(flags & 1) > 0, (flags & 2) > 0];
    const kernel = contractKernel({ m, n, k, transposeLhs, transposeRhs });
    const data = kernel.operands.map(({ dtype, size }, at) => randomElements(dtype, size, at + 1));
    for (const target of TARGETS) {
      const [lhs, rhs, out] = await gpu.run(kernel, data, target);
      for (let at = 0; at < m * n; at++) {
        const row = Math.floor(at / n), column = at % n;
        let sum = 0;
        for (let step = 0; step < k; step++) {
          sum += lhs[transposeLhs ? step * m + row : row * k + step] *
            rhs[transposeRhs ? column * k + step : step * n + column];
        }
        if (Math.abs(sum - out[at]) > 1e-4) {
          throw new Error(
            `contract flags ${flags} (${target.style}): [${row}, ${column}] is ${out[at]}, should be ${sum}`,
          );
        }
      }
    }
  }
});

Deno.test("equal kernels give equal text, whatever their variables' identities", () => {
  const makers = [
    () => mapKernel(12, 20),
    () => reshapeKernel(3, 5, 7),
    () => gatherKernel(7, 8, 5),
    () => loopKernel(5, 8),
    () => softmaxKernel(17, 77, true),
    () => normKernel(64, 64, 0),
    () => contractKernel({ batch: 3, m: 17, n: 20, k: 12, fused: true }),
    () => recurrenceKernel(2, 9, 8, true),
    () => scatterKernel(5, 8, 17),
  ];
  for (const style of STYLES) {
    const before = makers.map((make) => printWgsl(make(), gpu.target(style)).source);
    // Numbers with more digits sort differently.
    for (let at = 0; at < 5000; at++) makeVar("other", 2);
    makers.forEach((make, at) => assertEquals(printWgsl(make(), gpu.target(style)).source, before[at]));
  }
});

Deno.test("NaN and infinities come from the uniform, constants read back exactly", async () => {
  const values = [0.1, -0, 1 / 3, 1e-30, 3.4028234663852886e38, 16777217, NaN, Infinity, -Infinity, 1e-45];
  const e = new Build(), i = makeVar("i", 1);
  const kernel: Kernel = {
    kind: "map",
    loops: [],
    origins: [],
    space: [i],
    stores: values.map((value, at) => ({ operand: 0, index: constantIndex(at), value: e.const(value) })),
    operands: [{ dtype: "f32", size: values.length, access: "write" }],
  };
  const [found] = await gpu.run(kernel, [new Float32Array(values.length)], gpu.target("software"));
  // Subnormal numbers may be flushed.
  assertEquals(
    [...found].map((value) => (Math.abs(value) < 1e-38 ? 0 * value : value)).slice(0, 9),
    values.slice(0, 9).map(Math.fround),
  );
  const whole = new Build();
  const integer: Kernel = {
    ...kernel,
    stores: [{ operand: 0, index: constantIndex(0), value: whole.const(-2147483648, "i32") }],
    operands: [{ dtype: "i32", size: 1, access: "write" }],
  };
  assertEquals((await gpu.run(integer, [new Int32Array(1)], gpu.target("software")))[0][0], -2147483648);
});

Deno.test("deep loop nests are refused", () => {
  const nested = loopKernel(5, 8);
  const outer = Array.from({ length: 4 }, (_, at) => makeVar(`l${at}`, 2));
  assertThrows(
    () => printWgsl({ ...nested, loops: [...outer, ...nested.loops] }, gpu.target("software")),
    CompileError,
    "nested loops",
  );
});
