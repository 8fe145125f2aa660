/**
 * Which roots share a kernel.
 *
 * Nodes are visited in topological order, and each joins a group among those that it reads, if every element it reads
 * of the group's members is the one that the same invocation computes, if no other group would have to run both before
 * and after, and if the kernel keeps within its operands. Products, recurrences and reductions found groups that their
 * elementwise consumers join; reductions over the same rows share one; elementwise roots of one shape that read the
 * same tensors share one. A member that only its own group reads is never stored; one that is compared to the last bit
 * is read by other groups only (exact.ts).
 */
import type { Node, Tensor } from "../../core/graph.ts";
import { divIndex, type Index, makeVar, modIndex, substituteIndex, type Var, varIndex } from "../../core/index_expr.ts";
import { invariant } from "../../core/errors.ts";
import { sameShape, sizeOfShape } from "../../core/shape.ts";
import { bodyIndex, type Reads, readsOf } from "./access.ts";
import { GroupOrder } from "./fusion_order.ts";
import { digitsOf, offsetOf, type Substitution } from "./index_tools.ts";
import { MAX_KERNEL_HEIGHT, MAX_KERNEL_TEXT } from "./limits.ts";
import { type PlanNode, reductionOf } from "./normalize.ts";
import { type Profiles, textOf } from "./static_cost.ts";
import { isAnchor, type Scope } from "./scope.ts";

/** A root as part of a group's kernel. */
export interface Member {
  readonly node: Node;
  /** The root's index in the group's variables. */
  readonly index: readonly Index[];
  /** Computed once for each point of the space, rather than for each element of its row. */
  readonly isPerRow: boolean;
  /** Whether nobody may read it but from memory, so that nobody in this kernel may; see exact.ts. */
  readonly isExact?: boolean;
}

/** Roots that one kernel computes; `none` takes no kernel, its parts are stored in place. */
export interface Group {
  readonly kind: "map" | "row" | "contract" | "recurrence" | "scatter" | "loop" | "none";
  readonly members: Map<Tensor, Member>;
  readonly nodes: Set<Node>;
  /** The space. Of products: batch axes, m, n. Of recurrences: all axes, time among them. */
  readonly vars: readonly Var[];
  readonly row?: Var;
  /** Longest chain of groups before this one. */
  depth: number;
  /**
   * What is behind all members, how long a text it makes, and the nodes on the longest way through them; see limits.ts.
   */
  readonly items: Map<string, number>;
  text: number;
  height: number;
}

/** What a part of a kernel takes of its limits. */
interface Extent {
  readonly items: ReadonlyMap<string, number>;
  readonly height: number;
}

/** The text that something adds to a group's. */
function textBeside(group: Group, { items }: Extent): number {
  let text = 0;
  for (const [key, cost] of items) if (!group.items.has(key)) text += textOf(key, cost);
  return text;
}

function extend(group: Group, more: Extent): void {
  group.text += textBeside(group, more);
  group.height += more.height;
  for (const [key, cost] of more.items) group.items.set(key, cost);
}

/** A row kernel with less parallelism than this is not given work on all elements of long rows. */
const FEW_ROWS = 64;
const LONG_ROW = 1024;
/** Kernels over fewer elements take little more time than their launch. */
const SMALL_WORK = 131072;
/** A tensor that costs more than this is not computed anew in every pass over a row. */
const CHEAP_PROLOGUE = 4;

/** Groups the roots of a scope. */
export class Grouper {
  readonly groups = new Set<Group>();
  readonly reads = new Map<Node, Reads>();
  readonly #groupOf = new Map<Node, Group>();
  readonly #order = new GroupOrder<Group>();
  readonly #byDepth = new Map<number, Set<Group>>();
  readonly #readers = new Map<Tensor, Node[]>();
  readonly #extents = new Map<Node, Extent>();

  constructor(readonly scope: Scope, readonly profiles: Profiles, readonly maxOperands: number) {}

