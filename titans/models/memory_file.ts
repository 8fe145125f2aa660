/**
 * Memory files: what a model has learned from reading, apart from its weights, as a safetensors file. All tensors are
 * f32 of one text, sizes do not depend on how much was read. H heads, K head width, D = H K, in and out the sides of a
 * matrix of the memory network, W the convolution's width, C the segment.
 *
 *     logits                                  [V]             predict the next token; absent before the first
 *     blocks.N.KIND...memory.weights.L        [1, H, in, out] the memory M: matrix L of block N after the last token
 *     blocks.N.KIND...memory.surprise.L       [1, H, in, out] the momentum S of it
 *     blocks.N.KIND...memory.start.L          [1, H, in, out] M before the mini-batch that the next token belongs to
 *     blocks.N.KIND...convolution             [1, W - 1, 3 D] the last rows of the memory's projection; absent without convolution
 *
 * where `KIND...` is `lmm.`, or `mac.memory.`, `mag.memory.`, `mal.memory.`. A norm's gain that is part of the memory
 * is its last matrix, [1, H, 1, K]. What attention keeps beside:
 *
 *     blocks.N.mac.segmentWeights.L           [1, H, in, out] M before the segment that the next token belongs to
 *     blocks.N.mac.own.key, .value            [1, H, C, K]    of the segment's tokens read so far
 *     blocks.N.mac.context.key, .value        [1, H, C, K]    of what the memory gave for them; with causal memory queries
 *     blocks.N.mac.queries.before, .own       [1, H, C, K]    of the segment before and of this one; with queries of the previous segment
 *     blocks.N.mag.window.key, .value         [1, H, W, K]    of the last W tokens, W being the window; mal alike
 *     blocks.N.mag.window.filled              [1, W]          1 where there is such a token, 0 before the text's beginning; mal alike
 *     blocks.N.mal.persistent.key, .value     [1, H, P, K]    of the P persistent tokens; absent if there are none
 *
 * Matrices may be of int8, with scales: see quantize.ts.
 *
 * Metadata: `format`, `config` (JSON), `vocabulary`, `weights` ({@link fingerprint}), `tokensRead`, and whatever the
 * caller adds.
 */
import { completeConfig, differingField, type ModelConfig, validateConfig } from "./config.ts";
import { optionNames } from "../../core/options.ts";
import { checkNames, CheckpointError, ConfigError } from "../errors.ts";
import { withMixers } from "./blocks.ts";
import type { Model } from "./model.ts";
import { mismatchOf, stepSpecs, withPresentNames } from "./decode.ts";
import type { ExportedDecodeState } from "./decode_state.ts";
import { dequantizeTensors, type Quantization, quantizeTensors } from "./quantize.ts";
import { decodeSafetensors, encodeSafetensors, type StoredTensor } from "./safetensors.ts";

const FORMAT = "mneme-memory-1";
const LOGITS = "logits";
const RESERVED = ["format", "config", "vocabulary", "weights", "tokensRead"];

/** Whose memory it is. */
export interface MemoryOwner {
  /** The model that read. */
  readonly model: Model;
  /** The {@link fingerprint} of its parameters. */
  readonly weights: string;
}

/** What a memory file holds. */
export interface MemoryFile {
  /** The state, for `Decoder.importState`. */
  readonly reading: ExportedDecodeState;
  /** Further facts, as text. */
  readonly notes: Readonly<Record<string, string>>;
}

/**
 * A hash of parameters, 16 hexadecimal digits: a memory means nothing to a model with other weights. It tells files
 * apart, it does not resist forgery.
 * @param params One flat vector.
 */
