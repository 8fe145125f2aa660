/**
 * From a graph to kernels.
 *
 * Decides which tensors live in memory (schedule/materialize.ts), groups them into kernels (schedule/fuse.ts) and
 * builds each kernel by pulling: the expression of a stored element is its op's expression applied to the pulled
 * expressions of its inputs, down to loads (schedule/pull.ts). Views, elementwise ops, gathers and masks so become part
 * of the kernels that use them. Loops are steps whose bodies are scheduled in the same way.
 */
import { CompileError, invariant } from "../core/errors.ts";
import type { Graph, Tensor } from "../core/graph.ts";
import { makeVar, varIndex } from "../core/index_expr.ts";
import type { ScanAttrs } from "../core/scan.ts";
import type { Schedule, Step } from "./plan.ts";
import { readsOf } from "./schedule/access.ts";
import { assignPlaces, type LoopMemory, planAssembly } from "./schedule/assembly.ts";
import { emitGroup } from "./schedule/build_kernel.ts";
import { type Group, Grouper } from "./schedule/fuse.ts";
import { Heap } from "./schedule/heap.ts";
import { NodeMaker, normalize, type PlanNode } from "./schedule/normalize.ts";
import { findSplit } from "./schedule/operands.ts";
import type { Profiles } from "./schedule/static_cost.ts";
import { chooseRoots } from "./schedule/materialize.ts";
import { type Binding, Scope } from "./schedule/scope.ts";
import { type BindingLimits, type Place, type Storage, ValueTable, wholePlace } from "./schedule/storage.ts";

/** What kernels may ask of a device. */
export interface ScheduleOptions extends BindingLimits {
  /** Most tensors that one kernel may touch. At least 6. */
  readonly maxOperands: number;
}

/**
 * The fewest operands with which every primitive is a kernel: an elementwise op of four inputs and its result, and one
 * to spare.
 */
const FEWEST_OPERANDS = 6;

/**
 * Cuts a graph into kernels.
 * @param graph A simplified graph.
 * @param options What the device allows.
 * @returns Steps over values, in order; equal graphs give equal schedules.
 * @throws {CompileError} if no kernel within the operand limit can compute some tensor.
 */
export function schedule(graph: Graph, options: ScheduleOptions): Schedule {
  const { maxOperands } = options;
  if (maxOperands < FEWEST_OPERANDS) {
    throw new CompileError(
      `Cannot schedule kernels of ${maxOperands} operands: at least ${FEWEST_OPERANDS} are needed`,
    );
  }
  const table = new ValueTable(options);
  const maker = new NodeMaker();
  const bindings = new Map<Tensor, Binding>();
  const inputs = graph.inputs.map((tensor, position) => {
    const label = graph.names[position] || `input ${position}`;
    const storage: Storage = {
      type: { shape: [...tensor.shape], dtype: tensor.dtype },
      kind: "input",
      position,
      label,
    };
    if (!bindings.has(tensor)) bindings.set(tensor, { kind: "place", place: wholePlace(storage) });
    return table.valueOf(storage);
  });
  const places = graph.outputs.map((tensor, position): Place =>
    wholePlace({
      type: { shape: [...tensor.shape], dtype: tensor.dtype },
      kind: "output",
      position,
      label: `output ${position}`,
    })
  );
  const outputs = places.map(({ storage }) => table.valueOf(storage));
  const scope = new Scope(normalize(graph, maker), bindings);
  const steps = new Scheduler(maker, table, maxOperands).schedule(scope, places, undefined);
  return { values: table.values, steps, inputs, outputs };
}

class Scheduler {
  constructor(readonly maker: NodeMaker, readonly table: ValueTable, readonly maxOperands: number) {}

