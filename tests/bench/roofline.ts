/**
 * Kernels against the roofline: on paper for GPUs of data sheets, and measured where there is an adapter.
 *
 * Every kernel of the cases is printed for a GPU, and its text tells what a workgroup does. Nothing runs for this, so it
 * needs no GPU.
 */
import { unmaskedShare } from "../../kernels/mask_share.ts";
import { type DeviceInfo, requestDevice } from "@mneme/titans";
import { CommandError } from "../../cli/errors.ts";
import { costOf } from "../../kernels/cost.ts";
import { GPUS, type GpuSpec } from "../../kernels/devices/webgpu/gpu_specs.ts";
import { printWgsl } from "../kernels/print_wgsl.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import { kernelKey } from "../../kernels/kernel_key.ts";
import type { PeakRates } from "../../kernels/mod.ts";
import type { Step } from "../../kernels/plan.ts";
import type { Case } from "./cases/case.ts";
import { opsLine } from "./explain.ts";
import { type Options, timedDevices } from "./flags.ts";
import { CASES } from "./own.ts";
import { Progress } from "./progress.ts";
import { type Estimate, estimate, type Launch } from "./roofline/model.ts";
import { PAPER_TARGET, PaperDevice } from "./roofline/paper_device.ts";
import { readShader } from "./roofline/shader_text.ts";
import { digits, formatTable } from "./table.ts";

/** A kernel on paper. */
export interface PaperKernel extends Launch {
  readonly kind: Kernel["kind"];
  readonly origins: readonly string[];
  /** Launches in a run, of all kernels that are alike. */
  readonly launches: number;
  /** Operations per byte. */
  readonly intensity: number;
  readonly estimates: Readonly<Record<string, Estimate>>;
}

/** A case on paper, and measured where there is a device whose peak is known. */
export interface RooflineCase {
  readonly name: string;
  readonly kernels: readonly PaperKernel[];
  /** For each GPU, milliseconds by the roofline and with all bounds. */
  readonly totals: Readonly<Record<string, { readonly rooflineMs: number; readonly boundMs: number }>>;
  /** The shares of the roofline that its kernels reach together on real devices. */
  readonly measured: readonly { readonly device: DeviceInfo; readonly share: number; readonly ms: number }[];
}

/** What the mode gives. */
export interface RooflineReport {
  readonly gpus: readonly GpuSpec[];
  readonly cases: readonly RooflineCase[];
}

/** Analyses cases. */
export async function runRoofline(
  { devices, filter }: Options,
  write: (line: string) => void,
): Promise<RooflineReport> {
  // Decoding is several programs, bound by launches.
  const chosen = CASES.filter(({ group, name }) =>
    group !== "decoding" && (!filter || `${group}: ${name}`.toLowerCase().includes(filter))
  );
  if (chosen.length === 0) throw new CommandError(`no benchmark has ${JSON.stringify(filter)} in its name`);
  const progress = new Progress(chosen.length, write), cases: RooflineCase[] = [];
  for (const entry of chosen) {
    progress.next(entry.name);
    const kernels = await kernelsOf(entry);
    const totals = Object.fromEntries(GPUS.map(({ name }) => {
      const sum = (of: (estimate: Estimate) => number): number =>
        kernels.reduce((total, { launches, estimates }) => total + launches * of(estimates[name]), 0) / 1e6;
      return [name, { rooflineMs: sum(({ rooflineNs }) => rooflineNs), boundMs: sum(({ boundNs }) => boundNs) }];
    }));
    cases.push({ name: entry.name, kernels, totals, measured: await measure(entry, devices) });
  }
  return { gpus: GPUS, cases };
}

/** The distinct kernels of a case, those that may take longest first. */
async function kernelsOf(entry: Case): Promise<PaperKernel[]> {
  const device = new PaperDevice(), loaded = await entry.load(device);
  loaded.dispose();
  const found = new Map<string, { kernel: Kernel; launches: number }>();
  const visit = (steps: readonly Step[], launches: number): void => {
    for (const step of steps) {
      if (step.kind === "loop") visit(step.steps, launches * step.variable.extent);
      else {
        const key = kernelKey(step.kernel), known = found.get(key);
        if (known) known.launches += launches;
        else found.set(key, { kernel: step.kernel, launches });
      }
    }
  };
  for (const { steps } of device.plans) visit(steps, 1);
  const slowest = GPUS.at(-1)!.name;
  return [...found.values()].map(({ kernel, launches }) => onPaper(kernel, launches)).sort((a, b) =>
    b.launches * b.estimates[slowest].boundNs - a.launches * a.estimates[slowest].boundNs
  );
}

