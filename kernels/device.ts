/** The device interface. Each device is a folder in devices/ (webgpu/, wasm/, reference/). */
import type { HostData, Type } from "../core/dtype.ts";
import type { Graph } from "../core/graph.ts";
import { formatType } from "../core/shape.ts";
import type { HostArray } from "./host_data.ts";
import type { PhaseListener } from "./phases.ts";
import type { Plan } from "./plan.ts";
import type { PeakRates } from "./roofline.ts";
import type { TileSize } from "./tiling/large.ts";

/** The description of a device. */
export interface DeviceInfo {
  /** The name of the kind that was opened, such as `cpu`. */
  readonly kind: string;
  /** The adapter's description, such as `llvmpipe (LLVM 15.0.6, 256 bits)`. */
  readonly description: string;
  /** Whether the adapter is a software one. */
  readonly software: boolean;
  /** What the hardware can do at most; undefined where it is not known. */
  readonly peak?: PeakRates;
}

/** A tensor in a device's memory. */
export interface DeviceArray extends Type {
  /** The device that holds it. */
  readonly device: Device;
  /** Copies the elements to the host. @throws {DeviceError} if the array was disposed or the device is lost. */
  read(): Promise<HostArray>;
  /**
   * Returns the memory to the device, which may reuse it for later arrays. Safe while launched programs still use it.
   */
  dispose(): void;
}

/** A loaded program of a device: steps, pipelines and memory. */
export interface Executable {
  /**
   * Runs on arrays in device memory and returns new ones, without waiting. Consumes the arrays at donated positions.
   */
  launch(inputs: readonly DeviceArray[]): DeviceArray[];
  /** The generated source texts, one per distinct kernel. */
  readonly sources: readonly string[];
  /** For each kernel step in schedule order, the index of its source text. */
  readonly shaders: readonly number[];
  /**
   * Measured nanoseconds of each kernel step of one run, in schedule order, summed over loop iterations. Arrays at
   * donated positions are overwritten.
   */
  profile(inputs: readonly DeviceArray[]): Promise<readonly number[]>;
  dispose(): void;
}

/** Progress and cancellation of a compilation. */
export interface CompileWatch {
  /**
   * Called with the number of the program's distinct kernels that the device's compiler has finished. Devices that
   * compile all of them at once do not report progress.
   */
  readonly progress?: (done: number, total: number) => void;
  /**
   * Aborts the wait: compiling then fails with the signal's reason. Compilations that have already started are not
   * interrupted.
   */
  readonly signal?: AbortSignal;
  /** Receives the name of each phase when it has ended, and how many milliseconds it took: where the time goes. */
  readonly phase?: PhaseListener;
}

/** What a device loads. */
export interface LoadedProgram extends CompileWatch {
  /** The function. */
  readonly graph: Graph;
  /** Its kernels, for devices that need a plan. */
  readonly plan?: Plan;
  /** Positions of the inputs that a launch consumes, in increasing order. Default: none. */
  readonly donated?: readonly number[];
}

/** Limits that programs of a device must respect. */
export interface DeviceLimits {
  /** Maximum number of operands of a kernel. */
  readonly maxOperands: number;
  /** Maximum bytes of a tensor. */
  readonly maxTensorBytes: number;
  /** Maximum elements of a tensor. Default: no limit. */
  readonly maxElements?: number;
  /**
   * Maximum bytes of a tensor that a kernel binds as one operand; larger ones are bound in pieces, each of which counts
   * as an operand. Default: no limit.
   */
  readonly maxBindingBytes?: number;
  /** Maximum bytes of an allocation; larger arenas are split. */
  readonly maxBufferBytes: number;
  /** Maximum bytes of all arrays and programs together. Default: what the machine has. */
  readonly maxMemoryBytes?: number;
  /** Bytes up to which the temporaries of a loop's body are kept apart. Default: 0. */
  readonly maxApartBytes?: number;
  /** Alignment of the memory ranges that kernels receive, in bytes. */
  readonly alignmentBytes: number;
  /** Number of elements that kernels load as one vector. */
  readonly lanes: number;
  /** How large the tiles of attention's scores are. Default: 1 MiB. */
  readonly tile?: TileSize;
}

/** Memory and programs on one piece of hardware. Owned by the caller; there is no global device. */
export interface Device {
  /** Kind and description of the device. */
  readonly info: DeviceInfo;
  /** Copies a host array to device memory. `data.length` must be the shape's size. */
  upload(data: HostData, type: Type): DeviceArray;
  /**
   * Loads a plan (compiled devices) or interprets the graph (the reference device). Launches consume the inputs at the
   * `donated` positions.
   * @internal
   */
  load(program: LoadedProgram): Promise<Executable>;
  /** Whether programs must be scheduled and planned before `load`; false for the reference device. */
  readonly needsPlan: boolean;
  /** Limits that programs must respect. */
  readonly limits: DeviceLimits;
  /**
   * Waits until all launched work is done. @throws {DeviceError} if the device was lost or ran out of memory meanwhile.
   */
  synchronize(): Promise<void>;
  /** Frees everything. Later calls throw a {@link DeviceError} with reason `disposed`. */
  dispose(): void;
  /** {@link Device.dispose}, for `using device = await requestDevice()`. */
  [Symbol.dispose](): void;
}

/** A device as text: `cpu: WebAssembly SIMD, 2 threads`. */
export function describeDevice({ info: { kind, description } }: Device): string {
  return `${kind}: ${description}`;
}

/** The JSON representation of an array in device memory. */
export interface ArrayRecord extends Type {
  /** The kind of its device. */
  readonly device: DeviceInfo["kind"];
}

/** An array as text: `f32[2, 3] on cpu`. */
export function describeArray(array: DeviceArray): string {
  return `${formatType(array)} on ${array.device.info.kind}`;
}

/** The JSON representation of an array. */
export function recordOf({ shape, dtype, device }: DeviceArray): ArrayRecord {
  return { shape, dtype, device: device.info.kind };
}
