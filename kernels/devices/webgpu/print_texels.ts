/**
 * Reads through textures, for software drivers. llvmpipe loads the elements of a storage buffer lane by lane with a
 * branch for each, about nine times as slow as fetching texels, which it gathers; copying a buffer to a texture runs at
 * memcpy speed. An operand that a kernel reads often enough is therefore copied to a texture immediately before, and
 * the kernel fetches texels.
 *
 * A texture is a list of texels in rows; a texel holds four elements or one. Software drivers alone have any, so what
 * chooses operands and copies them is a part that others do not import (texels.ts).
 */
import type { Index } from "../../../core/index_expr.ts";
import type { Kernel } from "../../kernel.ts";

/** The part of an operand that a kernel reads through a texture. */
export interface TexelRead {
  readonly type: "f32" | "i32" | "u32";
  /** Elements per texel. */
  readonly lanes: 1 | 4;
  /** Texels in a row of the texture, a power of two. */
  readonly width: number;
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
