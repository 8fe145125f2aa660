/**
 * Finds what lies between products that make a large tensor and products that use it up: scores and weights of an
 * attention, and what its gradient makes of them.
 */
import type { Graph, Node, Tensor } from "../../core/graph.ts";
import { closedTest } from "../../core/closed.ts";
import { sizeOfShape } from "../../core/shape.ts";

/** The nodes between products. */
export interface Region {
  /** A product that makes a large tensor. */
  readonly seed: Tensor;
  /** The nodes that only the region has: products at either end, what is between them, sums and maxima of rows. */
  readonly own: ReadonlySet<Node>;
  /** Of these, the products that use large tensors up. */
  readonly sinks: ReadonlySet<Node>;
  /**
   * Nodes of which each user may have a copy: they depend on constants only, such as a mask, or nothing else uses them.
   */
  readonly shared: ReadonlySet<Node>;
}

/** What a graph's nodes are for. */
export class Uses {
  readonly #consumers = new Map<Tensor, Node[]>();
  readonly outputs: ReadonlySet<Tensor>;
  readonly inputs: ReadonlySet<Tensor>;
  /** Whether a node depends on constants only, and is cheap. */
  readonly isClosed: (node: Node) => boolean = closedTest();

  constructor(readonly graph: Graph) {
    this.outputs = new Set(graph.outputs);
    this.inputs = new Set(graph.inputs);
    for (const node of graph.nodes) {
      for (const input of new Set(node.inputs)) {
        const known = this.#consumers.get(input);
        if (known) known.push(node);
        else this.#consumers.set(input, [node]);
      }
    }
  }

  /** The nodes that read a tensor. */
  consumersOf(tensor: Tensor): readonly Node[] {
    return this.#consumers.get(tensor) ?? [];
  }
}

/**
 * The region around a product; undefined where something else needs its large tensors as a whole, or where nothing in
 * it depends on whole rows (such a product's consumers share its kernel anyway).
 * @param isOversized Whether no device could hold the tensor: it is then cut for whatever uses it up, sums of rows too.
 */
export function findRegion(uses: Uses, seed: Tensor, isOversized = false): Region | undefined {
  return new RegionFinder(uses, seed).find(isOversized);
}

class RegionFinder {
  /** Nodes whose results are as large as the seed, by order of magnitude, and depend on a product of that size. */
  readonly #large = new Set<Node>();
  readonly #shared = new Set<Node>();
  /** Sums and maxima of large tensors' rows, and what is between these and large tensors. */
  readonly #rows = new Set<Node>();
  readonly #sinks = new Set<Node>();
  readonly #leadingNodes: ReadonlySet<Node>;

  constructor(readonly uses: Uses, readonly seed: Tensor) {
    this.#leadingNodes = this.#nodesAfterProducts();
  }

  find(isOversized: boolean): Region | undefined {
    if (!this.#growLarge()) return undefined;
    for (const sink of this.#sinks) if (this.#large.has(sink)) return undefined;
    const dependsOnRows = this.#growRows();
    if (!isOversized && (this.#sinks.size === 0 || !dependsOnRows)) return undefined;
    this.#growShared();
    const own = new Set([...this.#large, ...this.#rows, ...this.#sinks]);
    return { seed: this.seed, own, sinks: this.#sinks, shared: this.#shared };
  }

  /** Products as large as the seed, and what elementwise ops and views of that size make of them. */
  #nodesAfterProducts(): Set<Node> {
    // A mask may lack batch axes, and persistent tokens add some columns.
    const least = sizeOfShape(this.seed.shape) / 2, found = new Set<Node>();
    for (const node of this.uses.graph.nodes) {
      const [output] = node.outputs;
      if (sizeOfShape(output.shape) < least) continue;
      if (node.op.kind === "contract" || (isMoving(node) && node.inputs.some((input) => found.has(input.node)))) {
        found.add(node);
      }
    }
    return found;
  }

  /** Collects large nodes, forwards and backwards; false where a consumer needs a large tensor as a whole. */
  #growLarge(): boolean {
    const { uses } = this, stack = [this.seed.node];
    const add = (node: Node): void => {
      if (this.#large.has(node)) return;
      this.#large.add(node);
      stack.push(node);
    };
    this.#large.add(this.seed.node);
    for (let node = stack.pop(); node; node = stack.pop()) {
      const [output] = node.outputs;
      if (uses.outputs.has(output)) return false;
      for (const consumer of uses.consumersOf(output)) {
        const { op } = consumer;
        // What is compared to the last bit must not be computed twice.
        if (op.kind === "map" && op.isExact?.(consumer.attrs)) return false;
        if (isMoving(consumer)) add(consumer);
        else if (op.kind === "reduce") this.#rows.add(consumer);
        else if (op.kind === "contract") this.#sinks.add(consumer);
        else return false;
      }
      if (!isMoving(node)) continue;
      for (const input of node.inputs) {
        if (this.#leadingNodes.has(input.node) && !uses.inputs.has(input)) add(input.node);
      }
    }
    return true;
  }

  /** Takes what is between rows' sums and maxima and large tensors; false where there is nothing. */
  #growRows(): boolean {
    const { uses } = this, { nodes } = uses.graph, after = new Set(this.#rows), before = new Set<Node>();
    for (const node of nodes) {
      if (isMoving(node) && !this.#large.has(node) && node.inputs.some((input) => after.has(input.node))) {
        after.add(node);
      }
    }
    for (const node of nodes.toReversed()) {
      if (!after.has(node)) continue;
      const isRead = uses.consumersOf(node.outputs[0]).some((consumer) =>
        before.has(consumer) || (this.#large.has(consumer) && isMoving(consumer))
      );
      if (!isRead) continue;
      before.add(node);
      this.#rows.add(node);
    }
    return before.size > 0;
  }

  /** Takes what feeds the region and need not be kept for anybody else. */
  #growShared(): void {
    const { uses } = this, stack = [...this.#large, ...this.#rows];
    const isInside = (node: Node): boolean => this.#large.has(node) || this.#rows.has(node) || this.#shared.has(node);
    for (let node = stack.pop(); node; node = stack.pop()) {
      if (!isMoving(node)) continue;
      for (const input of node.inputs) {
        if (isInside(input.node) || !isMoving(input.node) || uses.inputs.has(input) || uses.outputs.has(input)) {
          continue;
        }
        if (!uses.isClosed(input.node) && !uses.consumersOf(input).every(isInside)) continue;
        this.#shared.add(input.node);
        stack.push(input.node);
      }
    }
  }
}

/** Whether a node computes element by element, or moves elements. */
export function isMoving({ op }: Node): boolean {
  return op.kind === "map" || op.kind === "view";
}
