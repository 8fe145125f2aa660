/** What the tasks of the MAD suite have in common. */

/** How many different sequences are trained on. */
export const EXAMPLES = {
  kind: "integer",
  default: 12800,
  min: 1,
  max: 2 ** 31,
  help: "sequences that are trained on, again and again",
} as const;

/** The next token of each; -1 behind the last, and before tokens that are padding. */
export function nextTokens(tokens: ArrayLike<number>, padding = -1): number[] {
  return Array.from(tokens, (_, t) => {
    const next = t + 1 < tokens.length ? tokens[t + 1] : -1;
    return next === padding ? -1 : next;
  });
}
