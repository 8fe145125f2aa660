/**
 * What pages without a bundler get as one module: all entry points but the tasks, and devices by their names only, so
 * that each is loaded when it is opened.
 */
export * from "../mod.ts";
export * from "../ops/mod.ts";
export * from "../titans/mod.ts";
export * as nn from "../titans/nn/mod.ts";
