/** Chooses the tiles of contract kernels with a simple cost model, whose constants were measured on llvmpipe. */
import type { Expr } from "../../../core/expr.ts";
import { visitExprs } from "../../cost.ts";
import type { ContractKernel } from "../../kernel.ts";
import { pointsOf } from "../../codegen/lane_index.ts";
import type { PrintTarget } from "./print_writer.ts";

/** The outputs that one invocation keeps in registers; `columns` is a multiple of 4. */
export interface RegisterTile {
  readonly rows: number;
  readonly columns: number;
}

/** Tiles in order of decreasing size. */
const TILES: readonly RegisterTile[] = [[16, 16], [16, 8], [8, 16], [8, 8], [4, 8], [8, 4], [4, 4], [2, 4], [1, 4]].map(
  ([rows, columns]) => ({
    rows,
    columns,
  }),
);

/** Number of runs over which compiling a kernel must pay off, per iteration of its enclosing loops. */
const EXPECTED_RUNS = 100;

/**
 * The time of one step of k on a software adapter, for eight invocations that run as one vector: nanoseconds of a core
 * per multiply-add, and per element of a row or column. Buffers deliver elements at a tenth of the speed of textures.
 */
const STEP_NS = { buffers: { product: 0, element: 56 }, texels: { product: 1.2, element: 7.7 } };

/**
 * The register tile of a kernel on a software adapter: minimises the time to compile it once and run it {@link
 * EXPECTED_RUNS} times on two cores.
 */
export function chooseSoftwareTile(kernel: ContractKernel, target: PrintTarget): RegisterTile {
  const { m, n, k, batch, loops, lhs, rhs, stores } = kernel;
  const runs = EXPECTED_RUNS * pointsOf(loops);
  const step = target.texels ? STEP_NS.texels : STEP_NS.buffers;
  const load = target.texels ? 1 : 3.5;
  const [row, column] = [lhs, rhs].map((expr) => compileMs([expr], load));
  const epilogue = compileMs(stores.map(({ value }) => value), 3.5) + 2 * stores.length;
  const costOf = ({ rows, columns }: RegisterTile): number => {
    const invocations = pointsOf(batch) * Math.ceil(m.extent / rows) * Math.ceil(n.extent / columns);
    const runMs = Math.ceil(invocations / 16) * k.extent *
      ((rows + columns) * step.element + productNs(rows * columns, step.product)) * 1e-6;
    return runs * runMs + 38 + 0.75 * rows * columns + row * rows + column * columns + epilogue;
  };
  return TILES.reduce((best, tile) => (costOf(tile) < costOf(best) ? tile : best));
}

/** Accumulators beyond 64 vectors of eight lanes are a third more expensive. */
function productNs(products: number, each: number): number {
  return products * each * (products > 64 ? 4 / 3 : 1);
}

/**
 * Milliseconds that a software driver takes to compile expressions once, four lanes wide, with `load` for a load from
 * memory.
 */
function compileMs(roots: readonly Expr[], load: number): number {
  let sum = 0;
  visitExprs(roots, (expr) => {
    if (expr.kind === "load") sum += load;
    else if (expr.kind === "unary") sum += expr.op === "tanh" || expr.op === "erf" || expr.op === "log" ? 5 : 1.4;
    else if (expr.kind !== "const") sum += 0.25;
  });
  return sum;
}

/**
 * The register tile where compilation is cheap: as large as registers allow, provided there are enough tiles to fill a
 * GPU.
 */
export function chooseGpuTile({ m, n, batch }: ContractKernel): RegisterTile {
  const rows = m.extent >= 4 ? 4 : m.extent >= 2 ? 2 : 1;
  const invocations = pointsOf(batch) * Math.ceil(m.extent / rows) * Math.ceil(n.extent / 4);
  return { rows: invocations < 4096 ? Math.min(rows, 2) : rows, columns: 4 };
}

/** The outputs of a workgroup that shares operands through workgroup memory, and the tile of each invocation. */
export interface WorkgroupTile {
  readonly rows: number;
  readonly columns: number;
  /** Steps of k between barriers; a multiple of 4. */
  readonly depth: number;
  readonly each: RegisterTile;
}

/** The workgroup tile of a kernel on a GPU; undefined for shapes too small to share operands. */
export function chooseWorkgroupTile(
  { m, n, k, batch }: ContractKernel,
  target: PrintTarget,
): WorkgroupTile | undefined {
  if (m.extent < 32 || n.extent < 32 || k.extent < 16) return undefined;
  const tiles = (size: number) => pointsOf(batch) * Math.ceil(m.extent / size) * Math.ceil(n.extent / size);
  // With fewer than about two tiles per multiprocessor, smaller tiles keep more of them busy.
  const size = tiles(64) >= 128 && target.maxInvocations >= 256 ? 64 : 32;
  return { rows: size, columns: size, depth: 16, each: { rows: 4, columns: 4 } };
}