/** Prints a kernel and estimates it on each GPU. */
export function onPaper(kernel: Kernel, launches: number): PaperKernel {
  const { source, workgroups } = printWgsl(kernel, PAPER_TARGET), { kind, origins } = kernel;
  // Loops over what a mask leaves of k take tiles of 16 steps.
  const trips = kind === "contract" ? Math.max(1, Math.round(kernel.k.extent * unmaskedShare(kernel) / 16)) : 1;
  const launch = {
    shader: readShader(source, trips),
    workgroups: workgroups.reduce((product, extent) => product * extent, 1),
    ...costOf(kernel),
  };
  const estimates = Object.fromEntries(GPUS.map((gpu) => [gpu.name, estimate(launch, gpu)]));
  return { kind, origins, launches, ...launch, intensity: launch.flops / launch.bytes, estimates };
}

/** Times a case where the peak of a device is known. */
async function measure({ load }: Case, devices: Options["devices"]): Promise<RooflineCase["measured"]> {
  const measured: RooflineCase["measured"][number][] = [];
  for (const kind of await timedDevices(devices)) {
    const device = await requestDevice({ kind });
    try {
      const peak: PeakRates | undefined = device.info.peak;
      if (!peak) continue;
      const loaded = await load(device), { totals } = await loaded.explain!(true);
      measured.push({ device: device.info, share: totals.rooflineShare!, ms: totals.timeNs! / 1e6 });
      loaded.dispose();
    } finally {
      device.dispose();
    }
  }
  return measured;
}

/** Kernels of a case that are shown. */
const SHOWN = 8;

/** The table of GPUs, then one per case. */
export function rooflineTables({ gpus, cases }: RooflineReport): string {
  const specs = gpus.map(({ name, peak, cores, source }) => [
    name,
    digits(peak.gflops / 1000),
    String(peak.gbPerSecond),
    digits(peak.gflops / peak.gbPerSecond),
    String(cores),
    source,
  ]);
  const header = ["GPU", "TFLOP/s", "GB/s", "FLOP/byte at the ridge", "cores", "source"];
  return [formatTable(header, specs, [5]), ...cases.map((entry) => caseTable(entry, gpus))].join("\n");
}

function caseTable({ name, kernels, totals, measured }: RooflineCase, gpus: readonly GpuSpec[]): string {
  const header = [
    "ops",
    "kind",
    "launches",
    "workgroups",
    "size",
    "registers",
    "workgroup KB",
    "KFLOP each",
    "KB each",
  ];
  const rows = kernels.slice(0, SHOWN).map((
    { origins, kind, launches, workgroups, shader, flops, bytes, ...kernel },
  ) => [
    opsLine(origins, 32),
    kind,
    String(launches),
    String(workgroups),
    String(shader.size),
    String(shader.registers),
    digits(shader.workgroupBytes / 1024),
    digits(flops / workgroups / 1000),
    digits(bytes / workgroups / 1000),
    digits(kernel.intensity),
    ...gpus.map(({ name }) => {
      const { occupancy, share, bound } = kernel.estimates[name];
      return `${percent(share)} ${bound} (${percent(occupancy)})`;
    }),
  ]);
  const sums = gpus.map(({ name }) => {
    const { rooflineMs, boundMs } = totals[name];
    return `${name} ${digits(rooflineMs)} ms, bound ${digits(boundMs)} ms (${percent(rooflineMs / boundMs)})`;
  });
  const shares = measured.map(({ device, share, ms }) =>
    `measured on ${device.description}: ${digits(ms)} ms, ${percent(share)} of the roofline\n`
  );
  const columns = [...header, "FLOP/byte", ...gpus.map(({ name }) => `${name}: of roof, bound, (occupancy)`)];
  return `${name}\n${formatTable(columns, rows, [1, ...gpus.map((_, i) => header.length + 1 + i)])}` +
    `all ${kernels.length} distinct kernels by the roofline: ${sums.join("; ")}\n${shares.join("")}`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)}%`;
}
