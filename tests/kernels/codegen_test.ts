/** Kernels for machines of wider vectors, run on the host, against their meaning: printers know no width. */
import { assert, assertEquals } from "@std/assert";
import { columnsOf, panelsOf, rowStepOf } from "../../kernels/codegen/contract_blocks.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import { runOnHost, TARGETS } from "./host_language.ts";
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

function check(label: string, kernel: Kernel, allowance = 1e-5, loops: readonly number[] = []): void {
  const data = kernel.operands.map(({ dtype, size }, at) => randomElements(dtype, size, at + 1));
  const wanted = runReference(kernel, data, loops);
  for (const target of TARGETS) {
    const found = runOnHost(kernel, data, { target, threads: 1, loops });
    wanted.forEach((reference, operand) => {
      const scale = Math.max(1, ...Array.from(reference, Math.abs).filter(Number.isFinite));
      reference.forEach((value: number, at: number) => {
        const other = found[operand][at];
        if (Object.is(value, other) || Math.abs(value - other) <= allowance * scale) return;
        throw new Error(`${label}, ${target.lanes} lanes: operand ${operand}[${at}] is ${other}, should be ${value}`);
      });
    });
    const shared = runOnHost(kernel, data, { target, threads: 3, loops });
    shared.forEach((elements, at) => assertEquals(elements, found[at], `${label}: three threads give what one gives`));
  }
}

Deno.test("any width: maps, with shifted, padded, reshaped and gathered reads", () => {
  for (const [name, kernel] of embeddedKernels()) check(name, kernel);
  for (const [rows, columns] of [[1, 1], [3, 5], [17, 4], [5, 64], [12, 20]]) check("map", mapKernel(rows, columns));
  for (const shape of [[7], [3, 5, 7], [2, 3, 8]]) check(`flat ${shape}`, flatKernel(shape));
  for (const shift of [4, 1, -3, 40000]) check(`shift by ${shift}`, shiftKernel(3, 17, shift));
  for (const [a, b, c] of [[3, 5, 7], [4, 8, 16]]) check(`reshape ${a},${b},${c}`, reshapeKernel(a, b, c));
  check("gather", gatherKernel(7, 16, 9), 1e-6);
  check("loop", loopKernel(5, 24), 1e-6, [2, 3]);
});

Deno.test("any width: arithmetic of every kind", () => {
  for (const op of ["exp", "log", "tanh", "sigmoid", "erf", "sin", "cos", "sqrt", "sign", "floor"] as const) {
    check(op, unaryKernel(op, 37), 2e-6);
  }
  for (const dtype of ["f32", "i32"] as const) {
    for (const op of ["add", "mul", "div", "mod", "min", "max"] as const) {
      check(`${op} of ${dtype}`, binaryKernel(op, 37, dtype), 2e-6);
    }
  }
});

Deno.test("any width: reductions, softmax and norms, along rows and across them", () => {
  for (const combine of ["sum", "max", "min", "argmax"] as const) {
    for (const axis of [0, 1] as const) {
      for (const [rows, columns] of [[3, 5], [33, 77], [8, 257]]) {
        check(`${combine} ${rows}x${columns} along ${axis}`, reduceKernel(combine, rows, columns, axis));
      }
    }
  }
  for (const masked of [false, true]) check("softmax", softmaxKernel(33, 77, masked));
  for (const axis of [0, 1] as const) check(`norm along ${axis}`, normKernel(33, 77, axis), 1e-4);
});

Deno.test("any width: products of all layouts, recurrences and scatters", () => {
  for (const [m, n, k] of [[2, 3, 5], [4, 8, 4], [9, 33, 20]]) {
    for (let layout = 0; layout < 8; layout++) {
      const [transposeLhs, transposeRhs, transposeOut] = [1, 2, 4].map((bit) => (layout & bit) > 0);
      const kernel = contractKernel({ m, n, k, transposeLhs, transposeRhs, transposeOut, fused: layout % 3 === 0 });
      check(`contract ${m}x${n}x${k}, layout ${layout}`, kernel, 2e-5);
    }
  }
  // More rows than a tile, and more steps of k than a block.
  check("contract 50x40x8", contractKernel({ m: 50, n: 40, k: 8 }), 2e-5);
  check("contract 5x20x300", contractKernel({ m: 5, n: 20, k: 300, transposeRhs: true, fused: true }), 2e-5);
  check("a batch", contractKernel({ batch: 3, m: 12, n: 20, k: 9, fused: true }), 2e-5);
  for (const reverse of [false, true]) {
    check("recurrence", recurrenceKernel(2, 17, 24, reverse));
    check("chain", chainKernel(2, 17, 24, reverse));
  }
  check("scatter", scatterKernel(7, 24, 19));
});

Deno.test("any width: panels cover columns, and blocks of rows are whole tiles", () => {
  for (const target of TARGETS) {
    const { lanes, tiles } = target, step = rowStepOf(target);
    for (const tile of Object.values(tiles)) assertEquals([step % tile.rows, tile.columns % lanes], [0, 0]);
    for (let columns = 1; columns <= 200; columns++) {
      const covered = columnsOf(panelsOf(columns, tiles), tiles);
      assert(covered >= columns && covered < columns + tiles.narrow.columns, `${covered} columns for ${columns}`);
    }
  }
});
