/**
 * Attention, and whatever else is large between two products, tile by tile.
 *
 * `softmax(q k^T) v` makes scores [T, S] only to use them up: they are the largest tensor of the program, and nobody
 * needs all of them at once. This pass finds such regions (region.ts) and computes them in a loop over tiles, a few rows
 * of scores at a time, so that memory grows with T rather than with T^2:
 *
 *     for each tile of rows:  scores = q[tile] k^T;  weights = softmax(scores);  out[tile] = weights v
 *
 * A tile has whole rows, so softmax stays what it is: no running maximum, no rescaling, every row the same numbers as
 * without tiles. The loop is a scan, which every device, the scheduler and the memory planner know. Masks are indices of
 * the loop's variable, so its products skip what they hide.
 *
 * Gradients use the scores again, in a later loop: it computes them again from q and k, and of the first loop keeps only
 * what belongs to whole rows, the maximum and the sum. The gradients of keys and values are summed over the tiles.
 *
 *     for each tile of rows:  weights = exp(q[tile] k^T - max[tile]) / sum[tile]
 *                             dv += weights^T dout[tile];  dscores = ...;  dq[tile] = dscores k;  dk += dscores^T q[tile]
 *
 * The cross-entropy of logits, `h w`, is such a region too: its gradient needs nothing that comes after the loss but a
 * factor for each row, so that one loop has it all.
 *
 *     for each tile of rows:  logits = h[tile] w;  losses[tile] = ...;  dlogits = ...;  dh[tile] = dlogits w^T;  dw +=
 * ...
 *
 * Products larger than a device can bind are cut in any case, also for nothing but sums of rows (compile.ts).
 *
 * Axes of batches and heads are cut first, in loops around these (the pass runs on its own loops' bodies).
 *
 * Alternatives: one kernel with running sums in registers (FlashAttention) would save the traffic of a tile between a
 * cache and the processor, at the price of a kernel of its own for each form of attention, forwards and backwards, on
 * each device. Here all forms are plain products and rows of a size that suits caches.
 */
import {
  apply,
  applyAll,
  currentContext,
  Graph,
  type Node,
  parameter,
  type Tensor,
  TraceContext,
  withContext,
} from "../../core/graph.ts";
import { addOp, fill } from "../../core/linear.ts";
import { closedTest } from "../../core/closed.ts";
import { isLoop, loopOp, type ScanAttrs } from "../../core/loop.ts";
import type { TileAxis } from "./axis.ts";
import { DEFAULT_TILE, hasLargeProduct, type TileSize } from "./large.ts";
import { planTiles, type Stage, type TiledRegion } from "./plan.ts";
import { applyToTiles, type Cut, tilesOf, untiled } from "./views.ts";

/**
 * The same function, with large tensors between products computed tile by tile.
 * @param graph A simplified graph.
 * @returns The graph itself where nothing is large enough.
 */
export function tile(graph: Graph, size: TileSize = DEFAULT_TILE): Graph {
  if (!hasLargeProduct(graph, size)) return graph;
  const context = new TraceContext();
  return withContext(context, () => {
    const inputs = graph.inputs.map((type) => parameter(context, type));
    return new Graph(inputs, new Tiler(size).emit(graph, inputs), graph.names);
  });
}

class Tiler {
  readonly #isClosed = closedTest();

  constructor(readonly size: TileSize) {}

  /** Emits a graph on new inputs in the current context. */
  emit(graph: Graph, inputs: readonly Tensor[]): Tensor[] {
    const { regions, levels } = planTiles(graph, this.size);
    const values = new Map<Tensor, Tensor>(graph.inputs.map((tensor, i) => [tensor, inputs[i]]));
    const inRegions = new Set<Node>(regions.flatMap(({ region }) => [...region.own]));
    const steps = [
      ...graph.nodes.filter((node) => !inRegions.has(node)).map((node) => ({ level: levels.get(node)!, node })),
      ...regions.flatMap((tiled) => tiled.stages.map((stage) => ({ level: stage.level, tiled, stage }))),
    ].sort((a, b) => a.level - b.level);
    for (const step of steps) {
      if ("stage" in step) this.#emitStage(step.tiled, step.stage, values);
      else this.#emitNode(step.node, values);
    }
    return graph.outputs.map((tensor) => values.get(tensor)!);
  }

