/** Chooses how row kernels use invocations and lanes. */
import type { Var } from "../../../core/index_expr.ts";
import { addIndex, makeVar, scaleIndex, varIndex } from "../../../core/index_expr.ts";
import type { RowKernel } from "../../kernel.ts";
import { levelsOf } from "../../codegen/row_levels.ts";
import type { Evaluator } from "./print_expr.ts";
import { pointsOf } from "../../codegen/lane_index.ts";
import { stepsPerTurn } from "./print_loops.ts";
import { chooseWalk, scalarWalk, workgroupSizeFor } from "./print_space.ts";
import type { Walk } from "./print_space.ts";
import type { PrintTarget } from "./print_writer.ts";

/** The assignment of work in a row kernel. */
export interface RowShape {
  /** The axis along which the lanes of a vec4 run. */
  readonly lanes: "row" | "space" | "none";
  readonly rowLane?: Var;
  readonly walk: Walk;
  /** Number of invocations that share a row; a power of two. */
  readonly team: number;
  /** Rows (or groups of four rows) per workgroup. */
  readonly rowsPerGroup: number;
  /** Whether adjacent invocations compute adjacent columns rather than parts of one row. */
  readonly columns: boolean;
  /** Steps along the row per iteration. */
  readonly unroll: number;
}

/** Chooses by memory layout, number of rows and adapter. */
export function chooseRowShape(kernel: RowKernel, evaluator: Evaluator, target: PrintTarget): RowShape {
  const { lanes, walk, rowLane, accesses } = chooseLanes(kernel, evaluator);
  const { extent } = kernel.row;
  const steps = lanes === "row" ? Math.ceil(extent / 4) : extent;
  const columns = lanes === "space";
  const team = chooseTeam(walk.groups, steps, columns, target);
  const unroll = chooseUnroll({ kernel, target, perMember: Math.ceil(steps / team), accesses });
  const preferred = team === 1
    ? (target.style === "gpu" ? 64 : 8)
    : Math.max(1, Math.floor((target.style === "gpu" ? 64 : team) / team));
  const rowsPerGroup = team === 1 ? workgroupSizeFor(walk.groups, preferred) : preferred;
  return { lanes, walk, rowLane, team, rowsPerGroup, columns, unroll };
}

function chooseLanes(
  kernel: RowKernel,
  evaluator: Evaluator,
): Pick<RowShape, "lanes" | "walk" | "rowLane"> & { accesses: number } {
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
  const acrossCost = across.lane
    ? evaluator.cost(exprs, elementStores, evaluator.env(across.replace(acrossGroup), across.lane))
    : Infinity;
  if (acrossCost < rowCost) return { lanes: "space", walk: across, accesses: acrossCost };
  const isWorth = row.extent >= 16 || (row.extent % 4 === 0 && row.extent > 0);
  return isWorth
    ? { lanes: "row", walk: plain, rowLane, accesses: rowCost }
    : { lanes: "none", walk: plain, accesses: rowCost / 4 };
}

/**
 * Steps along the row per iteration. A row that is read by several passes is fully unrolled where that pays off: its
 * elements then stay in registers, which is two to three times as fast, but a software driver takes about 5 ms to
 * compile each memory access (150 ms for a softmax of 64).
 */
function chooseUnroll(
  { kernel, target, perMember, accesses }: {
    kernel: RowKernel;
    target: PrintTarget;
    perMember: number;
    accesses: number;
  },
): number {
  const elements = pointsOf(kernel.space) * kernel.row.extent;
  const instructions = perMember * Math.max(1, accesses);
  const isReread = kernel.elementStores.length > 0 || levelsOf(kernel).length > 1;
  const affordable = target.style === "gpu" || !isReread || elements < 1 << 14
    ? 8
    : elements < 1 << 18
    ? 32
    : elements < 1 << 21
    ? 64
    : 128;
  if (perMember <= 2 || instructions <= affordable) return Math.max(1, perMember);
  // Partial unrolling is no faster, but adds in pairs, which keeps the sums of very long rows accurate.
  const paired = perMember >= 4096 ? 4 : perMember >= 512 ? 2 : 1;
  const passes = levelsOf(kernel).length + Math.sign(kernel.elementStores.length);
  return Math.max(paired, stepsPerTurn(passes * perMember, target, true));
}

/**
 * The number of invocations that share a row. On software adapters barriers cost more than idle lanes, except for very
 * few rows.
 */
function chooseTeam(groups: number, steps: number, columns: boolean, target: PrintTarget): number {
  if (target.style === "software") return groups <= 8 && steps >= 128 ? Math.min(64, target.maxInvocations) : 1;
  const wanted = columns ? (groups >= 16384 ? 1 : Math.min(8, steps / 8)) : Math.min(256, steps / 4);
  return Math.min(target.maxInvocations, 2 ** Math.ceil(Math.log2(Math.max(1, wanted))));
}
