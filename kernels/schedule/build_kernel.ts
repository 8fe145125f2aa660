/** Builds the kernels of fusions by pulling their members' expressions. */
import { type Expr, ExprBuilder } from "../../core/expr.ts";
import { invariant } from "../../core/errors.ts";
import type { Node, Tensor } from "../../core/graph.ts";
import { type Index, makeVar, splitIndex, valueIndex, type Var, varIndex } from "../../core/index_expr.ts";
import { sizeOfShape } from "../../core/shape.ts";
import type { Kernel } from "../kernel.ts";
import type { KernelStep } from "../plan.ts";
import { bodyIndex } from "./access.ts";
import { canonicalise, type CanonicalKernel, type Draft, type DraftStore } from "./canonicalise.ts";
import type { Fused } from "./fuse.ts";
import { anchorOf, type Fusion, recurrencesOf } from "./fusion.ts";
import { maskOf } from "./mask.ts";
import { copyOp, type PlanNode, reductionOf } from "./normalize.ts";
import { Puller, runTimeIndex } from "./pull.ts";
import type { Placed } from "./places.ts";
import { mapRegion } from "./region.ts";
import { isAnchor, isLoaded } from "./scope.ts";
import type { Place, Storage, ValueTable } from "./storage.ts";

/** The input of kernel building. */
export interface KernelParts {
  readonly fusion: Fusion;
  /** Whether another kernel, or the caller, reads a tensor. */
  readonly isRead: Fused["isRead"];
  /** Assigns value numbers to the memory that the kernel accesses. */
  readonly table: ValueTable;
}

/** Builds the kernel of a fusion; undefined if it has nothing to store. */
export function buildKernel(scope: Placed, parts: KernelParts): KernelStep | undefined {
  return new KernelBuilder(scope, parts).build();
}

class KernelBuilder {
  readonly e = new ExprBuilder();
  readonly fusion: Fusion;
  readonly #puller: Puller<Placed>;
  readonly #storages: Storage[] = [];
  readonly #reductions = new Map<Node, Expr>();

  constructor(readonly scope: Placed, readonly parts: KernelParts) {
    this.fusion = parts.fusion;
    this.#puller = new Puller(this.e, (scope, tensor, index) => this.#leaf(scope, tensor, index));
  }

  build(): KernelStep | undefined {
    switch (this.fusion.kind) {
      case "map":
        return this.#map();
      case "row":
        return this.#row();
      case "contract":
        return this.#contract();
      case "recurrence":
        return this.#recurrence();
      case "scatter":
        return this.#scatter();
      default:
        return undefined;
    }
  }

