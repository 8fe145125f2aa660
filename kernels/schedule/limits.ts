/**
 * Bounds the size of kernels. A chain of any length is cut into kernels by storing a tensor on the way: drivers compile
 * a kernel in more than linear time, engines limit the locals of a function, and passes over expressions recurse as
 * deep as these are. Kernels of layers, losses and optimisers have a tenth.
 */

/**
 * The text of one element of a tensor that is pulled into others, in the units of static_cost.ts: some 400 simple
 * operations, 48 exponentials, or 16 sines.
 */
export const MAX_TEXT = 24;
/** Nodes on the longest way from a pulled tensor down to what is loaded. */
export const MAX_HEIGHT = 256;

/** The same of all tensors of a kernel together. */
export const MAX_KERNEL_TEXT = 32;
/** The same of ways through several tensors of a kernel. */
export const MAX_KERNEL_HEIGHT = 2 * MAX_HEIGHT;

/**
 * Atoms of an index at which a tensor is pulled: views that divide what others divided make an index that doubles with
 * each.
 */
export const MAX_INDEX_SIZE = 24;

/**
 * Nodes on a way from a loop's invariant down to what is loaded: what a loop takes from outside is pulled into each of
 * its kernels.
 */
export const MAX_INVARIANT_HEIGHT = 16;

/** Nodes on a way along which masks are looked for, through memory too. */
export const MAX_LOOK_HEIGHT = 128;
