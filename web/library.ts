/**
 * The whole library as one module: what `deno task bundle` turns into a single file for browsers.
 *
 * @module
 */
export * from "../mod.ts";
export * from "../ops/mod.ts";
export * from "../kernels/mod.ts";
export * from "../titans/mod.ts";
// Two things have this name: in `scan` a choice of what loops keep, in `titans` a file. The file is meant here.
export type { Checkpoint } from "../titans/mod.ts";
