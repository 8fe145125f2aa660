/**
 * Trees: values nested in records and arrays, as function arguments and results are. Leaves are visited in a
 * deterministic order.
 */
import { CompileError } from "./errors.ts";

/** A leaf, or records and arrays of trees. */
export type Tree<L> = L | readonly Tree<L>[] | { readonly [key: string]: Tree<L> };

/** The same tree with every leaf of type `L` replaced by `U`. */
export type MapTree<T, L, U> = T extends L ? U
  : T extends readonly unknown[] ? { [K in keyof T]: MapTree<T[K], L, U> }
  : T extends object ? { [K in keyof T]: MapTree<T[K], L, U> }
  : T;

/** The structure of a tree without its leaves. */
export type TreeSpec = { readonly kind: "leaf" } | { readonly kind: "list"; readonly items: readonly TreeSpec[] } | {
  readonly kind: "record";
  readonly keys: readonly string[];
  readonly items: readonly TreeSpec[];
};

const LEAF: TreeSpec = { kind: "leaf" };

/**
 * Flattens a tree. Record keys are visited in sorted order, so two records with the same keys have the same structure.
 * @param tree The tree.
 * @param isLeaf Distinguishes leaves from containers.
 * @param what The tree's name in error messages.
 * @returns The leaves, their paths (`params.w1`, `[0]`), and the structure.
 * @throws {CompileError} if something is neither a leaf nor a container.
 */
export function flatten<L>(
  tree: unknown,
  isLeaf: (value: unknown) => value is L,
  what = "value",
): { leaves: L[]; paths: string[]; spec: TreeSpec } {
  const leaves: L[] = [], paths: string[] = [];
  const visit = (node: unknown, path: string): TreeSpec => {
    if (isLeaf(node)) {
      leaves.push(node);
      paths.push(path);
      return LEAF;
    }
    if (Array.isArray(node)) return { kind: "list", items: node.map((item, i) => visit(item, `${path}[${i}]`)) };
    if (isRecord(node)) {
      const keys = Object.keys(node).sort();
      return {
        kind: "record",
        keys,
        items: keys.map((key) => visit(node[key], path ? `${path}.${key}` : key)),
      };
    }
    const got = node === null ? "null" : typeof node === "object" ? node.constructor?.name ?? "object" : typeof node;
    throw new CompileError(
      `Cannot use ${got} as ${what}${path ? ` at ${path}` : ""}: records, arrays and their leaves are allowed`,
    );
  };
  const spec = visit(tree, "");
  return { leaves, paths, spec };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  if (value === null || typeof value !== "object") return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Whether a value is a record or an array: what trees are nested in. */
export function isContainer(value: unknown): boolean {
  return Array.isArray(value) || isRecord(value);
}

/** Rebuilds a tree from its structure and its leaves, in the order of {@link flatten}. */
export function unflatten<L>(spec: TreeSpec, leaves: readonly L[]): Tree<L> {
  let next = 0;
  const build = (node: TreeSpec): Tree<L> => {
    switch (node.kind) {
      case "leaf":
        return leaves[next++];
      case "list":
        return node.items.map(build);
      case "record": {
        const record: Record<string, Tree<L>> = {};
        for (let i = 0; i < node.keys.length; i++) record[node.keys[i]] = build(node.items[i]);
        return record;
      }
    }
  };
  return build(spec);
}

/** The number of leaves below a structure. */
export function leafCount(spec: TreeSpec): number {
  return spec.kind === "leaf" ? 1 : spec.items.reduce((count, item) => count + leafCount(item), 0);
}

/** Whether two structures are the same. */
export function sameTree(lhs: TreeSpec, rhs: TreeSpec): boolean {
  return JSON.stringify(lhs) === JSON.stringify(rhs);
}

/** Applies a function to every leaf of a tree. */
export function mapLeaves<L, U, T>(
  tree: T,
  isLeaf: (value: unknown) => value is L,
  fn: (leaf: L, path: string) => U,
): MapTree<T, L, U> {
  const { leaves, paths, spec } = flatten(tree, isLeaf);
  return unflatten(spec, leaves.map((leaf, i) => fn(leaf, paths[i]))) as MapTree<T, L, U>;
}
