/**
 * Kernels over few elements, whose indices and values become literals in the text: reads through pads, concatenations,
 * shifts and convolutions point outside their operand where they are masked, and arithmetic on what is known while
 * compiling may overflow. WGSL refuses both if it sees them.
 */
import { assert } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { interpret } from "../../core/interpret.ts";
import { spec } from "../../core/trace.ts";
import { compile, requestDevice } from "../../kernels/mod.ts";
import { schedule } from "../../kernels/schedule.ts";
import * as ops from "../../ops/mod.ts";
import { graphOf, kernelSteps, MAX_OPERANDS, numbers, type Program } from "./check_schedule.ts";
import { Gpu } from "./print_harness.ts";

type Shape = readonly number[];

interface Case {
  readonly name: string;
  readonly fn: Program;
  readonly shapes: readonly Shape[];
}

const SHAPES: readonly Shape[] = [
  [1],
  [2],
  [3],
  [4],
  [5],
  [8],
  [1, 1],
  [2, 2],
  [1, 4],
  [4, 1],
  [2, 3],
  [2, 4],
  [1, 1, 4],
  [2, 2, 1],
  [1, 2, 3],
  [2, 2, 2],
];

/** Shifted reads along every axis of every small shape, alone and beside a plain read. */
function* shiftedReads(): Generator<Case> {
  for (const shape of SHAPES) {
    for (const axis of shape.keys()) {
      const extent = shape[axis], at = `[${shape}] along ${axis}`;
      const along = (before: number, after: number) =>
        shape.map((_, other) => [other === axis ? before : 0, other === axis ? after : 0] as [number, number]);
      for (const [before, after] of [[1, 0], [0, 1], [2, 1], [extent, extent]]) {
        yield {
          name: `pad ${before}, ${after} of ${at}`,
          shapes: [shape],
          fn: (x: Tensor) => ops.pad(x, along(before, after)),
        };
        if (extent <= before + after) continue;
        const shapes = [shape, shape.with(axis, extent - before - after)];
        yield {
          name: `x + pad ${before}, ${after} in ${at}`,
          shapes,
          fn: (x: Tensor, y: Tensor) => ops.add(x, ops.pad(y, along(before, after))),
        };
      }
      for (const by of [1, 3]) {
        if (by >= extent) continue;
        const down = (x: Tensor): Tensor => ops.pad(ops.sliceAxis(x, axis, 0, extent - by), along(by, 0));
        const up = (x: Tensor): Tensor => ops.pad(ops.sliceAxis(x, axis, by, extent - by), along(0, by));
        yield {
          name: `shifts by ${by} of ${at}`,
          shapes: [shape],
          fn: (x: Tensor) => ops.add(ops.mul(down(x), x), ops.mul(up(x), 3)),
        };
        yield {
          name: `shifts by ${by} of flipped ${at}`,
          shapes: [shape],
          fn: (x: Tensor) => ops.sub(down(ops.flip(x, axis)), up(ops.flip(x))),
        };
      }
      yield {
        name: `concat of ${at}`,
        shapes: [shape, shape],
        fn: (x: Tensor, y: Tensor) => ops.concat([ops.neg(x), y, x], axis),
      };
    }
    if (shape.length !== 3) continue;
    for (const W of [1, 2, 3, 5]) {
      const shapes = [shape, [shape[2], W]];
      yield {
        name: `convolution of width ${W} of [${shape}]`,
        shapes,
        fn: (x: Tensor, w: Tensor) => ops.causalConv1d(x, w),
      };
      yield {
        name: `reversed convolution of width ${W} of [${shape}]`,
        shapes,
        fn: (x: Tensor, w: Tensor) => ops.flip(ops.causalConv1d(ops.flip(x, 1), w), 1),
      };
    }
  }
}

