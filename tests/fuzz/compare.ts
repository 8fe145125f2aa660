/** Whether results lie within their bounds. */
import type { Bounded } from "./bounds/bounded.ts";
import type { Wrong } from "./failure.ts";

/** How results compared. */
export interface Comparison {
  /** Elements that were compared. */
  compared: number;
  /** Elements of which nothing can be said, because a step of the program lies within their bound. */
  undecided: number;
  /** Compared elements whose bound is more than a thousandth of their size: there a small fault would not show. */
  loose: number;
}

/** An empty count. */
export function noComparison(): Comparison {
  return { compared: 0, undecided: 0, loose: 0 };
}

/** Adds one count to another. */
export function addComparison(total: Comparison, { compared, undecided, loose }: Comparison): void {
  total.compared += compared;
  total.undecided += undecided;
  total.loose += loose;
}

/** How far results may be from what is expected: from its bound, with a factor or another bound added. */
export type Allowance = (output: number, element: number) => number;

/** The first output that has wrong elements, with its worst one; undefined if all lie within their bounds. */
export function compare(
  actual: readonly ArrayLike<number>[],
  expected: readonly Bounded[],
  allowance?: Allowance,
  count?: Comparison,
): Wrong | undefined {
  for (let output = 0; output < expected.length; output++) {
    const { data, radius } = expected[output], got = actual[output];
    if (got.length !== data.length) {
      return {
        output,
        element: 0,
        actual: got.length,
        expected: data.length,
        allowed: 0,
        count: data.length,
        size: data.length,
      };
    }
    let wrong = 0, worst = 0, worstAt = -1;
    for (let i = 0; i < data.length; i++) {
      const allowed = allowance ? allowance(output, i) : radius ? radius[i] : 0, want = data[i], is = got[i];
      if (count) {
        if (allowed === Infinity) count.undecided++;
        else {
          count.compared++;
          if (allowed > 1e-3 * Math.abs(want) && allowed > 1e-6) count.loose++;
        }
      }
      if (allowed === Infinity || is === want || (is !== is && want !== want)) continue;
      const error = Math.abs(is - want);
      if (error <= allowed) continue;
      wrong++;
      const share = Number.isFinite(error) ? error / (allowed || 1e-300) : Infinity;
      if (worstAt < 0 || share > worst) [worst, worstAt] = [share, i];
    }
    if (wrong > 0) {
      const allowed = allowance ? allowance(output, worstAt) : radius ? radius[worstAt] : 0;
      return {
        output,
        element: worstAt,
        actual: got[worstAt],
        expected: data[worstAt],
        allowed,
        count: wrong,
        size: data.length,
      };
    }
  }
  return undefined;
}

/** A wrong element as text. */
export function describeWrong({ output, element, actual, expected, allowed, count, size }: Wrong): string {
  return `result ${output}, element ${element} is ${actual}, right is ${expected} (off by at most ${
    allowed.toPrecision(3)
  }); ${count} of ${size} elements are wrong`;
}
