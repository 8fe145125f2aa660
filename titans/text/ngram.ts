/**
 * Byte n-grams with Witten-Bell interpolation: what counting gets, and a model should beat.
 *
 *     p_o(b) = (count(c_o b) + types(c_o) p_{o-1}(b)) / (total(c_o) + types(c_o)),    p_{-1} = 1 / 256
 *
 * with c_o the last o bytes, total(c) how often a byte followed c, types(c) how many different bytes did; orders whose
 * context was never seen are skipped (Witten and Bell, 1991; Chen and Goodman, 1998). After "aab" the order 0 gives
 * p(a) = (2 + 2 / 256) / 5.
 *
 * Contexts are the nodes of a tree: the children of a context are those that are one byte longer at their beginning. So
 * two tables hold everything, from a node and a byte to a node, and from a node and a byte to a count.
 */
import { ConfigError } from "../errors.ts";

const BYTES = 256;
/** Nodes and bytes share a key of 32 bits. */
const MOST_NODES = 2 ** 24;
const NONE = -1;

/** A hash table from a node and a byte to a whole number. */
class NodeTable {
  #keys = new Int32Array(2 ** 12).fill(NONE);
  #values = new Int32Array(2 ** 12);
  #size = 0;

  /** The value of a key; -1 if it has none. */
  get(node: number, byte: number): number {
    const slot = this.#slot(node * BYTES + byte | 0);
    return this.#keys[slot] === NONE ? NONE : this.#values[slot];
  }

  /** Sets the value of a key. */
  set(node: number, byte: number, value: number): void {
    const key = node * BYTES + byte | 0, slot = this.#slot(key);
    this.#values[slot] = value;
    if (this.#keys[slot] !== NONE) return;
    this.#keys[slot] = key;
    if (++this.#size * 2 > this.#keys.length) this.#grow();
  }

  /** Adds 1 to the value of a key, which begins at 0, and gives it. */
  increment(node: number, byte: number): number {
    const slot = this.#slot(node * BYTES + byte | 0);
    if (this.#keys[slot] !== NONE) return ++this.#values[slot];
    this.set(node, byte, 1);
    return 1;
  }

  #slot(key: number): number {
    const mask = this.#keys.length - 1;
    let slot = Math.imul(key ^ key >>> 15, 0x2c1b3c6d) >>> 7 & mask;
    while (this.#keys[slot] !== NONE && this.#keys[slot] !== key) slot = slot + 1 & mask;
    return slot;
  }

  #grow(): void {
    const keys = this.#keys, values = this.#values;
    this.#keys = new Int32Array(2 * keys.length).fill(NONE);
    this.#values = new Int32Array(2 * keys.length);
    keys.forEach((key, i) => {
      if (key === NONE) return;
      const slot = this.#slot(key);
      this.#keys[slot] = key;
      this.#values[slot] = values[i];
    });
  }
}

/** Numbers by node, as many as there are. */
class NodeNumbers {
  #numbers = new Int32Array(2 ** 10);

  get(node: number): number {
    return this.#numbers[node];
  }

  increment(node: number): void {
    if (node >= this.#numbers.length) {
      const grown = new Int32Array(2 * this.#numbers.length);
      grown.set(this.#numbers);
      this.#numbers = grown;
    }
    this.#numbers[node]++;
  }
}

/** A byte n-gram model: the probability of a byte given up to `order` bytes before it. */
export class NgramModel {
  /** Bytes of the longest context. */
  readonly order: number;
  readonly #children = new NodeTable();
  readonly #counts = new NodeTable();
  readonly #totals = new NodeNumbers();
  readonly #types = new NodeNumbers();
  #nodes = 1;

  /**
   * A model that has seen nothing: all bytes are equally likely.
   * @param order Bytes of the longest context, at least 0.
   */
  constructor(order: number) {
    if (!Number.isInteger(order) || order < 0) {
      throw new ConfigError(`Cannot count contexts of up to ${order} bytes: give a whole number, at least 0`, "order");
    }
    this.order = order;
  }

  /**
   * Counts a text.
   * @param text Its bytes.
   * @param from The first byte that counts; those before it are context alone. Default: 0.
   */
  count(text: ArrayLike<number>, from: number = 0): void {
    for (let i = from; i < text.length; i++) {
      const byte = text[i];
      let node = 0;
      for (let length = 0;;) {
        this.#totals.increment(node);
        if (this.#counts.increment(node, byte) === 1) this.#types.increment(node);
        length++;
        if (length > this.order || length > i) break;
        node = this.#childOf(node, text[i - length]);
      }
    }
  }

  /**
   * The probability of a byte of a text.
   * @param text The text, of which up to `order` bytes before the byte are used.
   * @param at Where the byte stands.
   * @param order Bytes of context at most. Default: that of the model.
   */
  probability(text: ArrayLike<number>, at: number, order: number = this.order): number {
    const byte = text[at];
    let node = 0, p = 1 / BYTES;
    for (let length = 0;;) {
      const total = this.#totals.get(node), types = this.#types.get(node);
      if (total > 0) p = (Math.max(0, this.#counts.get(node, byte)) + types * p) / (total + types);
      length++;
      if (length > Math.min(order, this.order) || length > at) return p;
      node = this.#children.get(node, text[at - length]);
      if (node === NONE) return p;
    }
  }

  /**
   * The most likely byte after a text; the first of those that are equally likely.
   * @param text What stands before it.
   */
  mostLikely(text: ArrayLike<number>): number {
    const longer = [...Array.from(text).slice(-this.order || text.length), 0], at = longer.length - 1;
    let best = 0, most = -1;
    for (let byte = 0; byte < BYTES; byte++) {
      longer[at] = byte;
      const p = this.probability(longer, at);
      if (p > most) [best, most] = [byte, p];
    }
    return best;
  }

  /**
   * Mean bits for a byte of a text, of all but the first.
   * @param order Bytes of context at most. Default: that of the model.
   */
  bitsPerByte(text: ArrayLike<number>, order: number = this.order): number {
    let bits = 0;
    for (let i = 1; i < text.length; i++) bits -= Math.log2(this.probability(text, i, order));
    return bits / (text.length - 1);
  }

  #childOf(node: number, byte: number): number {
    const child = this.#children.get(node, byte);
    if (child !== NONE) return child;
    if (this.#nodes === MOST_NODES) {
      throw new ConfigError(
        `Cannot count more than ${MOST_NODES.toLocaleString("en")} contexts: count less text, or shorter contexts`,
        "order",
      );
    }
    this.#children.set(node, byte, this.#nodes);
    return this.#nodes++;
  }
}
