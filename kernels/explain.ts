/** What a program is made of, in numbers: kernels, work, memory, and times where they were measured. */
import { showAsText } from "../core/inspect.ts";
import { formatType } from "../core/shape.ts";
import { costOf } from "./cost.ts";
import { mebibytes } from "./limits.ts";
import type { Plan, Step, Value } from "./plan.ts";
import { type PeakRates, rooflineNs } from "./roofline.ts";
import { type LiveRange, liveRanges } from "./plan_memory.ts";

/** One kernel step of a program. Work and time are those of one run of the program, all loop iterations together. */
export interface KernelReport {
  /** Which form of kernel; see kernel.ts. */
  readonly kind: "map" | "row" | "contract" | "recurrence" | "scatter";
  /** The ops that were fused. */
  readonly origins: readonly string[];
  /** How many rolled loops enclose it. */
  readonly depth: number;
  /** Dispatches a run. */
  readonly launches: number;
  /** Arithmetic operations on elements; a multiply-add counts two. */
  readonly flops: number;
  /** Bytes that must move at least: distinct elements read, and elements written. */
  readonly bytes: number;
  /** Number of its source text in `program.sources`. */
  readonly shader: number;
  /** Measured nanoseconds; undefined if not profiled. */
  readonly timeNs?: number;
  /** The share of the roofline that it reached, from 0 to 1; undefined if not profiled, or the peak is not known. */
  readonly rooflineShare?: number;
}

/** One value of a program. */
export interface ValueReport {
  /** An input's name, or the op that made it. */
  readonly label: string;
  /** Dtype and shape, such as `f32[2, 3]`. */
  readonly type: string;
  /** Who owns the memory: the caller, the program (kept or reused), or another value. */
  readonly storage: "input" | "output" | "constant" | "temporary" | "alias";
  /** Its size in memory. */
  readonly sizeBytes: number;
  /** Byte offset in the arena; undefined for what lies elsewhere. */
  readonly offset?: number;
  /** The kernel steps between which it lives; undefined for what lies elsewhere. */
  readonly live?: LiveRange;
}

/** The sums over a program's kernels. */
export interface WorkTotals {
  /** Kernel steps. */
  readonly kernels: number;
  /** Distinct source texts. */
  readonly shaders: number;
  /** Dispatches a run. */
  readonly launches: number;
  /** Arithmetic operations a run. */
  readonly flops: number;
  /** Bytes a run must move at least. */
  readonly bytes: number;
  /** Measured nanoseconds a run; undefined if not profiled. */
  readonly timeNs?: number;
  /** The share of the roofline that all kernels together reached, from 0 to 1. */
  readonly rooflineShare?: number;
}

/** Where a program's memory goes, in bytes. */
export interface MemoryReport {
  /** Every value of the program. */
  readonly values: readonly ValueReport[];
  /** Intermediate values, which share memory where their lives allow. */
  readonly arenaBytes: number;
  /** The caller's arrays. */
  readonly inputBytes: number;
  /** The results, but for those that take the memory of donated inputs. */
  readonly outputBytes: number;
  /** Data that the program holds. */
  readonly constantBytes: number;
  /** All of them, with padding. */
  readonly peakBytes: number;
}

/** What `program.explain()` gives. Plain data, and a table as text. */
export class Explanation {
  /** Use `program.explain()`. */
  constructor(readonly kernels: readonly KernelReport[], readonly totals: WorkTotals, readonly memory: MemoryReport) {}

  /** A table of kernels, one a line, then the totals. */
  toString(): string {
    return formatExplanation(this);
  }

  static {
    showAsText(this);
  }
}

/**
 * Explains a plan.
 * @param plan The plan; undefined for a program that is interpreted.
 * @param shaders For each kernel step, the number of its source text.
 * @param measured For each kernel step, nanoseconds, and the device's peak where it is known; undefined if not profiled.
 */