  #leaf(scope: Placed, tensor: Tensor, index: readonly Index[]): Expr | undefined {
    const member = scope === this.scope ? this.fusion.members.get(tensor) : undefined;
    if (member) {
      if (!isAnchor(member.node)) return undefined;
      if (member.node.op.kind === "reduce") return this.#reduction(member.node, member.index);
      return this.e.accumulator(
        tensor.dtype,
        member.node.op.kind === "recurrence" ? recurrencesOf(this.fusion).indexOf(member.node) : 0,
      );
    }
    return isLoaded(scope, tensor) ? this.#load(scope.places.of(tensor), tensor, index) : undefined;
  }

  #load(place: Place, tensor: Tensor, index: readonly Index[]): Expr {
    let operand = this.#storages.indexOf(place.storage);
    if (operand < 0) operand = this.#storages.push(place.storage) - 1;
    return this.e.cast(this.e.load(operand, place.at(index), place.storage.type.dtype), tensor.dtype);
  }

  #reduction(node: Node, kept: readonly Index[]): Expr {
    let expr = this.#reductions.get(node);
    if (!expr) {
      const row = this.fusion.row!;
      const body = this.#puller.pull(this.scope, node.inputs[0], bodyIndex(node, kept, varIndex(row)));
      expr = this.e.cast(this.e.reduce(reductionOf(node).combine, row, body), node.outputs[0].dtype);
      this.#puller.visited.add(node);
      this.#reductions.set(node, expr);
    }
    return expr;
  }

  /** The stores of the members that other kernels read. */
  #stores(isPerRow?: boolean): DraftStore[] {
    const stores: DraftStore[] = [];
    const members = [...this.fusion.members].sort(([a], [b]) => a.node.id - b.node.id);
    for (const [tensor, member] of members) {
      if ((isPerRow !== undefined && member.isPerRow !== isPerRow) || !this.parts.isRead(tensor)) continue;
      const place = this.scope.places.of(tensor);
      const value = this.#puller.pull(this.scope, tensor, member.index);
      stores.push({
        storage: place.storage,
        index: place.at(member.index),
        value: this.e.cast(value, place.storage.type.dtype),
      });
    }
    return stores;
  }

  #canonical(draft: Omit<Draft, "storages" | "loops" | "guards">, names: readonly string[] = []): CanonicalKernel {
    return canonicalise(
      { ...draft, storages: this.#storages, loops: this.scope.loops, guards: this.#puller.guards },
      this.parts.table,
      names,
    );
  }

  #step({ operands, values, loops }: CanonicalKernel, kernel: Distribute<Kernel>): KernelStep {
    return {
      kind: "kernel",
      kernel: { ...kernel, operands, loops, origins: this.#origins() } as Kernel,
      operands: values,
    };
  }

  /** The ops of a kernel under the names that users know. Data movement is listed only if there is nothing else. */
  #origins(): string[] {
    const nodes = new Set<Node>(this.#puller.visited);
    for (const node of this.fusion.nodes) if (isAnchor(node)) nodes.add(node);
    const sorted = [...nodes].sort((a, b) => a.id - b.id);
    const working = sorted.filter(({ op }) => op.kind !== "view" && op.kind !== "source" && op !== copyOp);
    return (working.length > 0 ? working : sorted).map(({ op }) => op.name);
  }

  #map(): KernelStep | undefined {
    const stores = this.#stores();
    if (stores.length === 0) return undefined;
    const done = this.#canonical({ stores, exprs: [], space: this.fusion.vars, fixed: [] });
    return this.#step(done, { kind: "map", space: done.space, stores: done.stores });
  }

  #row(): KernelStep | undefined {
    const rowStores = this.#stores(true), elementStores = this.#stores(false);
    const stores = [...rowStores, ...elementStores];
    if (stores.length === 0) return undefined;
    const done = this.#canonical({ stores, exprs: [], space: this.fusion.vars, fixed: [this.fusion.row!] }, ["r"]);
    const split = rowStores.length;
    return this.#step(done, {
      kind: "row",
      space: done.space,
      row: done.fixed[0],
      rowStores: done.stores.slice(0, split),
      elementStores: done.stores.slice(split),
    });
  }

  #contract(): KernelStep | undefined {
    const node = anchorOf(this.fusion);
    const { vars } = this.fusion;
    const batch = vars.slice(0, -2), [m, n] = vars.slice(-2);
    const k = makeVar("k", node.inputs[0].shape[node.inputs[0].rank - 1]);
    const at = (list: readonly Var[]): Index[] => list.map(varIndex);
    const lhs = this.e.widened(this.#puller.pull(this.scope, node.inputs[0], at([...batch, m, k])));
    const rhs = this.e.widened(this.#puller.pull(this.scope, node.inputs[1], at([...batch, k, n])));
    const stores = this.#stores();
    if (stores.length === 0) return undefined;
    const mask = maskOf(this.scope, {
      product: node,
      factors: [{ tensor: node.inputs[0], index: at([...batch, m, k]) }, {
        tensor: node.inputs[1],
        index: at([...batch, k, n]),
      }],
      results: [...this.fusion.members].filter(([tensor]) => this.parts.isRead(tensor)).map((
        [tensor, { index }],
      ) => ({ tensor, index })),
      isOwn: (tensor) => this.fusion.members.has(tensor),
    });
    const done = this.#canonical(
      { stores, exprs: [lhs, rhs], space: [...batch, m], fixed: [n, k], keepsLast: true, mask },
      ["n", "k"],
    );
    const bands = mapRegion(mask, done.rewrite);
    return this.#step(done, {
      kind: "contract",
      batch: done.space.slice(0, -1),
      m: done.space[done.space.length - 1],
      n: done.fixed[0],
      k: done.fixed[1],
      lhs: done.exprs[0],
      rhs: done.exprs[1],
      stores: done.stores,
      mask: bands.some((band) => band.length === 0) ? [] : bands,
    });
  }

  #recurrence(): KernelStep | undefined {
    const nodes = recurrencesOf(this.fusion), [{ op, attrs }] = nodes;
    invariant(op.kind === "recurrence", "a recurrence fusion has another anchor");
    const { axis, reverse } = op.lower(attrs);
    const { vars } = this.fusion, index = vars.map(varIndex);
    const first = reverse ? vars[axis].extent - 1 : 0, isFirst = this.e.inRange(index[axis], first, first + 1);
    const exprs = nodes.flatMap(({ inputs }) => {
      const [a, b] = inputs.map((input) => this.e.widened(this.#puller.pull(this.scope, input, index)));
      // The state starts at 0, and stays 0 before the first step only if the factor is finite.
      return [
        a.kind === "const" && Number.isFinite(a.value) ? a : this.e.select(isFirst, this.e.const(0, a.dtype), a),
        b,
      ];
    });
    const stores = this.#stores();
    if (stores.length === 0) return undefined;
    const done = this.#canonical({ stores, exprs, space: vars.toSpliced(axis, 1), fixed: [vars[axis]] }, ["t"]);
    return this.#step(done, {
      kind: "recurrence",
      space: done.space,
      time: done.fixed[0],
      reverse,
      states: nodes.map((_, state) => ({ a: done.exprs[2 * state], b: done.exprs[2 * state + 1] })),
      stores: done.stores,
    });
  }

  #scatter(): KernelStep | undefined {
    const { e } = this;
    const node: PlanNode = anchorOf(this.fusion);
    invariant(node.op.kind === "scatter", "a scatter fusion has another anchor");
    const [target, indices, updates] = node.inputs, { axis, batch } = node.op.lower(node.attrs);
    const own = indices.shape.slice(batch), count = sizeOfShape(own);
    if (count === 0) return undefined;
    const space = this.fusion.vars.toSpliced(axis, 1), position = makeVar("p", count);
    const outer = space.slice(0, axis).map(varIndex), inner = space.slice(axis).map(varIndex);
    const where = splitIndex(varIndex(position), own);
    const number = e.cast(this.#puller.pull(this.scope, indices, [...outer.slice(0, batch), ...where]), "i32");
    const { clamped, valid } = runTimeIndex(e, number, target.shape[axis]);
    const update = this.#puller.pull(this.scope, updates, [...outer, ...where, ...inner]);
    const place = this.scope.places.of(target);
    const index = place.at([...outer, valueIndex(clamped, 0, target.shape[axis] - 1), ...inner]);
    const done = this.#canonical({
      stores: [{ storage: place.storage, index, value: update }],
      exprs: [valid],
      space,
      fixed: [position],
    }, ["p"]);
    const [store] = done.stores;
    const operands = done.operands.map((
      operand,
      at,
    ) => (at === store.operand ? { ...operand, access: "readwrite" as const } : operand));
    return this.#step({ ...done, operands }, {
      kind: "scatter",
      space: done.space,
      position: done.fixed[0],
      target: store.operand,
      index: store.index,
      valid: done.exprs[0],
      update: store.value,
    });
  }
}

type Distribute<T> = T extends unknown ? Omit<T, "operands" | "loops" | "origins"> : never;
