/** Chooses the tiles of contract kernels. */
import type { ContractKernel } from "../kernel.ts";
import { pointsOf } from "./print_index.ts";
import type { PrintTarget } from "./print_writer.ts";

/** Outputs that one invocation keeps in registers; `columns` is a multiple of 4. */
export interface RegisterTile {
  readonly rows: number;
  readonly columns: number;
  /** Invocations of a workgroup, at most. */
  readonly workgroupSize: number;
}

/** Outputs of one workgroup that shares operands through workgroup memory. */
export interface WorkgroupTile {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}

/** A choice: registers alone, or registers fed from workgroup memory. */
export interface ContractTile extends RegisterTile {
  readonly workgroup?: WorkgroupTile;
}

/** Chooses for a kernel and a target. */
export function chooseTile(kernel: ContractKernel, target: PrintTarget): ContractTile {
  const { m, n, k } = kernel;
  return { ...chooseRegisters(pointsOf(kernel.batch), m.extent, n.extent, k.extent), workgroupSize: 8, workgroup: target.style === "gpu" ? undefined : undefined };
}

const SHAPES: readonly (readonly [rows: number, columns: number])[] = [[8, 8], [4, 8], [8, 4], [4, 4], [2, 4], [1, 4]];

function chooseRegisters(batch: number, m: number, n: number, k: number): { rows: number; columns: number } {
  let best = SHAPES[0], bestTime = Infinity;
  for (const [rows, columns] of SHAPES) {
    const invocations = batch * Math.ceil(m / rows) * Math.ceil(n / columns);
    // Eight invocations run as one on a software adapter, on two cores or more; a load costs as much as some ten multiply-adds.
    const rounds = Math.ceil(Math.ceil(invocations / 8) / 2);
    const time = rounds * k * (8 * (rows + columns) + rows * columns);
    if (time < bestTime) [best, bestTime] = [[rows, columns], time];
  }
  return { rows: best[0], columns: best[1] };
}
