/** What reading costs over the length of a text: counted from the kernels of the compiled models. */
import { defineConfig, Model, type ModelKind } from "../../../titans/mod.ts";
import { readingFlops, stateBytesOf } from "../../model_table.ts";
import { lineChart, type PlacedValue } from "../report/charts.ts";
import type { Drawing } from "../report/page.ts";

const KINDS: readonly ModelKind[] = ["transformer", "swa", "lmm", "mac", "gatedDeltaNet"];
const LENGTHS = [256, 512, 1024, 2048, 4096];

/** Arithmetic of a token, and what is carried to the next, for models in their smallest preset. */
export async function costDrawing(lengths: readonly number[] = LENGTHS): Promise<Drawing> {
  const arithmetic: PlacedValue[] = [], state: PlacedValue[] = [];
  for (const model of KINDS) {
    for (const at of lengths) {
      // Full attention keeps keys and values for as long a text as it is made for.
      const built = new Model(defineConfig({ model, ...(model === "transformer" ? { maxLength: at } : {}) }));
      const flops = readingFlops(built, at) / at / 1e6, bytes = stateBytesOf(built) / 1024;
      arithmetic.push({ model, at, mean: flops, min: flops, max: flops });
      state.push({ model, at, mean: bytes, min: bytes, max: bytes });
    }
  }
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
