/** Measures what a token costs at the end of texts of different lengths. */
import type { Device } from "../../../mod.ts";
import { Decoder, defineConfig, Model, type ModelKind } from "../../../titans/mod.ts";
import type { Measured } from "./protocol.ts";

/** Tokens whose time is taken, one by one, after some that are not. */
const TIMED = 24, WARM_UP = 4;
/** Tokens that are read before it looks for a stop. */
const PIECE = 512;

/**
 * Measures a model of the preset nano, made for texts of a length: reads all but the last tokens at once, and takes the
 * time of those. It is not trained, which makes no difference to its speed.
 * @throws The signal's reason, if it is aborted.
 */
export async function measure(
  device: Device,
  { model: kind, length }: { readonly model: ModelKind; readonly length: number },
  signal: AbortSignal,
): Promise<Measured> {
  const model = new Model(defineConfig({ model: kind, maxLength: length }));
  const decoder = await Decoder.create(device, model, model.layout.pack(model.layout.initialize(1)));
  try {
    for (let left = length - TIMED - WARM_UP; left > 0; left -= PIECE) {
      await pause(signal);
      await decoder.read(tokens(Math.min(PIECE, left)));
    }
    const times: number[] = [];
    for (let i = 0; i < WARM_UP + TIMED; i++) {
      const start = performance.now();
      await decoder.read(tokens(1));
      if (i >= WARM_UP) times.push(performance.now() - start);
      await pause(signal);
    }
    return {
      model: kind,
      length,
      parameters: model.layout.parameterCount,
      stateBytes: decoder.start.sizeBytes,
      msPerToken: times.toSorted((a, b) => a - b)[TIMED >> 1],
    };
  } finally {
    decoder.dispose();
  }
}

/** Tokens that mean nothing. */
function tokens(count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => 32 + i * 7 % 90);
}

/** Lets messages arrive, and throws if a stop was requested. */
async function pause(signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
  signal.throwIfAborted();
}
