/**
 * Bounds the size of kernels. Chains of any length are cut into several kernels by materializing a tensor along the
 * way: drivers need more than linear time to compile a kernel, engines limit the locals of a function, and passes over
 * expressions recurse as deep as these are. Kernels of layers, losses and optimisers are ten times smaller.
 */

/**
 * Maximum code size of an element of a tensor that is pulled into others, in the units of static_cost.ts: about 400
 * simple operations, 48 exponentials, or 16 sines.
 */
export const MAX_TEXT = 24;
/** Maximum length in nodes of a path from a pulled tensor to what is loaded. */
export const MAX_HEIGHT = 256;

/** Maximum code size of a kernel over all of its tensors. */
export const MAX_KERNEL_TEXT = 32;
/** Maximum length of a path through the tensors of a kernel. */
export const MAX_KERNEL_HEIGHT = 2 * MAX_HEIGHT;

/**
 * Maximum number of atoms in an index at which a tensor is pulled. Views that divide the result of other divisions can
 * double the size of an index each.
 */
export const MAX_INDEX_SIZE = 24;

/**
 * Maximum length of a path from a loop invariant to what is loaded: what a loop reads from outside is pulled into each
 * of its kernels.
 */
export const MAX_INVARIANT_HEIGHT = 16;

/** Maximum length of a path along which masks are searched for, including through memory. */
export const MAX_LOOK_HEIGHT = 128;