/** Arithmetic on places, which are literals where there are few: all of it has a value, or NaN, or an infinity. */
function* arithmeticOnPlaces(): Generator<Case> {
  const start = (shape: Shape, x: Tensor): Tensor =>
    ops.add(ops.iota(shape, 0, "f32"), ops.mul(ops.iota(shape, shape.length - 1, x.dtype), 0));
  const functions: Readonly<Record<string, (p: Tensor) => Tensor>> = {
    "1 / p": (p) => ops.div(1, p),
    "p / p": (p) => ops.div(p, p),
    "p / 0": (p) => ops.div(p, 0),
    "log p": (p) => ops.log(p),
    "sqrt (p - 9)": (p) => ops.sqrt(ops.sub(p, 9)),
    "1 / sqrt p": (p) => ops.rsqrt(p),
    "exp (p + 1000)": (p) => ops.exp(ops.add(p, 1000)),
    "(p + 1e38) 1e38": (p) => ops.mul(ops.add(p, 1e38), 1e38),
    "(p + 10) ^ 100": (p) => ops.pow(ops.add(p, 10), 100),
    "tanh, sigmoid, erf": (p) => ops.add(ops.tanh(p), ops.add(ops.sigmoid(p), ops.erf(p))),
    "integers": (p) => ops.cast(ops.mul(ops.add(ops.cast(p, "i32"), 2147483647), 3), "f32"),
    "integers by nothing": (p) =>
      ops.mul(ops.cast(ops.div(ops.add(ops.cast(p, "i32"), 1), ops.cast(p, "i32")), "f32"), ops.minimum(p, 1)),
    "unsigned below zero": (p) => ops.cast(ops.sub(ops.cast(p, "u32"), 1), "f32"),
    "comparisons": (p) => ops.where(ops.less(p, ops.add(p, 1)), ops.floor(p), ops.neg(p)),
  };
  for (const shape of [[1], [4], [2, 2], [3]]) {
    for (const [name, fn] of Object.entries(functions)) {
      // With a load beside it and without.
      yield { name: `${name} for [${shape}]`, shapes: [shape], fn: (x: Tensor) => ops.add(fn(start(shape, x)), x) };
      yield { name: `${name} for [${shape}] alone`, shapes: [shape], fn: (x: Tensor) => [fn(start(shape, x)), x] };
    }
  }
}

const CASES: readonly Case[] = [...shiftedReads(), ...arithmeticOnPlaces()];

Deno.test("webgpu: every kernel over few elements compiles, in every style", async () => {
  const gpu = await Gpu.open();
  const targets = [gpu.target("software"), gpu.target("software", "always"), gpu.target("gpu")];
  let kernels = 0;
  for (const { name, fn, shapes } of CASES) {
    for (
      const { kernel } of kernelSteps(
        schedule(graphOf(fn, shapes.map((shape) => numbers(shape))), { maxOperands: MAX_OPERANDS }).steps,
      )
    ) {
      for (const target of targets) {
        await gpu.compile(kernel, target).catch((error) => {
          throw new Error(`${name}: ${error.message}`);
        });
      }
      kernels++;
    }
  }
  gpu.device.destroy();
  assert(kernels > 300);
});

/** Each kernel over few elements is one shader: on WebGPU one in thirty is run. */
for (const [kind, every] of [["cpu", 1], ["webgpu", 30]] as const) {
  Deno.test(`${kind}: kernels over few elements give the numbers of the reference`, async () => {
    using device = await requestDevice({ kind });
    for (let at = 0; at < CASES.length; at += every) {
      const { name, fn, shapes } = CASES[at], inputs = shapes.map((shape, i) => numbers(shape, i + 1));
      const wanted = interpret(graphOf(fn, inputs), inputs)[0].data;
      using program = await compile(device, fn, shapes.map((shape) => spec(shape)));
      const results = await program.run(...inputs.map(({ data }) => Float32Array.from(data)));
      const { data } = (Array.isArray(results) ? results[0] : results) as { data: ArrayLike<number> };
      wanted.forEach((value, i) => {
        const rounded = Math.fround(value),
          isSame = Object.is(rounded, data[i]) || Math.abs(rounded - data[i]) <= 1e-5 * Math.max(1, Math.abs(rounded));
        if (!isSame) throw new Error(`${kind}: ${name}: element ${i} is ${data[i]}, should be ${value}`);
      });
    }
  });
}
