/** Watching a model read: what its memories do, and what its predictions owe to them. */
import { compile, type Device } from "../../kernels/mod.ts";
import { spec, type Tensor } from "../../mod.ts";
import { broadcastTo, crossEntropy, slice, sliceAxis } from "../../ops/mod.ts";
import { Inspector, type Model, TRACE_QUANTITIES, type TraceQuantity } from "../../titans/mod.ts";
import type { Expectation, Reading, Recall } from "./protocol.ts";

/** Bytes that an expectation names. */
const NAMED = 3;

/**
 * Reads a text.
 * @param params All parameters, one flat vector.
 * @param text At least two bytes.
 */
export async function readText(device: Device, { model, params, text }: { model: Model; params: Float32Array; text: Uint8Array }): Promise<Reading> {
  return { text, config: model.config, quantities: await inspect(device, model, params, text), recall: await recall(device, model, params, text) };
}

async function inspect(device: Device, model: Model, params: Float32Array, text: Uint8Array): Promise<Reading["quantities"]> {
  const { blocks, heads } = model.config;
  const inspector = await Inspector.create(device, model, params, { length: text.length });
  const found: Partial<Record<TraceQuantity, Float64Array[]>> = {};
  // A text no longer than a piece is one piece.
  for await (const piece of inspector.read(text)) {
    for (const quantity of TRACE_QUANTITIES) {
      found[quantity] = [piece.values(quantity)];
      for (let block = 0; block < blocks; block++) for (let head = 0; head < heads; head++) found[quantity].push(piece.values(quantity, { block, head }));
    }
  }
  inspector.dispose();
  return found as Reading["quantities"];
}

/** Reads the text many times at once: as it is, with a memory that learns nothing, and with one that does not learn from one passage. */
async function recall(device: Device, model: Model, params: Float32Array, text: Uint8Array): Promise<Recall> {
  const { vocabulary, miniBatch } = model.config;
  const T = text.length - 1, passage = miniBatch, passages = Math.ceil(T / passage), rows = passages + 2;
  const read = (flat: Tensor, tokens: Tensor, store: Tensor): { losses: Tensor; logits: Tensor } => {
    const batch = (start: number): Tensor => broadcastTo(sliceAxis(tokens, 1, start, T), [rows, T]);
    const { logits } = model.forward(model.unflatten(flat), batch(0), { store });
    return { losses: crossEntropy(logits, batch(1), { reduction: "none" }), logits: slice(logits, [0, 0, 0], [2, T, vocabulary]) };
  };
  const program = await compile(device, read, [spec([model.layout.size]), spec([1, T + 1], "i32"), spec([rows, T])]);
  const store = Float32Array.from({ length: rows * T }, (_, i) => {
    const row = Math.floor(i / T), t = i % T;
    return row === 1 || row - 2 === Math.floor(t / passage) ? 0 : 1;
  });
  const { losses, logits } = await program.run(params, Int32Array.from(text), store);
  program.dispose();
  const bits = (row: number): Float64Array => Float64Array.from(text, (_, t) => t === 0 ? NaN : losses.data[row * T + t - 1] / Math.LN2);
  const expected = (row: number): Expectation[] =>
    Array.from(
      text,
      (_, t) => t === 0 ? { bytes: [], probabilities: [] } : likeliest(logits.data.subarray((row * T + t - 1) * vocabulary, (row * T + t) * vocabulary)),
    );
  return {
    passage,
    bits: bits(0),
    forgotten: bits(1),
    without: Array.from({ length: passages }, (_, i) => bits(i + 2)),
    expected: expected(0),
    expectedForgotten: expected(1),
  };
}

function likeliest(logits: ArrayLike<number>): Expectation {
  const scores = Array.from(logits), top = Math.max(...scores);
  const total = scores.reduce((sum, score) => sum + Math.exp(score - top), 0);
  const bytes = scores.map((_, byte) => byte).sort((a, b) => scores[b] - scores[a]).slice(0, NAMED);
  return { bytes, probabilities: bytes.map((byte) => Math.exp(scores[byte] - top) / total) };
}
