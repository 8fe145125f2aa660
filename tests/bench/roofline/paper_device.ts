/** A device that runs nothing: programs are scheduled and planned as for a GPU, and kept to be looked at. */
import { hostArray, type HostData, type Type } from "../../../core/dtype.ts";
import { sizeOfShape } from "../../../core/shape.ts";
import type { Executable, LoadedProgram } from "../../../kernels/device.ts";
import type { PrintTarget } from "../../../kernels/devices/webgpu/print_wgsl.ts";
import { BaseDevice, type DeviceArray, type DeviceLimits, type HostArray } from "../../../kernels/mod.ts";
import type { Plan } from "../../../kernels/plan.ts";

/** What kernels are printed for: a GPU with WebGPU's default limits, where devices do not ask for more. */
export const PAPER_TARGET: PrintTarget = {
  style: "gpu",
  maxWorkgroupsPerDimension: 65535,
  maxInvocations: 256,
  maxWorkgroupBytes: 32768,
};

/** Keeps plans. */
export class PaperDevice extends BaseDevice {
  readonly info = { kind: "webgpu", description: "a GPU on paper", software: false };
  readonly needsPlan = true;
  readonly limits: DeviceLimits = {
    maxOperands: 16,
    maxTensorBytes: 2 ** 31,
    maxBufferBytes: 2 ** 31,
    alignmentBytes: 256,
    lanes: 4,
  };
  /** Of the programs loaded so far, in order. */
  readonly plans: Plan[] = [];

  /** Keeps the type alone. */
  upload(_data: HostData, type: Type): DeviceArray {
    return this.#array(type);
  }

  #array({ shape, dtype }: Type): DeviceArray {
    const read = (): Promise<HostArray> => Promise.resolve(hostArray(dtype, sizeOfShape(shape)));
    return { shape, dtype, device: this, read, dispose: () => {} };
  }

  /** Keeps the plan. */
  load({ graph, plan }: LoadedProgram): Promise<Executable> {
    this.plans.push(plan!);
    return Promise.resolve({
      launch: () => graph.outputs.map((output) => this.#array(output)),
      sources: [],
      shaders: [],
      profile: () => Promise.resolve([]),
      dispose: () => {},
    });
  }

  synchronize(): Promise<void> {
    return Promise.resolve();
  }

  dispose(): void {}
}
