/** The devices that programs run on, opened once for all of them. */
import type { HostData } from "../../core/dtype.ts";
import { requestNativeDevice } from "../../kernels/devices/native/device.ts";
import { requestCpuDevice } from "../../kernels/devices/wasm/device.ts";
import type { Device, LoadedProgram } from "../../kernels/device.ts";
import { requestDevice } from "../../kernels/request_device.ts";
import { requestWebGpuDevice } from "../../kernels/devices/webgpu/device.ts";

/** What `--device` may name. */
export type TargetKind = "reference" | "cpu" | "native" | "webgpu";

/** A device with its name in reports. */
export interface Target {
  readonly name: string;
  readonly kind: TargetKind;
  readonly device: Device;
}

/** Where the native device keeps what it compiles. */
const NATIVE_CACHE = ".scratch/native";

/**
 * Opens devices of the given kinds: cpu with and without the relaxed multiply-add, native with the processor's lanes,
 * each on one thread and on two. Memory is filled with NaN before use.
 */
export async function openTargets(kinds: readonly TargetKind[]): Promise<Target[]> {
  const targets: Target[] = [];
  for (const kind of kinds) {
    const add = (name: string, device: Device) => targets.push({ name, kind, device });
    switch (kind) {
      case "reference":
        add("reference", await requestDevice({ kind }));
        break;
      case "webgpu":
        add("webgpu", await requestWebGpuDevice({ poison: true }));
        break;
      case "cpu":
        for (const relaxed of [true, false]) {
          for (const threads of [1, 2]) {
            const name = `cpu ${relaxed ? "relaxed" : "strict"}, ${inThreads(threads)}`;
            add(name, await requestCpuDevice({ relaxed, threads, poison: true }));
          }
        }
        break;
      case "native":
        // Programs are small: every kernel is to be cut for two threads all the same.
        for (const threads of [1, 2]) {
          const options = { threads, minParallel: 0, cacheDirectory: NATIVE_CACHE, poison: true };
          add(`native on ${inThreads(threads)}`, await requestNativeDevice(options));
        }
    }
  }
  return targets;
}

function inThreads(count: number): string {
  return `${count} thread${count === 1 ? "" : "s"}`;
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
