/** Kernels of every kind, for the tests of printers that know no machine: what they print must mean the same on all. */
import type { Kernel } from "../../kernels/kernel.ts";
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
import { type Elements, randomElements } from "./print_harness.ts";

/** A kernel, its operands, and how far results may be from the reference, relative to the greatest of an operand. */
export interface KernelCase {
  readonly label: string;
  readonly kernel: Kernel;
  readonly data: readonly Elements[];
  readonly allowance: number;
  /** Indices of the loops around it. */
  readonly loops: readonly number[];
}

function kernelCase(label: string, kernel: Kernel, allowance = 1e-5, loops: readonly number[] = []): KernelCase {
  const data = kernel.operands.map(({ dtype, size }, at) => randomElements(dtype, size, at + 1));
  return { label, kernel, data, allowance, loops };
}

function maps(): KernelCase[] {
  return [
    ...embeddedKernels().map(([name, kernel]) => kernelCase(name, kernel)),
    ...[[1, 1], [3, 5], [17, 4], [5, 64], [12, 20]].map(([m, n]) => kernelCase(`map ${m}x${n}`, mapKernel(m, n))),
    ...[[7], [3, 5, 7], [2, 3, 8]].map((shape) => kernelCase(`flat ${shape}`, flatKernel(shape))),
    ...[4, 1, -3, 40000].map((shift) => kernelCase(`shift by ${shift}`, shiftKernel(3, 17, shift))),
    ...[[3, 5, 7], [4, 8, 16]].map(([a, b, c]) => kernelCase(`reshape ${a},${b},${c}`, reshapeKernel(a, b, c))),
    kernelCase("gather", gatherKernel(7, 16, 9), 1e-6),
    kernelCase("loop", loopKernel(5, 24), 1e-6, [2, 3]),
  ];
}

function arithmetic(): KernelCase[] {
  const unary = ["exp", "log", "tanh", "sigmoid", "erf", "sin", "cos", "sqrt", "sign", "floor"] as const;
  const binary = ["add", "mul", "div", "mod", "min", "max"] as const;
  const large = kernelCase("sin of large numbers", unaryKernel("sin", 37), 2e-6);
  return [
    ...unary.map((op) => kernelCase(op, unaryKernel(op, 37), 2e-6)),
    { ...large, data: [large.data[0].map((x) => 1e9 * x ** 3), large.data[1]] as Elements[] },
    ...(["f32", "i32"] as const).flatMap((dtype) =>
      binary.map((op) => kernelCase(`${op} of ${dtype}`, binaryKernel(op, 37, dtype), 2e-6))
    ),
  ];
}

function reductions(): KernelCase[] {
  const axes = [0, 1] as const;
  return [
    ...(["sum", "max", "min", "argmax"] as const).flatMap((combine) =>
      axes.flatMap((axis) =>
        [[3, 5], [33, 77], [8, 257]].map(([rows, columns]) =>
          kernelCase(`${combine} ${rows}x${columns} along ${axis}`, reduceKernel(combine, rows, columns, axis))
        )
      )
    ),
    ...[false, true].map((masked) => kernelCase("softmax", softmaxKernel(33, 77, masked))),
    ...axes.map((axis) => kernelCase(`norm along ${axis}`, normKernel(33, 77, axis), 1e-4)),
  ];
}

function products(): KernelCase[] {
  const layouts = Array.from({ length: 8 }, (_, layout) => [1, 2, 4].map((bit) => (layout & bit) > 0));
  return [
    ...[[2, 3, 5], [4, 8, 4], [9, 33, 20]].flatMap(([m, n, k]) =>
      layouts.map(([transposeLhs, transposeRhs, transposeOut], layout) =>
        kernelCase(
          `contract ${m}x${n}x${k}, layout ${layout}`,
          contractKernel({ m, n, k, transposeLhs, transposeRhs, transposeOut, fused: layout % 3 === 0 }),
          2e-5,
        )
      )
    ),
    // More rows than a tile, and more steps of k than a block.
    kernelCase("contract 50x40x8", contractKernel({ m: 50, n: 40, k: 8 }), 2e-5),
    kernelCase("contract 5x20x300", contractKernel({ m: 5, n: 20, k: 300, transposeRhs: true, fused: true }), 2e-5),
    kernelCase("a batch", contractKernel({ batch: 3, m: 12, n: 20, k: 9, fused: true }), 2e-5),
  ];
}

function sequences(): KernelCase[] {
  return [
    ...[false, true].flatMap((reverse) => [
      kernelCase("recurrence", recurrenceKernel(2, 17, 24, reverse)),
      kernelCase("chain", chainKernel(2, 17, 24, reverse)),
    ]),
    kernelCase("scatter", scatterKernel(7, 24, 19)),
  ];
}

/** The cases by what they are. */
export const KERNEL_CASES: Readonly<Record<string, () => KernelCase[]>> = {
  "maps, with shifted, padded, reshaped and gathered reads": maps,
  "arithmetic of every kind": arithmetic,
  "reductions, softmax and norms, along rows and across them": reductions,
  "products of all layouts": products,
  "recurrences and scatters": sequences,
};

/** Compares operands with their references. @throws at the first element that is too far from its reference. */
export function checkOperands(
  label: string,
  found: readonly Elements[],
  wanted: readonly Elements[],
  allowance: number,
): void {
  wanted.forEach((reference, operand) => {
    const scale = Math.max(1, ...Array.from(reference, Math.abs).filter(Number.isFinite));
    reference.forEach((value: number, at: number) => {
      const other = found[operand][at];
      if (Object.is(value, other) || Math.abs(value - other) <= allowance * scale) return;
      throw new Error(`${label}: operand ${operand}[${at}] is ${other}, should be ${value}`);
    });
  });
}
