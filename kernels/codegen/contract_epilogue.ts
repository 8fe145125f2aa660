/** The epilogue of a tiled product: its orientation, and the map that is applied to finished sums. */
import type { Index, Var } from "../../core/index_expr.ts";
import { addIndex, makeVar, scaleIndex, varIndex } from "../../core/index_expr.ts";
import type { ContractKernel } from "../kernel.ts";
import type { Evaluator } from "./evaluator.ts";
import { Integers } from "./integers.ts";
import type { Value } from "./writer.ts";

/** Returns the product or its transpose, whichever is stored with contiguous rows, so that lanes run along n. */
export function orient(kernel: ContractKernel, evaluator: Evaluator): ContractKernel {
  const { m, n, lhs, rhs, stores } = kernel, { lanes } = evaluator.writer, lane = makeVar("lane", lanes);
  const sums: Value = { local: 0, literal: 0, dtype: "f32", width: lanes, depth: 0 };
  const costAlong = (axis: Var) => {
    const vector = varIndex(makeVar("q", Math.max(2, Math.floor(axis.extent / lanes))));
    return evaluator.cost(
      [],
      stores,
      evaluator.env(new Map([[axis.id, addIndex(scaleIndex(vector, lanes), varIndex(lane))]]), lane, sums),
    );
  };
  return costAlong(m) < costAlong(n) ? { ...kernel, m: n, n: m, lhs: rhs, rhs: lhs } : kernel;
}

/** Finished sums in scratch memory. */
export interface FinishedSums {
  /** Values of the batch variables. */
  readonly batch: ReadonlyMap<number, Index>;
  /** The first row and column, and the ends of the ranges. */
  readonly from: Value;
  readonly to: Value;
  readonly n0: Value;
  readonly nEnd: Value;
  /** The address of the first sum, and the pitch between rows in bytes. */
  readonly sums: Value;
  readonly pitch: number;
}

/** Applies the kernel's epilogue to sums and stores the results, with lanes along n. */
export function printEpilogue(
  { m, n, stores }: ContractKernel,
  evaluator: Evaluator,
  { batch, from, to, n0, nEnd, sums, pitch }: FinishedSums,
): void {
  const w = evaluator.writer, int = new Integers(w), { lanes } = w, lane = makeVar("lane", lanes);
  const vectors = Math.floor(n.extent / lanes), whole = lanes * vectors, plain = evaluator.env(new Map());
  w.loop({ start: from, end: to, extent: m.extent }, (row) => {
    const base = int.add(sums, int.times(int.sub(evaluator.scalar(row, plain), from), pitch));
    const addressOf = (column: Index) => int.add(base, int.times(int.sub(evaluator.scalar(column, plain), n0), 4));
    const storeAt = (column: Index, sum: Value, withLane: boolean) => {
      const replace = new Map(batch).set(m.id, row).set(n.id, withLane ? addIndex(column, varIndex(lane)) : column);
      const env = evaluator.env(replace, withLane ? lane : undefined, sum);
      const values = stores.map(({ value }) => evaluator.value(value, env));
      stores.forEach((store, i) => evaluator.store(store, values[i], env));
    };
    w.loop({ start: int.over(n0, lanes), end: int.over(nEnd, lanes), extent: vectors }, (vector) => {
      const column = scaleIndex(vector, lanes);
      storeAt(column, w.fresh("lanes.load", [addressOf(column)], [0]), true);
    });
    if (whole === n.extent) return;
    w.loop({ start: int.max(n0, whole), end: nEnd, extent: n.extent }, (column) => {
      storeAt(column, w.fresh("f32.load", [addressOf(column)], [0]), false);
    });
  });
}
