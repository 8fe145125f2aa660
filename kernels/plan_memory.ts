/**
 * From a {@link Schedule} to a {@link Plan}: computes the live range and the location of each value.
 *
 * Kernel steps are numbered in order; a loop spans the numbers of its body. A value is live from its first access to
 * its last, both taken at the level of the innermost loop body that contains all of its accesses, where an access
 * inside a deeper loop counts as that whole loop. So a value that crosses a loop is live during all of it, and a body's
 * temporary is live within one iteration and shares memory with the body's other temporaries.
 *
 * A kernel never writes a temporary to the memory of one that it reads, even if that is its last use: this would
 * require a rewritten kernel (see in_place.ts) and another shader, with no benefit. After fusion hardly any elementwise
 * kernel is left whose input dies in it, and none where the arena is fullest: 4 of the 118 map kernels of a training
 * step of MAC (nano, T 1024), 6 of 41 of LMM's, at most 4 in the golden layers, none in an MLP with Adam; in all of
 * them the arena would be as large, to the byte.
 */
import { DeviceError, invariant } from "../core/errors.ts";
import { visitVars } from "../core/index_expr.ts";
import { formatType } from "../core/shape.ts";
import { accessesOf } from "./cost.ts";
import { ALIGNMENT, excessOf, isTooLarge, type PlanLimits } from "./limits.ts";
import type { KernelStep, LoopStep, Plan, Schedule, Step, Value, ValueId } from "./plan.ts";

/** Step numbers (inclusive) between which a value's memory may not be given to another value. */
export interface LiveRange {
  /** The first step of the range. */
  readonly first: number;
  /** The last step of the range. */
  readonly last: number;
}

interface LoopSpan extends LiveRange {
  readonly variable: number;
}

interface Access {
  readonly position: number;
  /** Enclosing loops, outermost first. */
  readonly loops: readonly LoopSpan[];
  readonly readsBefore: boolean;
  /**
   * The outermost enclosing loop whose variable the access's index reads: slots written in one iteration are read in
   * others.
   */
  readonly slotted: LoopSpan | undefined;
}

/**
 * Assigns every temporary value a location in one arena.
 * @param schedule Steps over values.
 * @param limits What the device can bind and allocate.
 * @throws {DeviceError} with reason `limit` if one value is larger than a tensor may be on the device.
 */
export function planMemory(schedule: Schedule, limits: PlanLimits = {}): Plan {
  const { maxBufferBytes = Infinity, alignmentBytes = ALIGNMENT, maxApartBytes = 0 } = limits;
  checkSizes(schedule.values, limits);
  const ranges = keptApart(schedule, liveRanges(schedule), { maxApartBytes, alignmentBytes });
  const { offsets, arenaBytes } = place(schedule.values, ranges, { maxBufferBytes, alignmentBytes });
  let externalBytes = 0;
  for (const value of schedule.values) {
    if (hasOwnMemory(value)) externalBytes += align(value.sizeBytes, alignmentBytes);
  }
  return { ...schedule, offsets, arenaBytes, bufferBytes: maxBufferBytes, peakBytes: arenaBytes + externalBytes };
}

/** Whether a value occupies memory outside the arena. */
function hasOwnMemory({ storage }: Value): boolean {
  return storage.kind === "output"
    ? storage.takes === undefined
    : storage.kind === "input" || storage.kind === "constant";
}

function checkSizes(values: readonly Value[], limits: PlanLimits): void {
  const value = values.find((value) => isTooLarge(value, limits));
  if (!value) return;
  throw new DeviceError(
    `Cannot place ${value.label} ${formatType(value.type)} in device memory: ${
      excessOf(value.type, value.sizeBytes, limits)
    } on this device; ${remedyFor(value)}, or use a device with a higher limit`,
    "limit",
  );
}

