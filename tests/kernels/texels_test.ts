/** What kernels read through textures is what the buffers hold at that moment. */
import { assert, assertEquals } from "@std/assert";
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { scan } from "../../core/scan.ts";
import { interpret } from "../../core/interpret.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { simplify } from "../../core/simplify.ts";
import { type Spec, spec, trace } from "../../core/trace.ts";
import { storesOf } from "../../kernels/cost.ts";
import { planMemory } from "../../kernels/plan_memory.ts";
import { schedule } from "../../kernels/schedule.ts";
import { flattenSteps, MAX_LOOP_DEPTH } from "../../kernels/devices/webgpu/commands.ts";
import type { PrintTarget } from "../../kernels/devices/webgpu/print_wgsl.ts";
import { printWgsl } from "./print_wgsl.ts";
import { planTexels, rectanglesOf, TEXEL_ROW_BYTES, type TexelCopy } from "../../kernels/devices/webgpu/texels.ts";
import { compile, requestDevice } from "../../mod.ts";
import { add, matmul, mul, sum, tanh } from "../../ops/mod.ts";

const TARGET: PrintTarget = {
  style: "software",
  texels: "always",
  maxWorkgroupsPerDimension: 65535,
  maxInvocations: 256,
  maxWorkgroupBytes: 16384,
};
const LIMITS = { maxOperands: 8, maxTensorBytes: 2 ** 27, maxBufferBytes: 2 ** 27 };

Deno.test("rectangles of a copy hold every texel inside the value once, where it belongs", () => {
  for (const texelBytes of [4, 16]) {
    const width = TEXEL_ROW_BYTES / texelBytes;
    for (
      const [start, count, size] of [
        [0, 1, 1],
        [0, width, width],
        [5, 3 * width + 7, 4 * width],
        [-3, 2 * width, 5 * width],
        [-width - 1, 2 * width, width],
        [
          4,
          width,
          width,
        ],
      ]
    ) {
      const seen = new Map<number, number>();
      const range = { startByte: start * texelBytes, endByte: (start + count) * texelBytes };
      for (
        const { byte, origin: [x, y], size: [columns, rows] } of rectanglesOf(range, size * texelBytes, texelBytes)
      ) {
        assert(
          x + columns <= width && (rows === 1 || columns === width),
          "a rectangle of several rows is of whole rows",
        );
        for (let at = 0; at < columns * rows; at++) seen.set(y * width + x + at, byte / texelBytes + at);
      }
      const inside = Array.from({ length: count }, (_, texel) => texel).filter((texel) =>
        start + texel >= 0 && start + texel < size
      );
      assertEquals([...seen].sort(([a], [b]) => a - b), inside.map((texel) => [texel, start + texel]));
    }
  }
});

Deno.test("before every dispatch, each texture holds what the kernel reads, and nothing was written to that value since", () => {
  // A loop with carries and stacked values, and its gradient, a loop backwards.
  const step = (state: Tensor, x: Tensor): [Tensor, Tensor] => {
    const next = tanh(matmul(state, x));
    return [next, mul(next, next)];
  };
  const loss = (state: Tensor, xs: Tensor): Tensor => sum(scan(step, state, xs)[1]);
  const { graph } = trace((state: Tensor, xs: Tensor) => grad((x: Tensor) => loss(state, x))(xs), [
    spec([8, 8]),
    spec([5, 8, 8]),
  ]);
  const plan = planMemory(schedule(simplify(graph), LIMITS), LIMITS);
  const commands = flattenSteps(plan.steps);
  const kernels = commands.steps.map(({ kernel }) => printWgsl(kernel, TARGET));
  const { textures, bound, copies } = planTexels(plan, commands, kernels);
  const contents: (TexelCopy | undefined)[] = textures.map(() => undefined);
  const baseOf = (id: number): number => {
    const { storage } = plan.values[id];
    return storage.kind === "alias" ? storage.of : id;
  };
  let reads = 0, moving = 0;
  commands.sequence.forEach((number, dispatch) => {
    const { kernel, operands } = commands.steps[number];
    for (const copy of copies.get(dispatch) ?? []) contents[copy.texture] = copy;
    for (const { binding, operand, texels } of kernels[number].bindings) {
      if (!texels) continue;
      const first = commands.tuple[dispatch] * MAX_LOOP_DEPTH;
      const start = texels.strides.reduce(
        (at, stride, loop) => at + stride * commands.tuples[first + loop],
        texels.first,
      );
      const texture = bound[number].get(binding)!, copy = contents[texture];
      assert(copy, `dispatch ${dispatch} reads a texture that was never filled, or is out of date`);
      assertEquals([copy.value, copy.startByte, copy.endByte], [
        operands[operand],
        4 * start,
        4 * (start + texels.elements),
      ]);
      assert(textures[texture].width * textures[texture].height * texels.lanes >= texels.elements);
      reads++;
      if (texels.strides.some((stride) => stride !== 0)) moving++;
    }
    const written = new Set(storesOf(kernel).map(({ operand }) => baseOf(operands[operand])));
    contents.forEach((copy, texture) => copy && written.has(baseOf(copy.value)) && (contents[texture] = undefined));
  });
  assert(reads > 20 && moving > 5, `${reads} reads, ${moving} of parts that move with the loop`);
});

Deno.test("webgpu: loops that are alike read their own parts through textures", async () => {
  const N = 32, T = 3;
  // Two loops of one shader, which copies the step's matrix to a texture before it runs.
  const half = (w: Tensor, xs: Tensor, start: Tensor): [Tensor, Tensor] =>
    scan(
      (state: Tensor, x: Tensor): [Tensor, Tensor] => {
        const next = tanh(add(matmul(state, x), w));
        return [next, sum(next)];
      },
      start,
      xs,
    );
  const fn = (w: Tensor, a: Tensor, b: Tensor, start: Tensor) => {
    const [middle, first] = half(w, a, start), [end, second] = half(w, b, middle);
    return [end, first, second];
  };
  const specs: [Spec, Spec, Spec, Spec] = [spec([N, N]), spec([T, N, N]), spec([T, N, N]), spec([N, N])];
  const inputs = specs.map(({ shape }, seed) =>
    Float32Array.from({ length: sizeOfShape(shape) }, (_, at) => 0.3 * Math.sin(0.37 * at + seed))
  ) as [Float32Array, Float32Array, Float32Array, Float32Array];
  using device = await requestDevice({ kind: "webgpu" });
  const program = await compile(device, fn, specs);
  const wanted = interpret(
    simplify(trace(fn, specs).graph),
    inputs.map((data, at) => ({ ...specs[at], data: Float64Array.from(data) })),
  );
  (await program.run(...inputs)).forEach(({ data }, at) => {
    const error = data.reduce(
      (worst: number, x: number, i: number) => Math.max(worst, Math.abs(x - wanted[at].data[i])),
      0,
    );
    assert(error < 2e-5, `result ${at} is off by ${error}`);
  });
});
