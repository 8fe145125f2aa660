/** A run's text as what it learns from. */
import {
  evenStreams,
  evenWindows,
  MixedWindows,
  StreamWindows,
  type TrainingBatch,
  type TrainingData,
} from "../titans/mod.ts";
import { judgePairs, predictedOf, type PredictedWindows } from "./data/baseline.ts";
import type { Corpus } from "./data/corpus.ts";
import { vocabularyNote } from "./data/vocabulary.ts";
import { formatCount } from "./progress.ts";
import type { RunConfig } from "./run_config.ts";
import type { RunSource } from "./run_source.ts";

/** A corpus as a source. Figures are in bits per byte, next to the baselines. */
export function textSource(corpus: Corpus): RunSource {
  const { identity, vocabulary, trainBytes, heldOutBytes, bytesPerToken, notes } = corpus;
  return {
    identity,
    requires: { vocabulary: vocabulary.size },
    facts: { data: identity.name, trainBytes, heldOutBytes, vocabulary: vocabulary.name, bytesPerToken },
    description: `${identity.name}: ${formatCount(trainBytes)} bytes for training, ${
      formatCount(heldOutBytes)
    } held out`,
    unit: vocabulary.unit,
    notes,
    checkpointNotes: vocabularyNote(vocabulary),
    vocabulary,
    data: (config) => trainingData(config, corpus),
    held: (config, bytes) => {
      const { batches, windows } = judgedWindows(config, corpus, bytes);
      const counts = judgePairs(corpus.train.map(({ text }) => text), windows, vocabulary);
      const tokensPerByte = counts.tokens / counts.bytes, { fivegramBitsPerByte } = counts;
      const baselines = {
        bigramBitsPerByte: counts.bitsPerByte,
        ...(fivegramBitsPerByte === undefined ? {} : { fivegramBitsPerByte }),
      };
      return {
        batches,
        baselines,
        figures: (metrics) => ({
          ...metrics,
          bitsPerByte: metrics.bitsPerByte * tokensPerByte,
          ...baselines,
          bytes: counts.bytes,
        }),
      };
    },
    stepFigures: ({ bitsPerByte }) => ({ bitsPerByte: bitsPerByte / bytesPerToken }),
    [Symbol.dispose]: () => corpus[Symbol.dispose](),
  };
}

/** What a run learns from: random places of its texts, or its texts in order. */
function trainingData(
  { batch, seqLen: length, accumulate, seed, stream = 0 }: RunConfig,
  { train }: Corpus,
): TrainingData {
  const shape = { batch, length, accumulate };
  if (stream === 0) return new MixedWindows(train, shape, seed);
  return new StreamWindows(train, shape, seed, { longest: stream });
}

/** What a run is judged on: windows with a memory of their own, or, where it streams, held-out documents in order. */
function judgedWindows(
  { batch, seqLen: length, stream = 0 }: RunConfig,
  { heldOut, bytesPerToken }: Corpus,
  evalBytes: number,
): { readonly batches: Int32Array | TrainingBatch[]; readonly windows: PredictedWindows } {
  const count = Math.max(1, Math.floor(evalBytes / (length * bytesPerToken)));
  if (stream === 0) {
    const tokens = evenWindows(heldOut, length, count);
    return { batches: tokens, windows: { tokens, length } };
  }
  const batches = evenStreams(heldOut, { batch, length }, count, { longest: stream });
  return { batches, windows: predictedOf(batches, length) };
}