export function fingerprint(params: Float32Array): string {
  const words = new Uint32Array(params.buffer, params.byteOffset, params.length);
  let low = 0x811c9dc5, high = 0x9e3779b9;
  for (let i = 0; i < words.length; i++) {
    low = Math.imul(low ^ words[i], 0x01000193);
    low ^= low >>> 15;
    high = Math.imul(high + words[i], 0x85ebca6b);
    high ^= high >>> 13;
  }
  return [high, low].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

/** Options of {@link encodeMemory}. */
export interface EncodeMemoryOptions {
  /** How matrices are stored in fewer bits. Default: everything is of f32. */
  readonly quantize?: Quantization;
}

const ENCODE_OPTIONS = optionNames<EncodeMemoryOptions>({ quantize: true });

/**
 * The bytes of a memory file.
 * @param owner Whose memory it is.
 * @param memory What it holds.
 * @param options Whether matrices are quantized.
 * @throws {CheckpointError} if a note has a reserved key, the state is not one of the model, or a value cannot be
 * quantized.
 */
export function encodeMemory(
  { model, weights }: MemoryOwner,
  { reading, notes }: MemoryFile,
  options: EncodeMemoryOptions = {},
): Uint8Array<ArrayBuffer> {
  checkNames("encodeMemory", options, ENCODE_OPTIONS);
  const reserved = Object.keys(notes).find((key) => RESERVED.includes(key));
  if (reserved) throw new CheckpointError(`Cannot store a note called ${reserved}: the name is reserved`);
  const { arrays, logits, tokensRead } = reading;
  checkArrays(model, arrays, "store");
  const tensors: Record<string, StoredTensor> = {
    ...(options.quantize ? withSmallMatrices(arrays) : arrays),
    ...(logits ? { [LOGITS]: { shape: [logits.length], data: logits } } : {}),
  };
  const { config } = model;
  const own = {
    format: FORMAT,
    config: JSON.stringify(config),
    vocabulary: String(config.vocabulary),
    weights,
    tokensRead: String(tokensRead),
  };
  return encodeSafetensors({ tensors, metadata: { ...notes, ...own } });
}

/**
 * Reads the bytes of a memory file, quantized or not.
 * @param bytes Of the file.
 * @param owner Whose memory it must be.
 * @throws {CheckpointError} in one line if the file is damaged, no memory file, or the memory of another model.
 */
export function decodeMemory(bytes: Uint8Array, { model, weights: expected }: MemoryOwner): MemoryFile {
  const { tensors, metadata } = decodeSafetensors(bytes);
  const { format, config, vocabulary: _, weights, tokensRead: readText, ...notes } = metadata;
  if (format !== FORMAT) {
    throw new CheckpointError(
      `Cannot read memory: its format is ${
        format === undefined ? "missing" : JSON.stringify(format)
      }, expected "${FORMAT}"`,
    );
  }
  requireSameConfig(model, config);
  if (weights !== expected) {
    throw new CheckpointError(
      `Cannot use this memory: it was read by a model with other weights (${weights}, not ${expected}); use the checkpoint that read it, or read the text again`,
    );
  }
  if (!/^\d{1,15}$/.test(readText ?? "")) {
    throw new CheckpointError(`Cannot read memory: its tokensRead is ${JSON.stringify(readText) ?? "missing"}`);
  }
  const { [LOGITS]: stored, ...named } = dequantizeTensors(tensors), arrays = withPresentNames(model, named);
  checkArrays(model, arrays, "use");
  const logits = readLogits(model, stored);
  return { reading: { tokensRead: Number(readText), ...(logits ? { logits } : {}), arrays }, notes };
}

/** Arrays with matrices in int8; vectors and masks, such as which places of a window are filled, stay as they are. */
function withSmallMatrices(arrays: ExportedDecodeState["arrays"]): Record<string, StoredTensor> {
  const isMatrix = ({ shape }: StoredTensor): boolean => shape.length >= 3 && shape[shape.length - 2] > 1;
  const matrices = Object.entries(arrays).filter(([, array]) => isMatrix(array));
  const others = Object.entries(arrays).filter(([, array]) => !isMatrix(array));
  return { ...Object.fromEntries(others), ...quantizeTensors(Object.fromEntries(matrices)) };
}

function requireSameConfig(model: Model, text: string | undefined): void {
  let stored: unknown;
  try {
    stored = JSON.parse(text ?? "");
  } catch {
    throw new CheckpointError(`Cannot read memory: its config is ${text === undefined ? "missing" : "no JSON"}`);
  }
  if (typeof stored !== "object" || stored === null) {
    throw new CheckpointError("Cannot read memory: its config is not a record");
  }
  const found = withMixers(completeConfig(stored as Partial<ModelConfig>), model.mixers);
  const field = difference(model.config, found);
  if (field === undefined) return;
  throw new CheckpointError(
    `Cannot use this memory: it is of another model, its ${field} is ${JSON.stringify(found[field])}, this model has ${
      JSON.stringify(model.config[field])
    }`,
  );
}

function difference(own: ModelConfig, found: ModelConfig): keyof ModelConfig | undefined {
  try {
    validateConfig(found);
    return differingField(own, found);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new CheckpointError(`Cannot read the config of this memory: ${error.message}`);
  }
}

/** Checks that arrays are exactly those of a model's state. */
function checkArrays(model: Model, arrays: ExportedDecodeState["arrays"], verb: "store" | "use"): void {
  const reason = mismatchOf(stepSpecs(model), arrays);
  if (reason !== undefined) throw new CheckpointError(`Cannot ${verb} this memory: ${reason}`);
}

function readLogits(model: Model, stored: StoredTensor | undefined): Float32Array | undefined {
  if (!stored) return undefined;
  const { vocabulary } = model.config;
  if (stored.data instanceof Float32Array && String(stored.shape) === String([vocabulary])) return stored.data;
  throw new CheckpointError(
    `Cannot use this memory: tensor ${LOGITS} has shape [${
      stored.shape.join(", ")
    }], the model needs f32 [${vocabulary}]`,
  );
}
