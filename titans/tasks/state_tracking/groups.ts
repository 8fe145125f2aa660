/** Finite groups as tables of products, for tasks that follow a state. */

/** A group, or a part of one that tokens are taken from. */
export interface Group {
  /** How many states there are. */
  readonly order: number;
  /** The state before the first token. */
  readonly start: number;
  /** The state that each token leads to from each state: [tokens][states]. */
  readonly moves: readonly (readonly number[])[];
}

/** Permutations of 0 .. n - 1 in lexicographic order. */
export function permutations(n: number): readonly (readonly number[])[] {
  if (n === 0) return [[]];
  const fewer = permutations(n - 1);
  return Array.from(
    { length: n },
    (_, first) => fewer.map((rest) => [first, ...rest.map((x) => (x >= first ? x + 1 : x))]),
  ).flat();
}

/** Whether a permutation is a product of an even number of swaps. */
function isEven(permutation: readonly number[]): boolean {
  let inversions = 0;
  permutation.forEach((x, i) => inversions += permutation.slice(i + 1).filter((y) => y < x).length);
  return inversions % 2 === 0;
}

/** Numbers 0 .. order - 1, to which each token adds one of `steps`. */
export function cyclic(order: number, steps: readonly number[]): Group {
  const states = Array.from({ length: order }, (_, i) => i);
  return { order, start: 0, moves: steps.map((step) => states.map((state) => (state + step + order) % order)) };
}

/**
 * Permutations of n things, all or the even ones, each numbered by its rank in lexicographic order. A token g leads from
 * state h to g o h, which is h first.
 * @param generators Tokens. Default: all permutations of the group, by rank.
 */
export function permutationGroup(
  n: number,
  { even = false, generators }: { readonly even?: boolean; readonly generators?: readonly (readonly number[])[] } = {},
): Group {
  const elements = permutations(n).filter((element) => !even || isEven(element));
  const ranks = new Map(elements.map((element, rank) => [element.join(), rank]));
  const after = (g: readonly number[]): number[] => elements.map((h) => ranks.get(h.map((x) => g[x]).join())!);
  return { order: elements.length, start: 0, moves: (generators ?? elements).map(after) };
}

/** The state after each token. */
export function statesOf({ start, moves }: Group, tokens: ArrayLike<number>): number[] {
  let state = start;
  return Array.from(tokens, (token) => state = moves[token][state]);
}
