/** Chooses how row kernels use invocations and lanes. */
import type { Var } from "../../core/index_expr.ts";
import { makeVar, varIndex } from "../../core/index_expr.ts";
import { addIndex, scaleIndex } from "../../core/index_expr.ts";
import type { RowKernel } from "../kernel.ts";
import type { Evaluator } from "./print_expr.ts";
import { chooseWalk, scalarWalk, workgroupSizeFor } from "./print_space.ts";
import type { Walk } from "./print_space.ts";
import type { PrintTarget } from "./print_writer.ts";

/** Who does what in a row kernel. */
export interface RowShape {
  /** What the lanes of a vec4 run along. */
  readonly lanes: "row" | "space" | "none";
  readonly rowLane?: Var;
  readonly walk: Walk;
  /** Invocations that share a row; a power of two. */
  readonly team: number;
  /** Rows (or groups of four) of a workgroup. */
  readonly rowsPerGroup: number;
  /** Whether neighbouring invocations have neighbouring columns rather than parts of one row. */
  readonly columns: boolean;
  /** Steps along the row in one turn of the loop. */
  readonly unroll: number;
}

/** Steps up to which a row is unrolled whole, and stays in registers between passes. */
const WHOLE_ROW_STEPS = 8;

/** Chooses by memory layout, the number of rows and the adapter. */
export function chooseRowShape(kernel: RowKernel, evaluator: Evaluator, target: PrintTarget): RowShape {
  const { lanes, walk, rowLane } = chooseLanes(kernel, evaluator);
  const { extent } = kernel.row;
  const steps = lanes === "row" ? Math.ceil(extent / 4) : extent;
  const columns = lanes === "space";
  const team = chooseTeam(walk.groups, steps, columns, target);
  const perMember = Math.ceil(steps / team);
  const unroll = perMember <= WHOLE_ROW_STEPS ? Math.max(1, perMember) : [4, 2].find((count) => steps % (team * count) === 0) ?? 1;
  const preferred = team === 1 ? (target.style === "gpu" ? 64 : 8) : Math.max(1, Math.floor((target.style === "gpu" ? 64 : team) / team));
  const rowsPerGroup = team === 1 ? workgroupSizeFor(walk.groups, preferred) : preferred;
  return { lanes, walk, rowLane, team, rowsPerGroup, columns, unroll };
}

function chooseLanes(kernel: RowKernel, evaluator: Evaluator): Pick<RowShape, "lanes" | "walk" | "rowLane"> {
  const { space, row, rowStores, elementStores } = kernel;
  const plain = scalarWalk(space);
  const all = [...rowStores, ...elementStores];
  const exprs = all.map(({ value }) => value);
  const group = varIndex(makeVar("group", plain.groups));
  const rowLane = makeVar("lane", 4), item = varIndex(makeVar("item", Math.ceil(row.extent / 4)));
  const alongRow = plain.replace(group).set(row.id, addIndex(scaleIndex(item, 4), varIndex(rowLane)));
  const rowCost = evaluator.cost(exprs, elementStores, evaluator.env(alongRow, rowLane));
  const across = chooseWalk(evaluator, space, exprs, all);
  const acrossGroup = varIndex(makeVar("group", across.groups));
  const acrossCost = across.lane ? evaluator.cost(exprs, elementStores, evaluator.env(across.replace(acrossGroup), across.lane)) : Infinity;
  if (acrossCost < rowCost) return { lanes: "space", walk: across };
  const isWorth = row.extent >= 16 || (row.extent % 4 === 0 && row.extent > 0);
  return isWorth ? { lanes: "row", walk: plain, rowLane } : { lanes: "none", walk: plain };
}

/** How many invocations share a row. On software adapters barriers cost more than idle lanes, except for very few rows. */
function chooseTeam(groups: number, steps: number, columns: boolean, target: PrintTarget): number {
  if (target.style === "software") return groups <= 8 && steps >= 128 ? Math.min(64, target.maxInvocations) : 1;
  const wanted = columns ? (groups >= 16384 ? 1 : Math.min(8, steps / 8)) : Math.min(256, steps / 4);
  return Math.min(target.maxInvocations, 2 ** Math.ceil(Math.log2(Math.max(1, wanted))));
}
