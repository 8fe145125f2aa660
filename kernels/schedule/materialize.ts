/**
 * Decides which tensors are stored in memory.
 *
 * Always materialized: the outputs of a scope; results of products, reductions, recurrences, scatters and loops, and
 * the tensors that these update in place; and the pieces of concatenations that are stored in place. Where such a
 * result has a chain of elementwise consumers, the end of the chain, so that the kernel stores the end rather than the
 * start. Operands of products that are more than a load through views or a very cheap map, since every output tile
 * reads them again; and what loops read from outside, unless it is a load through views.
 *
 * By cost: memory accesses dominate; arithmetic is almost free. Computing a tensor once, storing it and loading it in
 * each consumer is compared with recomputing it in each consumer; a launch counts as the number of accesses that fit in
 * its time.
 */
import type { Tensor } from "../../core/graph.ts";
import type { ScanAttrs } from "../../core/loop.ts";
import { sizeOfShape } from "../../core/shape.ts";
import type { Assembled } from "./assembly.ts";
import { attachedTensors } from "./attached.ts";
import { exactTensors } from "./exact.ts";
import type { PlanNode } from "./normalize.ts";
import { MAX_INVARIANT_HEIGHT } from "./limits.ts";
import { costOf, isHeavy, sharing, type StaticCost, StaticCosts, summaryOf } from "./static_cost.ts";
import { isAnchor, isConstant, isTrivial } from "./scope.ts";
import { stripViews, viewShape } from "./views.ts";

/** A launch takes about 30 microseconds, enough to move some 32,000 elements. */
const LAUNCH = 32768;
/** Arithmetic that a product's operand may cost beyond its load: a few additions or multiplications. */
const CHEAP_OPERAND = 0.25;
const CHEAP_INDEX = 0.25;
const MAX_DEMANDS = 48;
/** Number of broadcast tensors from which a product's operand may be computed. */
const MAX_FACTORS = 2;
/** Elements that are stored this far apart or farther fall on few sets of a cache. */
const LONG_STRIDE = 128;

/** A scope and the tensors that are stored in memory. */
export interface Materialized extends Assembled {
  /** Tensors that are stored in memory, if they are read at all. */
  readonly stored: ReadonlySet<Tensor>;
  /** Tensors that every reader loads, even in the kernel that computes them; see exact.ts. */
  readonly exact: ReadonlySet<Tensor>;
  /** The cost of reading each tensor. */
  readonly costs: StaticCosts;
}

/** The result under construction of {@link materialize}. */
interface Draft extends Assembled {
  readonly stored: Set<Tensor>;
  /** Tensors that an earlier kernel of the same size can store. */
  readonly attached: ReadonlySet<Tensor>;
}

/**
 * Chooses the tensors to store in memory.
 * @param forced Tensors that must be stored, because kernels became too large without them.
 */
export function materialize(scope: Assembled, forced: ReadonlySet<Tensor>): Materialized {
  const exact = new Set(
    [...exactTensors(scope.graph)].filter((tensor) => !scope.bindings.has(tensor) && !isConstant(tensor)),
  );
  const attached = attachedTensors(scope.graph);
  const draft: Draft = { ...scope, attached, stored: new Set([...scope.graph.outputs, ...forced, ...exact]) };
  const { stored, graph: { nodes } } = draft;
  for (const node of nodes) {
    if (isAnchor(node)) node.outputs.forEach((tensor) => stored.add(tensor));
    if (scope.assembled.has(node)) [...node.outputs, ...node.inputs].forEach((tensor) => stored.add(tensor));
    if (node.op.kind === "scatter") stored.add(node.inputs[0]);
    if (node.op.kind === "loop") {
      node.inputs.slice(0, (node.attrs as ScanAttrs).carryCount).forEach((start) => stored.add(start));
    }
  }
  for (const node of nodes) {
    if (node.op.kind === "contract" || node.op.kind === "reduce" || node.op.kind === "recurrence") {
      if (isAnchor(node)) stored.add(endOfChain(draft, node.outputs[0]));
    }
  }
  const costs = new StaticCosts(draft);
  for (const node of nodes) forceOperands(draft, node, costs);
  storeByCost(draft, costs);
  return { ...draft, exact, costs: new StaticCosts(draft) };
}

/**
 * The last tensor of a chain of elementwise nodes that starts at `start`, each the only consumer of the previous one.
 * Permuting views are part of the chain if all its consumers, or a product, read through them: their layout is then the
 * one to store.
 */
function endOfChain(scope: Draft, start: Tensor): Tensor {
  let end = start, current = start;
  for (;;) {
    if (scope.outputs.has(current) || (current !== start && scope.stored.has(current))) return current;
    const consumers = scope.consumers.get(current) ?? [];
    if (consumers.length !== 1) return current;
    const [consumer] = consumers;
    if (consumer.op.kind === "map") end = current = consumer.outputs[0];
    else if (viewShape(consumer)?.isBijective) current = consumer.outputs[0];
    else return consumer.op.kind === "contract" ? current : end;
  }
}

