/**
 * The configuration of a memory layer: the options of a memory, the width of its tokens, and optionally a custom
 * network.
 */
import { checkNames } from "../../errors.ts";
import type { AnyMixer } from "../mixer_interface.ts";
import type { MemoryNetwork } from "./memory_network.ts";
import { checkValues, defaultsOf, withoutUndefined } from "../../options/option_table.ts";
import { ATTENTION_OPTIONS, checkMemoryOptions, LMM_OPTIONS, type MemoryOptions } from "./options.ts";

/** The options of a memory layer. */
export interface MemoryConfig extends MemoryOptions {
  /** Width of the residual stream, D. */
  readonly width: number;
  /**
   * A memory network to use instead of the one that `memory` and its options describe; its rows have the width of a
   * head.
   */
  readonly network?: MemoryNetwork;
}

const NAMES = [...Object.keys(LMM_OPTIONS), ...Object.keys(ATTENTION_OPTIONS), "width", "network"];

/** Checks the option names; values are checked when a mixer is created from them. @throws {ConfigError} */
export function checkMemoryConfig(config: MemoryConfig): void {
  checkNames("a memory layer", config, NAMES);
}

/**
 * The complete options of a memory layer.
 * @param options Its width, and all options that differ from the defaults.
 * @throws {ConfigError} naming the first invalid option.
 */
export function defineMemory(options: Partial<MemoryConfig> & Pick<MemoryConfig, "width">): MemoryConfig {
  const { width, network, ...given } = options;
  const values = { ...defaultsOf(LMM_OPTIONS), ...withoutUndefined(given) };
  const config: MemoryConfig = { ...values, width, ...(network && { network }) };
  checkMemoryConfig(config);
  checkValues(LMM_OPTIONS, values);
  checkMemoryOptions(config, width);
  return config;
}

/**
 * A mixer with a memory network of the user's own: `lmm`, `mac`, `mag` or `mal` otherwise as it is. Checkpoints hold
 * its parameters, not the network: give the mixer again where they are read.
 * @example A memory with a residual around its first matrix.
 * ```ts
 * import { add, silu } from "@mneme/titans/ops";
 * import { defineConfig, lmm, type MemoryNetwork, Model, withNetwork } from "@mneme/titans/titans";
 *
 * const K = 32;
 * const network: MemoryNetwork = {
 *   layers: [{ in: K, out: K }, { in: K, out: K }],
 *   gains: [],
 *   forward: (linear, x) => linear(1, add(x, silu(linear(0, x)))),
 * };
 * const mixer = withNetwork(lmm, network);
 * const model = new Model(defineConfig({ width: 64, heads: 2, blocks: [{ mixer }, { mixer }] }));
 * console.log(`${model}`); // lmm model: 2 blocks of width 64, 120,972 parameters
 * ```
 */
export function withNetwork<M extends AnyMixer>(mixer: M, network: MemoryNetwork): M {
  const { create } = mixer;
  return { ...mixer, create: (options: object, dimensions) => create({ ...options, network }, dimensions) };
}
