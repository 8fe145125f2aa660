/**
 * What a quantized memory costs: the model reads the beginning of the text once more, from the memory before and after.
 */
import {
  decodeMemory,
  type Decoder,
  type DecodeState,
  encodeMemory,
  type MemoryFile,
  type MemoryOwner,
  type Quantization,
} from "../titans/mod.ts";
import { bytesOfTokens, type Vocabulary } from "./data/vocabulary.ts";
import { formatCount } from "./progress.ts";
import type { QuantizationCost } from "./quantization_cost.ts";

/**
 * Measures a memory that is stored in fewer bits.
 * @param decoder Of the model that read.
 * @param memory What was read, in f32.
 * @param options.tokens The beginning of the text; none to compare sizes alone.
 */
export async function memoryCost(
  decoder: Decoder,
  memory: MemoryFile,
  { owner, quantize, tokens, vocabulary }: {
    readonly owner: MemoryOwner;
    readonly quantize: Quantization;
    readonly tokens: Int32Array;
    readonly vocabulary: Vocabulary;
  },
): Promise<QuantizationCost> {
  const small = encodeMemory(owner, memory, { quantize });
  const cost = { quantize, bytesBefore: encodeMemory(owner, memory).length, bytes: small.length };
  // Attention over a whole text ends with its cache.
  const read = tokens.subarray(0, Math.max(0, owner.model.maxLength - memory.reading.tokensRead));
  if (read.length === 0) return cost;
  const bytes = bytesOfTokens(vocabulary, read).length;
  const bitsFrom = async ({ reading }: MemoryFile): Promise<number> =>
    await bitsOf(decoder, decoder.importState(reading), read) / bytes;
  const before = await bitsFrom(memory), after = await bitsFrom(decodeMemory(small, owner));
  const on = `the first ${formatCount(bytes)} bytes of the text, read again`;
  return { ...cost, measured: { figure: "bitsPerByte", before, after, on } };
}

/** Bits of tokens, each predicted from a state and the tokens before it. Takes the state over. */
async function bitsOf(decoder: Decoder, start: DecodeState, tokens: Int32Array): Promise<number> {
  let bits = 0, state = start;
  try {
    for (const token of tokens) {
      bits += bitsIn(state.logits!, token);
      const { state: next } = await decoder.step(token, state);
      state.dispose();
      state = next;
    }
  } finally {
    state.dispose();
  }
  return bits;
}

/** The bits of a token under the softmax of logits. */
function bitsIn(logits: Float32Array, token: number): number {
  const largest = logits.reduce((a, b) => Math.max(a, b));
  const sum = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
  return (Math.log(sum) + largest - logits[token]) / Math.LN2;
}
