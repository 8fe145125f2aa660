/** What is published, to stand beside what came out here; and where the orders of models differ. */

/** Published values of a figure. */
export interface Published {
  /** The experiment of a plan that they belong to. */
  readonly experiment: string;
  /** The figure of that experiment which they are compared with: what its name begins with. */
  readonly figure: string;
  /** What was measured there, and where it says so. */
  readonly source: string;
  /** Whether low values are good. */
  readonly best: "lowest" | "highest";
  /** By the name of the model in the plan. */
  readonly values: Readonly<Record<string, number>>;
}

const TITANS = "Titans, arXiv 2501.00663";

/** Published values, at sizes that a laptop does not train: orders can be compared, values cannot. */
export const PUBLISHED: readonly Published[] = [
  {
    experiment: "language",
    figure: "bitsPerByte",
    source: `${TITANS}, table 1: perplexity on WikiText at 340M parameters`,
    best: "lowest",
    values: {
      mal: 24.7,
      mag: 25.1,
      mac: 25.4,
      lmm: 26.2,
      gatedDeltaNet: 27,
      tttLinear: 27.4,
      gla: 28.5,
      deltaNet: 28.7,
      mamba: 30.8,
      transformer: 31.5,
      retnet: 32.5,
    },
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
