/**
 * Which groups must run before which.
 *
 * Whether one group must run after another is asked for every pair that might share a kernel, so it is never searched:
 * each group keeps the set of all that must run before it, as bits. Adding an edge adds bits to those that come after,
 * and stops where nothing changes.
 */

/** What is kept of one group. */
interface Entry<Group> {
  readonly number: number;
  /** Direct edges. */
  readonly before: Set<Group>;
  readonly after: Set<Group>;
  /** Bits, by number, of all groups that must run before. Those of groups that were merged away mean nothing. */
  ancestors: Uint32Array;
}

/** A partial order of groups that grows by edges and by merging. */
export class GroupOrder<Group> {
  readonly #entries = new Map<Group, Entry<Group>>();
  #count = 0;

  /** Adds a group without edges. */
  add(group: Group): void {
    this.#entries.set(group, {
      number: this.#count++,
      before: new Set(),
      after: new Set(),
      ancestors: new Uint32Array(0),
    });
  }

  /** The number of a group: ascending in the order in which groups were added. */
  numberOf(group: Group): number {
    return this.#entries.get(group)!.number;
  }

  /** The groups that a group reads. */
  dependencies(group: Group): ReadonlySet<Group> {
    return this.#entries.get(group)!.before;
  }

  /** Says that `group` must run after `dependency`. */
  require(group: Group, dependency: Group): void {
    if (group === dependency) return;
    const entry = this.#entries.get(group)!, other = this.#entries.get(dependency)!;
    if (entry.before.has(dependency)) return;
    entry.before.add(dependency);
    other.after.add(group);
    this.#spread([group], other);
  }

  /** Whether `from` must run after `to`, another group. */
  reaches(from: Group, to: Group): boolean {
    return hasBit(this.#entries.get(from)!.ancestors, this.#entries.get(to)!.number);
  }

  /** Whether some group would have to run both after and before the two, if they were one. */
  hasBetween(a: Group, b: Group): boolean {
    const mustWait = (other: Group): boolean =>
      other !== a && other !== b && (this.reaches(other, a) || this.reaches(other, b));
    return [a, b].some((group) => {
      for (const other of this.dependencies(group)) if (mustWait(other)) return true;
      return false;
    });
  }

  /** Makes two groups one, `into`. */
  merge(into: Group, group: Group): void {
    const kept = this.#entries.get(into)!, gone = this.#entries.get(group)!;
    this.#entries.delete(group);
    for (const other of gone.before) {
      this.#entries.get(other)!.after.delete(group);
      if (other === into) continue;
      kept.before.add(other);
      this.#entries.get(other)!.after.add(into);
    }
    for (const other of gone.after) {
      this.#entries.get(other)!.before.delete(group);
      if (other === into) continue;
      kept.after.add(other);
      this.#entries.get(other)!.before.add(into);
    }
    kept.ancestors = joined(kept.ancestors, gone.ancestors);
    clearBit(kept.ancestors, kept.number);
    this.#spread([...kept.after], kept);
  }

  /** Adds a group and what must run before it to the ancestors of others and of all that come after those. */
  #spread(start: Group[], { number, ancestors }: Entry<Group>): void {
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
 * The bits of both; `bits` itself, changed or not, if there is room. The very same and unchanged if it holds the others
 * already.
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
