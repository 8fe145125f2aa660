/**
 * Blocks that are alike as one loop: their parameters are stacked, and a `scan` takes the residual stream through them,
 * so that a model of 24 blocks compiles in the time of one of 2.
 *
 * The loop keeps for its gradient what each block would keep (`checkpoint`), so a step takes about as long as without.
 */
import { isTensor, type Tensor } from "../../core/graph.ts";
import { scan } from "../../core/scan.ts";
import { flatten, mapLeaves } from "../../core/tree.ts";
import { sliceAxis, squeeze, stack } from "../../ops/mod.ts";
import { ConfigError } from "../errors.ts";
import type { Axis, Observe } from "../mixers/mixer_interface.ts";
import type { Run } from "../nn/parameters.ts";
import type { BlockLayer } from "./blocks.ts";
import type { ModelConfig } from "./options.ts";

/**
 * The fewest blocks that "auto" stacks. With two the loop is hardly less to compile than the blocks are, with four it
 * is half.
 */
const FEW = 4;

/** The runs of blocks to stack; a block by itself is a run of one. */
export function runsOf(layers: readonly BlockLayer[], stackBlocks: ModelConfig["stackBlocks"]): Run[] {
  const runs: Run[] = [];
  layers.forEach((layer, i) => {
    const last = runs.at(-1);
    if (last && isAlike(layers[last.first], layer)) {
      runs[runs.length - 1] = { first: last.first, count: last.count + 1 };
    } else runs.push({ first: i, count: 1 });
  });
  const fewest = { auto: FEW, always: 2, never: Infinity }[stackBlocks];
  return runs.flatMap(({ first, count }) =>
    count >= fewest ? [{ first, count }] : Array.from({ length: count }, (_, i) => ({ first: first + i, count: 1 }))
  );
}

/** Whether two blocks are one but for the numbers in their parameters. */
function isAlike(lhs: BlockLayer, rhs: BlockLayer): boolean {
  const names = Object.keys(lhs.options);
  return lhs.mixer === rhs.mixer && !lhs.readsPosition() && !rhs.readsPosition() &&
    names.length === Object.keys(rhs.options).length &&
    names.every((name) => Object.is(lhs.options[name], rhs.options[name]));
}

/** Element `i` of each tensor of a stacked tree. */
export function elementOf<T>(tree: T, i: number): T {
  return mapLeaves(tree, isTensor, (x) => squeeze(sliceAxis(x, 0, i, 1), 0)) as T;
}

/** Trees of one structure as one, tensor by tensor, with a new leading axis. */
function stackTrees<T>(trees: readonly T[]): T {
  const lists = trees.map((tree) => flatten(tree, isTensor).leaves);
  let next = 0;
  return mapLeaves(trees[0], isTensor, () => {
    const at = next++;
    return stack(lists.map((leaves) => leaves[at]), 0);
  }) as T;
}

/** What {@link throughStack} takes. */
export interface StackedBlocks<Block, State> {
  /** Parameters of the blocks, with a leading axis. */
  readonly block: Block;
  /** How many they are. */
  readonly count: number;
  /** The state before each of them. Default: the initial one. */
  readonly before?: readonly State[];
  /** What the loop keeps for its gradient. */
  readonly rematerialize: ModelConfig["checkpoint"];
  /** Where to report what block `i` of the run observes; see {@link Observe}. */
  readonly observe?: (i: number) => Observe;
  /** One block. */
  readonly read: (
    block: Block,
    x: Tensor,
    context: { readonly before?: State; readonly see?: Observe },
  ) => { readonly x: Tensor; readonly state: State };
}

/** Takes tokens [B, T, D] through blocks that are alike. Returns the state after each. */
export function throughStack<Block, State>(
  start: Tensor,
  { block, count, before, rematerialize, observe, read }: StackedBlocks<Block, State>,
): { readonly x: Tensor; readonly states: State[] } {
  const seen: { readonly name: string; readonly axes: readonly Axis[] }[] = [];
  interface Each {
    readonly block: Block;
    readonly before?: State;
  }
  const body = (x: Tensor, each: Each): [Tensor, { readonly state: State; readonly tensors: readonly Tensor[] }] => {
    const tensors: Tensor[] = [];
    const see: Observe = (name, tensor, axes) => {
      seen.push({ name, axes });
      tensors.push(tensor);
    };
    const result = read(each.block, x, { before: each.before, see: observe && see });
    return [result.x, { state: result.state, tensors }];
  };
  const xs: Each = before ? { block, before: stackTrees(before) } : { block };
  const [x, ys] = scan(body, start, xs, { rematerialize });
  const each = Array.from({ length: count }, (_, i) => elementOf(ys, i));
  each.forEach(({ tensors }, i) => {
    const report = observe?.(i);
    seen.forEach(({ name, axes }, at) => report?.(name, tensors[at], axes));
  });
  return { x, states: each.map(({ state }) => state) };
}

/** Makes sure that the layer of a stacked run did not ask which block it is of. @throws {ConfigError} if it did. */
export function checkStacked({ mixer, readsPosition }: BlockLayer, { first, count }: Run): void {
  if (!readsPosition()) return;
  throw new ConfigError(
    `Cannot stack blocks ${first} to ${first + count - 1}: their mixer ${mixer.name} read its block's number while a ` +
      `function was traced, where they share one; read it in create(), or use stackBlocks "never"`,
    "stackBlocks",
  );
}
