/** Operands and results of tiled products that are accessed in place, without packing. */
import type { Expr } from "../../core/expr.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import type { ContractKernel } from "../kernel.ts";
import { laneForm } from "./lane_index.ts";

/** Beyond this stride, successive steps of k map to few cache sets, so the operand is packed. */
const MAX_STRIDE_BYTES = 1024;

/** A tensor accessed in place: the address of its first element in the current batch, and its strides in bytes. */
export interface Direct {
  readonly operand: number;
  readonly at: Index;
  readonly axisBytes: number;
  readonly otherBytes: number;
}

/** A plain load or store as an address and strides, if its index is linear in both variables and always in bounds. */
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

/** Rows can be read in place if they are contiguous along k or have a small stride. */
export function directRows(kernel: ContractKernel): Direct | undefined {
  const { lhs, m, k } = kernel, found = directLoad(kernel, lhs, m);
  if (!found) return undefined;
  const { axisBytes, otherBytes } = found;
  const isNear = axisBytes === 4 && otherBytes <= MAX_STRIDE_BYTES && otherBytes * k.extent <= 1 << 17;
  return otherBytes <= 4 || isNear ? found : undefined;
}

/** Columns can be read in place if they are contiguous and k has a small stride, or if few rows use them. */
export function directColumns(kernel: ContractKernel, fewRows: number): Direct | undefined {
  const { rhs, m, n, k } = kernel, found = directLoad(kernel, rhs, n);
  if (!found || found.axisBytes !== 4) return undefined;
  const isNear = found.otherBytes <= MAX_STRIDE_BYTES && found.otherBytes * k.extent <= 1 << 15;
  return isNear || m.extent <= fewRows ? found : undefined;
}

/** Sums can be stored in place if they are the result unchanged and columns are contiguous. */
export function directResult(kernel: ContractKernel): Direct | undefined {
  const { stores, m, n, operands } = kernel, [store] = stores;
  if (stores.length !== 1 || store.value.kind !== "accumulator" || operands[store.operand].access !== "write") {
    return undefined;
  }
  const found = direct(kernel, store, m, n);
  return found && found.otherBytes === 4 ? found : undefined;
}

/** Whether some store writes neighbouring columns to addresses that are not neighbours. */
export function scattersRows({ stores, n }: ContractKernel): boolean {
  return stores.some(({ index }) => {
    const form = laneForm(index, n, () => true);
    return !form || Math.abs(form.step) > 1;
  });
}
