/** The memory of a linear Transformer, token by token: what is written, and what is kept. */
import { requestDevice } from "../kernels/request_device.ts";
import { defineConfig } from "../titans/models/config.ts";
import { Decoder } from "../titans/models/decoder.ts";
import { Model } from "../titans/models/model.ts";

/** The sides of its matrix, and how many tokens it knows. */
export const WIDTH = 8;

/** What a token did: both are [WIDTH, WIDTH]. */
export interface Written {
  readonly token: number;
  /** What it added. */
  readonly written: readonly number[];
  /** The matrix after it. */
  readonly kept: readonly number[];
}

/**
 * Reads tokens with an untrained model of one head, and looks at its state.
 * @param tokens Which; the same token writes the same key and value, so that the memory adds up.
 */
export async function linearWrites(tokens: readonly number[]): Promise<Written[]> {
  const config = defineConfig({
    model: "linear",
    width: WIDTH,
    heads: 1,
    blocks: 1,
    vocabulary: WIDTH,
    convolution: 0,
    normalizer: false,
  });
  const model = new Model(config), device = await requestDevice({ kind: "reference" });
  try {
    const decoder = await Decoder.create(device, model, model.layout.pack(model.layout.initialize(1)));
    let before = matrixOf(await decoder.state.export());
    const writes: Written[] = [];
    for (const token of tokens) {
      await decoder.read([token]);
      const kept = matrixOf(await decoder.state.export());
      writes.push({ token, written: kept.map((value, at) => value - before[at]), kept });
      before = kept;
    }
    decoder.dispose();
    return writes;
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
