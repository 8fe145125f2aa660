/**
 * Runs in a browser's page: the devices there against the reference device. Bundled and opened by library_checks.ts.
 */
import { grad } from "../../core/grad.ts";
import { type Device, requestCpuDevice, requestWebGpuDevice } from "../../kernels/mod.ts";
import { findFeatures } from "../../kernels/devices/wasm/features.ts";
import { printWgsl } from "../kernels/print_wgsl.ts";
import { compile, requestDevice, spec, type Tensor } from "../../mod.ts";
import { matmul, softmax, sum } from "../../ops/mod.ts";
import { defineConfig, defineOptimizer, Model, type ModelKind, Trainer } from "../../titans/mod.ts";
import { OP_CASES, type OpCase } from "../op_cases.ts";
import { checkParity } from "../op_suites/parity.ts";

/** Which device a check opens. `gpu` is WebGPU with the kernels meant for hardware. */
export type PageDevice = "cpu" | "webgpu" | "gpu" | "reference" | "auto";

function open(kind: PageDevice): Promise<Device> {
  if (kind === "cpu") return requestCpuDevice({ poison: true, threads: 2 });
  if (kind === "gpu") {
    return requestWebGpuDevice({ printer: (kernel, target) => printWgsl(kernel, { ...target, style: "gpu" }) });
  }
  return requestDevice({ kind });
}

async function withDevice<T>(kind: PageDevice, fn: (device: Device) => Promise<T>): Promise<T> {
  const device = await open(kind);
  try {
    return await fn(device);
  } finally {
    device.dispose();
  }
}

function wave(size: number, phase: number): Float32Array {
  return Float32Array.from({ length: size }, (_, i) => Math.sin(1.7 * i + phase));
}

/** What the browser offers, and what `auto` takes. */
export async function surroundings(): Promise<Record<string, unknown>> {
  const features = findFeatures();
  return {
    isolated: globalThis.crossOriginIsolated,
    shared: features.shared,
    ...await withDevice("auto", ({ info }) => Promise.resolve({ auto: info })),
  };
}

/** The gradient of a softmax of a product, on a device and on the reference; the device's description too. */
export async function matrixProduct(
  kind: PageDevice,
): Promise<{ found: number[]; wanted: number[]; description: string }> {
  const size = 64;
  const run = (each: PageDevice): Promise<{ data: number[]; description: string }> =>
    withDevice(each, async (device) => {
      const program = await compile(device, grad((a: Tensor, b: Tensor) => sum(matmul(softmax(matmul(a, b)), b))), [
        spec([size, size]),
        spec([size, size]),
      ]);
      const { data } = await program.run(wave(size * size, 0), wave(size * size, 1));
      return { data: Array.from(data), description: device.info.description };
    });
  const { data: found, description } = await run(kind), { data: wanted } = await run("reference");
  return { found, wanted, description };
}

/** Losses and norms of gradients of some training steps of a tiny model. */
export function trainingLosses(kind: PageDevice, model: ModelKind): Promise<number[]> {
  const config = defineConfig({
    model,
    vocabulary: 19,
    width: 16,
    blocks: 1,
    heads: 2,
    mlpHidden: 24,
    memoryExpansion: 2,
    miniBatch: 4,
    segment: 8,
    window: 6,
    persistentTokens: 2,
  });
  return withDevice(kind, async (device) => {
    const trainer = await Trainer.create(device, {
      model: new Model(config),
      optimizer: defineOptimizer({ learningRate: 3e-3, totalSteps: 8, warmupSteps: 2 }),
      shape: { batch: 2, length: 24 },
      seed: 5,
    });
    const reports = await trainer.run({
      batch: (step) => Int32Array.from({ length: 50 }, (_, i) => (i * i + 3 * i + step) % 19),
    }, 4);
    trainer.dispose();
    return reports.flatMap(({ loss, gradientNorm }) => [loss, gradientNorm]);
  });
}

/**
 * Every op with its gradients, against the interpreter: all cases on cpu; on WebGPU, where each takes some shaders, the
 * case with the most elements of each op.
 */
export async function opTable(kind: PageDevice): Promise<{ readonly cases: number; readonly results: number }> {
  return await withDevice(kind, (device) => checkParity(device, kind === "cpu" ? OP_CASES : largestCases()));
}

function largestCases(): OpCase[] {
  const sizeOf = ({ inputs }: OpCase): number => inputs.reduce((total, { data }) => total + data.length, 0);
  const largest = new Map<string, OpCase>();
  for (const opCase of OP_CASES) {
    if (sizeOf(opCase) >= sizeOf(largest.get(opCase.op) ?? opCase)) largest.set(opCase.op, opCase);
  }
  return [...largest.values()];
}
