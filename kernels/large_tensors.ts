/** The passes for tensors that a device cannot bind as a whole, imported together by programs that have some. */
export { splitKernels } from "./schedule/split.ts";
export { tile } from "./tiling/tile.ts";
