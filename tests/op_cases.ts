/**
 * The op table: every primitive and every public op with shapes of all sorts. It feeds the suites in `op_suites/`:
 * reference values, gradients of first and second order, parity of devices, golden source texts.
 */
import { COMPOSITE_CASES } from "./op_cases/composite.ts";
import { CONTRACTING_CASES } from "./op_cases/contracting.ts";
import { EDGE_CASES } from "./op_cases/elementwise_edges.ts";
import { ELEMENTWISE_CASES } from "./op_cases/elementwise.ts";
import type { OpCase } from "./op_cases/op_case.ts";
import { LINEAR_ALGEBRA_CASES } from "./op_cases/linear_algebra.ts";
import { LOSS_CASES } from "./op_cases/losses.ts";
import { ORDERING_CASES } from "./op_cases/ordering.ts";
import { PLACING_CASES } from "./op_cases/placing.ts";
import { SAMPLING_CASES } from "./op_cases/sampling.ts";
import { SELECTIVE_SCAN_CASES } from "./op_cases/selective_scan.ts";
import { STATISTICS_CASES } from "./op_cases/statistics.ts";
import { STRUCTURAL_CASES } from "./op_cases/structural.ts";

export type { OpCase } from "./op_cases/op_case.ts";

/** All cases. */
export const OP_CASES: readonly OpCase[] = [
  ...ELEMENTWISE_CASES,
  ...EDGE_CASES,
  ...STRUCTURAL_CASES,
  ...STATISTICS_CASES,
  ...ORDERING_CASES,
  ...PLACING_CASES,
  ...CONTRACTING_CASES,
  ...LINEAR_ALGEBRA_CASES,
  ...COMPOSITE_CASES,
  ...SELECTIVE_SCAN_CASES,
  ...SAMPLING_CASES,
  ...LOSS_CASES,
];
