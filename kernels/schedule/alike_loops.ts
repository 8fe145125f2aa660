/**
 * Loops that are alike, such as those of equal blocks of a model, are scheduled once: the others run the same kernels
 * on other memory.
 *
 * Two loops of a scope are alike if their bodies are equal graphs, and what the bodies reach outside is computed alike,
 * down to loads that differ in nothing but the storage and where in it they begin.
 */
import { type Expr, ExprBuilder } from "../../core/expr.ts";
import { attrsKey, type Node, type Tensor } from "../../core/graph.ts";
import {
  addIndex,
  type Index,
  makeVar,
  readsValues,
  substituteIndex,
  type Var,
  varIndex,
} from "../../core/index_expr.ts";
import type { ScanAttrs } from "../../core/loop.ts";
import type { Shape } from "../../core/shape.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { definitionOf, type ExprNames } from "../kernel_key.ts";
import type { KernelStep, LoopStep, Step } from "../plan.ts";
import { isMasked } from "./mask.ts";
import type { PlanNode } from "./normalize.ts";
import type { LoopMemory, Placed } from "./places.ts";
import { Puller } from "./pull.ts";
import { isLoaded } from "./scope.ts";
import { type Place, type Storage, temporary, type ValueTable } from "./storage.ts";

/** Elements outside a loop that its body reads or writes. */
interface Reach {
  readonly storage: Storage;
  readonly index: Index;
}

/** What a loop's body reaches. */
interface Surroundings {
  /** How it is computed, without storages and constant offsets: equal for loops that are alike. */
  readonly text: string;
  /** The loads and stores in it, in order. */
  readonly reaches: readonly Reach[];
}

/** A loop that was scheduled. */
interface Known extends Surroundings {
  readonly step: LoopStep;
  /** The values of the table that were made meanwhile. */
  readonly firstValue: number;
  readonly endValue: number;
}

/** The loops of one schedule. */
export class AlikeLoops {
  readonly #known = new Map<Placed, Map<string, Known[]>>();
  /** The variables with which surroundings are described: the same in all of them. */
  readonly #variables = new Map<string, Var>();

  constructor(readonly table: ValueTable) {}

  /** The step of a loop: that of one that is alike, with other memory, or what `schedule` gives. */
  step(scope: Placed, node: PlanNode, schedule: () => LoopStep): LoopStep {
    const key = attrsKey(node.attrs), surroundings = this.#describe(scope, node);
    if (!surroundings) return schedule();
    const byKey = this.#known.get(scope) ?? new Map<string, Known[]>(), alike = byKey.get(key) ?? [];
    for (const known of alike) {
      const step = known.text === surroundings.text ? this.#withMemory(known, surroundings) : undefined;
      if (step) return step;
    }
    const firstValue = this.table.values.length, step = schedule();
    alike.push({ ...surroundings, step, firstValue, endValue: this.table.values.length });
    this.#known.set(scope, byKey.set(key, alike));
    return step;
  }

  #variable(name: string, extent: number): Var {
    const key = `${name} ${extent}`;
    let variable = this.#variables.get(key);
    if (!variable) this.#variables.set(key, variable = makeVar(name, extent));
    return variable;
  }

  /** Undefined where loops are not compared: indices that depend on data, and conditions on indices. */
  #describe(scope: Placed, node: PlanNode): Surroundings | undefined {
    const { length, carryCount, xsCount } = node.attrs as ScanAttrs;
    const memory = scope.loopMemory.get(node)!, step = varIndex(this.#variable("step", length));
    const writer = new Description(scope, new Map([[memory.variable.id, step]]));
    const index = (shape: Shape): Index[] => shape.map((extent, axis) => varIndex(this.#variable(`v${axis}`, extent)));
    for (const { place, shape } of placesOf(node, memory)) writer.place(place, index(shape));
    node.inputs.slice(carryCount).forEach((tensor, i) => {
      if (sizeOfShape(tensor.shape) === 0) return;
      const at = index(tensor.shape);
      if (i < xsCount) at[0] = step;
      writer.tensor(tensor, at);
    });
    return writer.finish();
  }

  /** The step of a loop in the memory of another; undefined if its kernels do not fit there. */
  #withMemory({ step, reaches, firstValue, endValue }: Known, other: Surroundings): LoopStep | undefined {
    const relocated = new Relocation(this.table, { from: reaches, to: other.reaches, firstValue, endValue });
    return relocated.isPossible(step) ? relocated.loop(step) : undefined;
  }
}

/** The places that the steps of a loop read and write, and the shapes of what lies there. */
function placesOf(node: Node, { current, next, ys }: LoopMemory): { place: Place; shape: Shape }[] {
  const { carryCount } = node.attrs as ScanAttrs;
  const carries = [...current, ...next].map((place, i) => ({ place, shape: node.outputs[i % carryCount].shape }));
  return [...carries, ...ys.map((place, i) => ({ place, shape: node.outputs[carryCount + i].shape.slice(1) }))];
}

