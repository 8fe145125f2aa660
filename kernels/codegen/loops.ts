/** Loops with a constant number of iterations. */
import { invariant } from "../../core/errors.ts";
import { constantIndex, type Index } from "../../core/index_expr.ts";
import type { Value, Writer } from "./writer.ts";

/** Runs `body` for 0 .. turns - 1, without a loop for a single iteration. */
export function repeat(w: Writer, turns: number, body: (counter: Index) => void): void {
  if (turns === 1) return body(constantIndex(0));
  w.loop({ start: w.literal(0, "i32"), end: w.literal(turns, "i32"), extent: turns }, body);
}

/**
 * Runs `body` for 0 .. turns - 1 in order, in blocks, and `flush` after each block with the index of its first
 * iteration.
 * @param block Iterations per block, fewer than all.
 */
export function repeatInBlocks(
  w: Writer,
  { turns, block }: { turns: number; block: number },
  { body, flush }: { body: (counter: Index) => void; flush: (first: Value) => void },
): void {
  const whole = w.literal(turns, "i32");
  w.loop({ start: w.literal(0, "i32"), end: whole, extent: turns, step: block }, (first) => {
    const [{ atom }] = first.terms;
    invariant(atom.kind === "var", "a counter is a variable");
    const start = w.variable(atom.variable), stop = w.op("i32.add", [start, w.literal(block, "i32")]);
    const isInside = w.op("i32.lt_s", [stop, whole]);
    const end = turns % block === 0 ? stop : w.op("select", [stop, whole, isInside]);
    w.loop({ start, end, extent: turns }, body);
    flush(start);
  });
}
