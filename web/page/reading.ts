/** Observes a model while it reads: what its memories do, and how they affect its predictions. */
import { compile, type Device, spec, type Tensor } from "../../mod.ts";
import { broadcastTo, crossEntropy, slice, sliceAxis } from "../../ops/mod.ts";
import { Inspector, type Model } from "../../titans/mod.ts";
import { likeliestBytes, softmax } from "./probabilities.ts";
import type { Expectation, Reading, Recall } from "./protocol.ts";

/** Bytes that an expectation names. */
const NAMED = 3;

/**
 * Reads a text.
 * @throws The signal's reason, if it is aborted.
 */
export async function readText(device: Device, read: TextToRead, watch: ReadingWatch): Promise<Reading> {
  const { model, text } = read;
  return {
    text,
    config: model.config,
    ...await inspect(device, read, watch),
    recall: await recall(device, read, watch),
  };
}

/** The model and the text. */
export interface TextToRead {
  readonly model: Model;
  /** All parameters, one flat vector. */
  readonly params: Float32Array;
  /** At least two bytes. */
  readonly text: Uint8Array;
}

/** Progress callbacks and cancellation of a reading. */
export interface ReadingWatch {
  /** Readings of the text that are done, and all of them. */
  readonly progress: (done: number, total: number) => void;
  /** Kernels that are compiled, and all of them. */
  readonly compiling: (done: number, total: number) => void;
  readonly signal: AbortSignal;
}

/** Yields to the event loop, and throws if a stop was requested. */
async function pause({ signal }: ReadingWatch): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
  signal.throwIfAborted();
}

async function inspect(
  device: Device,
  { model, params, text }: TextToRead,
  watch: ReadingWatch,
): Promise<Pick<Reading, "places" | "quantities">> {
  const inspector = await Inspector.create(device, model, params, {
    length: text.length,
    signal: watch.signal,
    progress: watch.compiling,
  });
  const [first] = inspector.quantities, quantities: Record<string, Float64Array[]> = {};
  const places = inspector.rows.filter(({ quantity }) => quantity === first).map(({ block, head }) => ({
    block,
    head,
  }));
  try {
    await pause(watch);
    // A text no longer than a piece is one piece.
    for await (const piece of inspector.read(text)) {
      for (const quantity of inspector.quantities) {
        quantities[quantity] = [piece.values(quantity), ...places.map((place) => piece.values(quantity, place))];
      }
    }
    await pause(watch);
  } finally {
    inspector.dispose();
  }
  return { places, quantities };
}

/** Readings of the text per launch: a reading can be stopped between launches. */
const ROWS = 8;

/**
 * Reads the text several times: normally, with a memory that learns nothing, and with one that skips a passage.
 */
async function recall(device: Device, { model, params, text }: TextToRead, watch: ReadingWatch): Promise<Recall> {
  const { vocabulary, miniBatch } = model.config;
  const T = text.length - 1,
    passage = miniBatch,
    passages = Math.ceil(T / passage),
    all = passages + 2,
    rows = Math.min(ROWS, all);
  const read = (flat: Tensor, tokens: Tensor, store: Tensor): { losses: Tensor; logits: Tensor } => {
    const batch = (start: number): Tensor => broadcastTo(sliceAxis(tokens, 1, start, T), [rows, T]);
    const { logits } = model.forward(model.unflatten(flat), batch(0), { update: store });
    return {
      losses: crossEntropy(logits, batch(1), { reduction: "none" }),
      logits: slice(logits, [0, 0, 0], [2, T, vocabulary]),
    };
  };
  const program = await compile(device, read, [spec([model.layout.size]), spec([1, T + 1], "i32"), spec([rows, T])], {
    signal: watch.signal,
    progress: watch.compiling,
  });
  const flat = device.upload(params, spec([model.layout.size]));
  const losses: number[] = [];
  let first = new Float32Array(0);
  try {
    for (let start = 0; start < all; start += rows) {
      await pause(watch);
      const store = Float32Array.from({ length: rows * T }, (_, i) => {
        const row = start + Math.floor(i / T), t = i % T;
        return row === 1 || row - 2 === Math.floor(t / passage) ? 0 : 1;
      });
      const part = await program.run(flat, Int32Array.from(text), store);
      losses.push(...part.losses.data);
      if (start === 0) first = part.logits.data as Float32Array<ArrayBuffer>;
      watch.progress(Math.min(all, start + rows), all);
    }
  } finally {
    flat.dispose();
    program.dispose();
  }
  const bits = (row: number): Float64Array =>
    Float64Array.from(text, (_, t) => t === 0 ? NaN : losses[row * T + t - 1] / Math.LN2);
  const expected = (row: number): Expectation[] =>
    Array.from(
      text,
      (_, t) =>
        t === 0
          ? { bytes: [], probabilities: [] }
          : likeliest(first.subarray((row * T + t - 1) * vocabulary, (row * T + t) * vocabulary)),
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

function likeliest(logits: Float32Array): Expectation {
  const probabilities = softmax(logits), bytes = likeliestBytes(probabilities, NAMED);
  return { bytes, probabilities: bytes.map((byte) => probabilities[byte]) };
}