  /** Finds what each root reads. */
  analyse(): void {
    for (const node of this.scope.graph.nodes) {
      if (!node.outputs.some((tensor) => this.scope.roots.has(tensor))) continue;
      const reads = readsOf(this.scope, node);
      this.reads.set(node, reads);
      for (const tensor of reads.roots.keys()) {
        const readers = this.#readers.get(tensor);
        if (readers) readers.push(node);
        else this.#readers.set(tensor, [node]);
      }
    }
  }

  /** Puts every root in a group. */
  group(): void {
    for (const node of this.reads.keys()) {
      if (node.outputs.every(({ shape }) => sizeOfShape(shape) === 0)) continue;
      const reads = this.reads.get(node)!;
      if (this.scope.assembled.has(node) || this.scope.passing.has(node)) this.#found("none", reads);
      else if (!isAnchor(node)) this.#placeMap(reads);
      else if (node.op.kind === "reduce") this.#placeReduction(reads);
      else if (node.op.kind === "recurrence") this.#placeRecurrence(reads);
      else this.#found(node.op.kind as Group["kind"], reads);
    }
    this.#mergeGroups();
  }

  /** The group of a node's roots; undefined for empty tensors. */
  groupOf(node: Node): Group | undefined {
    return this.#groupOf.get(node);
  }

  /** Groups that must run before. */
  dependencies(group: Group): ReadonlySet<Group> {
    return this.#order.dependencies(group);
  }

  /** Whether anything outside its group reads a root. */
  isStored(tensor: Tensor): boolean {
    if (this.scope.outputs.has(tensor)) return true;
    const own = this.#groupOf.get(tensor.node);
    return (this.#readers.get(tensor) ?? []).some((reader) => this.#groupOf.get(reader) !== own);
  }

  #found(kind: Group["kind"], reads: Reads): Group {
    const { node, vars, row, index } = reads;
    const full = node.outputs[0].shape;
    // Products, recurrences and scatters keep their axes as they are: their kernels need them whole.
    const own = kind === "map" || kind === "row" ? vars : full.map((extent, axis) => makeVar(`v${axis}`, extent));
    const group: Group = {
      kind,
      members: new Map(),
      nodes: new Set(),
      vars: own,
      row,
      depth: this.#depthAfter(reads),
      items: new Map(),
      text: 0,
      height: 0,
    };
    this.groups.add(group);
    this.#order.add(group);
    this.#add(group, reads, { node, index: own === vars ? index : own.map(varIndex), isPerRow: kind === "row" });
    return group;
  }

  #add(group: Group, reads: Reads, member: Member): void {
    for (const tensor of reads.node.outputs) {
      group.members.set(tensor, this.scope.exact.has(tensor) ? { ...member, isExact: true } : member);
    }
    group.nodes.add(reads.node);
    extend(group, this.#extentOf(reads));
    this.#groupOf.set(reads.node, group);
    for (const other of this.#readGroups(reads)) this.#order.require(group, other);
    this.#setDepth(group, Math.max(group.depth, this.#depthAfter(reads, group)));
  }

  #setDepth(group: Group, depth: number): void {
    this.#byDepth.get(group.depth)?.delete(group);
    group.depth = depth;
    const level = this.#byDepth.get(depth);
    if (level) level.add(group);
    else this.#byDepth.set(depth, new Set([group]));
  }