/** Materializes what a node's kernel would otherwise recompute at high cost through its inputs. */
function forceOperands(scope: Draft, node: PlanNode, costs: StaticCosts): void {
  const { op, inputs } = node;
  const force = (input: Tensor, isCheap: (cost: StaticCost) => boolean): void => {
    if (isCheap(costs.of(input))) return;
    storeFactors(scope, costs, input);
    if (isCheap(costs.of(input))) return;
    storeBehind(scope, costs, input);
    if (!isCheap(costs.of(input))) store(scope, costs, input);
  };
  if (op.kind === "contract" && isAnchor(node)) inputs.forEach((input) => force(input, isCheapOperand));
  if (op.kind === "gather" || op.kind === "scatter") force(inputs[1], isCheapIndex);
  if (op.kind === "loop") {
    const { carryCount } = node.attrs as ScanAttrs;
    inputs.slice(carryCount).forEach((input) => {
      force(input, isCheapInvariant);
      if (costs.heightOf(input) > MAX_INVARIANT_HEIGHT) store(scope, costs, input);
    });
  }
  for (const output of node.outputs) {
    for (let fuel = inputs.length; fuel > 0 && isHeavy(costs.of(output)); fuel--) {
      const [largest] = inputs.filter((input) => !isLoad(costs.of(input))).sort((a, b) =>
        costs.of(b).size - costs.of(a).size
      );
      if (!largest) break;
      storeBehind(scope, costs, largest);
      costs.forget(output);
    }
    for (let fuel = inputs.length; fuel > 0 && costs.isHigh(output); fuel--) {
      const [highest] = [...inputs].sort((a, b) => costs.heightOf(b) - costs.heightOf(a));
      store(scope, costs, highest);
      costs.forget(output);
    }
  }
}

/** Materializes the operands of views of one piece, in the layout of the view if nothing else reads them. */
function storeBehind(scope: Draft, costs: StaticCosts, tensor: Tensor): void {
  let behind = stripViews(tensor, (candidate) => {
    costs.forget(candidate);
    return scope.stored.has(candidate) || scope.bindings.has(candidate);
  });
  while (behind !== tensor && !scope.stored.has(behind)) {
    const consumers = scope.consumers.get(behind) ?? [], view = consumers.length === 1 && viewShape(consumers[0]);
    if (!view || !view.isBijective) break;
    const [result] = consumers[0].outputs, isFarApart = !view.isReshape && result.shape[result.rank - 1] >= LONG_STRIDE;
    if (isFarApart && isBesideStored(scope, behind)) break;
    behind = result;
  }
  store(scope, costs, wholeOf(scope, behind) ?? behind);
}

/**
 * Whether a tensor is computed elementwise from one that its scope stores: in the same kernel, which then stores both in
 * one layout. In two, one of them is scattered.
 */
function isBesideStored(scope: Draft, tensor: Tensor): boolean {
  const seen = new Set<Tensor>(), stack = [tensor];
  for (let current = stack.pop(); current; current = stack.pop()) {
    if (scope.bindings.has(current) || current.node.op.kind !== "map") continue;
    for (const input of current.node.inputs) {
      if (seen.has(input)) continue;
      seen.add(input);
      if (scope.stored.has(input) && !scope.bindings.has(input) && scope.attached.has(input)) return true;
      if (!scope.stored.has(input)) stack.push(input);
    }
  }
  return false;
}

/**
 * For a part that is nearly as large as its whole: materializes the whole if a recurrence's kernel can store it, so
 * that other parts become loads as well.
 */
function wholeOf(scope: Draft, part: Tensor): Tensor | undefined {
  const pieces = viewShape(part.node)?.pieces;
  if (pieces?.length !== 1) return undefined;
  const whole = part.node.inputs[pieces[0].input], size = sizeOfShape(whole.shape);
  if (whole.node.op.kind !== "map" || scope.bindings.has(whole) || size > 2 * sizeOfShape(part.shape)) return undefined;
  const isOnTheWay = whole.node.inputs.some(({ node, shape }) =>
    node.op.kind === "recurrence" && sizeOfShape(shape) === size
  );
  return isOnTheWay ? whole : undefined;
}

/**
 * For a tensor that is an elementwise function of broadcast ones: materializes the broadcast operands, which are
 * smaller, instead of the tensor. Leaves it unchanged if that does not make it cheap to read.
 */
