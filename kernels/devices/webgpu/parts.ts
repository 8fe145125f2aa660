/**
 * The parts of the device that only some programs need. They are imported with the first that does, so that a page loads
 * no others.
 */
import { isHalf } from "../../../core/dtype.ts";
import type { BinaryOp, Expr, UnaryOp } from "../../../core/expr.ts";
import { visitKernelExprs } from "../../cost.ts";
import type { Kernel } from "../../kernel.ts";
import { BASIC, type Helpers } from "./helpers.ts";
import { isProduct } from "./print_math.ts";
import { printMap } from "./print_map.ts";
import type { WgslKernel, Writer } from "./print_writer.ts";
import type { timeDispatches } from "./profiler.ts";
import type { chooseTexelReads, ProgramTexels } from "./texels.ts";

/** Prints the kernels of one kind. */
type PrintKind<K extends Kernel["kind"]> = (kernel: Extract<Kernel, { kind: K }>, writer: Writer) => WgslKernel;

/** The parts of the printer that some kernels need; others may be missing. */
export interface PrinterParts {
  readonly kinds: { readonly [K in Kernel["kind"]]?: PrintKind<K> };
  readonly helpers: Partial<Helpers>;
  readonly chooseTexelReads?: typeof chooseTexelReads;
}

/** Loads what copies operands to textures. */
export const loadTexels = async (): Promise<typeof ProgramTexels> => (await import("./texels.ts")).ProgramTexels;

/** Loads what times dispatches. */
export const loadProfiler = async (): Promise<typeof timeDispatches> => (await import("./profiler.ts")).timeDispatches;

/** The operations whose helpers are not basic. */
const OTHERS: ReadonlySet<UnaryOp | BinaryOp> = new Set(["cos", "erf", "log", "pow", "sin"]);

/**
 * Loads the printer: its basic part, with kernels of all kinds, with floats of 16 bits too. Each has all that is in the one
 * before, so that bundlers cut few chunks.
 */
const LOAD: readonly (() => PrinterParts | Promise<PrinterParts>)[] = [
  () => ({ kinds: { map: printMap }, helpers: BASIC }),
  async () => (await import("./other_kinds.ts")).PARTS,
  async () => (await import("./all_kinds.ts")).PARTS,
];

/** The place in {@link LOAD} of what an expression needs. */
function partOf(expr: Expr): number {
  if (isHalf(expr.dtype)) return 2;
  if (expr.kind !== "unary" && expr.kind !== "binary") return 0;
  return OTHERS.has(expr.op) && !(expr.op === "pow" && isProduct(expr.rhs)) ? 1 : 0;
}

/**
 * Loads what kernels need to be printed.
 * @param texels Whether they may read through textures.
 */
export async function partsFor(kernels: readonly Kernel[], texels: boolean): Promise<PrinterParts> {
  let part = 0;
  for (const kernel of kernels) {
    if (kernel.kind !== "map") part = Math.max(part, 1);
    visitKernelExprs(kernel, (expr) => part = Math.max(part, partOf(expr)));
  }
  const [parts, reads] = await Promise.all([LOAD[part](), texels ? import("./texels.ts") : undefined]);
  return { ...parts, chooseTexelReads: reads?.chooseTexelReads };
}
