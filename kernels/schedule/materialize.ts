/**
 * Which tensors live in memory.
 *
 * Forced: a scope's outputs, results of products, reductions, recurrences, scatters and loops, and what these start
 * from in place, pieces of concatenations stored in place. The end of a chain of elementwise consumers of such a
 * result, so that the kernel stores the end rather than the start. Operands of products that are more than a load
 * through views or a very cheap map, since every output tile reads them again; what loops take from outside, unless it
 * is a load through views.
 *
 * By cost: memory accesses are what costs, arithmetic hardly. Computing a tensor once, storing it and loading it where
 * it is used is compared with computing it at each use; a launch counts as many accesses as fit in its time.
 */
import type { Tensor } from "../../core/graph.ts";
import type { ScanAttrs } from "../../core/scan.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { exactTensors } from "./exact.ts";
import type { PlanNode } from "./normalize.ts";
import { MAX_INVARIANT_HEIGHT } from "./limits.ts";
import { costOf, isHeavy, type Profile, Profiles, sharing, summaryOf } from "./static_cost.ts";
import { isAnchor, isConstant, isTrivial, type Scope } from "./scope.ts";
import { stripViews, viewShape } from "./views.ts";

/** A launch takes about 30 microseconds, in which some 32,000 elements could be moved. */
const LAUNCH = 32768;
/** A product's operand may cost this much arithmetic on top of its load: some additions or multiplications. */
const CHEAP_OPERAND = 0.25;
const CHEAP_INDEX = 0.25;
const MAX_DEMANDS = 48;
/** A product's operand may be computed from this many broadcast tensors. */
const MAX_FACTORS = 2;

/**
 * Fills `scope.roots`.
 * @param forced Tensors that must be roots, found when kernels became too large.
 * @returns What reading each tensor costs now.
 */
export function chooseRoots(scope: Scope, forced: ReadonlySet<Tensor>, parent: Profiles | undefined): Profiles {
  scope.roots.clear();
  for (const tensor of scope.graph.outputs) scope.roots.add(tensor);
  for (const tensor of forced) scope.roots.add(tensor);
  for (const tensor of exactTensors(scope.graph)) {
    if (scope.bindings.has(tensor) || isConstant(tensor)) continue;
    scope.roots.add(tensor);
    scope.exact.add(tensor);
  }
  for (const node of scope.graph.nodes) {
    if (isAnchor(node)) node.outputs.forEach((tensor) => scope.roots.add(tensor));
    if (scope.assembled.has(node)) [...node.outputs, ...node.inputs].forEach((tensor) => scope.roots.add(tensor));
    if (node.op.kind === "scatter") scope.roots.add(node.inputs[0]);
    if (node.op.kind === "loop") {
      node.inputs.slice(0, (node.attrs as ScanAttrs).carryCount).forEach((start) => scope.roots.add(start));
    }
  }
  for (const node of scope.graph.nodes) {
    if (node.op.kind === "contract" || node.op.kind === "reduce" || node.op.kind === "recurrence") {
      if (isAnchor(node)) scope.roots.add(endOfChain(scope, node.outputs[0]));
    }
  }
  const profiles = new Profiles(scope, parent);
  for (const node of scope.graph.nodes) forceOperands(scope, node, profiles);
  rootsByCost(scope, profiles);
  return new Profiles(scope, parent);
}

/**
 * The last tensor of the chain of elementwise consumers, each the only one, that starts at `start`. Views that permute
 * belong to the chain if all its consumers, or a product, look through them: the layout that they read is then the one
 * to store.
 */
function endOfChain(scope: Scope, start: Tensor): Tensor {
  let end = start, current = start;
  for (;;) {
    if (scope.outputs.has(current) || (current !== start && scope.roots.has(current))) return current;
    const consumers = scope.consumers.get(current) ?? [];
    if (consumers.length !== 1) return current;
    const [consumer] = consumers;
    if (consumer.op.kind === "map") end = current = consumer.outputs[0];
    else if (viewShape(consumer)?.isBijective) current = consumer.outputs[0];
    else return consumer.op.kind === "contract" ? current : end;
  }
}

/** Makes roots of what a node's kernel would read too dearly through its inputs. */
function forceOperands(scope: Scope, node: PlanNode, profiles: Profiles): void {
  const { op, inputs } = node;
  const force = (input: Tensor, isCheap: (profile: Profile) => boolean): void => {
    if (isCheap(profiles.of(input))) return;
    addFactorRoots(scope, profiles, input);
    if (isCheap(profiles.of(input))) return;
    addRootBehind(scope, profiles, input);
    if (!isCheap(profiles.of(input))) addRoot(scope, profiles, input);
  };
  if (op.kind === "contract" && isAnchor(node)) inputs.forEach((input) => force(input, isCheapOperand));
  if (op.kind === "gather" || op.kind === "scatter") force(inputs[1], isCheapIndex);
  if (op.kind === "loop") {
    const { carryCount } = node.attrs as ScanAttrs;
    inputs.slice(carryCount).forEach((input) => {
      force(input, isCheapInvariant);
      if (profiles.heightOf(input) > MAX_INVARIANT_HEIGHT) addRoot(scope, profiles, input);
    });
  }
  for (const output of node.outputs) {
    for (let fuel = inputs.length; fuel > 0 && isHeavy(profiles.of(output)); fuel--) {
      const [largest] = inputs.filter((input) => !isLoad(profiles.of(input))).sort((a, b) =>
        profiles.of(b).size - profiles.of(a).size
      );
      if (!largest) break;
      addRootBehind(scope, profiles, largest);
      profiles.forget(output);
    }
    for (let fuel = inputs.length; fuel > 0 && profiles.isHigh(output); fuel--) {
      const [highest] = [...inputs].sort((a, b) => profiles.heightOf(b) - profiles.heightOf(a));
      addRoot(scope, profiles, highest);
      profiles.forget(output);
    }
  }
}

