/**
 * Mixers, and stacks of them with MLPs between, whose losses, outputs and gradients are known from independent
 * recurrences in PyTorch: the layers of golden_baselines.txt.
 */
import type { Tensor } from "../../core/graph.ts";
import { type Device, type DeviceKind, requestDevice } from "../../kernels/mod.ts";
import { add, matmul, mul, rmsNorm, silu } from "../../ops/mod.ts";
import { firstMemory, throughSegments } from "../../titans/models/recurrent_memory.ts";
import { openNative } from "../kernels/native_tests.ts";
import { CASES, mixedBy } from "./golden_cases.ts";
import { checkGolden, type GoldenFunction } from "./golden_check.ts";
import { onDevice, reference } from "./runners.ts";

/** Of the norms between layers of the table. Models have 1e-6 there. */
const EPSILON = 1e-5;

type Tensors = Readonly<Record<string, Tensor>>;

/** The parameters of a part of a stack, by their names in it. */
function partOf(golden: Tensors, part: string): Tensors {
  const own = Object.entries(golden).filter(([name]) => name.startsWith(`${part}.`));
  return Object.fromEntries(own.map(([name, tensor]) => [name.slice(part.length + 1), tensor]));
}

const mlp: GoldenFunction = (p, x) => matmul(mul(silu(matmul(x, p.Wgate)), matmul(x, p.Wup)), p.Wdown);

/** Layers by the name of their case, or `mlp`, one after the other: x <- x + layer(norm(x)). */
function stack(parts: Readonly<Record<string, string>>, atStart: boolean): GoldenFunction {
  return (golden, start) =>
    Object.entries(parts).reduce((x, [part, name]) => {
      const own = partOf(golden, part), normed = rmsNorm(x, { gain: own.pre, epsilon: EPSILON });
      const mixer = CASES.find(({ golden }) => golden === name);
      return add(x, mixer ? mixedBy(mixer, own, normed, atStart) : mlp(own, normed));
    }, start);
}

const BLOCK = { att: "attention", mlp: "mlp" };

/** A block in segments of 16 tokens with a recurrent memory of 3 rows, and gradients through `depth` segments. */
function recurrent(depth: number, atStart: boolean): GoldenFunction {
  const read = stack(BLOCK, atStart);
  return (golden, x) => {
    const norm = (rows: Tensor): Tensor => rmsNorm(rows, { gain: golden.last, epsilon: EPSILON });
    const context = { memory: firstMemory(golden.memory, x.shape[0]), rematerialize: "save" } as const;
    const segments = { tokens: 3, segment: 16, depth };
    return norm(throughSegments(segments, { read: (rows) => read(golden, rows), norm }, x, context).x);
  };
}

/** What is checked, by the name of the case. */
const FUNCTIONS: Readonly<Record<string, (atStart: boolean) => GoldenFunction>> = {
  ...Object.fromEntries(
    CASES.map((given) => [
      given.golden,
      (atStart: boolean): GoldenFunction => (golden, x) => mixedBy(given, golden, x, atStart),
    ]),
  ),
  "llama-block": (atStart) => stack(BLOCK, atStart),
  samba: (atStart) => stack({ mamba: "mamba", mlp1: "mlp", swa: "swa", mlp2: "mlp" }, atStart),
  "gdn-h1": (atStart) => stack({ gdn: "gated-delta", mlp1: "mlp", swa: "swa", mlp2: "mlp" }, atStart),
  "gdn-h2": (atStart) =>
    stack({ mamba2: "mamba2", mlp1: "mlp", gdn: "gated-delta", mlp2: "mlp", swa: "swa", mlp3: "mlp" }, atStart),
  rmt: (atStart) => recurrent(0, atStart),
  "rmt-detach": (atStart) => recurrent(1, atStart),
};

for (const [name, of] of Object.entries(FUNCTIONS)) {
  Deno.test(`reference: ${name}: losses, outputs and gradients are those of PyTorch`, async () => {
    // At the start of texts, and after a state that is looked at.
    for (const atStart of [true, false]) await checkGolden(name, of(atStart), { run: reference, tolerance: 1e-8 });
  });
}

/** All cases on a device. */
async function checkAll(device: Device, t: Deno.TestContext): Promise<void> {
  for (const [name, of] of Object.entries(FUNCTIONS)) {
    await t.step(name, () => checkGolden(name, of(false), { run: onDevice(device), tolerance: 1e-4 }));
  }
  device.dispose();
}

for (const kind of ["cpu", "webgpu"] satisfies DeviceKind[]) {
  Deno.test(`${kind}: losses, outputs and gradients are those of PyTorch`, async (t) => {
    await checkAll(await requestDevice({ kind }), t);
  });
}

Deno.test("native: losses, outputs and gradients are those of PyTorch", async (t) => {
  await checkAll(await openNative(), t);
});