/** What to change about a value that is too large: products that nothing needs as a whole have been cut already. */
function remedyFor({ storage: { kind } }: Value): string {
  return kind === "temporary"
    ? "use a smaller batch or sequence, or compute it in parts with scan"
    : `it is ${
      kind === "output" ? "a result" : kind === "input" ? "an argument" : "a constant"
    }: split it into several`;
}

function align(bytes: number, alignmentBytes: number): number {
  return Math.ceil(bytes / alignmentBytes) * alignmentBytes;
}

/** The live range of every temporary value that a step accesses; accesses to an alias count for its base. */
export function liveRanges(schedule: Schedule): Map<ValueId, LiveRange> {
  const byValue = new Map<ValueId, Access[]>();
  const baseOf = (id: ValueId): ValueId => {
    const { storage } = schedule.values[id];
    return storage.kind === "alias" ? storage.of : id;
  };
  let position = 0;
  const visit = (steps: readonly Step[], loops: readonly LoopSpan[]): void => {
    for (const step of steps) {
      if (step.kind === "loop") {
        const span = { variable: step.variable.id, first: position, last: position + kernelCount(step) - 1 };
        visit(step.steps, [...loops, span]);
        continue;
      }
      for (const { value, readsBefore, slotted } of stepAccesses(step, loops)) {
        const base = baseOf(value);
        if (schedule.values[base].storage.kind !== "temporary") continue;
        let list = byValue.get(base);
        if (!list) byValue.set(base, list = []);
        list.push({ position, loops, readsBefore, slotted });
      }
      position++;
    }
  };
  visit(schedule.steps, []);
  return new Map([...byValue].map(([value, accesses]) => [value, rangeOf(accesses)]));
}

/** Live ranges in which the temporaries of loops whose bodies need little memory are live during the whole loop. */
function keptApart(
  { values, steps }: Schedule,
  ranges: ReadonlyMap<ValueId, LiveRange>,
  { maxApartBytes, alignmentBytes }: Required<Pick<PlanLimits, "maxApartBytes" | "alignmentBytes">>,
): ReadonlyMap<ValueId, LiveRange> {
  if (maxApartBytes === 0) return ranges;
  const kept = new Map(ranges);
  let position = 0;
  const visit = (step: Step): void => {
    if (step.kind === "kernel") {
      position++;
      return;
    }
    const first = position, last = first + kernelCount(step) - 1;
    const inside = [...ranges].filter(([, range]) =>
      first <= range.first && range.last <= last && range.last - range.first < last - first
    );
    const bytes = inside.reduce((sum, [id]) => sum + align(values[id].sizeBytes, alignmentBytes), 0);
    if (bytes > maxApartBytes) return step.steps.forEach(visit);
    for (const [id] of inside) kept.set(id, { first, last });
    position = last + 1;
  };
  steps.forEach(visit);
  return kept;
}

function kernelCount(step: LoopStep): number {
  return step.steps.reduce((count, inner) => count + (inner.kind === "loop" ? kernelCount(inner) : 1), 0);
}

function stepAccesses(
  step: KernelStep,
  loops: readonly LoopSpan[],
): { value: ValueId; readsBefore: boolean; slotted: LoopSpan | undefined }[] {
  const slots: (LoopSpan | undefined)[] = step.operands.map(() => undefined);
  if (loops.length > 0) {
    for (const { operand, index } of accessesOf(step.kernel)) {
      visitVars(index, ({ id }) => {
        const level = loops.findIndex((loop) => loop.variable === id);
        const known = slots[operand];
        if (level >= 0 && (!known || loops.indexOf(known) > level)) slots[operand] = loops[level];
      });
    }
  }
  const { operands } = step.kernel;
  // Reads come first: a value that one kernel reads and writes is read before it is written.
  return step.operands.map((value, i) => ({ value, readsBefore: operands[i].access !== "write", slotted: slots[i] }))
    .sort((a, b) => Number(b.readsBefore) - Number(a.readsBefore));
}

