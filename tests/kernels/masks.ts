/** Random masks, and what products under masks mean. */
import fc from "fast-check";
import { ExprBuilder } from "../../core/expr.ts";
import type { Tensor } from "../../core/graph.ts";
import type { Step } from "../../kernels/plan.ts";
import * as ops from "../../ops/mod.ts";

/** A product whose dropped terms are dropped by its factor. */
export function honour(step: Step): Step {
  if (step.kind === "loop") return { ...step, steps: step.steps.map(honour) };
  const { kernel } = step;
  if (kernel.kind !== "contract" || kernel.mask.length === 0) return step;
  const e = new ExprBuilder();
  const bands = kernel.mask.map((band) =>
    band.map((index) => e.inRange(index, 0, 2 ** 31)).reduce(
      (all, test) => e.binary("and", all, test),
      e.const(1, "bool"),
    )
  );
  const isLive = bands.reduce((any, band) => e.binary("or", any, band));
  return { ...step, kernel: { ...kernel, lhs: e.select(isLive, kernel.lhs, e.const(0, kernel.lhs.dtype)) } };
}

/** A random condition on the place in a matrix or a batch of them, perhaps on data. */
export interface Condition {
  readonly kind: "batch" | "row" | "column" | "both" | "segment" | "data" | "and" | "or" | "not";
  readonly at: number;
  readonly parts: readonly Condition[];
}

/** Random conditions. */
export const conditions: fc.Arbitrary<Condition> = fc.letrec<{ condition: Condition }>((tie) => ({
  condition: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.record({
      kind: fc.constantFrom("batch", "row", "column", "both", "segment", "data"),
      at: fc.integer({ min: -4, max: 12 }),
      parts: fc.constant([]),
    }),
    fc.record({
      kind: fc.constantFrom("and", "or"),
      at: fc.constant(0),
      parts: fc.array(tie("condition"), { minLength: 2, maxLength: 3 }),
    }),
    fc.record({
      kind: fc.constant("not"),
      at: fc.constant(0),
      parts: fc.array(tie("condition"), { minLength: 1, maxLength: 1 }),
    }),
  ) as fc.Arbitrary<Condition>,
})).condition;

/** A condition at every place of a tensor of matrices. */
export function conditionOf({ kind, at, parts }: Condition, x: Tensor): Tensor {
  const row = ops.iota(x.shape, x.rank - 2), column = ops.iota(x.shape, x.rank - 1);
  switch (kind) {
    case "batch":
      return ops.less(ops.iota(x.shape, 0), at);
    case "row":
      return ops.less(row, at);
    case "column":
      return ops.greaterEqual(ops.mul(column, 2), at);
    case "both":
      return ops.lessEqual(ops.cast(column, "f32"), ops.add(ops.cast(row, "f32"), at));
    case "segment":
      return ops.equal(ops.div(row, 3), ops.div(ops.add(column, Math.max(0, at)), 3));
    case "data":
      return ops.greater(x, 0);
    case "not":
      return ops.logicalNot(conditionOf(parts[0], x));
    default:
      return parts.map((part) => conditionOf(part, x)).reduce(kind === "and" ? ops.logicalAnd : ops.logicalOr);
  }
}
