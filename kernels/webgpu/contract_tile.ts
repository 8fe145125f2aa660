/** Chooses the tiles of contract kernels from a small cost model; its constants were measured on llvmpipe. */
import type { ContractKernel } from "../kernel.ts";
import { pointsOf } from "../lane_index.ts";
import type { PrintTarget } from "./print_writer.ts";

/** Outputs that one invocation keeps in registers; `columns` is a multiple of 4. */
export interface RegisterTile {
  readonly rows: number;
  readonly columns: number;
}

/** Tiles by falling size. */
const TILES: readonly RegisterTile[] = [[16, 16], [16, 8], [8, 16], [8, 8], [4, 8], [8, 4], [4, 4], [2, 4], [1, 4]].map(([rows, columns]) => ({
  rows,
  columns,
}));

/** Runs of a kernel over which its compilation must pay, for each iteration of its enclosing loops. */
const EXPECTED_RUNS = 100;

/** The register tile of a kernel on a software adapter: the least time to compile it once and run it {@link EXPECTED_RUNS} times. */
export function chooseSoftwareTile(kernel: ContractKernel, accesses: number): RegisterTile {
  const { m, n, k, batch, loops } = kernel;
  const runs = EXPECTED_RUNS * pointsOf(loops);
  const costOf = ({ rows, columns }: RegisterTile): number => {
    // Eight invocations run as one, on two cores. Loads are all that counts: 56 ns for a row or column and a step of k.
    const invocations = pointsOf(batch) * Math.ceil(m.extent / rows) * Math.ceil(n.extent / columns);
    const runMs = Math.ceil(invocations / 16) * k.extent * (rows + columns) * 56e-6;
    return runs * runMs + compileMs(rows * columns / 4, accesses);
  };
  return TILES.reduce((best, tile) => (costOf(tile) < costOf(best) ? tile : best));
}

/** Compile time of a tile of so many vec4s, each of which reads and writes memory `accesses` times in the epilogue. */
function compileMs(quads: number, accesses: number): number {
  return 45 + 8 * quads + 0.045 * quads * quads + 14 * quads * Math.max(0, accesses - 1);
}

/** The register tile where compilation is cheap: enough of them to fill a GPU, and otherwise as large as registers allow. */
export function chooseGpuTile({ m, n, batch }: ContractKernel): RegisterTile {
  const rows = m.extent >= 4 ? 4 : m.extent >= 2 ? 2 : 1;
  const invocations = pointsOf(batch) * Math.ceil(m.extent / rows) * Math.ceil(n.extent / 4);
  return { rows: invocations < 4096 ? Math.min(rows, 2) : rows, columns: 4 };
}

/** Outputs of one workgroup that shares operands through workgroup memory, and the tile of each of its invocations. */
export interface WorkgroupTile {
  readonly rows: number;
  readonly columns: number;
  /** Steps of k between barriers; a multiple of 4. */
  readonly depth: number;
  readonly each: RegisterTile;
}

/** The workgroup tile of a kernel on a GPU; undefined where it is too small to share anything. */
export function chooseWorkgroupTile({ m, n, k, batch }: ContractKernel, target: PrintTarget): WorkgroupTile | undefined {
  if (m.extent < 32 || n.extent < 32 || k.extent < 16) return undefined;
  const tiles = (size: number) => pointsOf(batch) * Math.ceil(m.extent / size) * Math.ceil(n.extent / size);
  // Below some two tiles a multiprocessor, smaller tiles keep more of them busy.
  const size = tiles(64) >= 128 && target.maxInvocations >= 256 ? 64 : 32;
  return { rows: size, columns: size, depth: 16, each: { rows: 4, columns: 4 } };
}
