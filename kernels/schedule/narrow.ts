/**
 * Which temporaries a program with 16-bit storage keeps in 16 bits. All computation stays in f32: kernels widen what they
 * load and round what they store, once.
 *
 * Kept in f32, because 8 or 11 bits are not enough there (docs/numerics.md has the measurements) or save nothing:
 *
 * - vectors and small tensors: sums of gradients, losses, biases;
 * - results of reductions: the statistics of norms and softmax, which have one element a row;
 * - carries of loops, among them the memories of models and sums over batches, which would be rounded at every step; what
 *   is saved of them for the gradient is rounded once;
 * - tensors that are added to in place, or compared bit by bit.
 */
import type { Half, Type } from "../../core/dtype.ts";
import { Graph, type Tensor } from "../../core/graph.ts";
import type { ScanAttrs } from "../../core/loop.ts";
import { sizeOfShape } from "../../core/shape.ts";

/** Tensors with fewer elements stay as they are. */
const FEWEST = 1024;

/** The type in which a temporary is kept. */
export type Keep = (tensor: Tensor) => Type;

/**
 * Decides how the temporaries of a scope are kept.
 * @param half The 16-bit type, if the program stores in one.
 * @param exact Tensors that are compared bit by bit.
 */
export function keeping(half: Half | undefined, exact: ReadonlySet<Tensor>): Keep {
  return (tensor) => (half && isNarrow(tensor) && !exact.has(tensor) ? { shape: tensor.shape, dtype: half } : tensor);
}

function isNarrow(tensor: Tensor): boolean {
  return isLarge(tensor) && tensor.node.op.kind !== "reduce" && !isAddedTo(tensor);
}

function isLarge({ dtype, shape }: Type): boolean {
  return dtype === "f32" && shape.length > 1 && sizeOfShape(shape) >= FEWEST;
}

/** Whether a tensor, or a part of it that is stored in its place, is added to in place. */
function isAddedTo({ node, output }: Tensor): boolean {
  switch (node.op.kind) {
    case "scatter":
      return true;
    case "view":
      return node.inputs.some(isAddedTo);
    case "loop": {
      const { body, carryCount } = node.attrs as ScanAttrs, { outputs } = body;
      return output >= carryCount && output < outputs.length && isAddedTo(outputs[output]);
    }
    default:
      return false;
  }
}

const split = new WeakMap<ScanAttrs, ScanAttrs>();

/**
 * A loop whose body gives the carries that enter its steps as results of their own, in place of the loop's history: the
 * carry stays in f32, in two slots, while what is saved of it for the gradient can be kept in 16 bits. The results are
 * the same, in the same order. Loops with small histories are unchanged.
 */
export function withSavedCarries(attrs: ScanAttrs): ScanAttrs {
  const { body, history } = attrs;
  if (!history.some((carry) => isLarge(body.inputs[carry]))) return attrs;
  let made = split.get(attrs);
  if (!made) {
    const outputs = [...body.outputs, ...history.map((carry) => body.inputs[carry])];
    made = { ...attrs, body: new Graph(body.inputs, outputs, body.names), history: [] };
    split.set(attrs, made);
  }
  return made;
}