/** Writes down what a loop reaches. */
class Description {
  readonly #lines: string[] = [];
  readonly #reaches: Reach[] = [];
  readonly #numbers = new Map<Expr, number>();
  readonly #storages: Storage[] = [];
  readonly #puller: Puller<Placed>;
  #isComplete = true;
  readonly #names: ExprNames = {
    of: (expr) => this.#expr(expr),
    at: (index) => this.#index(index),
    load: ({ operand, index }) => this.#reach(this.#storages[operand], index),
    variable: ({ name }) => {
      this.#isComplete = false;
      return name;
    },
  };

  /** @param replace Stands for the loop's own variable. */
  constructor(readonly scope: Placed, readonly replace: ReadonlyMap<number, Index>) {
    this.#puller = new Puller(new ExprBuilder(), (scope, tensor, index) => {
      if (!isLoaded(scope, tensor)) return undefined;
      const { storage, at } = scope.places.of(tensor), e = this.#puller.e;
      return e.cast(e.load(this.#storageNumber(storage), at(index), storage.type.dtype), tensor.dtype);
    });
  }

  place({ storage, at }: Place, index: readonly Index[]): void {
    this.#lines.push(this.#reach(storage, substituteIndex(at(index), this.replace)));
  }

  tensor(tensor: Tensor, index: readonly Index[]): void {
    this.#lines.push(`= ${this.#expr(this.#puller.pull(this.scope, tensor, index))}`);
    // Masks of products are found by looking through memory: only the same tensor certainly has the same.
    if (isMasked(this.scope, tensor)) this.#lines.push(`masked as ${tensor.node.id}.${tensor.output}`);
  }

  finish(): Surroundings | undefined {
    if (!this.#isComplete || this.#puller.guards.size > 0) return undefined;
    return { text: this.#lines.join("\n"), reaches: this.#reaches };
  }

  #storageNumber(storage: Storage): number {
    const known = this.#storages.indexOf(storage);
    return known >= 0 ? known : this.#storages.push(storage) - 1;
  }

  #reach(storage: Storage, index: Index): string {
    this.#reaches.push({ storage, index });
    return `${storage.type.dtype} at ${this.#index(addIndex(index, -index.constant))}`;
  }

  #index(index: Index): string {
    if (readsValues(index)) this.#isComplete = false;
    return index.key;
  }

  /** The name of an expression, whose definition is a line. */
  #expr(expr: Expr): string {
    let number = this.#numbers.get(expr);
    if (number === undefined) {
      const line = definitionOf(expr, this.#names);
      this.#numbers.set(expr, number = this.#lines.push(line) - 1);
    }
    return `e${number}`;
  }
}

/** Elements of a storage from one on. */
interface Part {
  readonly storage: Storage;
  readonly first: number;
}

/** Moves the kernels of a loop to the memory of another that is alike. */
class Relocation {
  readonly #moves = new Map<Storage, { readonly min: number; readonly max: number; readonly to: Part }[]>();
  /** Memory of the body's own. */
  readonly #temporaries = new Map<Storage, Storage>();
  readonly #isOneToOne: boolean;

  constructor(
    readonly table: ValueTable,
    readonly loops: {
      readonly from: readonly Reach[];
      readonly to: readonly Reach[];
      readonly firstValue: number;
      readonly endValue: number;
    },
  ) {
    const { from, to } = loops, sources = new Map<Storage, Storage>();
    let isOneToOne = true;
    from.forEach(({ storage, index }, i) => {
      const list = this.#moves.get(storage) ?? [], target = to[i];
      const { min, max } = index, first = target.index.constant - index.constant;
      this.#moves.set(storage, list);
      list.push({ min, max, to: { storage: target.storage, first } });
      // Memory that one loop has in two places, and the other in one, is one operand of its kernels.
      isOneToOne &&= (sources.get(target.storage) ?? storage) === storage;
      sources.set(target.storage, storage);
    });
    this.#isOneToOne = isOneToOne;
  }

  /** Whether all that the steps access has a place. */
  isPossible({ steps }: LoopStep): boolean {
    return this.#isOneToOne &&
      steps.every((step) =>
        step.kind === "loop" ? this.isPossible(step) : step.operands.every((_, i) => this.#target(step, i))
      );
  }

  /** The loop, moved. */
  loop(loop: LoopStep): LoopStep {
    return {
      ...loop,
      steps: loop.steps.map((step): Step => (step.kind === "loop" ? this.loop(step) : this.#kernel(step))),
    };
  }

  #kernel(step: KernelStep): KernelStep {
    const operands = step.operands.map((_, i) => {
      const { storage, first } = this.#target(step, i)!;
      return first === 0
        ? this.table.valueOf(storage)
        : this.table.partOf(storage, first, step.kernel.operands[i].size);
    });
    return { ...step, operands };
  }

  /** Where the elements of a kernel's operand lie in the other loop. */
  #target({ kernel, operands }: KernelStep, at: number): Part | undefined {
    const { storage, first } = this.table.partAt(operands[at]), { size } = kernel.operands[at];
    const moves = this.#moves.get(storage);
    if (!moves) return this.#own(storage, first);
    const touched = moves.filter(({ min, max }) => min < first + size && max >= first);
    const to = touched.at(0)?.to;
    if (!to || touched.some((move) => move.to.storage !== to.storage || move.to.first !== to.first)) return undefined;
    const start = first + to.first;
    return this.#fits(to.storage, start, size) ? { storage: to.storage, first: start } : undefined;
  }

  #own(storage: Storage, first: number): Part | undefined {
    if (storage.kind === "constant") return { storage, first };
    const { firstValue, endValue } = this.loops, value = this.table.valueOf(storage);
    if (storage.kind !== "temporary" || value < firstValue || value >= endValue) return undefined;
    let own = this.#temporaries.get(storage);
    if (!own) this.#temporaries.set(storage, own = temporary(storage.type, storage.label));
    return { storage: own, first };
  }

  #fits({ type }: Storage, first: number, size: number): boolean {
    return first >= 0 && this.table.canBegin(first, type.dtype) && first + size <= sizeOfShape(type.shape);
  }
}
