/** Operands and results of tiled products that are read and written where they lie, without packing. */
import type { Expr } from "../../core/expr.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import type { ContractKernel } from "../kernel.ts";
import { laneForm } from "./lane_index.ts";
import type { Tile } from "./target.ts";

/** Steps of k further apart than this fall on few sets of the cache: such operands are packed. */
const MAX_STRIDE_BYTES = 1024;

/**
 * A tensor that is addressed where it lies: the address of its first element in the task's batch, and distances in
 * bytes.
 */
export interface Direct {
  readonly operand: number;
  readonly at: Index;
  readonly axisBytes: number;
  readonly otherBytes: number;
}

/** A plain load or store as address and distances, where it is linear in two variables and stays inside. */
function direct(
  { operands }: ContractKernel,
  { operand, index }: { readonly operand: number; readonly index: Index },
  axis: Var,
  other: Var,
): Direct | undefined {
  const { size, dtype } = operands[operand];
  if (dtype !== "f32" || index.min < 0 || index.max >= size) return undefined;
  const along = laneForm(index, axis, () => true), deep = along && laneForm(along.base, other, () => true);
  if (!along || !deep || along.step < 0 || deep.step < 0) return undefined;
  return { operand, at: deep.base, axisBytes: 4 * along.step, otherBytes: 4 * deep.step };
}

function directLoad(kernel: ContractKernel, expr: Expr, axis: Var): Direct | undefined {
  return expr.kind === "load" ? direct(kernel, expr, axis, kernel.k) : undefined;
}

/** Rows are read where they lie if they are contiguous along k, or close together. */
export function directRows(kernel: ContractKernel): Direct | undefined {
  const { lhs, m, k } = kernel, found = directLoad(kernel, lhs, m);
  if (!found) return undefined;
  const { axisBytes, otherBytes } = found;
  const isNear = axisBytes === 4 && otherBytes <= MAX_STRIDE_BYTES && otherBytes * k.extent <= 1 << 17;
  return otherBytes <= 4 || isNear ? found : undefined;
}

/** Columns are read where they lie if they are neighbours and steps of k close together, or if few rows use them. */
export function directColumns(kernel: ContractKernel, narrow: Tile): Direct | undefined {
  const { rhs, m, n, k } = kernel, found = directLoad(kernel, rhs, n);
  if (!found || found.axisBytes !== 4) return undefined;
  const isNear = found.otherBytes <= MAX_STRIDE_BYTES && found.otherBytes * k.extent <= 1 << 15;
  return isNear || m.extent <= 2 * narrow.rows ? found : undefined;
}

/** Sums are stored where they belong if they are the result as they are and columns are neighbours. */
export function directResult(kernel: ContractKernel): Direct | undefined {
  const { stores, m, n, operands } = kernel, [store] = stores;
  if (stores.length !== 1 || store.value.kind !== "accumulator" || operands[store.operand].access !== "write") {
    return undefined;
  }
  const found = direct(kernel, store, m, n);
  return found && found.otherBytes === 4 ? found : undefined;
}
