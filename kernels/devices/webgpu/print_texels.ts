/**
 * Reads through textures, for software drivers. llvmpipe loads the elements of a storage buffer lane by lane with a
 * branch for each, about nine times as slow as fetching texels, which it gathers; copying a buffer to a texture runs at
 * memcpy speed. An operand that a kernel reads often enough is therefore copied to a texture immediately before, and
 * the kernel fetches texels.
 *
 * A texture is a list of texels in rows of {@link TEXEL_ROW_BYTES}; a texel holds four elements or one.
 */
import { isHalf } from "../../../core/dtype.ts";
import type { Index } from "../../../core/index_expr.ts";
import { addIndex, constantIndex, scaleIndex, varIndex } from "../../../core/index_expr.ts";
import { accessesOf } from "../../cost.ts";
import type { Kernel } from "../../kernel.ts";

/** The part of an operand that a kernel reads through a texture. */
export interface TexelRead {
  readonly type: "f32" | "i32" | "u32";
  /** Elements per texel. */
  readonly lanes: 1 | 4;
  /**
   * The element in the first texel, as a function of the kernel's loops: a multiple of `lanes`. Elements outside the
   * operand are never used.
   */
  readonly start: Index;
  /** Elements that are copied, a multiple of `lanes`. */
  readonly elements: number;
}

/** The same range as numbers, so that equal kernels share it whatever their variables are called. */
export interface TexelPart extends Omit<TexelRead, "start"> {
  /** The element in the first texel at the first iteration of all loops. */
  readonly first: number;
  /** The increment of that element per iteration of each of the kernel's loops. */
  readonly strides: readonly number[];
}

/** What a kernel reads, as what is bound. */
export function partOf({ loops }: Kernel, { start, ...read }: TexelRead): TexelPart {
  const strides = loops.map(({ id }) =>
    start.terms.find(({ atom }) => atom.kind === "var" && atom.variable.id === id)?.coefficient ?? 0
  );
  return { ...read, first: start.constant, strides };
}

/** How often a kernel loads an operand's elements per launch, and in which form. */
export interface LoadCount {
  readonly vectorLoads: number;
  /** Number of elements loaded, including repeated loads. */
  readonly elements: number;
}

/** Bytes of a row of texels. */
export const TEXEL_ROW_BYTES = 4096;

/** The number of rows that every device supports. */
const MAX_ROWS = 8192;

/**
 * Measured on llvmpipe with two cores: time saved per element fetched from a texture, time to copy an element, and the
 * overhead of a copy and of splitting the pass.
 */
const SAVED_NS = 2.5, COPIED_NS = 0.3, OVERHEAD_NS = 30_000;

/**
 * For each operand of a kernel, how to read it through a texture; undefined if it cannot be, or if that neither pays
 * off nor is required.
 */
export function chooseTexelReads(
  kernel: Kernel,
  loads: readonly LoadCount[],
  always: boolean,
): (TexelRead | undefined)[] {
  return kernel.operands.map(({ dtype, size }, operand) => {
    // A scatter reads what it has just written.
    if (isHalf(dtype) || loads[operand].elements === 0 || (kernel.kind === "scatter" && kernel.target === operand)) {
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
 * The range of an operand that a kernel reads for one tuple of loop indices: a moving part if all reads move alike with
 * the loops, otherwise the whole operand.
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