function rangeOf(accesses: readonly Access[]): LiveRange {
  let depth = accesses[0].loops.length;
  for (const { loops } of accesses) {
    let common = 0;
    while (common < depth && common < loops.length && loops[common] === accesses[0].loops[common]) common++;
    depth = common;
  }
  let first = Infinity, last = -1;
  const cover = (range: LiveRange): void => {
    first = Math.min(first, range.first);
    last = Math.max(last, range.last);
  };
  for (const { position, loops } of accesses) {
    cover(loops.length > depth ? loops[depth] : { first: position, last: position });
  }
  // Contents that outlive an iteration are live during the whole loop: slots chosen by its variable, and values that an
  // iteration reads before it writes them.
  for (const { slotted, loops } of accesses) if (slotted && loops.indexOf(slotted) < depth) cover(slotted);
  if (accesses[0].readsBefore && depth > 0) cover(accesses[0].loops[0]);
  return { first, last };
}

/**
 * Greedy by size: the largest value first, each in the smallest sufficient gap between already placed values with
 * overlapping live ranges. For training steps, the result is within a few per cent of the lower bound (the maximum
 * number of bytes live at once).
 */
function place(
  values: readonly Value[],
  ranges: ReadonlyMap<ValueId, LiveRange>,
  { maxBufferBytes, alignmentBytes }: Required<Pick<PlanLimits, "maxBufferBytes" | "alignmentBytes">>,
): { offsets: Map<ValueId, number>; arenaBytes: number } {
  invariant(
    maxBufferBytes === Infinity || maxBufferBytes % alignmentBytes === 0,
    `arena buffers of ${maxBufferBytes} bytes, which is no multiple of ${alignmentBytes}`,
  );
  const offsets = new Map<ValueId, number>();
  const placed = new PlacedByOffset();
  let arenaBytes = 0;
  const order = values.filter(({ storage }) => storage.kind === "temporary").sort((a, b) =>
    b.sizeBytes - a.sizeBytes || a.id - b.id
  );
  for (const value of order) {
    const range = ranges.get(value.id);
    if (!range) {
      // Never accessed, so any location will do.
      offsets.set(value.id, 0);
      continue;
    }
    const size = align(value.sizeBytes, alignmentBytes);
    const offset = placed.bestGap(range, size, maxBufferBytes);
    offsets.set(value.id, offset);
    placed.add({ ...range, offset, end: offset + size });
    arenaBytes = Math.max(arenaBytes, offset + size);
  }
  return { offsets, arenaBytes };
}

interface Placed extends LiveRange {
  readonly offset: number;
  readonly end: number;
}

/** Placed values in order of offset, so that gaps are found without sorting. */
class PlacedByOffset {
  readonly #placed: Placed[] = [];

  add(value: Placed): void {
    let low = 0, high = this.#placed.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#placed[middle].offset <= value.offset) low = middle + 1;
      else high = middle;
    }
    this.#placed.splice(low, 0, value);
  }

  /**
   * The smallest gap of at least `size` bytes between values with overlapping live ranges; past all of them if there is
   * none.
   */
  bestGap({ first, last }: LiveRange, size: number, bufferBytes: number): number {
    let best = -1, bestWaste = Infinity, cursor = 0;
    for (const other of this.#placed) {
      if (other.first > last || first > other.last) continue;
      const start = withinBuffer(cursor, size, bufferBytes);
      const waste = other.offset - (start + size);
      if (waste >= 0 && waste < bestWaste) {
        best = start;
        bestWaste = waste;
      }
      cursor = Math.max(cursor, other.end);
    }
    return best >= 0 ? best : withinBuffer(cursor, size, bufferBytes);
  }
}

/** The lowest offset from `start` on at which `size` bytes do not straddle two buffers of the arena. */
function withinBuffer(start: number, size: number, bufferBytes: number): number {
  if (bufferBytes === Infinity) return start;
  invariant(size <= bufferBytes, `a value of ${size} bytes in arena buffers of ${bufferBytes}`);
  const cut = (Math.floor(start / bufferBytes) + 1) * bufferBytes;
  return start + size <= cut ? start : cut;
}
