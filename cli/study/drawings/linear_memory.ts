/** The memory of a linear Transformer, token by token: what is written, and what is kept. */
import { requestDevice } from "../../../kernels/mod.ts";
import { Decoder, defineConfig, Model } from "../../../titans/mod.ts";
import { chart } from "../report/charts.ts";
import type { Drawing } from "../report/page.ts";

const WIDTH = 8;

/** An entry of a matrix. */
interface Entry {
  readonly token: string;
  readonly what: string;
  readonly row: number;
  readonly column: number;
  readonly value: number;
}

/**
 * Reads tokens with an untrained model of one head, and draws its state.
 * @param tokens Which; the same token writes the same key and value, so that the memory adds up.
 */
export async function linearMemoryDrawing(tokens: readonly number[] = [3, 5, 3, 1]): Promise<Drawing> {
  const config = defineConfig({
    model: "linear",
    width: WIDTH,
    heads: 1,
    blocks: 1,
    vocabulary: 8,
    convolution: 0,
    normalizer: false,
  });
  const model = new Model(config), device = await requestDevice({ kind: "reference" });
  try {
    const decoder = await Decoder.create(device, model, model.layout.pack(model.layout.initialize(1)));
    let before = matrixOf(await decoder.state.export());
    const entries: Entry[] = [];
    for (const [i, token] of tokens.entries()) {
      await decoder.read([token]);
      const after = matrixOf(await decoder.state.export()), label = `${i + 1}: token ${token}`;
      entries.push(...entriesOf(label, "written", after.map((value, at) => value - before[at])));
      entries.push(...entriesOf(label, "kept", after));
      before = after;
    }
    decoder.dispose();
    return {
      number: 2,
      title: "How a linear Transformer writes",
      text:
        "Each token adds the outer product of its key and its value to a matrix, whatever is there already: the same " +
        "token writes the same again, and nothing is ever taken out. The state of an untrained model of one head, as " +
        "its decoder has it after each of four tokens.",
      svg: await matrices(entries),
    };
  } finally {
    device.dispose();
  }
}

/** The matrix of an exported state: its largest square. */
function matrixOf(
  { arrays }: {
    readonly arrays: Readonly<Record<string, { readonly shape: readonly number[]; readonly data: ArrayLike<number> }>>;
  },
): number[] {
  const found = Object.values(arrays).find(({ data }) => data.length === WIDTH * WIDTH);
  if (!found) throw new Error("Internal: the state of a linear Transformer has no matrix");
  return Array.from(found.data);
}

function entriesOf(token: string, what: string, values: readonly number[]): Entry[] {
  return values.map((value, at) => ({ token, what, row: Math.floor(at / WIDTH), column: at % WIDTH, value }));
}

function matrices(values: readonly Entry[]): Promise<string> {
  const largest = Math.max(...values.map(({ value }) => Math.abs(value)));
  const position = { type: "ordinal" as const, axis: null };
  return chart({
    data: { values: [...values] },
    facet: {
      row: { field: "what", type: "nominal", title: null, sort: ["written", "kept"] },
      column: { field: "token", type: "nominal", title: null },
    },
    spec: {
      width: { step: 14 },
      height: { step: 14 },
      mark: "rect",
      encoding: {
        x: { field: "column", ...position },
        y: { field: "row", ...position },
        color: {
          field: "value",
          type: "quantitative",
          legend: null,
          scale: { domain: [-largest, 0, largest], range: ["#2166ac", "#f7f7f7", "#b2182b"] },
        },
      },
    },
  }, "What four tokens write into a matrix, and the matrix after each");
}
