/** The devices that programs run on, opened once for all of them. */
import type { HostData } from "../../core/dtype.ts";
import { requestCpuDevice } from "../../kernels/devices/wasm/device.ts";
import type { Device, LoadedProgram } from "../../kernels/device.ts";
import { requestDevice } from "../../kernels/request_device.ts";
import { requestWebGpuDevice } from "../../kernels/devices/webgpu/device.ts";

/** What `--device` may name. */
export type TargetKind = "reference" | "cpu" | "webgpu";

/** A device with its name in reports. */
export interface Target {
  readonly name: string;
  readonly kind: TargetKind;
  readonly device: Device;
  /** Whether it takes f16. */
  readonly hasF16: boolean;
}

/**
 * Opens devices of the given kinds: cpu with and without the relaxed multiply-add, each on one thread and on two.
 * Memory is filled with NaN before use.
 */
export async function openTargets(kinds: readonly TargetKind[]): Promise<Target[]> {
  const targets: Target[] = [];
  for (const kind of kinds) {
    if (kind === "reference") {
      targets.push({ name: "reference", kind, device: await requestDevice({ kind }), hasF16: true });
    }
    if (kind === "webgpu") {
      const hasF16 = (await navigator.gpu.requestAdapter())?.features.has("shader-f16") ?? false;
      targets.push({ name: "webgpu", kind, device: await requestWebGpuDevice({ poison: true }), hasF16 });
    }
    if (kind !== "cpu") continue;
    for (const relaxed of [true, false]) {
      for (const threads of [1, 2]) {
        const device = await requestCpuDevice({ relaxed, threads, poison: true });
        targets.push({
          name: `cpu ${relaxed ? "relaxed" : "strict"}, ${threads} thread${threads === 1 ? "" : "s"}`,
          kind,
          device,
          hasF16: false,
        });
      }
    }
  }
  return targets;
}

/** What running a program gave. */
export interface Runs {
  /** The results of every run. */
  readonly results: readonly (readonly HostData[])[];
  /** The kernels' texts. */
  readonly sources: readonly string[];
}

/** Runs a program on a device twice. */
export async function runOn(device: Device, program: LoadedProgram, inputs: readonly HostData[]): Promise<Runs> {
  const executable = await device.load(program);
  try {
    const results: HostData[][] = [];
    for (let turn = 0; turn < 2; turn++) {
      const arrays = inputs.map((data, i) => device.upload(data, program.graph.inputs[i]));
      const outputs = executable.launch(arrays);
      try {
        results.push(await Promise.all(outputs.map((output) => output.read())));
      } finally {
        for (const output of outputs) output.dispose();
        arrays.forEach((array, i) => program.donated?.includes(i) || array.dispose());
      }
    }
    return { results, sources: executable.sources };
  } finally {
    executable.dispose();
  }
}

/** The texts of a program's kernels, printed once more. */
export async function sourcesOn(device: Device, program: LoadedProgram): Promise<readonly string[]> {
  const executable = await device.load(program);
  try {
    return executable.sources;
  } finally {
    executable.dispose();
  }
}
