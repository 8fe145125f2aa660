/**
 * Reads through textures, for software drivers. llvmpipe fetches elements of a storage buffer lane by lane behind a
 * branch each, about nine times as slow as texels, which it gathers; a copy from buffer to texture runs at the speed of
 * memcpy. So where a kernel reads an operand often enough, the part that it reads is copied to a texture just before,
 * and the kernel fetches texels.
 *
 * A texture is a list of texels in rows of {@link TEXEL_ROW_BYTES}; a texel holds four elements or one.
 */
import type { Index } from "../../../core/index_expr.ts";
import { addIndex, constantIndex, scaleIndex, varIndex } from "../../../core/index_expr.ts";
import { accessesOf } from "../../cost.ts";
import type { Kernel } from "../../kernel.ts";

/** The part of an operand that a kernel reads through a texture. */
export interface TexelRead {
  readonly type: "f32" | "i32" | "u32";
  /** Elements a texel. */
  readonly lanes: 1 | 4;
  /**
   * The element in the first texel, in terms of the kernel's loops: a multiple of `lanes`. Elements outside the operand
   * are never used.
   */
  readonly start: Index;
  /** Elements that are copied, a multiple of `lanes`. */
  readonly elements: number;
}

/** The same as what is bound, in numbers alone: kernels that are alike share it, whatever their variables are called. */
export interface TexelPart extends Omit<TexelRead, "start"> {
  /** The element in the first texel where all loops are at their first turn. */
  readonly first: number;
  /** How many elements further it is after a turn of each of the kernel's loops. */
  readonly strides: readonly number[];
}

/** What a kernel reads, as what is bound. */
export function partOf({ loops }: Kernel, { start, ...read }: TexelRead): TexelPart {
  const strides = loops.map(({ id }) =>
    start.terms.find(({ atom }) => atom.kind === "var" && atom.variable.id === id)?.coefficient ?? 0
  );
  return { ...read, first: start.constant, strides };
}

/** How often a kernel loads an operand's elements in one launch, and in which form. */
export interface LoadCount {
  readonly vectorLoads: number;
  /** Elements loaded, those loaded again included. */
  readonly elements: number;
}

/** Bytes of a row of texels. */
export const TEXEL_ROW_BYTES = 4096;

/** The most rows that every device allows. */
const MAX_ROWS = 8192;

/**
 * Measured on llvmpipe with two cores: what a texel saves for each element, what copying an element costs, and what a
 * copy and a cut of the pass cost.
 */
const SAVED_NS = 2.5, COPIED_NS = 0.3, OVERHEAD_NS = 30_000;

/**
 * For each operand of a kernel, how to read it through a texture; undefined where that cannot be, or does not pay and
 * need not be.
 */
export function chooseTexelReads(
  kernel: Kernel,
  loads: readonly LoadCount[],
  always: boolean,
): (TexelRead | undefined)[] {
  return kernel.operands.map(({ dtype, size }, operand) => {
    // A scatter reads what it has just written.
    if (dtype === "f16" || loads[operand].elements === 0 || (kernel.kind === "scatter" && kernel.target === operand)) {
      return undefined;
    }
    const read: TexelRead = {
      type: dtype === "bool" ? "u32" : dtype,
      ...slice(kernel, operand, size, loads[operand].vectorLoads > 0),
    };
    const pays = always || loads[operand].elements * SAVED_NS > OVERHEAD_NS + read.elements * COPIED_NS;
    return pays && read.elements * 4 <= MAX_ROWS * TEXEL_ROW_BYTES ? read : undefined;
  });
}

/**
 * What a kernel reads of an operand for one tuple of loop indices. Where all reads move alike with the loops, that is a
 * part that moves, else all of it.
 */
function slice(kernel: Kernel, operand: number, size: number, wantsVectors: boolean): Omit<TexelRead, "type"> {
  const indices = accessesOf(kernel).filter((access) => access.operand === operand && access.mode === "load").map((
    { index },
  ) => index);
  const moving = indices.map((index) => movingPart(kernel, index));
  const whole = constantIndex(0);
  const shared = moving.every(({ key }) => key === moving[0].key) ? moving[0] : whole;
  const isWhole = shared.terms.length === 0;
  const lanes = wantsVectors && shared.terms.every(({ coefficient }) => coefficient % 4 === 0) ? 4 : 1;
  const rests = indices.map((index) => addIndex(index, scaleIndex(shared, -1)));
  let low = Math.min(...rests.map(({ min }) => min)), high = Math.max(...rests.map(({ max }) => max));
  if (isWhole) [low, high] = [Math.max(0, low), Math.min(size - 1, high)];
  low = Math.floor(low / lanes) * lanes;
  return { lanes, start: addIndex(shared, low), elements: Math.ceil(Math.max(1, high + 1 - low) / lanes) * lanes };
}

/** The terms of an index that are loop indices. */
function movingPart({ loops }: Kernel, index: Index): Index {
  return index.terms.reduce((sum, { atom, coefficient }) => {
    const moves = atom.kind === "var" && loops.some(({ id }) => id === atom.variable.id);
    return moves ? addIndex(sum, scaleIndex(varIndex(atom.variable), coefficient)) : sum;
  }, constantIndex(0));
}
