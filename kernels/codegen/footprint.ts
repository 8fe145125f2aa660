/**
 * What each thread's share of a kernel touches, so that threads meet only where one needs what another has written.
 *
 * Threads share a kernel by its leading variables (`Division` in walk.ts). Let P threads divide the L combinations of
 * their values, numbered `lambda` in row-major order, equally: thread p has `p L / P <= lambda < (p + 1) L / P`. If
 * every element that the kernel touches of a tensor has an offset
 *
 *     stride lambda + rest + (any multiple of stride L),   0 <= rest < stride
 *
 * then the tensor is cut into stripes of `stride L / P` elements, which belong to the threads in turn, and each thread
 * touches its own stripes only. Kernels that cut memory into the same stripes need no barrier between them, in whatever
 * order threads come to them and however often a loop repeats them. For example, of a state [N, B, H, K] a loop over N
 * with shares by B cuts stripes of `H K B / P` elements.
 *
 * This is about bytes, not values: the temporaries of a loop's body share memory.
 */
import { sizeOf } from "../../core/dtype.ts";
import { atomRange, type Index, readsValues, type Var } from "../../core/index_expr.ts";
import { accessesOf, spaceOf } from "../cost.ts";
import type { Kernel } from "../kernel.ts";
import type { KernelStep } from "../plan.ts";
import { pointsOf } from "./lane_index.ts";
import type { Division } from "./walk.ts";

/** Bytes of one memory that a kernel may touch. */
export interface Region {
  /** Regions of different memories never overlap. */
  readonly memory: number;
  readonly start: number;
  readonly end: number;
  readonly writes: boolean;
  /**
   * Which thread touches what: the first everything (0), each its own stripes of so many bytes, counted from `start`,
   * or any thread anything (undefined).
   */
  readonly stripe: number | undefined;
}

/** What a kernel needs to have its footprint taken. */
export interface FootprintOptions {
  /** What threads share it by. */
  readonly division: Division;
  /** Threads that share it; 1 if the first runs it alone. */
  readonly threads: number;
  /** Where an operand's value lies: a number for each memory, and bytes. */
  readonly placeOf: (operand: number) => { readonly memory: number; readonly offset: number };
}

/** The regions that a kernel touches, one for each operand. */
export function footprintOf({ kernel }: KernelStep, { division, threads, placeOf }: FootprintOptions): Region[] {
  const stripes = threads === 1 ? undefined : stripesOf(kernel, division, threads);
  return kernel.operands.map(({ dtype, size, access }, i) => {
    const { memory, offset } = placeOf(i), bytes = sizeOf(dtype), elements = stripes?.[i];
    const stripe = threads === 1 ? 0 : elements === undefined ? undefined : elements * bytes;
    return { memory, start: offset, end: offset + size * bytes, writes: access !== "read", stripe };
  });
}

/** Whether two kernels with these regions need a barrier between them on so many threads. */
export function conflicts(lhs: Region, rhs: Region, threads: number): boolean {
  if (!(lhs.writes || rhs.writes) || lhs.memory !== rhs.memory) return false;
  if (lhs.end <= rhs.start || rhs.end <= lhs.start) return false;
  const { stripe } = lhs;
  if (stripe === undefined || stripe !== rhs.stripe) return true;
  return stripe > 0 && (lhs.start - rhs.start) % (stripe * threads) !== 0;
}

/** Leading variables by id, with what they count in `lambda`, and how many values it has. */
interface Shares {
  readonly weights: ReadonlyMap<number, number>;
  readonly count: number;
}

/** For each operand, the elements of a stripe; undefined where its accesses do not keep to stripes, or to the same. */
function stripesOf(
  kernel: Kernel,
  { leading, items }: Division,
  threads: number,
): (number | undefined)[] {
  const shares = items % threads === 0 ? sharesOf(spaceOf(kernel).slice(0, leading), threads) : undefined;
  const strides = new Map<number, number | undefined>();
  if (shares) {
    for (const { operand, index } of accessesOf(kernel)) {
      const stride = strideOf(index, shares);
      strides.set(operand, !strides.has(operand) || strides.get(operand) === stride ? stride : undefined);
    }
  }
  return kernel.operands.map((_, i) => {
    const stride = strides.get(i);
    return stride === undefined ? undefined : stride * (shares!.count / threads);
  });
}

/** The fewest leading variables that divide among threads equally; undefined if none do. */
function sharesOf(variables: readonly Var[], threads: number): Shares | undefined {
  for (let used = 1; used <= variables.length; used++) {
    const chosen = variables.slice(0, used), count = pointsOf(chosen);
    if (count === 0 || count % threads !== 0) continue;
    const weights = new Map<number, number>();
    chosen.forEach(({ id, extent }, at) => {
      // Indices do not name variables of one value.
      if (extent > 1) weights.set(id, pointsOf(chosen.slice(at + 1)));
    });
    return { weights, count };
  }
  return undefined;
}

/** The stride with which an index goes through shares; undefined if it leaves them. */
function strideOf(index: Index, { weights, count }: Shares): number | undefined {
  if (readsValues(index)) return undefined;
  const strides = new Set<number>();
  let named = 0;
  for (const { atom, coefficient } of index.terms) {
    const weight = atom.kind === "var" ? weights.get(atom.variable.id) : undefined;
    if (weight === undefined) continue;
    strides.add(coefficient / weight);
    named++;
  }
  const [stride] = strides;
  if (named !== weights.size || strides.size !== 1 || !Number.isInteger(stride) || stride <= 0) return undefined;
  const period = stride * count;
  let low = index.constant, high = index.constant;
  for (const { atom, coefficient } of index.terms) {
    if ((atom.kind === "var" && weights.has(atom.variable.id)) || coefficient % period === 0) continue;
    const ends = atomRange(atom).map((end) => coefficient * end);
    low += Math.min(...ends);
    high += Math.max(...ends);
  }
  const turn = period * Math.floor(low / period);
  return high - turn < stride ? stride : undefined;
}
