/**
 * Aligns a node with a fusion: determines whether each element is computed by the same invocation that computes what it
 * reads, and expresses the node's index in the fusion's variables.
 */
import type { Node, Tensor } from "../../core/graph.ts";
import { divIndex, type Index, modIndex, substituteIndex, type Var, varIndex } from "../../core/index_expr.ts";
import { sameShape, sizeOfShape } from "../../core/shape.ts";
import { bodyIndex, type Reads } from "./access.ts";
import { digitsOf, offsetOf } from "./digits.ts";
import { type Fusion, type Member, recurrencesOf, spaceSize, workOf } from "./fusion.ts";
import type { Substitution } from "./index_tools.ts";

/** Row kernels with fewer rows than this do not take on elementwise work over long rows. */
const FEW_ROWS = 64;
const LONG_ROW = 1024;

/**
 * Whether a node would be computed per row (true) or per element (false) of a fusion; undefined if its size matches
 * neither.
 */
export function levelOf(fusion: Fusion, { node, row }: Reads): boolean | undefined {
  const size = sizeOfShape(node.outputs[0].shape), space = spaceSize(fusion);
  if (fusion.row) {
    if (row) return row.extent === fusion.row.extent && size === space ? true : undefined;
    if (size === space) return true;
    return size === space * fusion.row.extent && canStoreElements(fusion) ? false : undefined;
  }
  return !row && size === space ? false : undefined;
}

/**
 * Whether a reduction reads each element of a tensor at exactly one point of its space (true), or at exactly one
 * element of its rows with contiguous access along the row (false); undefined otherwise.
 */
export function isOncePerPoint(fusion: Fusion, tensor: Tensor, index: readonly Index[]): boolean | undefined {
  const size = sizeOfShape(tensor.shape), digits = digitsOf(offsetOf(index, tensor.shape));
  if (!digits || sizeOfDigits(digits) !== size) return undefined;
  const alongRow = digits.findIndex(({ variable }) => variable === fusion.row);
  if (alongRow < 0) return size === spaceSize(fusion) ? true : undefined;
  return alongRow === 0 && size === workOf(fusion) && canStoreElements(fusion) ? false : undefined;
}

/**
 * The index of a node's result in a fusion's variables for which every element read from the fusion is computed by the
 * same invocation; undefined if there is none.
 */
export function align(fusion: Fusion, reads: Reads, isPerRow: boolean): readonly Index[] | undefined {
  const inside = [...reads.stored].filter(([tensor]) => fusion.members.has(tensor));
  if (
    inside.some(([tensor, indices]) =>
      indices.length !== 1 || (isPerRow && !fusion.members.get(tensor)!.isPerRow && !reads.row)
    )
  ) {
    return undefined;
  }
  for (const assign of assignments(fusion, reads, isPerRow, inside)) {
    if (readsOwn(inside, fusion.members, assign)) return reads.index.map((axis) => substituteIndex(axis, assign));
  }
  return undefined;
}

type InsideReads = readonly (readonly [Tensor, readonly (readonly Index[])[]])[];

/** Whether members are read exactly where they are computed, for a given assignment of the reader's variables. */
export function readsOwn(inside: InsideReads, members: ReadonlyMap<Tensor, Member>, assign: Substitution): boolean {
  return inside.every(([tensor, indices]) => {
    if (indices.length !== 1 || members.get(tensor)!.isExact) return false;
    const found = offsetOf(indices[0].map((axis) => substituteIndex(axis, assign)), tensor.shape);
    return found.key === offsetOf(members.get(tensor)!.index, tensor.shape).key;
  });
}

/** Candidate assignments of a node's variables: row-major order first, then those that each read implies. */
function* assignments(
  fusion: Fusion,
  reads: Reads,
  isPerRow: boolean,
  inside: InsideReads,
): Generator<Substitution> {
  const row: [number, Index][] = reads.row ? [[reads.row.id, varIndex(fusion.row!)]] : [];
  const [{ shape }] = reads.node.outputs;
  const own = digitsOf(offsetOf(reads.index, shape));
  if (own && coversAll(own, reads.vars)) yield new Map([...inverted(own, natural(fusion, isPerRow)), ...row]);
  for (const [tensor, [index]] of inside) {
    const member = fusion.members.get(tensor)!;
    const digits = digitsOf(offsetOf(index, tensor.shape));
    if (!digits || sizeOfDigits(digits) !== sizeOfShape(tensor.shape)) continue;
    const known = new Map([...inverted(digits, offsetOf(member.index, tensor.shape)), ...row]);
    const rest = reads.vars.filter(({ id }) => !known.has(id));
    if (rest.length === 0) yield known;
    else if (member.isPerRow && !isPerRow) {
      yield new Map([...known, ...inverted(rowMajor(rest), varIndex(fusion.row!))]);
    }
  }
}

/** Whether the digits cover all variables. */
export function coversAll(digits: readonly { readonly variable: Var }[], vars: readonly Var[]): boolean {
  return vars.every(({ id }) => digits.some(({ variable }) => variable.id === id));
}

function rowMajor(vars: readonly Var[]): { variable: Var; coefficient: number }[] {
  let coefficient = 1;
  return vars.toReversed().map((variable) => ({
    variable,
    coefficient: (coefficient *= variable.extent) / variable.extent,
  }));
}

/** Extracts each digit of an offset. */
export function inverted(
  digits: readonly { readonly variable: Var; readonly coefficient: number }[],
  offset: Index,
): [number, Index][] {
  return digits.map((
    { variable, coefficient },
  ) => [variable.id, modIndex(divIndex(offset, coefficient), variable.extent)]);
}

/** The offset of a fusion's point in the layout of its first root. */
function natural(fusion: Fusion, isPerRow: boolean): Index {
  const space = offsetOf(fusion.vars.map(varIndex), fusion.vars.map(({ extent }) => extent));
  if (!fusion.row || isPerRow) return space;
  const [anchor] = fusion.nodes, member = fusion.members.get(anchor.outputs[0])!;
  return offsetOf(bodyIndex(anchor, member.index, varIndex(fusion.row)), anchor.inputs[0].shape);
}

/** Whether a recurrence iterates over the same axes as those of a fusion, in the same direction. */
export function isWalkedAlike(fusion: Fusion, { op, attrs, outputs }: Node): boolean {
  const [first] = recurrencesOf(fusion);
  if (
    op.kind !== "recurrence" || first.op.kind !== "recurrence" || !sameShape(first.outputs[0].shape, outputs[0].shape)
  ) return false;
  const own = op.lower(attrs), other = first.op.lower(first.attrs);
  return own.axis === other.axis && own.reverse === other.reverse;
}

function sizeOfDigits(digits: readonly { readonly variable: Var }[]): number {
  return digits.reduce((size, { variable }) => size * variable.extent, 1);
}

function canStoreElements(fusion: Fusion): boolean {
  return spaceSize(fusion) >= FEW_ROWS || fusion.row!.extent <= LONG_ROW;
}