  /** The steps of a scope whose outputs go to `places`. */
  schedule(scope: Scope, places: readonly Place[], parent: Profiles | undefined): Step[] {
    planAssembly(scope, this.maker, this.maxOperands);
    const { grouper, profiles } = this.#chooseKernels(scope, parent);
    const loops = assignPlaces(
      scope,
      places,
      (node) => makeVar(`step${scope.loops.length}`, (node.attrs as ScanAttrs).length),
    );
    const steps: Step[] = [];
    for (const group of inOrder(grouper)) {
      if (group.kind === "loop") {
        for (const node of group.nodes) {
          const step = this.#loop(scope, node as PlanNode, loops.get(node as PlanNode)!, profiles);
          if (step) steps.push(step);
        }
      } else {
        const step = emitGroup(grouper, group, this.table);
        if (step) steps.push(step);
      }
    }
    return steps;
  }

  /** Chooses roots until every root's kernel keeps within the operand limit, then groups them. */
  #chooseKernels(scope: Scope, parent: Profiles | undefined): { grouper: Grouper; profiles: Profiles } {
    const forced = new Set<Tensor>();
    for (;;) {
      const profiles = chooseRoots(scope, forced, parent);
      const grouper = new Grouper(scope, profiles, this.maxOperands);
      grouper.analyse();
      const before = forced.size;
      for (const { cuts } of grouper.reads.values()) addCuts(scope, cuts, forced);
      if (forced.size > before) continue;
      for (const reads of grouper.reads.values()) {
        const split = findSplit(scope, reads, this.maxOperands);
        if (split) forced.add(split);
      }
      if (forced.size === before) {
        grouper.group();
        return { grouper, profiles };
      }
    }
  }

  #loop(scope: Scope, node: PlanNode, memory: LoopMemory, profiles: Profiles): Step | undefined {
    const { body, length, carryCount, xsCount, reverse } = node.attrs as ScanAttrs;
    if (length === 0) return undefined;
    const { variable } = memory;
    const bindings = new Map<Tensor, Binding>();
    body.inputs.forEach((tensor, i) => {
      if (i < carryCount) bindings.set(tensor, { kind: "place", place: memory.current[i] });
      else {bindings.set(tensor, {
          kind: "outer",
          tensor: node.inputs[i],
          prefix: i < carryCount + xsCount ? [varIndex(variable)] : [],
        });}
    });
    const inner = new Scope(normalize(body, this.maker), bindings, scope, variable);
    return { kind: "loop", variable, reverse, steps: this.schedule(inner, [...memory.next, ...memory.ys], profiles) };
  }
}

/** Forces roots, and whatever the kernels that compute them must have as roots in turn. */
function addCuts(scope: Scope, cuts: readonly Tensor[], forced: Set<Tensor>): void {
  const stack = [...cuts];
  for (let tensor = stack.pop(); tensor; tensor = stack.pop()) {
    if (forced.has(tensor)) continue;
    forced.add(tensor);
    stack.push(...readsOf(scope, tensor.node).cuts);
  }
}

/** Groups in an order that respects what they read, and keeps to the order of the program where there is a choice. */
function inOrder(grouper: Grouper): Group[] {
  const position = (group: Group): number => Math.max(...[...group.nodes].map(({ id }) => id));
  const sorted = [...grouper.groups].map((group) => ({ group, position: position(group) })).sort((a, b) =>
    a.position - b.position
  );
  const rank = new Map(sorted.map(({ group }, at) => [group, at])),
    needs = sorted.map(({ group }) => grouper.dependencies(group).size);
  const readers: number[][] = sorted.map(() => []);
  for (const { group } of sorted) {
    for (const dependency of grouper.dependencies(group)) readers[rank.get(dependency)!].push(rank.get(group)!);
  }
  const ready = new Heap();
  needs.forEach((count, at) => count === 0 && ready.push(at));
  const order: Group[] = [];
  for (let at = ready.pop(); at !== undefined; at = ready.pop()) {
    order.push(sorted[at].group);
    for (const reader of readers[at]) if (--needs[reader] === 0) ready.push(reader);
  }
  invariant(order.length === sorted.length, "kernels wait for each other");
  return order;
}
