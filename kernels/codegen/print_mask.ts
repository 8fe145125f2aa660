/** Finds the steps of k that a mask leaves in a tile. */
import type { Index } from "../../core/index_expr.ts";
import type { ContractKernel } from "../kernel.ts";
import { maskSteps, type Tile } from "../mask_range.ts";
import { Integers } from "./integers.ts";
import type { Evaluator } from "./evaluator.ts";
import type { Value } from "./writer.ts";

/**
 * A part of k, from k0 (inclusive) to kEnd (exclusive). Its sums are added to those of earlier parts unless it is
 * first.
 */
export interface Depth {
  readonly k0: Value;
  readonly kEnd: Value;
  readonly isFirst: Value;
}

/** With several bands, unmasked steps may have gaps; they are found in pieces of this many steps. */
const PIECE = 32;

/**
 * Runs `body` for the unmasked steps of a part in a tile of rows and columns, in order. Ranges of steps start and end
 * at multiples of W if the part does.
 */
export function overMaskedSteps(
  kernel: ContractKernel,
  evaluator: Evaluator,
  { tile, part }: { tile: Tile; part: Depth },
  body: (part: Depth) => void,
): void {
  const { writer: w } = evaluator, int = new Integers(w);
  if (kernel.mask.length === 1) return body(maskedStepsIn(kernel, evaluator, tile, part));
  const pieces = int.over(int.plus(int.sub(part.kEnd, part.k0), PIECE - 1), PIECE);
  w.loop({ start: int.literal(0), end: pieces, extent: Math.max(2, Math.ceil(kernel.k.extent / PIECE)) }, (piece) => {
    const k0 = int.add(part.k0, int.times(evaluator.scalar(piece, evaluator.env(new Map())), PIECE)),
      end = int.plus(k0, PIECE);
    const kEnd = int.op("select", end, part.kEnd, int.op("i32.lt_s", end, part.kEnd));
    const steps = maskedStepsIn(kernel, evaluator, tile, { ...part, k0, kEnd });
    w.when(int.op("i32.lt_s", steps.k0, steps.kEnd), () => body(steps));
  });
}

/** The smallest range of steps of a part that contains every unmasked step of a tile. */
export function maskedStepsIn(
  kernel: ContractKernel,
  evaluator: Evaluator,
  tile: Tile,
  { k0, kEnd, isFirst }: Depth,
): Depth {
  const { writer: w } = evaluator, int = new Integers(w), env = evaluator.env(new Map());
  const valueOf = (index: Index): Value => evaluator.scalar(index, env);
  const larger = (x: Value, y: Value): Value => int.op("select", x, y, int.op("i32.gt_s", x, y));
  const smaller = (x: Value, y: Value): Value => int.op("select", x, y, int.op("i32.lt_s", x, y));
  const ranges = maskSteps(kernel, tile).map(({ when, first, end }) => {
    const start = first.map(valueOf).reduce(larger, k0), stop = end.map(valueOf).reduce(smaller, kEnd);
    const counts = [
      ...when.map((index) => int.op("i32.ge_s", valueOf(index), int.literal(0))),
      int.op("i32.lt_s", start, stop),
    ];
    const isAlive = counts.reduce((all, condition) => int.op("bits.and", all, condition));
    return { start: int.op("select", start, kEnd, isAlive), stop: int.op("select", stop, k0, isAlive) };
  });
  const start = ranges.map((range) => range.start).reduce(smaller, kEnd),
    stop = ranges.map((range) => range.stop).reduce(larger, k0);
  const whole = int.literal(-w.lanes);
  const down = int.op("bits.and", start, whole), up = int.op("bits.and", int.plus(stop, w.lanes - 1), whole);
  return { k0: down, kEnd: larger(smaller(up, kEnd), down), isFirst };
}