export function explainPlan(
  plan: Plan | undefined,
  shaders: readonly number[],
  measured?: { readonly times: readonly number[]; readonly peak?: PeakRates },
): Explanation {
  const { times, peak } = measured ?? {};
  const kernels: KernelReport[] = [];
  const visit = (steps: readonly Step[], depth: number, launches: number): void => {
    for (const step of steps) {
      if (step.kind === "loop") {
        visit(step.steps, depth + 1, launches * step.variable.extent);
        continue;
      }
      const { flops, bytes } = costOf(step.kernel);
      const number = kernels.length;
      const { kind, origins } = step.kernel, work = { flops: flops * launches, bytes: bytes * launches };
      kernels.push({
        kind,
        origins,
        depth,
        launches,
        ...work,
        shader: shaders[number],
        timeNs: times?.[number],
        rooflineShare: peak && rooflineNs(work, peak) / times![number],
      });
    }
  };
  visit(plan?.steps ?? [], 0, 1);
  const sum = (of: (kernel: KernelReport) => number): number =>
    kernels.reduce((total, kernel) => total + of(kernel), 0);
  const totals: WorkTotals = {
    kernels: kernels.length,
    shaders: new Set(shaders).size,
    launches: sum((kernel) => kernel.launches),
    flops: sum((kernel) => kernel.flops),
    bytes: sum((kernel) => kernel.bytes),
    timeNs: times && sum((kernel) => kernel.timeNs ?? 0),
    rooflineShare: peak && sum((kernel) => rooflineNs(kernel, peak)) / sum((kernel) => kernel.timeNs ?? 0),
  };
  return new Explanation(kernels, totals, explainMemory(plan));
}

function explainMemory(plan: Plan | undefined): MemoryReport {
  const ranges = plan ? liveRanges(plan) : new Map<number, LiveRange>();
  const values = (plan?.values ?? []).map(({ id, label, type, storage, sizeBytes }): ValueReport => ({
    label,
    type: formatType(type),
    storage: storage.kind,
    sizeBytes,
    offset: plan!.offsets.get(id),
    live: ranges.get(id),
  }));
  const bytesOf = (kind: Value["storage"]["kind"]): number =>
    (plan?.values ?? []).reduce(
      (sum, { storage, sizeBytes }) => sum + (storage.kind === kind && !("takes" in storage) ? sizeBytes : 0),
      0,
    );
  return {
    values,
    arenaBytes: plan?.arenaBytes ?? 0,
    inputBytes: bytesOf("input"),
    outputBytes: bytesOf("output"),
    constantBytes: bytesOf("constant"),
    peakBytes: plan?.peakBytes ?? 0,
  };
}

const ORIGINS_WIDTH = 56;

function formatExplanation({ kernels, totals, memory }: Explanation): string {
  const timed = totals.timeNs !== undefined;
  const header = ["#", "kind", "ops", "runs", "MFLOP", "MiB", "shader", ...(timed ? ["ms", "GFLOP/s", "GB/s"] : [])];
  if (totals.rooflineShare !== undefined) header.push("of roof");
  const rows = kernels.map((kernel, i) => [
    String(i),
    "  ".repeat(kernel.depth) + kernel.kind,
    shorten(countRepeats(kernel.origins)),
    String(kernel.launches),
    ...workCells(kernel.flops, kernel.bytes),
    String(kernel.shader),
    ...timeCells(kernel),
  ]);
  rows.push([
    "",
    "total",
    `${totals.kernels} kernels`,
    String(totals.launches),
    ...workCells(totals.flops, totals.bytes),
    String(totals.shaders),
    ...timeCells(totals),
  ]);
  const { peakBytes, arenaBytes, inputBytes, outputBytes, constantBytes } = memory;
  const footer =
    `memory: peak ${mebibytes(peakBytes)} = arena ${mebibytes(arenaBytes)} + inputs ${
      mebibytes(inputBytes)
    } + outputs ${mebibytes(outputBytes)}` +
    ` + constants ${mebibytes(constantBytes)}`;
  return `${formatTable([header, ...rows])}\n${footer}`;
}

function workCells(flops: number, bytes: number): string[] {
  return [(flops / 1e6).toFixed(3), (bytes / 2 ** 20).toFixed(3)];
}

function timeCells(
  { timeNs, flops, bytes, rooflineShare }: Pick<KernelReport, "timeNs" | "flops" | "bytes" | "rooflineShare">,
): string[] {
  if (timeNs === undefined) return [];
  const rate = (amount: number): string => (timeNs > 0 ? (amount / timeNs).toFixed(2) : "");
  const share = rooflineShare === undefined ? [] : [`${(100 * rooflineShare).toFixed(1)}%`];
  return [(timeNs / 1e6).toFixed(3), rate(flops), rate(bytes), ...share];
}

/** `mul, add, mul` -> `mul x2, add`. */
function countRepeats(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => (count > 1 ? `${name} x${count}` : name)).join(", ");
}

function shorten(text: string): string {
  return text.length <= ORIGINS_WIDTH ? text : `${text.slice(0, ORIGINS_WIDTH - 3)}...`;
}

/** Left-aligns names and right-aligns numbers. */
function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row.map((cell, i) => (i === 1 || i === 2 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  ").trimEnd()
  ).join("\n");
}
