/** What reading costs over the length of a text: counted from the kernels of the compiled models. */
import { costs } from "../../../figures/cost.ts";
import { lineChart, type PlacedValue } from "../report/charts.ts";
import type { Drawing } from "../report/page.ts";

/** Arithmetic of a token, and what is carried to the next, for models in their smallest preset. */
export async function costDrawing(lengths?: readonly number[]): Promise<Drawing> {
  const counted = [...costs(lengths)];
  const placed = (valueOf: (cost: (typeof counted)[number]) => number): PlacedValue[] =>
    counted.map((cost) => {
      const mean = valueOf(cost);
      return { model: cost.model, at: cost.tokens, mean, min: mean, max: mean };
    });
  const arithmetic = placed(({ flopsPerToken }) => flopsPerToken / 1e6);
  const state = placed(({ stateBytes }) => stateBytes / 1024);
  const axis = "tokens of the text";
  const charts = await Promise.all([
    lineChart({ title: "MFLOPs per token", axis, values: arithmetic }),
    lineChart({ title: "decoding state, KiB", axis, values: state }),
  ]);
  return {
    number: 1,
    title: "What attention costs",
    text:
      "Full attention compares every token with all before it: arithmetic per token and the cache of keys and values " +
      "grow with the text. A window, a recurrence and a memory that learns cost the same at any length. Counted in " +
      "the kernels of the compiled models of the preset nano.",
    svg: charts.join("\n"),
  };
}
