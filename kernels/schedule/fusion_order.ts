/**
 * Tracks the order in which fusions must run.
 *
 * Whether one fusion must run after another is queried for every candidate pair, so it must not require a search: each
 * fusion keeps the set of its ancestors as a bit set. Adding an edge propagates bits to all descendants, and stops
 * where nothing changes.
 */
import { invariant } from "../../core/errors.ts";
import type { Node } from "../../core/graph.ts";
import { Heap } from "./heap.ts";

/** The record of one fusion. */
interface Entry<Fusion> {
  readonly number: number;
  /** Direct edges. */
  readonly before: Set<Fusion>;
  readonly after: Set<Fusion>;
  /** A bit set, by number, of all ancestors. Bits of fusions that were merged into others are meaningless. */
  ancestors: Uint32Array;
}

/** A partial order of fusions that grows by adding edges and merging. */
export class FusionOrder<Fusion> {
  readonly #entries = new Map<Fusion, Entry<Fusion>>();
  #count = 0;

  /** Adds a fusion without edges. */
  add(fusion: Fusion): void {
    this.#entries.set(fusion, {
      number: this.#count++,
      before: new Set(),
      after: new Set(),
      ancestors: new Uint32Array(0),
    });
  }

  /** The number of a fusion. Numbers increase in the order in which fusions are added. */
  numberOf(fusion: Fusion): number {
    return this.#entries.get(fusion)!.number;
  }

  /** The fusions that a fusion depends on directly. */
  dependencies(fusion: Fusion): ReadonlySet<Fusion> {
    return this.#entries.get(fusion)!.before;
  }

  /** Requires `fusion` to run after `dependency`. */
  require(fusion: Fusion, dependency: Fusion): void {
    if (fusion === dependency) return;
    const entry = this.#entries.get(fusion)!, other = this.#entries.get(dependency)!;
    if (entry.before.has(dependency)) return;
    entry.before.add(dependency);
    other.after.add(fusion);
    this.#spread([fusion], other);
  }

  /** Whether `from` must run after `to`, a different fusion. */
  reaches(from: Fusion, to: Fusion): boolean {
    return hasBit(this.#entries.get(from)!.ancestors, this.#entries.get(to)!.number);
  }

  /** Whether merging two fusions would create a cycle through a third. */
  hasBetween(a: Fusion, b: Fusion): boolean {
    const mustWait = (other: Fusion): boolean =>
      other !== a && other !== b && (this.reaches(other, a) || this.reaches(other, b));
    return [a, b].some((fusion) => {
      for (const other of this.dependencies(fusion)) if (mustWait(other)) return true;
      return false;
    });
  }

  /** Merges two fusions into one, `into`. */
  merge(into: Fusion, fusion: Fusion): void {
    const kept = this.#entries.get(into)!, gone = this.#entries.get(fusion)!;
    this.#entries.delete(fusion);
    for (const other of gone.before) {
      this.#entries.get(other)!.after.delete(fusion);
      if (other === into) continue;
      kept.before.add(other);
      this.#entries.get(other)!.after.add(into);
    }
    for (const other of gone.after) {
      this.#entries.get(other)!.before.delete(fusion);
      if (other === into) continue;
      kept.after.add(other);
      this.#entries.get(other)!.before.add(into);
    }
    kept.ancestors = joined(kept.ancestors, gone.ancestors);
    clearBit(kept.ancestors, kept.number);
    this.#spread([...kept.after], kept);
  }

  /** Adds a fusion and its ancestors to the ancestors of others and of all their descendants. */
  #spread(start: Fusion[], { number, ancestors }: Entry<Fusion>): void {
    const bits = withBit(ancestors, number);
    const stack = start;
    while (stack.length > 0) {
      const entry = this.#entries.get(stack.pop()!)!, all = joined(entry.ancestors, bits);
      if (all === entry.ancestors) continue;
      entry.ancestors = all;
      stack.push(...entry.after);
    }
  }
}

/** A topological order of the fusions that follows program order where there is a choice. */
export function inOrder<Fusion extends { readonly nodes: ReadonlySet<Node> }>(
  all: Iterable<Fusion>,
  before: FusionOrder<Fusion>,
): Fusion[] {
  const position = (fusion: Fusion): number => Math.max(...[...fusion.nodes].map(({ id }) => id));
  const sorted = [...all].map((fusion) => ({ fusion, position: position(fusion) })).sort((a, b) =>
    a.position - b.position
  );
  const rank = new Map(sorted.map(({ fusion }, at) => [fusion, at])),
    needs = sorted.map(({ fusion }) => before.dependencies(fusion).size);
  const readers: number[][] = sorted.map(() => []);
  for (const { fusion } of sorted) {
    for (const dependency of before.dependencies(fusion)) readers[rank.get(dependency)!].push(rank.get(fusion)!);
  }
  const ready = new Heap();
  needs.forEach((count, at) => count === 0 && ready.push(at));
  const order: Fusion[] = [];
  for (let at = ready.pop(); at !== undefined; at = ready.pop()) {
    order.push(sorted[at].fusion);
    for (const reader of readers[at]) if (--needs[reader] === 0) ready.push(reader);
  }
  invariant(order.length === sorted.length, "kernels wait for each other");
  return order;
}

function hasBit(bits: Uint32Array, number: number): boolean {
  const word = number >>> 5;
  return word < bits.length && (bits[word] & (1 << (number & 31))) !== 0;
}

function withBit(bits: Uint32Array, number: number): Uint32Array {
  const out = new Uint32Array(Math.max(bits.length, (number >>> 5) + 1));
  out.set(bits);
  out[number >>> 5] |= 1 << (number & 31);
  return out;
}

function clearBit(bits: Uint32Array, number: number): void {
  if (hasBit(bits, number)) bits[number >>> 5] &= ~(1 << (number & 31));
}

/**
 * The union of two bit sets. Modifies and returns `bits` if it is large enough; returns it unchanged if it already
 * contains the other set.
 */
function joined(bits: Uint32Array, more: Uint32Array): Uint32Array {
  let isCovered = more.length <= bits.length;
  for (let word = 0; isCovered && word < more.length; word++) isCovered = (more[word] & ~bits[word]) === 0;
  if (isCovered) return bits;
  const out = new Uint32Array(Math.max(bits.length, more.length));
  out.set(bits);
  for (let word = 0; word < more.length; word++) out[word] |= more[word];
  return out;
}
