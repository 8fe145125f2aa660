/**
 * How fast a kernel can be on a GPU, on paper: the roofline, and what its way to cut the work costs beside.
 *
 * Beside arithmetic and memory, two more things bound a kernel: what cores load from their first caches, and from
 * workgroup memory. All but the traffic to memory are shared out among cores, so that a launch of few workgroups uses
 * few of them. And memory is only as fast as there are loads under way (Little's law). Instructions for addresses,
 * latencies of arithmetic and the time of a launch are left out: the figure is a bound.
 */
import type { GpuSpec } from "../../../kernels/devices/webgpu/gpu_specs.ts";
import { rooflineNs } from "../../../kernels/roofline.ts";
import type { ShaderFigures } from "./shader_text.ts";

/** A launch of a kernel. */
export interface Launch {
  readonly shader: ShaderFigures;
  readonly workgroups: number;
  readonly flops: number;
  /** Bytes that must move between memory and the GPU. */
  readonly bytes: number;
}

/** What bounds a launch. */
export type Bound = "arithmetic" | "memory" | "caches" | "workgroup memory" | "latency";

/** A launch on a GPU. */
export interface Estimate {
  /** Workgroups that are resident on a core, and the share of the invocations that it could hold. */
  readonly resident: number;
  readonly occupancy: number;
  /** The share of cores that have work, averaged over the launch. */
  readonly coreShare: number;
  /** Nanoseconds by the roofline, and with all bounds. */
  readonly rooflineNs: number;
  readonly boundNs: number;
  readonly bound: Bound;
  /** The share of the roofline that can be reached. */
  readonly share: number;
}

/** Registers that drivers need beside a kernel's values: addresses, loop counters, temporaries. */
const EXTRA_REGISTERS = 12;

/** Nanoseconds from a load to its value, and the most bytes that an invocation has under way. */
const LATENCY_NS = 500, MAX_BYTES_UNDER_WAY = 64;

/** Estimates a launch. */
export function estimate({ shader, workgroups, flops, bytes }: Launch, gpu: GpuSpec): Estimate {
  const { size, workgroupBytes, loadBytes, storeBytes, sharedBytes, burstBytes } = shader;
  const registers = Math.min(gpu.maxRegisters, Math.ceil((shader.registers + EXTRA_REGISTERS) / 8) * 8);
  const resident = Math.max(
    1,
    Math.min(
      gpu.workgroups,
      Math.floor(gpu.invocations / size),
      Math.floor(gpu.registers / (registers * size)),
      workgroupBytes > 0 ? Math.floor(gpu.workgroupBytes / workgroupBytes) : Infinity,
    ),
  );
  const coreShare = workgroups / (gpu.cores * Math.ceil(workgroups / gpu.cores));
  const invocations = Math.min(workgroups, resident * gpu.cores) * size;
  const bytesPerNs = gpu.bytesPerClock * gpu.ghz * gpu.cores * coreShare;
  const underWay = invocations * Math.min(Math.max(burstBytes, 4), MAX_BYTES_UNDER_WAY) / LATENCY_NS;
  const times: readonly (readonly [Bound, number])[] = [
    ["arithmetic", flops / (gpu.peak.gflops * coreShare)],
    ["memory", bytes / gpu.peak.gbPerSecond],
    ["caches", workgroups * size * (loadBytes + storeBytes) / bytesPerNs],
    ["workgroup memory", workgroups * size * sharedBytes / bytesPerNs],
    ["latency", bytes / Math.min(gpu.peak.gbPerSecond, underWay)],
  ];
  const [bound, boundNs] = times.reduce((worst, time) => (time[1] > worst[1] ? time : worst));
  const roof = rooflineNs({ flops, bytes }, gpu.peak);
  return {
    resident,
    occupancy: resident * size / gpu.invocations,
    coreShare,
    rooflineNs: roof,
    boundNs,
    bound,
    share: roof / boundNs,
  };
}
