/** Kernels of equal keys are printed alike. */
import { assert, assertEquals } from "@std/assert";
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { scan } from "../../core/scan.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import { encodeBody } from "../../kernels/codegen/wasm_encoder.ts";
import { printCpuKernel } from "../../kernels/devices/wasm/print_kernel.ts";
import { printWgsl } from "./print_wgsl.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import { kernelKey } from "../../kernels/kernel_key.ts";
import { schedule } from "../../kernels/schedule.ts";
import * as ops from "../../ops/mod.ts";
import { kernelSteps } from "./check_schedule.ts";

const D = 20;

/** Kernels of every kind: a network of layers that are alike, with what they need of attention, scans and tables. */
function kernels(layers: number): Kernel[] {
  const loss = (weights: readonly Tensor[], table: Tensor, tokens: Tensor): Tensor => {
    const mask = ops.lessEqual(ops.iota([9, 9], 1), ops.iota([9, 9], 0));
    let x = ops.gather(table, tokens);
    for (const w of weights) {
      const y = ops.matmul(ops.layerNorm(x), w);
      const scores = ops.where(mask, ops.matmul(y, ops.transpose(y)), -1e9);
      const walked = ops.linearScan(ops.sigmoid(y), y, { axis: 0 });
      x = ops.add(x, ops.add(ops.matmul(ops.softmax(scores), y), walked));
      // A loop of each layer's own, whose products read parts that move with its turns.
      x = scan(
        (h: Tensor, row: Tensor) => [ops.tanh(ops.matmul(ops.add(h, row), w)), h],
        x,
        ops.tile(ops.expandDims(x, 0), [4, 1, 1]),
      )[0];
    }
    return ops.sum(ops.square(x));
  };
  const weights = Array.from({ length: layers }, () => spec([D, D]));
  const traced = trace(
    (w: readonly Tensor[], table: Tensor, tokens: Tensor) =>
      grad((parts: { w: readonly Tensor[]; table: Tensor }) => loss(parts.w, parts.table, tokens))({ w, table }),
    [weights, spec([30, D]), spec([9], "i32")],
  );
  return kernelSteps(schedule(simplify(traced.graph), { maxOperands: 16 }).steps).map(({ kernel }) => kernel);
}

/** All that both printers make of a kernel: the texts, and what is bound and launched. */
function textsOf(kernel: Kernel): string {
  const wgsl = printWgsl(kernel, {
    style: "gpu",
    maxWorkgroupsPerDimension: 65535,
    maxInvocations: 256,
    maxWorkgroupBytes: 16384,
    texels: "always",
  });
  const { fn, scratchBytes } = printCpuKernel(kernel, { relaxed: true });
  return `${JSON.stringify(wgsl)}\n${encodeBody(fn).join()} ${scratchBytes}`;
}

Deno.test("kernels of equal keys have equal texts, and layers that are alike share them", () => {
  const all = kernels(6), textOf = new Map<string, string>();
  assertEquals([...new Set(all.map(({ kind }) => kind))].sort(), ["contract", "map", "recurrence", "row", "scatter"]);
  for (const kernel of all) {
    const key = kernelKey(kernel), text = textsOf(kernel);
    assertEquals(textOf.get(key) ?? text, text, key);
    textOf.set(key, text);
  }
  assertEquals(new Set(textOf.values()).size, textOf.size, "kernels that differ for printers only differ in keys");
  assert(textOf.size < all.length / 2, `${textOf.size} of ${all.length} are distinct`);
});

Deno.test("keys tell kernels apart that differ in a constant, an extent or a place", () => {
  const keyOf = (fn: (x: Tensor) => Tensor): string => {
    const { steps } = schedule(simplify(trace(fn, [spec([8])]).graph), { maxOperands: 8 });
    return kernelSteps(steps).map(({ kernel }) => kernelKey(kernel)).join("\n");
  };
  const variants: readonly ((x: Tensor) => Tensor)[] = [
    (x) => ops.mul(ops.sliceAxis(x, 0, 1, 4), 2),
    (x) => ops.mul(ops.sliceAxis(x, 0, 1, 4), 3),
    (x) => ops.mul(ops.sliceAxis(x, 0, 1, 4), -2),
    (x) => ops.mul(ops.sliceAxis(x, 0, 2, 4), 2),
    (x) => ops.mul(ops.sliceAxis(x, 0, 1, 5), 2),
    (x) => ops.add(ops.sliceAxis(x, 0, 1, 4), 2),
  ];
  assertEquals(variants.map(keyOf), variants.map(keyOf));
  assertEquals(new Set(variants.map(keyOf)).size, variants.length);
});
