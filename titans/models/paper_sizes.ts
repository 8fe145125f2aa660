/**
 * The sizes of the paper (arXiv 2501.00663, 5.1), for plans and for machines that can train them.
 *
 * The paper gives parameters, training tokens, the vocabulary of 32,000 and windows of 4,096 tokens, but neither depth
 * nor width. Those are what the authors list for these sizes in later work (arXiv 2504.13173); 400m is not among them,
 * and its depth is ours. The hidden width of the MLPs follows from the number of parameters, whichever the model.
 * Segment, window, persistent tokens and memory tokens are those of the authors' code.
 */

/** A size. */
export interface PaperSize {
  /** Parameters of the model, within 3%. */
  readonly parameters: number;
  /** Blocks, each a mixer and an MLP. */
  readonly blocks: number;
  /** Width of the residual stream, D. */
  readonly width: number;
  /** Heads of a mixer. */
  readonly heads: number;
  /** Tokens that a model of this size is trained on. */
  readonly tokens: number;
}

/** The sizes by name. */
export const PAPER_SIZES = {
  "170m": { parameters: 170e6, blocks: 12, width: 768, heads: 16, tokens: 15e9 },
  "340m": { parameters: 340e6, blocks: 24, width: 1024, heads: 16, tokens: 15e9 },
  "400m": { parameters: 400e6, blocks: 28, width: 1024, heads: 16, tokens: 15e9 },
  "760m": { parameters: 760e6, blocks: 24, width: 1536, heads: 16, tokens: 30e9 },
  "1.3b": { parameters: 1.3e9, blocks: 18, width: 2048, heads: 8, tokens: 100e9 },
} as const satisfies Record<string, PaperSize>;

/** The name of a size of the paper. */
export type PaperSizeName = keyof typeof PAPER_SIZES;

/** Options that all of these sizes share. */
export const PAPER_OPTIONS = {
  vocabulary: 32_000,
  segment: 512,
  window: 2048,
  persistentTokens: 128,
  memoryTokens: 256,
  checkpoint: "auto",
} as const;
