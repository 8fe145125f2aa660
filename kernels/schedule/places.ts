/**
 * Assigns memory to tensors. Outputs and tensors stored in place share the memory of others, a scatter updates a copy
 * of its operand, a loop's results are slots of its storage, and every other materialized tensor gets a temporary.
 */
import { hostArray } from "../../core/dtype.ts";
import { invariant } from "../../core/errors.ts";
import type { Tensor } from "../../core/graph.ts";
import {
  addIndex,
  constantIndex,
  linearIndex,
  modIndex,
  splitIndex,
  type Var,
  varIndex,
} from "../../core/index_expr.ts";
import type { ScanAttrs } from "../../core/loop.ts";
import type { Materialized } from "./materialize.ts";
import type { Keep } from "./narrow.ts";
import type { PlanNode } from "./normalize.ts";
import { type Binding, isConstant, labelOf } from "./scope.ts";
import { type Place, slotPlace, stackedPlace, type Storage, temporary, wholePlace } from "./storage.ts";
import { viewShape } from "./views.ts";

/** A scope and the places of its tensors. */
export interface Placed extends Materialized {
  readonly places: Places;
  /** The memory of each loop. */
  readonly loopMemory: ReadonlyMap<PlanNode, LoopMemory>;
}

/** The places of a scope's loaded tensors. */
export class Places {
  readonly #bindings: ReadonlyMap<Tensor, Binding>;
  readonly #known: Map<Tensor, Place>;

  /**
   * @param given Places in the memory of other tensors.
   * @param keep The types of temporaries.
   */
  constructor(bindings: ReadonlyMap<Tensor, Binding>, given: ReadonlyMap<Tensor, Place>, readonly keep: Keep) {
    this.#bindings = bindings;
    this.#known = new Map(given);
  }

  /** The place of a tensor: the memory of an input, a given place, or memory of its own. */
  of(tensor: Tensor): Place {
    const binding = this.#bindings.get(tensor);
    if (binding?.kind === "place") return binding.place;
    let place = this.#known.get(tensor);
    if (!place) {
      const storage = isConstant(tensor) ? constantStorage(tensor) : temporary(this.keep(tensor), labelOf(tensor));
      this.#known.set(tensor, place = wholePlace(storage, tensor.shape));
    }
    return place;
  }
}

function constantStorage(tensor: Tensor): Storage {
  const { op, attrs, outputs } = tensor.node;
  const values = op.reference([], attrs, outputs)[tensor.output];
  const data = hostArray(tensor.dtype, values.length);
  data.set(values);
  return { type: { shape: [...tensor.shape], dtype: tensor.dtype }, kind: "constant", data, label: "constant" };
}

/** The memory of a loop. */
export interface LoopMemory {
  /** For each carry, the slot that step i reads and the slot that it writes. */
  readonly current: readonly Place[];
  readonly next: readonly Place[];
  /** For each y, the slice that step i writes. */
  readonly ys: readonly Place[];
  readonly variable: Var;
}

/**
 * Assigns places to outputs and to everything that is stored in place.
 * @param outputs Places of the graph's outputs.
 * @param how Makes the variable of a loop, and gives the types of temporaries.
 */
export function place(
  scope: Materialized,
  outputs: readonly Place[],
  { makeVariable, keep }: { readonly makeVariable: (node: PlanNode) => Var; readonly keep: Keep },
): Placed {
  const given = new Map<Tensor, Place>(), loopMemory = new Map<PlanNode, LoopMemory>();
  const set = (tensor: Tensor, place: Place): void => {
    invariant(!given.has(tensor), `${tensor} is placed twice`);
    given.set(tensor, place);
  };
  /** The place of a tensor whose readers have already been visited. */
  const placeOf = (tensor: Tensor): Place => {
    if (!given.has(tensor)) set(tensor, wholePlace(temporary(keep(tensor), labelOf(tensor)), tensor.shape));
    return given.get(tensor)!;
  };
  scope.graph.outputs.forEach((tensor, i) => set(tensor, outputs[i]));
  for (const node of scope.graph.nodes.toReversed()) {
    const [output] = node.outputs, [input] = node.inputs;
    if (scope.passing.has(node)) {
      const { storage, at } = placeOf(output);
      set(input, { storage, at: (index) => at(splitIndex(linearIndex(index, input.shape), output.shape)) });
    } else if (scope.assembled.has(node)) {
      const { axis, pieces } = viewShape(node)!.concat!, { storage, at } = placeOf(output);
      for (const { input, offset } of pieces) {
        set(node.inputs[input], {
          storage,
          at: (index) => at(index.map((where, other) => (other === axis ? addIndex(where, offset) : where))),
        });
      }
    } else if (node.op.kind === "scatter") set(input, placeOf(output));
    else if (node.op.kind === "loop") {
      loopMemory.set(node, placeLoop(node, { set, placeOf, variable: makeVariable(node) }));
    }
  }
  return { ...scope, places: new Places(scope.bindings, given, keep), loopMemory };
}

/**
 * Slots of carries. Without a history, two slots alternate. With one there are N + 1 slots: an ascending loop reads
 * slot i and writes slot i + 1 in step i; a descending one reads slot i + 1 and writes slot i. The values that entered
 * the steps thus end up stacked in order without a copy.
 */
function placeLoop(
  node: PlanNode,
  { set, placeOf, variable }: {
    readonly set: (tensor: Tensor, place: Place) => void;
    readonly placeOf: (tensor: Tensor) => Place;
    readonly variable: Var;
  },
): LoopMemory {
  const { length, carryCount, reverse, history } = node.attrs as ScanAttrs;
  const step = varIndex(variable), after = addIndex(step, 1);
  const [from, to] = reverse ? [after, step] : [step, after];
  const current: Place[] = [], next: Place[] = [];
  const yCount = node.outputs.length - carryCount - history.length;
  for (let carry = 0; carry < carryCount; carry++) {
    const tensor = node.outputs[carry], { shape, dtype } = tensor;
    const past = history.indexOf(carry);
    const isKept = past >= 0;
    const storage: Storage = temporary({ shape: [isKept ? length + 1 : 2, ...shape], dtype }, labelOf(tensor));
    const slot = (number: typeof step): Place => slotPlace(storage, shape, isKept ? number : modIndex(number, 2));
    current.push(slot(from));
    next.push(slot(to));
    const [start, end] = reverse ? [length, 0] : [0, length];
    set(node.inputs[carry], slot(constantIndex(start)));
    set(tensor, slot(constantIndex(end)));
    if (isKept) set(node.outputs[carryCount + yCount + past], stackedPlace(storage, shape, reverse ? 1 : 0));
  }
  const ys = node.outputs.slice(carryCount, carryCount + yCount).map((tensor): Place => {
    const { storage, at } = placeOf(tensor);
    return { storage, at: (index) => at([step, ...index]) };
  });
  return { current, next, ys, variable };
}