function storeFactors(scope: Draft, costs: StaticCosts, tensor: Tensor): void {
  const views: Tensor[] = [];
  const behind = (from: Tensor): Tensor =>
    stripViews(from, (candidate) => {
      views.push(candidate);
      return scope.stored.has(candidate) || scope.bindings.has(candidate);
    });
  const whole = behind(tensor), { op, inputs } = whole.node;
  if (scope.stored.has(whole) || scope.bindings.has(whole) || op.kind !== "map") return;
  const factors = inputs.map(behind);
  if (inputs.length > MAX_FACTORS || !factors.every(({ shape }) => sizeOfShape(shape) < sizeOfShape(whole.shape))) {
    return;
  }
  factors.forEach((factor) => isLoad(costs.of(factor)) || store(scope, costs, factor));
  views.toReversed().forEach((view) => costs.forget(view));
}

function store(scope: Draft, costs: StaticCosts, tensor: Tensor): void {
  if (scope.bindings.has(tensor) || isConstant(tensor)) return;
  scope.stored.add(tensor);
  costs.forget(tensor);
}

function isLoad(cost: StaticCost): boolean {
  return cost.size === 1 && summaryOf(cost).arithmetic === 0;
}

function isCheapOperand(cost: StaticCost): boolean {
  const { loads, shared, arithmetic } = summaryOf(cost);
  return loads <= 1 && loads + shared <= 2 && arithmetic <= CHEAP_OPERAND;
}

function isCheapIndex(cost: StaticCost): boolean {
  const { loads, shared, arithmetic } = summaryOf(cost);
  return loads + shared <= 1 && arithmetic <= CHEAP_INDEX;
}

function isCheapInvariant(cost: StaticCost): boolean {
  const { loads, shared, arithmetic } = summaryOf(cost);
  return loads + shared === 0 ? arithmetic <= 1 : loads + shared === 1 && arithmetic === 0;
}

/** The number of evaluations of a tensor that kernels demand, by kernel and path. */
type Demand = Map<string, number>;

/**
 * Walks backwards from the outputs, accumulating how often each tensor is read, and materializes those that are cheaper
 * to store than to recompute.
 */
function storeByCost(scope: Draft, costs: StaticCosts): void {
  const demands = new Map<Tensor, Demand>();
  const demand = (tensor: Tensor, entries: Iterable<readonly [string, number]>): void => {
    let present = demands.get(tensor);
    if (!present) demands.set(tensor, present = new Map());
    for (const [key, count] of entries) present.set(key, Math.max(present.get(key) ?? 0, count));
    if (present.size > MAX_DEMANDS) demands.set(tensor, new Map([["many", totalOf(present)]]));
  };
  for (const node of scope.graph.nodes.toReversed()) {
    const [output] = node.outputs;
    const wanted = demands.get(output) ?? new Map<string, number>();
    if (!scope.stored.has(output) && isPulled(node) && isCheaperStored(output, wanted, costs, scope.attached)) {
      scope.stored.add(output);
    }
    const isRoot = scope.stored.has(output);
    const outSize = sizeOfShape(output.shape);
    const entries = isRoot ? new Map([[`r${node.id}`, outSize]]) : wanted;
    node.inputs.forEach((input, i) => {
      if (scope.bindings.has(input)) return;
      const inSize = sizeOfShape(input.shape);
      if (node.op.kind === "map") demand(input, entries);
      else if (node.op.kind === "view" || (node.op.kind === "gather" && i === 0)) {
        const share = sharing(inSize, outSize);
        demand(input, [...entries].map(([key, count]) => [`${key}>${node.id}.${i}`, count * share]));
      } else if (node.op.kind === "gather") demand(input, entries);
      else if (node.op.kind === "reduce" && isTrivial(node)) {
        const terms = Array.from({ length: inSize / Math.max(1, outSize) }, (_, term) => term);
        demand(
          input,
          terms.flatMap((term) => [...entries].map(([key, count]) => [`${key}>${node.id}.${term}`, count] as const)),
        );
      } else demand(input, [[`r${node.id}.${i}`, inSize]]);
    });
  }
}

function totalOf(demand: Demand): number {
  let sum = 0;
  for (const count of demand.values()) sum += count;
  return sum;
}

/** Whether a node is expanded in its consumers and does more than view a single tensor. */
function isPulled(node: PlanNode): boolean {
  const { kind } = node.op;
  return kind === "map" || kind === "gather" || (kind === "reduce" && !isAnchor(node)) ||
    (kind === "view" && viewShape(node)!.pieces.length > 1);
}

function isCheaperStored(tensor: Tensor, demand: Demand, costs: StaticCosts, attached: ReadonlySet<Tensor>): boolean {
  const size = sizeOfShape(tensor.shape), cost = costOf(costs.of(tensor)), reads = totalOf(demand);
  const launch = attached.has(tensor) ? 0 : LAUNCH;
  return reads * cost > size * (cost + 1) + reads + launch;
}
