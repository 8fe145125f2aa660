/** What some GPUs can do, for rooflines and for judging kernels on paper. */
import type { PeakRates } from "../../roofline.ts";

/** A GPU by its data sheet. */
export interface GpuSpec {
  readonly name: string;
  /** Matches the descriptions of its adapters. */
  readonly adapters: RegExp;
  readonly peak: PeakRates;
  /** Streaming multiprocessors, GPU cores or dual subslices: what a workgroup runs on. */
  readonly cores: number;
  /** Clock under load, in GHz. */
  readonly ghz: number;
  /** Invocations that are resident on a core at most. */
  readonly invocations: number;
  /** Workgroups that are resident on a core at most. */
  readonly workgroups: number;
  /** Registers of 32 bits of a core, and how many of them an invocation may have. */
  readonly registers: number;
  readonly maxRegisters: number;
  /** Bytes of workgroup memory of a core. */
  readonly workgroupBytes: number;
  /** Bytes per clock that a core loads from its first cache, and from workgroup memory. */
  readonly bytesPerClock: number;
  /** Where the figures are from. */
  readonly source: string;
}

/** GPUs from a data center's to a laptop's. */
export const GPUS: readonly GpuSpec[] = [
  {
    name: "H100",
    adapters: /\bH100\b/i,
    peak: { gflops: 66900, gbPerSecond: 3352 },
    cores: 132,
    ghz: 1.98,
    invocations: 2048,
    workgroups: 32,
    registers: 65536,
    maxRegisters: 255,
    workgroupBytes: 228 * 1024,
    bytesPerClock: 128,
    source: "NVIDIA H100 Tensor Core GPU data sheet (SXM5); CUDA C++ Programming Guide, compute capability 9.0",
  },
  {
    name: "RTX 4060",
    adapters: /\bRTX 4060\b(?! Ti)/i,
    peak: { gflops: 15110, gbPerSecond: 272 },
    cores: 24,
    ghz: 2.46,
    invocations: 1536,
    workgroups: 24,
    registers: 65536,
    maxRegisters: 255,
    workgroupBytes: 100 * 1024,
    bytesPerClock: 128,
    source: "NVIDIA Ada GPU architecture white paper (AD107); CUDA C++ Programming Guide, compute capability 8.9",
  },
  {
    name: "M2",
    adapters: /\bApple M2\b(?! (?:Pro|Max|Ultra))/i,
    peak: { gflops: 3580, gbPerSecond: 100 },
    cores: 10,
    ghz: 1.398,
    invocations: 1024,
    workgroups: 32,
    registers: 53248,
    maxRegisters: 128,
    workgroupBytes: 60 * 1024,
    bytesPerClock: 64,
    source: "Apple's M2 announcement (10 GPU cores, 3.6 TFLOPS, 100 GB/s); philipturner/metal-benchmarks",
  },
  {
    name: "Iris Xe",
    adapters: /\bIris\S* Xe\b|\bXe Graphics\b/i,
    peak: { gflops: 2074, gbPerSecond: 68 },
    cores: 6,
    ghz: 1.35,
    invocations: 1792,
    workgroups: 16,
    registers: 114688,
    maxRegisters: 64,
    workgroupBytes: 128 * 1024,
    bytesPerClock: 128,
    source:
      "Intel oneAPI GPU Optimization Guide (Xe-LP, 96 EUs, 16 per dual subslice, 7 threads, SIMD16); LPDDR4x-4266",
  },
];

/** The GPU that an adapter's description names; undefined for any other. */
export function gpuSpecOf(description: string): GpuSpec | undefined {
  return GPUS.find(({ adapters }) => adapters.test(description));
}
