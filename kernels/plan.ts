/** The results of the scheduler and the memory planner: steps over values, and the location of values. Plain data. */
import type { HostData, Type } from "../core/dtype.ts";
import type { Var } from "../core/index_expr.ts";
import type { Kernel } from "./kernel.ts";

/** Number of a value in {@link Schedule.values}. */
export type ValueId = number;

/** A tensor in device memory. */
export interface Value {
  readonly id: ValueId;
  readonly type: Type;
  /** Bytes, a multiple of 4 and at least 4. Includes all slots of a loop's stacked values. */
  readonly sizeBytes: number;
  /**
   * Who owns the memory: the caller (`input`, `output`, by position), the program (`constant`, uploaded once;
   * `temporary`, placed in the arena by the planner), or another value of which this is a contiguous part (`alias`;
   * byteOffset a multiple of 256, `of` is never an alias itself). An output that `takes` the input of that position
   * lies in its memory, which the caller gives up.
   */
  readonly storage:
    | { readonly kind: "input"; readonly position: number }
    | { readonly kind: "output"; readonly position: number; readonly takes?: number }
    | { readonly kind: "constant"; readonly data: HostData }
    | { readonly kind: "temporary" }
    | { readonly kind: "alias"; readonly of: ValueId; readonly byteOffset: number };
  /** The origin of the value, for display: an input's name or the op that computes it. */
  readonly label: string;
}

/** One launch of a kernel; `operands[i]` is the value of the kernel's operand i. */
export interface KernelStep {
  readonly kind: "kernel";
  readonly kernel: Kernel;
  readonly operands: readonly ValueId[];
}

/** Runs `steps` for every value of `variable`, ascending or (reverse) descending. */
export interface LoopStep {
  readonly kind: "loop";
  readonly variable: Var;
  readonly reverse: boolean;
  readonly steps: readonly Step[];
}

/** A step of a schedule. */
export type Step = KernelStep | LoopStep;

/** Kernels in order. */
export interface Schedule {
  readonly values: readonly Value[];
  readonly steps: readonly Step[];
  /** The value of each graph input, in order, including inputs that are never read. */
  readonly inputs: readonly ValueId[];
  /** The value of each graph output, in order. Each has storage `output` at its position. */
  readonly outputs: readonly ValueId[];
}

/** A schedule with memory assignments: everything that a device needs to run it. */
export interface Plan extends Schedule {
  /** Byte offset in the arena of every temporary value. A multiple of 256. */
  readonly offsets: ReadonlyMap<ValueId, number>;
  /** Size of the arena in bytes. */
  readonly arenaBytes: number;
  /**
   * The arena may be split into buffers of this many bytes: no value straddles a boundary. Infinity if it is never
   * split.
   */
  readonly bufferBytes: number;
  /** Arena, inputs, outputs and constants together, in bytes. */
  readonly peakBytes: number;
}
