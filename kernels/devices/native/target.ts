/** Derives the target of generated C code from a compiler's predefined macros. */
import { DeviceError } from "../../../core/errors.ts";
import type { Target } from "../../codegen/target.ts";

/** The machine that a compiler generates code for. */
export interface NativeTarget extends Target {
  /** The common name of its vector instructions, such as `AVX-512`. */
  readonly instructions: string;
}

/** Machines with the same vector instructions. */
interface Family extends NativeTarget {
  /** The macros that identify it: a compiler defines all of them. */
  readonly macros: readonly string[];
}

/**
 * In order of preference. A wide tile has enough accumulators to hide the latency of two multiply-adds per cycle and
 * leaves registers for one row of factors and a broadcast.
 */
const FAMILIES: readonly Family[] = [
  {
    instructions: "AVX-512",
    macros: ["__AVX512F__", "__AVX512DQ__", "__AVX512BW__", "__AVX512VL__"],
    lanes: 16,
    fused: true,
    gathers: true,
    // All have 24 sums; with more columns, each step of k loads less.
    tiles: [
      { wide: { rows: 6, columns: 64 }, narrow: { rows: 12, columns: 16 } },
      { wide: { rows: 8, columns: 48 }, narrow: { rows: 12, columns: 16 } },
      { wide: { rows: 12, columns: 32 }, narrow: { rows: 12, columns: 16 } },
    ],
    blocking: { unroll: 2, maxColumns: 256 },
    // More code, and panels of columns that only fit in the L2 cache.
    largeBlocking: { unroll: 4, maxColumns: 512 },
    fewRows: 64,
  },
  {
    instructions: "AVX2",
    macros: ["__AVX2__", "__FMA__"],
    lanes: 8,
    fused: true,
    gathers: true,
    tiles: [{ wide: { rows: 6, columns: 16 }, narrow: { rows: 8, columns: 8 } }],
    blocking: { unroll: 2, maxColumns: 256 },
  },
  {
    instructions: "NEON",
    macros: ["__aarch64__", "__ARM_NEON"],
    lanes: 4,
    fused: true,
    gathers: true,
    tiles: [{ wide: { rows: 8, columns: 8 }, narrow: { rows: 8, columns: 4 } }],
  },
  {
    instructions: "128-bit vectors",
    macros: [],
    lanes: 4,
    fused: false,
    gathers: true,
    tiles: [{ wide: { rows: 4, columns: 8 }, narrow: { rows: 8, columns: 4 } }],
  },
];

/** Options of {@link nativeTarget}. */
export interface TargetOptions {
  /** Maximum number of lanes. Default: those of the machine. */
  readonly maxLanes?: number;
  /** Threads that will run the code. Default: 1. */
  readonly threads?: number;
}

/**
 * The target of a compiler.
 * @param macros What `cc -march=native -dM -E` prints: a `#define` for each predefined macro.
 * @throws {DeviceError} with reason `unavailable` if the machine stores numbers with the most significant byte first.
 */
export function nativeTarget(macros: string, { maxLanes = 16, threads = 1 }: TargetOptions = {}): NativeTarget {
  const defined = new Set(Array.from(macros.matchAll(/^#define (\w+)/gm), ([, name]) => name));
  if (/^#define __BYTE_ORDER__ __ORDER_BIG_ENDIAN__/m.test(macros)) {
    throw new DeviceError(
      'Cannot open the device "native": the processor stores the most significant byte of a number first, which the generated code does not support; use the device "cpu"',
      "unavailable",
    );
  }
  const { macros: _, ...target } = FAMILIES.find(({ macros, lanes }) =>
    lanes <= maxLanes && macros.every((name) => defined.has(name))
  )!;
  return { ...target, threads };
}