  #delete(group: Group): void {
    this.groups.delete(group);
    this.#byDepth.get(group.depth)!.delete(group);
  }

  /** Groups at most one level from `depth`, in the order in which they were founded. */
  #near(depth: number): Group[] {
    const near = [depth - 1, depth, depth + 1].flatMap((level) => [...this.#byDepth.get(level) ?? []]);
    return near.sort((a, b) => this.#order.numberOf(a) - this.#order.numberOf(b));
  }

  #depthAfter(reads: Reads, own?: Group): number {
    let depth = 0;
    for (const group of this.#readGroups(reads)) {
      if (group !== own) depth = Math.max(depth, group.depth + 1);
    }
    return depth;
  }

  #placeMap(reads: Reads): void {
    const [output] = reads.node.outputs;
    const candidates = this.#readGroups(reads).filter(({ kind }) => RANK[kind] > 0);
    candidates.sort((a, b) => RANK[b.kind] - RANK[a.kind] || b.depth - a.depth);
    for (const group of candidates) if (this.#tryJoin(group, reads)) return;
    for (const group of this.#near(this.#depthAfter(reads))) {
      if (group.kind !== "map") continue;
      const [first] = group.members.keys();
      if (sameShape(first.shape, output.shape) && this.#sharesReads(group, reads) && this.#tryJoin(group, reads)) {
        return;
      }
    }
    this.#found("map", reads);
  }

  #placeReduction(reads: Reads): void {
    const candidates = this.#readGroups(reads).filter(({ kind }) => kind === "row");
    candidates.sort((a, b) => b.depth - a.depth);
    let joined = candidates.find((group) => this.#tryJoin(group, reads));
    if (!joined) {
      for (const group of this.#near(this.#depthAfter(reads))) {
        if (group.kind !== "row") continue;
        const alike = [...group.nodes].some((node) => node.op.kind === "reduce" && isAlike(node, reads.node));
        if (alike && this.#sharesReads(group, reads) && this.#tryJoin(group, reads)) {
          joined = group;
          break;
        }
      }
    }
    this.#absorbInputs(joined ?? this.#found("row", reads), reads);
  }

  /**
   * Recurrences that walk the same axes alike share a kernel, if a later one reads earlier ones only where they are: at
   * the same step.
   */
  #placeRecurrence(reads: Reads): void {
    const { node, vars } = reads, { shape } = node.outputs[0];
    const digits = digitsOf(offsetOf(reads.index, shape));
    const readGroups = this.#readGroups(reads), near = this.#near(this.#depthAfter(reads));
    const candidates = [...readGroups.filter((group) => !near.includes(group)), ...near].sort((a, b) =>
      this.#order.numberOf(b) - this.#order.numberOf(a)
    );
    for (const group of candidates) {
      if (group.kind !== "recurrence" || !digits || !coversAll(digits, vars) || !isWalkedAlike(group, node)) continue;
      if (!this.#hasRoom(group, this.#extentOf(reads))) continue;
      if (!readGroups.includes(group) && workOf(group) > SMALL_WORK && !this.#sharesReads(group, reads)) continue;
      if (readGroups.some((dependency) => dependency !== group && this.#order.reaches(dependency, group))) continue;
      const index = group.vars.map(varIndex), assign = new Map(inverted(digits!, offsetOf(index, shape)));
      const inside = [...reads.roots].filter(([tensor]) => group.members.has(tensor));
      if (!readsOwn(inside, group.members, assign) || this.#operandCount(group, reads) > this.maxOperands) continue;
      return this.#add(group, reads, { node, index, isPerRow: false });
    }
    this.#found("recurrence", reads);
  }

  /**
   * Takes elementwise roots that a reduction reads, each in a kernel of its own so far, into the reduction's kernel.
   */
  #absorbInputs(group: Group, reads: Reads): void {
    if (group.vars !== reads.vars) return;
    for (const [tensor, indices] of reads.roots) {
      const other = this.#groupOf.get(tensor.node);
      if (
        !other || other.kind !== "map" || other.members.size > 1 || indices.length !== 1 || this.scope.exact.has(tensor)
      ) continue;
      const isPerRow = isOncePerPoint(group, tensor, indices[0]);
      if (isPerRow === undefined || this.profiles.costToCompute(tensor) > CHEAP_PROLOGUE) continue;
      const inputReads = this.reads.get(tensor.node)!;
      if (
        !this.#hasRoom(group, other) || this.#order.hasBetween(group, other) ||
        this.#operandCount(group, inputReads) > this.maxOperands
      ) continue;
      this.#delete(other);
      this.#order.merge(group, other);
      this.#add(group, inputReads, { node: tensor.node, index: indices[0], isPerRow });
    }
  }

  /**
   * Puts kernels over equal spaces together where one reads the other's results, they read the same, or their launches
   * take longer than their work.
   */
  #mergeGroups(): void {
    const founded = new Map<string, Group[]>();
    for (const group of [...this.groups]) {
      if (group.kind !== "map" && group.kind !== "row") continue;
      const space = `${group.kind} ${group.row?.extent} ${extentsOf(group.vars)}`, alike = founded.get(space);
      if (!alike) founded.set(space, [group]);
      else if (!alike.some((other) => this.#tryMerge(other, group))) alike.push(group);
    }
  }

  #tryMerge(into: Group, group: Group): boolean {
    if (!this.#hasRoom(into, group) || this.#order.hasBetween(into, group) || !this.#isWorthMerging(into, group)) {
      return false;
    }
    if (this.#operandCount(into, ...[...group.nodes].map((node) => this.reads.get(node)!)) > this.maxOperands) {
      return false;
    }
    const replace = new Map(group.vars.map(({ id }, at) => [id, varIndex(into.vars[at])]));
    if (group.row) replace.set(group.row.id, varIndex(into.row!));
    const members = new Map(into.members);
    for (const [tensor, member] of group.members) {
      members.set(tensor, {
        ...member,
        index: member.index.map((axis) => substituteIndex(axis, replace)),
      });
    }
    if (![...members.values()].every(({ node }) => this.#fits(this.reads.get(node)!, members, into.row))) return false;
    for (const [tensor, member] of members) into.members.set(tensor, member);
    for (const node of group.nodes) {
      into.nodes.add(node);
      this.#groupOf.set(node, into);
    }
    this.#delete(group);
    this.#order.merge(into, group);
    this.#setDepth(into, Math.max(into.depth, group.depth));
    extend(into, group);
    return true;
  }

  #isWorthMerging(into: Group, group: Group): boolean {
    if (workOf(into) <= SMALL_WORK || this.dependencies(into).has(group) || this.dependencies(group).has(into)) {
      return true;
    }
    return Math.abs(into.depth - group.depth) <= 1 &&
      [...group.nodes].some((node) => this.#sharesReads(into, this.reads.get(node)!));
  }

  /** Whether all that a node reads of the members of its kernel is what the same invocation computes. */
  #fits(reads: Reads, members: ReadonlyMap<Tensor, Member>, row: Var | undefined): boolean {
    const inside = [...reads.roots].filter(([tensor]) => members.has(tensor));
    if (inside.length === 0) return true;
    const [output] = reads.node.outputs;
    const digits = digitsOf(offsetOf(reads.index, output.shape));
    if (!digits || !coversAll(digits, reads.vars)) return false;
    const assign = new Map(inverted(digits, offsetOf(members.get(output)!.index, output.shape)));
    if (reads.row) assign.set(reads.row.id, varIndex(row!));
    return readsOwn(inside, members, assign);
  }

  /** The groups of what a node reads, and of what comes first without being read. */
  #readGroups({ roots, after }: Reads): Group[] {
    return [
      ...new Set(
        [...roots.keys(), ...after].map((tensor) => this.#groupOf.get(tensor.node)).filter((group) =>
          group !== undefined
        ),
      ),
    ];
  }

  /** Whether a kernel for both saves loads. */
  #sharesReads(group: Group, reads: Reads): boolean {
    for (const node of group.nodes) {
      const present = this.reads.get(node)!;
      for (const tensor of reads.roots.keys()) {
        if (present.roots.has(tensor) && sizeOfShape(tensor.shape) > 1) return true;
      }
      for (const other of reads.others) if (present.others.has(other)) return true;
    }
    return false;
  }

  #tryJoin(group: Group, reads: Reads): boolean {
    const isPerRow = levelOf(group, reads);
    if (isPerRow === undefined || !this.#hasRoom(group, this.#extentOf(reads))) return false;
    for (const dependency of this.#readGroups(reads)) {
      if (dependency !== group && this.#order.reaches(dependency, group)) return false;
    }
    const index = align(group, reads, isPerRow);
    if (!index || this.#operandCount(group, reads) > this.maxOperands) return false;
    this.#add(group, reads, { node: reads.node, index, isPerRow });
    return true;
  }

  #extentOf({ node }: Reads): Extent {
    let extent = this.#extents.get(node);
    if (!extent) {
      this.#extents.set(node, extent = { items: this.profiles.below(node), height: this.profiles.heightBelow(node) });
    }
    return extent;
  }

  /** Whether a kernel may take something more; see limits.ts. */
  #hasRoom(group: Group, more: Extent): boolean {
    return group.text + textBeside(group, more) <= MAX_KERNEL_TEXT && group.height + more.height <= MAX_KERNEL_HEIGHT;
  }

  /** Operands of the kernel of a group with more nodes. */
  #operandCount(group: Group, ...more: readonly Reads[]): number {
    const nodes = new Set([...group.nodes, ...more.map(({ node }) => node)]);
    const operands = new Set<unknown>();
    for (const node of nodes) {
      const reads = this.reads.get(node)!;
      for (const other of reads.others) operands.add(other);
      for (const tensor of reads.roots.keys()) if (!nodes.has(tensor.node)) operands.add(tensor);
      for (const tensor of node.outputs) {
        const isRead = (this.#readers.get(tensor) ?? []).some((reader) => !nodes.has(reader));
        if (isRead || this.scope.outputs.has(tensor)) operands.add(tensor);
      }
    }
    return operands.size;
  }
}

/** How gladly elementwise consumers join a kind of group: a product's result is the dearest to store and load again. */
const RANK: Readonly<Record<Group["kind"], number>> = {
  contract: 4,
  recurrence: 3,
  row: 2,
  map: 1,
  scatter: 0,
  loop: 0,
  none: 0,
};

function isAlike(a: Node, b: Node): boolean {
  return sameShape(a.inputs[0].shape, b.inputs[0].shape) && sameShape(reductionOf(a).axes, reductionOf(b).axes);
}

function extentsOf(vars: readonly Var[]): number[] {
  return vars.map(({ extent }) => extent);
}

/** The number of points of a group's space. */
function spaceSize({ vars }: Group): number {
  return sizeOfShape(extentsOf(vars));
}

function workOf(group: Group): number {
  return spaceSize(group) * (group.row?.extent ?? 1);
}

function sizeOfDigits(digits: readonly { readonly variable: Var }[]): number {
  return digits.reduce((size, { variable }) => size * variable.extent, 1);
}

function canStoreElements(group: Group): boolean {
  return spaceSize(group) >= FEW_ROWS || group.row!.extent <= LONG_ROW;
}

/**
 * Whether a node would be computed per row (true) or per element (false) of a group; undefined if its size fits
 * neither.
 */
function levelOf(group: Group, { node, row }: Reads): boolean | undefined {
  const size = sizeOfShape(node.outputs[0].shape), space = spaceSize(group);
  if (group.row) {
    if (row) return row.extent === group.row.extent && size === space ? true : undefined;
    if (size === space) return true;
    return size === space * group.row.extent && canStoreElements(group) ? false : undefined;
  }
  return !row && size === space ? false : undefined;
}

/**
 * Whether a reduction reads each element of a tensor at one point of its space (true) or at one element of its rows,
 * neighbours along the row being neighbours in memory (false); undefined if neither.
 */
function isOncePerPoint(group: Group, tensor: Tensor, index: readonly Index[]): boolean | undefined {
  const size = sizeOfShape(tensor.shape), digits = digitsOf(offsetOf(index, tensor.shape));
  if (!digits || sizeOfDigits(digits) !== size) return undefined;
  const alongRow = digits.findIndex(({ variable }) => variable === group.row);
  if (alongRow < 0) return size === spaceSize(group) ? true : undefined;
  return alongRow === 0 && size === workOf(group) && canStoreElements(group) ? false : undefined;
}

/**
 * The index of a node's root in a group's variables such that all it reads of the group is what the same invocation
 * computes.
 */
function align(group: Group, reads: Reads, isPerRow: boolean): readonly Index[] | undefined {
  const inside = [...reads.roots].filter(([tensor]) => group.members.has(tensor));
  if (
    inside.some(([tensor, indices]) =>
      indices.length !== 1 || (isPerRow && !group.members.get(tensor)!.isPerRow && !reads.row)
    )
  ) {
    return undefined;
  }
  for (const assign of assignments(group, reads, isPerRow, inside)) {
    if (readsOwn(inside, group.members, assign)) return reads.index.map((axis) => substituteIndex(axis, assign));
  }
  return undefined;
}

type InsideReads = readonly (readonly [Tensor, readonly (readonly Index[])[]])[];

/** Whether members are read exactly where they are computed, given a reader's variables in terms of its group's. */
function readsOwn(inside: InsideReads, members: ReadonlyMap<Tensor, Member>, assign: Substitution): boolean {
  return inside.every(([tensor, indices]) => {
    if (indices.length !== 1 || members.get(tensor)!.isExact) return false;
    const found = offsetOf(indices[0].map((axis) => substituteIndex(axis, assign)), tensor.shape);
    return found.key === offsetOf(members.get(tensor)!.index, tensor.shape).key;
  });
}

/** Ways to set a node's variables in terms of a group's: row-major order first, then what each read implies. */
function* assignments(
  group: Group,
  reads: Reads,
  isPerRow: boolean,
  inside: InsideReads,
): Generator<Substitution> {
  const row: [number, Index][] = reads.row ? [[reads.row.id, varIndex(group.row!)]] : [];
  const [{ shape }] = reads.node.outputs;
  const own = digitsOf(offsetOf(reads.index, shape));
  if (own && coversAll(own, reads.vars)) yield new Map([...inverted(own, natural(group, isPerRow)), ...row]);
  for (const [tensor, [index]] of inside) {
    const member = group.members.get(tensor)!;
    const digits = digitsOf(offsetOf(index, tensor.shape));
    if (!digits || sizeOfDigits(digits) !== sizeOfShape(tensor.shape)) continue;
    const known = new Map([...inverted(digits, offsetOf(member.index, tensor.shape)), ...row]);
    const rest = reads.vars.filter(({ id }) => !known.has(id));
    if (rest.length === 0) yield known;
    else if (member.isPerRow && !isPerRow) yield new Map([...known, ...inverted(rowMajor(rest), varIndex(group.row!))]);
  }
}

function coversAll(digits: readonly { readonly variable: Var }[], vars: readonly Var[]): boolean {
  return vars.every(({ id }) => digits.some(({ variable }) => variable.id === id));
}

function rowMajor(vars: readonly Var[]): { variable: Var; coefficient: number }[] {
  let coefficient = 1;
  return vars.toReversed().map((variable) => ({
    variable,
    coefficient: (coefficient *= variable.extent) / variable.extent,
  }));
}

/** Each digit of an offset. */
function inverted(
  digits: readonly { readonly variable: Var; readonly coefficient: number }[],
  offset: Index,
): [number, Index][] {
  return digits.map((
    { variable, coefficient },
  ) => [variable.id, modIndex(divIndex(offset, coefficient), variable.extent)]);
}

/** The offset of a group's point in the layout that its first root has. */
function natural(group: Group, isPerRow: boolean): Index {
  const space = offsetOf(group.vars.map(varIndex), group.vars.map(({ extent }) => extent));
  if (!group.row || isPerRow) return space;
  const [anchor] = group.nodes, member = group.members.get(anchor.outputs[0])!;
  return offsetOf(bodyIndex(anchor, member.index, varIndex(group.row)), anchor.inputs[0].shape);
}

/** Whether a recurrence goes over the same axes as those of a group, in the same direction. */
function isWalkedAlike(group: Group, { op, attrs, outputs }: Node): boolean {
  const [first] = recurrencesOf(group);
  if (
    op.kind !== "recurrence" || first.op.kind !== "recurrence" || !sameShape(first.outputs[0].shape, outputs[0].shape)
  ) return false;
  const own = op.lower(attrs), other = first.op.lower(first.attrs);
  return own.axis === other.axis && own.reverse === other.reverse;
}

/** The recurrences of a group, in the order in which a step computes them. */
export function recurrencesOf(group: Group): Node[] {
  return [...group.nodes].filter(({ op }) => op.kind === "recurrence").sort((a, b) => a.id - b.id);
}

/** The first of a group's nodes that has a kernel of its own kind. */
export function anchorOf(group: Group): PlanNode {
  for (const node of group.nodes) if (isAnchor(node)) return node as PlanNode;
  invariant(false, "a group has no anchor");
}
