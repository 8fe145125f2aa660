/** What is published, to stand beside what came out here; and where the orders of models differ. */

/** Published values of a figure. */
export interface Published {
  /** The experiment of a plan that they belong to. */
  readonly experiment: string;
  /** The figure of that experiment which they are compared with. */
  readonly figure: string;
  /** What was measured there, in a word or two, for the head of a column. */
  readonly what: string;
  /** What was measured there, and where it says so. */
  readonly source: string;
  /** Whether low values are good. */
  readonly best: "lowest" | "highest";
  /** By the name of the model in the plan. */
  readonly values: Readonly<Record<string, number>>;
  /** Whether the values are places in an order, 1 the best, where no numbers are published. */
  readonly isOrder?: boolean;
}

const TITANS = "Titans, arXiv 2501.00663";

/** Published values, at sizes that a laptop does not train: orders can be compared, values cannot. */
export const PUBLISHED: readonly Published[] = [
  {
    experiment: "language",
    figure: "bitsPerByte",
    what: "perplexity",
    source: `${TITANS}, table 1: perplexity on WikiText at 400 million parameters`,
    best: "lowest",
    values: {
      lmm: 25.03,
      mac: 25.61,
      mag: 23.59,
      mal: 23.93,
      transformer: 30.63,
      retnet: 29.92,
      gla: 27.96,
      mamba: 29.22,
      mamba2: 26.34,
      deltaNet: 27.69,
      gatedDeltaNet: 25.47,
      tttLinear: 26.11,
    },
  },
  {
    experiment: "language",
    figure: "choice: next sentence: acc_norm",
    what: "HellaSwag",
    source: `${TITANS}, table 1: accuracy on HellaSwag, in percent, at 400 million parameters`,
    best: "highest",
    values: {
      lmm: 40.91,
      mac: 41.18,
      mag: 40.92,
      mal: 40.74,
      transformer: 37.72,
      retnet: 36.97,
      gla: 37.41,
      mamba: 37.93,
      mamba2: 39.73,
      deltaNet: 37.03,
      gatedDeltaNet: 40.46,
      tttLinear: 39.11,
    },
  },
  {
    experiment: "needle",
    figure: "accuracy, length 4096",
    what: "needle at 16K",
    source: `${TITANS}, table 2: a number of seven digits in 16,384 tokens of noise (S-NIAH-PK), in percent`,
    best: "highest",
    values: { lmm: 96.2, mac: 98.4, mag: 97.4, mal: 97.8, mamba2: 5.4, deltaNet: 71.4, tttLinear: 88.4 },
  },
  {
    experiment: "ablations",
    figure: "bitsPerByte",
    what: "perplexity",
    source: `${TITANS}, table 5: perplexity of LMM without a part, at 400 million parameters`,
    best: "lowest",
    values: {
      whole: 27.01,
      linear: 28.49,
      noConvolution: 28.73,
      noMomentum: 28.98,
      noForgetting: 29.04,
      noPersistent: 27.63,
    },
  },
  {
    experiment: "depth",
    figure: "bitsPerByte",
    what: "order",
    source: `${TITANS}, figure 7: deeper memories have a lower perplexity at every length`,
    best: "lowest",
    values: { one: 4, two: 3, three: 2, four: 1 },
    isOrder: true,
  },
];

/** A pair of models whose order is not the published one. */
export interface Disagreement {
  /** The model that is ahead here. */
  readonly here: string;
  /** The model that is ahead in the publication. */
  readonly there: string;
  /** Whether the ranges over seeds are apart, so that the order here is no accident of a seed. */
  readonly clear: boolean;
}

/** A value with its range. */
interface Ranged {
  readonly mean: number;
  readonly min: number;
  readonly max: number;
}

/**
 * Pairs of models in another order than published.
 * @param found Values of this study by model.
 */
export function disagreements(
  { values, best }: Pick<Published, "values" | "best">,
  found: Readonly<Record<string, Ranged>>,
): readonly Disagreement[] {
  const sign = best === "lowest" ? 1 : -1, models = Object.keys(values).filter((model) => Object.hasOwn(found, model));
  return models.flatMap((there) =>
    models.filter((here) =>
      sign * (values[here] - values[there]) > 0 && sign * (found[here].mean - found[there].mean) < 0
    ).map((here) => ({
      here,
      there,
      clear: found[here].max < found[there].min || found[there].max < found[here].min,
    }))
  );
}
