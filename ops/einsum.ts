/** Sums of products by named axes. */
import { ShapeError } from "../core/errors.ts";
import type { Tensor } from "../core/graph.ts";
import { checkType, formatType, sizeOfShape } from "../core/shape.ts";
import { mul } from "./binary.ts";
import { sum } from "./broadcast.ts";
import { matmul } from "./matmul.ts";
import { reshape, transpose } from "./views.ts";

/** A tensor with a letter for each axis. */
interface Labelled {
  readonly x: Tensor;
  readonly labels: string;
}

/**
 * Einstein summation over one or two tensors: `einsum("bik,bkj->bij", lhs, rhs)`. Letters that the result lacks are
 * summed. Without `->` the result has the letters that occur once, in alphabetical order. Lowers to one {@link matmul}
 * where letters are summed across both tensors. Gradient: that of its parts.
 * @throws {ShapeError} if the subscripts are malformed, do not fit the ranks, give a letter two extents, or repeat one
 * within a tensor.
 * @throws {DTypeError} if dtypes differ or do not allow the product.
 */
export function einsum(subscripts: string, ...tensors: readonly Tensor[]): Tensor {
  for (const x of tensors) checkType("einsum", x);
  const { operands, out } = parse(subscripts, tensors);
  const [lhs, rhs] = operands.map((operand, i) => sumMissing(operand, out + (operands[1 - i]?.labels ?? "")));
  const result = rhs ? multiply(lhs, rhs, out) : lhs;
  return arrange(result, out);
}

function parse(subscripts: string, tensors: readonly Tensor[]): { operands: Labelled[]; out: string } {
  const fail = (rule: string): never => {
    throw new ShapeError(
      `Cannot einsum "${subscripts}" of ${tensors.map(formatType).join(" and ")}: ${rule}`,
      tensors.map((x) => x.shape),
    );
  };
  const match = /^([a-zA-Z]*)(?:,([a-zA-Z]*))?(?:->([a-zA-Z]*))?$/.exec(`${subscripts}`.replaceAll(" ", ""));
  if (!match) return fail('subscripts must read like "ik,kj->ij", letters only, one or two tensors');
  const inputs = match[2] === undefined ? [match[1]] : [match[1], match[2]];
  if (inputs.length !== tensors.length) {
    return fail(`the subscripts name ${inputs.length} tensors, ${tensors.length} were given`);
  }
  const extents = new Map<string, number>();
  inputs.forEach((labels, i) => {
    if (labels.length !== tensors[i].rank) {
      fail(`"${labels}" names ${labels.length} axes of a tensor of rank ${tensors[i].rank}`);
    }
    if (new Set(labels).size !== labels.length) {
      fail(`"${labels}" repeats a letter within one tensor, which is not supported`);
    }
    [...labels].forEach((label, axis) => {
      const extent = tensors[i].shape[axis], known = extents.get(label) ?? extent;
      if (known !== extent) fail(`axis ${label} has extents ${known} and ${extent}, which must be equal`);
      extents.set(label, extent);
    });
  });
  const all = inputs.join("");
  const once = [...extents.keys()].filter((label) => all.indexOf(label) === all.lastIndexOf(label)).sort().join("");
  const out = match[3] ?? once;
  const unknown = [...out].find((label, i) => !extents.has(label) || out.indexOf(label) !== i);
  if (unknown) fail(`the result names axis ${unknown}, which must occur in a tensor and once in the result`);
  return { operands: inputs.map((labels, i) => ({ x: tensors[i], labels })), out };
}

/** Sums the axes whose letters are used nowhere else. */
function sumMissing({ x, labels }: Labelled, used: string): Labelled {
  const axes = [...labels].flatMap((label, axis) => (used.includes(label) ? [] : [axis]));
  return { x: sum(x, { axes }), labels: [...labels].filter((label) => used.includes(label)).join("") };
}

function arrange({ x, labels }: Labelled, order: string): Tensor {
  return transpose(x, [...order].map((label) => labels.indexOf(label)));
}

function multiply(lhs: Labelled, rhs: Labelled, out: string): Labelled {
  const shared = [...lhs.labels].filter((label) => rhs.labels.includes(label));
  const batch = shared.filter((label) => out.includes(label)).join("");
  const inner = shared.filter((label) => !out.includes(label)).join("");
  const rows = [...lhs.labels].filter((label) => !rhs.labels.includes(label)).join("");
  const columns = [...rhs.labels].filter((label) => !lhs.labels.includes(label)).join("");
  const left = arrange(lhs, batch + rows + inner), right = arrange(rhs, batch + inner + columns);
  const extents = (x: Tensor, order: string, labels: string) =>
    [...labels].map((label) => x.shape[order.indexOf(label)]);
  const batchShape = extents(left, batch + rows + inner, batch);
  const rowShape = extents(left, batch + rows + inner, rows),
    columnShape = extents(right, batch + inner + columns, columns);
  const labels = batch + rows + columns, shape = [...batchShape, ...rowShape, ...columnShape];
  if (inner === "") {
    // Nothing is summed across the two: a broadcast product fuses with its surroundings.
    const spreadLeft = reshape(left, [...batchShape, ...rowShape, ...columnShape.map(() => 1)]);
    const spreadRight = reshape(right, [...batchShape, ...rowShape.map(() => 1), ...columnShape]);
    return { x: mul(spreadLeft, spreadRight), labels };
  }
  const K = sizeOfShape(extents(left, batch + rows + inner, inner));
  if (rows === "" && columns === "") {
    const axes = [...inner].map((_, i) => batch.length + i);
    return { x: sum(mul(left, right), { axes }), labels };
  }
  const M = sizeOfShape(rowShape), N = sizeOfShape(columnShape);
  return {
    x: reshape(matmul(reshape(left, [...batchShape, M, K]), reshape(right, [...batchShape, K, N])), shape),
    labels,
  };
}