/** Makes a root of what views of one piece look at, in the layout that they give it if nobody else reads it. */
function addRootBehind(scope: Scope, profiles: Profiles, tensor: Tensor): void {
  let root = stripViews(tensor, (candidate) => {
    profiles.forget(candidate);
    return scope.roots.has(candidate) || scope.bindings.has(candidate);
  });
  while (root !== tensor && !scope.roots.has(root)) {
    const consumers = scope.consumers.get(root) ?? [];
    if (consumers.length !== 1 || !viewShape(consumers[0])?.isBijective) break;
    root = consumers[0].outputs[0];
  }
  addRoot(scope, profiles, wholeOf(scope, root) ?? root);
}

/**
 * Of a part that is not much less than its whole: the whole, if the kernel of a recurrence can store it on its way.
 * Other parts are then loads too.
 */
function wholeOf(scope: Scope, part: Tensor): Tensor | undefined {
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
 * Where a tensor is an elementwise function of broadcast ones: makes roots of what is broadcast, which is smaller, so
 * that nobody need store the whole. It stays as it is where that is not enough to read it cheaply.
 */
function addFactorRoots(scope: Scope, profiles: Profiles, tensor: Tensor): void {
  const views: Tensor[] = [];
  const behind = (from: Tensor): Tensor =>
    stripViews(from, (candidate) => {
      views.push(candidate);
      return scope.roots.has(candidate) || scope.bindings.has(candidate);
    });
  const whole = behind(tensor), { op, inputs } = whole.node;
  if (scope.roots.has(whole) || scope.bindings.has(whole) || op.kind !== "map") return;
  const factors = inputs.map(behind);
  if (inputs.length > MAX_FACTORS || !factors.every(({ shape }) => sizeOfShape(shape) < sizeOfShape(whole.shape))) {
    return;
  }
  factors.forEach((factor) => isLoad(profiles.of(factor)) || addRoot(scope, profiles, factor));
  views.toReversed().forEach((view) => profiles.forget(view));
}

function addRoot(scope: Scope, profiles: Profiles, tensor: Tensor): void {
  if (scope.bindings.has(tensor) || isConstant(tensor)) return;
  scope.roots.add(tensor);
  profiles.forget(tensor);
}

function isLoad(profile: Profile): boolean {
  return profile.size === 1 && summaryOf(profile).arithmetic === 0;
}

function isCheapOperand(profile: Profile): boolean {
  const { loads, shared, arithmetic } = summaryOf(profile);
  return loads <= 1 && loads + shared <= 2 && arithmetic <= CHEAP_OPERAND;
}

function isCheapIndex(profile: Profile): boolean {
  const { loads, shared, arithmetic } = summaryOf(profile);
  return loads + shared <= 1 && arithmetic <= CHEAP_INDEX;
}

function isCheapInvariant(profile: Profile): boolean {
  const { loads, shared, arithmetic } = summaryOf(profile);
  return loads + shared === 0 ? arithmetic <= 1 : loads + shared === 1 && arithmetic === 0;
}

/** Evaluations of a tensor that kernels ask for, by kernel and path. */
type Demand = Map<string, number>;

/**
 * Walks from the outputs back, adding up who reads each tensor how often, and makes roots of those that are cheaper
 * stored.
 */
function rootsByCost(scope: Scope, profiles: Profiles): void {
  const attached = attachedTensors(scope);
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
    if (!scope.roots.has(output) && isPulled(node) && isCheaperStored(output, wanted, profiles, attached)) {
      scope.roots.add(output);
    }
    const isRoot = scope.roots.has(output);
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

/** Whether a node is expanded where it is used, and is more than a way to look at one tensor. */
function isPulled(node: PlanNode): boolean {
  const { kind } = node.op;
  return kind === "map" || kind === "gather" || (kind === "reduce" && !isAnchor(node)) ||
    (kind === "view" && viewShape(node)!.pieces.length > 1);
}

function isCheaperStored(tensor: Tensor, demand: Demand, profiles: Profiles, attached: ReadonlySet<Tensor>): boolean {
  const size = sizeOfShape(tensor.shape), cost = costOf(profiles.of(tensor)), reads = totalOf(demand);
  const launch = attached.has(tensor) ? 0 : LAUNCH;
  return reads * cost > size * (cost + 1) + reads + launch;
}

/** Tensors that an earlier kernel of the same size can store on its way: no launch is needed for them. */
export function attachedTensors(scope: Scope): ReadonlySet<Tensor> {
  const attached = new Set<Tensor>();
  for (const node of scope.graph.nodes) {
    const [output] = node.outputs;
    const { kind } = node.op;
    if (kind === "contract" || kind === "recurrence" || (kind === "reduce" && isAnchor(node))) attached.add(output);
    else if (kind === "map" || viewShape(node)?.isBijective) {
      const size = sizeOfShape(output.shape);
      if (node.inputs.some((input) => attached.has(input) && sizeOfShape(input.shape) === size)) attached.add(output);
    }
  }
  return attached;
}