  #emitNode(node: Node, values: Map<Tensor, Tensor>): void {
    const inputs = node.inputs.map((input) => values.get(input)!);
    const results = isLoop(node) ? this.#emitScan(node, inputs) : applyAll(node.op, inputs, node.attrs);
    node.outputs.forEach((tensor, i) => values.has(tensor) || values.set(tensor, results[i]));
  }

  #emitScan({ attrs }: Node, inputs: readonly Tensor[]): readonly Tensor[] {
    const scan = attrs as ScanAttrs, context = currentContext();
    const body = context.withScope(() => {
      const parameters = scan.body.inputs.map((type) => parameter(context, type));
      return new Graph(parameters, this.emit(scan.body, parameters));
    });
    return applyAll(loopOp, inputs, { ...scan, body });
  }

  /** Emits the loop of a stage, and where tiles leave a rest a loop of one turn. */
  #emitStage({ cuts, extent, size }: TiledRegion, stage: Stage, values: Map<Tensor, Tensor>): void {
    const count = Math.floor(extent / size), rest = extent - count * size;
    const parts: Cut[] = [{ first: 0, count, size }];
    if (rest > 0) parts.push({ first: count * size, count: 1, size: rest });
    const sums = stage.exits.filter((node) => cuts.results.get(node) === "absent"),
      tiles = stage.exits.filter((node) => !sums.includes(node));
    let totals: readonly Tensor[] = sums.map(({ outputs: [sum] }) => fill(sum, 0));
    const stacks: Tensor[][] = tiles.map(() => []);
    for (const part of parts) {
      const results = new TileLoop({ cuts, stage, part, values, isClosed: this.#isClosed }).emit(
        totals,
        sums,
        tiles,
        (body) => this.emit(body, body.inputs),
      );
      totals = results.slice(0, sums.length);
      results.slice(sums.length).forEach((stack, i) => stacks[i].push(stack));
    }
    sums.forEach(({ outputs: [sum] }, i) => values.set(sum, totals[i]));
    tiles.forEach((node, i) => values.set(node.outputs[0], untiled(stacks[i], cuts.results.get(node) as number)));
  }
}

/** What a loop over tiles is made from. */
interface LoopParts {
  readonly cuts: TiledRegion["cuts"];
  readonly stage: Stage;
  readonly part: Cut;
  /** What was emitted outside of the loop. */
  readonly values: ReadonlyMap<Tensor, Tensor>;
  readonly isClosed: (node: Node) => boolean;
}

/** One loop over tiles. */
class TileLoop {
  readonly #context = currentContext();
  /** Stacks of tiles that the loop walks along, and tensors that every turn reads as a whole, with the body's names. */
  readonly #tiles = new Map<Tensor, Tensor>();
  readonly #wholes = new Map<Tensor, Tensor>();

  constructor(readonly parts: LoopParts) {}

  /**
   * Emits the loop.
   * @param totals Sums over earlier tiles.
   * @param sums Products that are summed over the tiles.
   * @param tiles Nodes of which each turn gives a tile.
   * @param finish Emits the body once more, in loops of its own where tiles are still large.
   * @returns Sums, then stacks of tiles.
   */
  emit(
    totals: readonly Tensor[],
    sums: readonly Node[],
    tiles: readonly Node[],
    finish: (body: Graph) => readonly Tensor[],
  ): readonly Tensor[] {
    const context = this.#context;
    const body = context.withScope(() => {
      const carries = totals.map((type) => parameter(context, type)), local = this.#emitBody();
      const outputs = [
        ...sums.map(({ outputs: [sum] }, i) => apply(addOp, [carries[i], local.get(sum)!])),
        ...tiles.map(({ outputs: [output] }) => local.get(output)!),
      ];
      const once = new Graph([...carries, ...this.#tiles.values(), ...this.#wholes.values()], outputs);
      return new Graph(once.inputs, finish(once));
    });
    return applyAll(loopOp, [...totals, ...this.#tiles.keys(), ...this.#wholes.keys()], {
      body,
      length: this.parts.part.count,
      carryCount: totals.length,
      xsCount: this.#tiles.size,
      reverse: false,
      history: [],
      savedCount: 0,
    });
  }

  #emitBody(): Map<Tensor, Tensor> {
    const { cuts, stage: { nodes }, part } = this.parts, local = new Map<Tensor, Tensor>();
    for (const node of nodes) {
      const [output] = node.outputs, axes = cuts.operands.get(node)!;
      const operands = node.inputs.map((input, i) =>
        (axes[i] === "absent" ? undefined : local.get(input)) ?? this.#outer(input, axes[i])
      );
      const axis = cuts.results.get(node)!;
      local.set(
        output,
        node.op.kind === "view" && axis !== "absent"
          ? applyToTiles(output, operands, output.shape.with(axis, part.size))
          : apply(node.op, operands, node.attrs),
      );
    }
    return local;
  }

  /** A tensor from outside the loop, or a tile of it. */
  #outer(tensor: Tensor, axis: TileAxis): Tensor {
    const value = this.parts.values.get(tensor)!, { part } = this.parts;
    const named = (known: Map<Tensor, Tensor>, outer: Tensor, shape = outer.shape): Tensor => {
      const inner = known.get(outer) ?? parameter(this.#context, { shape, dtype: outer.dtype });
      known.set(outer, inner);
      return inner;
    };
    if (axis !== "absent") return named(this.#tiles, tilesOf(value, axis, part), value.shape.with(axis, part.size));
    return this.parts.isClosed(value.node) ? value : named(this.#wholes, value);
  }
}
