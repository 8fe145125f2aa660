/** The options of a model: its own, and those of the mixers in its blocks, in one flat record that files store. */
import type { OptionsOf, OptionTable } from "../options/option_table.ts";
import { SPAN_OPTIONS } from "../mixers/attention/options.ts";
import { DELTA_RULE_OPTIONS } from "../mixers/delta/options.ts";
import { DECAY_OPTIONS } from "../mixers/gla/options.ts";
import { LOWER_BOUND_OPTIONS } from "../mixers/hgrn2/options.ts";
import { NORMALIZER_OPTIONS } from "../mixers/linear/options.ts";
import { STATE_SPACE_OPTIONS } from "../mixers/mamba/options.ts";
import type { MixerSpec } from "../mixers/mixer_interface.ts";
import { MODEL_KINDS } from "../mixers/recipes.ts";
import { SHARED_OPTIONS } from "../mixers/shared_options.ts";
import { RETENTION_OPTIONS } from "../mixers/retnet/options.ts";
import { INNER_OPTIONS } from "../mixers/ttt/options.ts";
import { ATTENTION_OPTIONS, MEMORY_OPTIONS } from "../mixers/titans/options.ts";

/** The options of a model, in the order in which files store them. */
export const MODEL_OPTIONS = {
  model: {
    kind: "choice",
    choices: MODEL_KINDS,
    default: "mac",
    group: "Sizes",
    help: "how tokens are mixed",
    source: "3.1, 4.1, 4.2, 4.3",
  },
  vocabulary: {
    kind: "integer",
    default: 256,
    min: 2,
    max: 2 ** 24,
    group: "Sizes",
    help: "number of token ids; 256 means bytes. The flag `--vocabulary` takes the name of an encoding instead",
    flag: false,
  },
  features: {
    kind: "integer",
    default: 0,
    min: 0,
    max: 65536,
    group: "Sizes",
    help: "number of features per token for real-valued input, read through a linear map; 0 for token ids",
    flag: false,
    before: 0,
  },
  outputs: {
    kind: "integer",
    default: 0,
    min: 0,
    max: 2 ** 24,
    group: "Sizes",
    help: "outputs of the head per token; 0 for one logit per token id",
    flag: false,
    before: 0,
  },
  width: {
    kind: "integer",
    default: 64,
    min: 1,
    max: 65536,
    group: "Sizes",
    help: "width of the residual stream, D",
  },
  blocks: {
    kind: "integer",
    default: 2,
    min: 1,
    max: 1024,
    group: "Sizes",
    help:
      "blocks, each a mixer and an MLP, with norms before and residuals around them; or the mixer of each, with options of its own where they differ from the model's, such as `lmm,swa:window=32,lmm`",
    source: "4.4, CR",
  },
  heads: SHARED_OPTIONS.heads,
  mlpHidden: {
    kind: "integer",
    default: 176,
    min: 1,
    max: 2 ** 20,
    group: "Sizes",
    help:
      "hidden width of a block's SwiGLU MLP; the flag `--parameters` chooses it, and so do presets of models that 0.1.0 did not have: about 200,000 parameters in `nano`, 4.8 million in `small`",
    source: "CR; 2.75 times the width is ours",
    flag: false,
  },
  ...MEMORY_OPTIONS,
  ...ATTENTION_OPTIONS,
  ...SPAN_OPTIONS,
  ...NORMALIZER_OPTIONS,
  ...RETENTION_OPTIONS,
  ...DECAY_OPTIONS,
  ...LOWER_BOUND_OPTIONS,
  ...STATE_SPACE_OPTIONS,
  ...DELTA_RULE_OPTIONS,
  ...INNER_OPTIONS,
  checkpoint: SHARED_OPTIONS.checkpoint,
  chunk: SHARED_OPTIONS.chunk,
  recurrentTokens: {
    kind: "integer",
    default: 0,
    min: 0,
    max: 4096,
    group: "Recurrent memory",
    help:
      "rows that go through all blocks with each segment and are the memory of the next; 0 for none, in `rmt` for 16",
    source: "arXiv 2207.06881",
    before: 0,
  },
  recurrentSegment: {
    kind: "integer",
    default: 64,
    min: 1,
    max: 65536,
    group: "Recurrent memory",
    help: "tokens of a segment that is read with `recurrentTokens`",
    source: "arXiv 2207.06881",
    before: 64,
  },
  recurrentDepth: {
    kind: "integer",
    default: 0,
    min: 0,
    max: 65536,
    group: "Recurrent memory",
    help: "segments through which gradients go back in `rmt`; 0 for all of a window",
    source: "arXiv 2207.06881, 4",
    before: 0,
  },
  stackBlocks: {
    kind: "choice",
    choices: {
      auto: "four or more",
      always: "two or more",
      never: "none, so that no tensor is larger than one block makes it",
    },
    default: "auto",
    group: "Cost",
    help: "how many blocks that are alike and follow each other are compiled as one loop",
    costOnly: true,
    flag: false,
    before: "auto",
  },
} as const satisfies OptionTable;

/** A model's options. See {@link defineConfig} for a record with defaults filled in. */
export interface ModelConfig extends Omit<OptionsOf<typeof MODEL_OPTIONS>, "blocks"> {
  /**
   * How many blocks there are, all with the mixer of `model`; or a list of them, each with a mixer of its own, for which
   * the model's other options are the defaults.
   */
  readonly blocks: number | readonly MixerSpec[];
}
