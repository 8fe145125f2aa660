/**
 * The whole library as one module: what `deno task bundle` turns into a single file for browsers.
 *
 * @module
 */
export * from "../mod.ts";
export * from "../ops/mod.ts";
export * from "../kernels/mod.ts";
export * from "../titans/mod.ts";
export * as nn from "../titans/nn/mod.ts";
