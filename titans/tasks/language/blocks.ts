/** How a long text is cut for a model that reads it. */

/** A part of a text: what is read first, and what is scored after it. Positions of tokens. */
export interface Block {
  /** The first token that is read. */
  readonly from: number;
  /** The first token that is scored: those before it are its context. */
  readonly scoredFrom: number;
  /** Where the scored tokens end. */
  readonly to: number;
}

/**
 * One state through the whole text. The first token has no context, and is not scored.
 * @param length Of the text, in tokens.
 */
export function streamingBlocks(length: number): Block[] {
  return length < 2 ? [] : [{ from: 0, scoredFrom: 1, to: length }];
}

/**
 * Windows of which each starts with a fresh state, as in training: every token but the first is scored once.
 * @param context Tokens that a window predicts.
 */
export function resetBlocks(length: number, context: number): Block[] {
  const count = Math.ceil((length - 1) / context);
  return Array.from({ length: Math.max(0, count) }, (_, i) => ({
    from: i * context,
    scoredFrom: i * context + 1,
    to: Math.min(length, (i + 1) * context + 1),
  }));
}

/**
 * The same, but that the last window begins earlier, so that it is a full one too; of it the new tokens are scored, as
 * lm-evaluation-harness does in its rolling log-likelihood.
 */
export function rollingBlocks(length: number, context: number): Block[] {
  const blocks = resetBlocks(length, context), last = blocks.at(-1);
  if (last === undefined || blocks.length === 1) return blocks;
  return [...blocks.slice(0, -1), { ...last, from: Math.max(0, last.to - 1 - context) }];
}

/** A range of positions, `[from, to)`. */
export interface Bucket {
  readonly from: number;
  readonly to: number;
}

/** The positions 1 .. length - 1 in ranges that double: [1, 2), [2, 4), [4, 8), ... */
export function positionBuckets(length: number): Bucket[] {
  const buckets: Bucket[] = [];
  for (let from = 1; from < length; from *= 2) buckets.push({ from, to: Math.min(2 * from, length) });
  return buckets;
}
