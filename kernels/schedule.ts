/**
 * From a graph to kernels.
 *
 * Decides which tensors live in memory (schedule/materialize.ts), puts them into kernels (schedule/fuse.ts) and
 * builds each kernel by pulling: the expression of a stored element is its op's expression applied to the pulled
 * expressions of its inputs, down to loads (schedule/pull.ts). Views, elementwise ops, gathers and masks so become part
 * of the kernels that use them. Loops are steps whose bodies are scheduled in the same way.
 */
import type { Half } from "../core/dtype.ts";
import { CompileError } from "../core/errors.ts";
import type { Graph, Tensor } from "../core/graph.ts";
import { makeVar, varIndex } from "../core/index_expr.ts";
import type { ScanAttrs } from "../core/loop.ts";
import type { LoopStep, Schedule, Step } from "./plan.ts";
import { type Accesses, findAccesses, readsOf } from "./schedule/access.ts";
import { AlikeLoops } from "./schedule/alike_loops.ts";
import { assemble, type Assembled } from "./schedule/assembly.ts";
import { buildKernel } from "./schedule/build_kernel.ts";
import { fuse } from "./schedule/fuse.ts";
import { materialize, type Materialized } from "./schedule/materialize.ts";
import { keeping } from "./schedule/narrow.ts";
import { NodeMaker, normalize, type PlanNode } from "./schedule/normalize.ts";
import { findSplit } from "./schedule/operands.ts";
import { place, type Placed } from "./schedule/places.ts";
import { type Binding, type Scope, scopeOf } from "./schedule/scope.ts";
import { type BindingLimits, type Place, placeEnds, ValueTable } from "./schedule/storage.ts";

/** Requirements of kernels that a device must support. */
export interface ScheduleOptions extends BindingLimits {
  /** Maximum number of operands of a kernel, at least 6. */
  readonly maxOperands: number;
  /** The 16-bit type in which temporaries are kept where that is good enough (schedule/narrow.ts). Default: none. */
  readonly storage?: Half;
}

/**
 * The minimum with which every primitive can be a kernel: an elementwise op of four inputs and its result, plus a
 * reserve.
 */
const FEWEST_OPERANDS = 6;

/**
 * Schedules a graph as kernels.
 * @param graph A simplified graph.
 * @param options The limits of the device.
 * @returns Steps over values, in order; equal graphs have equal schedules.
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
  const ends = placeEnds(graph, table);
  graph.inputs.forEach((tensor, position) => {
    if (!bindings.has(tensor)) bindings.set(tensor, { kind: "place", place: ends.inputs[position] });
  });
  const scope = scopeOf(normalize(graph, maker, options.storage !== undefined), bindings);
  const steps = new Scheduler(maker, table, maxOperands, options.storage).schedule(scope, ends.outputs);
  return { values: table.values, steps, ...ends.values };
}

class Scheduler {
  readonly #loops: AlikeLoops;

  constructor(
    readonly maker: NodeMaker,
    readonly table: ValueTable,
    readonly maxOperands: number,
    readonly storage: Half | undefined,
  ) {
    this.#loops = new AlikeLoops(table);
  }

  /** The steps of a scope whose outputs go to `places`. */
  schedule(scope: Scope, places: readonly Place[]): Step[] {
    const assembled = assemble(scope, this.maker, this.maxOperands);
    const { materialized, accesses } = this.#withinLimits(assembled);
    const { fusions, isRead } = fuse(materialized, accesses, this.maxOperands);
    const placed = place(
      materialized,
      places,
      {
        makeVariable: (node) => makeVar(`step${scope.loops.length}`, (node.attrs as ScanAttrs).length),
        keep: keeping(this.storage, materialized.exact),
      },
    );
    return fusions.flatMap((fusion) =>
      fusion.kind === "loop"
        ? [...fusion.nodes].flatMap((node) => this.#loop(placed, node as PlanNode) ?? [])
        : buildKernel(placed, { fusion, isRead, table: this.table }) ?? []
    );
  }

  /** Materializes tensors until every kernel respects the operand limit. */
  #withinLimits(scope: Assembled): { materialized: Materialized; accesses: Accesses } {
    const forced = new Set<Tensor>();
    for (;;) {
      const materialized = materialize(scope, forced), accesses = findAccesses(materialized);
      const before = forced.size;
      for (const { cuts } of accesses.reads.values()) addCuts(materialized, cuts, forced);
      if (forced.size > before) continue;
      for (const reads of accesses.reads.values()) {
        const split = findSplit(materialized, reads, this.maxOperands);
        if (split) forced.add(split);
      }
      if (forced.size === before) return { materialized, accesses };
    }
  }

  #loop(scope: Placed, node: PlanNode): Step | undefined {
    if ((node.attrs as ScanAttrs).length === 0) return undefined;
    const schedule = () => this.#scheduleLoop(scope, node);
    // What is kept in 16 bits depends on more than the loop.
    return this.storage ? schedule() : this.#loops.step(scope, node, schedule);
  }

  #scheduleLoop(scope: Placed, node: PlanNode): LoopStep {
    const { body, carryCount, xsCount, reverse } = node.attrs as ScanAttrs;
    const memory = scope.loopMemory.get(node)!, { variable } = memory;
    const bindings = new Map<Tensor, Binding>();
    body.inputs.forEach((tensor, i) => {
      if (i < carryCount) bindings.set(tensor, { kind: "place", place: memory.current[i] });
      else {bindings.set(tensor, {
          kind: "outer",
          tensor: node.inputs[i],
          prefix: i < carryCount + xsCount ? [varIndex(variable)] : [],
        });}
    });
    const inner = scopeOf(normalize(body, this.maker, this.storage !== undefined), bindings, {
      parent: scope,
      variable,
    });
    return { kind: "loop", variable, reverse, steps: this.schedule(inner, [...memory.next, ...memory.ys]) };
  }
}

/** Forces tensors to be materialized, together with what the kernels that compute them require to be. */
function addCuts(scope: Materialized, cuts: readonly Tensor[], forced: Set<Tensor>): void {
  const stack = [...cuts];
  for (let tensor = stack.pop(); tensor; tensor = stack.pop()) {
    if (forced.has(tensor)) continue;
    forced.add(tensor);
    stack.push(...readsOf(scope, tensor.node).cuts);
  }
}
