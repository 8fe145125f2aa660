/**
 * Titans: sequence models whose long-term memory is a small network that keeps learning while it reads (Behrouz, Zhong,
 * Mirrokni, arXiv 2501.00663).
 *
 * From the inside out: a memory network ({@link mlpMemory}), its learning rule token by token ({@link naiveMemory}) and
 * in matrix products ({@link chunkedMemory}), a layer, a language model ({@link Model}), and what trains
 * ({@link Trainer}), stores and runs it ({@link Decoder}, {@link generate}).
 *
 * @module
 */
export {
  type Activation,
  fastVector,
  type LayerShape,
  type Linear,
  type Memory,
  type MemoryGain,
  type MemoryNetwork,
  type MemorySequence,
  type MemoryState,
  mlpMemory,
  type MlpMemoryOptions,
  readMemory,
  swigluMemory,
  type SwigluMemoryOptions,
  type Vector,
} from "./mixers/titans/memory_network.ts";
export { type MemoryResult, naiveMemory, type NaiveMemoryOptions } from "./mixers/titans/naive.ts";
export type { GateGranularity, LayeredSequence, LayerGates } from "./mixers/titans/gates.ts";
export { layeredMemory } from "./mixers/titans/layered_memory.ts";
export { type MatrixTrace, type MemoryTrace, traceMemory, type TraceOptions } from "./mixers/titans/trace.ts";
export { chunkedMemory, type ChunkedMemoryOptions, type ChunkedMemoryResult } from "./mixers/titans/chunked_memory.ts";
export {
  initialMemoryLayerState,
  type MemoryLayer,
  memoryLayer,
  type MemoryLayerOptions,
  memoryLayerParameters,
  type MemoryLayerResult,
  type MemoryLayerState,
  readPersistent,
} from "./mixers/titans/memory_layer.ts";
export { type GatedMlp, gatedMlp, gatedMlpParameters } from "./nn/layers.ts";
export {
  type AnyMixer,
  type Axis,
  defineLayer,
  defineMixer,
  type Dimensions,
  type ForwardContext,
  type Metric,
  type Mixed,
  type Mixer,
  type MixerLayer,
  type MixerSpec,
  type Observe,
  type Remedy,
  type StepContext,
  type Tensors,
} from "./mixers/mixer_interface.ts";
export { type MixerName, MIXERS } from "./mixers/registry.ts";
export { type ModelKind, type Recipe, type RecipeName, RECIPES } from "./mixers/recipes.ts";
export { SPAN_OPTIONS } from "./mixers/attention/options.ts";
export { lmm } from "./mixers/titans/lmm.ts";
export { mac } from "./mixers/titans/mac.ts";
export { mag } from "./mixers/titans/mag.ts";
export { mal } from "./mixers/titans/mal.ts";
export { linear } from "./mixers/linear/linear.ts";
export { NORMALIZER_OPTIONS } from "./mixers/linear/options.ts";
export { retnet } from "./mixers/retnet/retnet.ts";
export { RETENTION_OPTIONS } from "./mixers/retnet/options.ts";
export { gla } from "./mixers/gla/gla.ts";
export { DECAY_OPTIONS } from "./mixers/gla/options.ts";
export { hgrn2 } from "./mixers/hgrn2/hgrn2.ts";
export { LOWER_BOUND_OPTIONS } from "./mixers/hgrn2/options.ts";
export { mamba } from "./mixers/mamba/mamba.ts";
export { mamba2 } from "./mixers/mamba/mamba2.ts";
export { STATE_SPACE_OPTIONS } from "./mixers/mamba/options.ts";
export { deltaNet } from "./mixers/delta/delta_net.ts";
export { gatedDeltaNet } from "./mixers/delta/gated_delta_net.ts";
export { DELTA_RULE_OPTIONS } from "./mixers/delta/options.ts";
export { SHARED_OPTIONS } from "./mixers/shared_options.ts";
export { tttLinear, tttMlp } from "./mixers/ttt/ttt.ts";
export { INNER_OPTIONS } from "./mixers/ttt/options.ts";
export { defineMemory, type MemoryConfig, withNetwork } from "./mixers/titans/memory_config.ts";
export {
  advanceWindow,
  type AttentionRows,
  attentionRows,
  type Heads,
  initialWindowState,
  type KeysAndValues,
  segmentAttention,
  type SegmentKeys,
  windowAttention,
  type WindowAttentionOptions,
  type WindowExtents,
  type WindowState,
} from "./nn/attention.ts";
export { type Block, countParameters, type ModelParameters, withParameters } from "./models/model_parameters.ts";
export {
  type BlockState,
  type ForwardOptions,
  type ForwardResult,
  Model,
  type ModelState,
  type ModelStep,
  type Observation,
} from "./models/model.ts";
export { LayerNetwork, type Network } from "./models/network.ts";
export type { InitialValue, Layer } from "./nn/layer.ts";
export { type BlockLayer, type BlockMixer } from "./models/blocks.ts";
export {
  completeConfig,
  defineConfig,
  PRESET_PARAMETERS,
  type PresetName,
  PRESETS,
  validateConfig,
} from "./models/config.ts";
export { PAPER_SIZES, type PaperSize, type PaperSizeName } from "./models/paper_sizes.ts";
export { MODEL_OPTIONS, type ModelConfig } from "./models/options.ts";
export {
  ATTENTION_OPTIONS,
  type ForgetTo,
  MEMORY_OPTIONS,
  type MemoryKind,
  type MemoryOptions,
  type MemoryQuery,
  type OutputGate,
} from "./mixers/titans/options.ts";
export type {
  ChoiceRow,
  IntegerRow,
  NumberRow,
  OptionRecord,
  OptionRow,
  OptionsOf,
  OptionTable,
  OptionValue,
  RowFacts,
  TextRow,
  ToggleRow,
} from "./options/option_table.ts";
export type { Initializer } from "./nn/initializers.ts";
export { type NamedArrays, type NamedParameter, Parameter, ParameterLayout } from "./nn/parameters.ts";
export {
  completeOptimizer,
  defineOptimizer,
  learningRateAt,
  type OptimizerConfig,
  optimizerTable,
  stepScalars,
  UPDATE_OPTIONS,
} from "./train/optimizer_config.ts";
export { SCHEDULE_OPTIONS, scheduleAt, type ScheduleFacts } from "./train/schedules.ts";
export type { AnyOptimizer, Optimizer, UpdateContext, UpdateResult } from "./train/optimizers/optimizer.ts";
export { ADAM_OPTIONS, adamW } from "./train/optimizers/adam_w.ts";
export { sgd, SGD_OPTIONS } from "./train/optimizers/sgd.ts";
export { lion, LION_OPTIONS } from "./train/optimizers/lion.ts";
export { muon, MUON_OPTIONS } from "./train/optimizers/muon.ts";
export { OPTIMIZERS } from "./train/optimizers/registry.ts";
export {
  applyGradient,
  type ApplyOptions,
  clipByGlobalNorm,
  type GradientSums,
  type OptimizerState,
  update,
  type Updated,
  type UpdateOptions,
} from "./train/update.ts";
export { addSums, type BatchGradient, type CarriedRows, gradient, type StepBatch } from "./train/gradient.ts";
export type { BatchArray, BatchArrays, BatchTree, ModelInput, Objective, Weighted } from "./train/objective.ts";
export { nextToken, type WindowBatch } from "./train/next_token.ts";
export {
  type Baselines,
  defineTask,
  type FileReading,
  type ModelRequirements,
  type RowRange,
  type Score,
  type Split,
  type Subject,
  type Task,
  type TaskBatches,
  type TaskFacts,
  type TaskFile,
  type TaskFiles,
  type TaskInstance,
} from "./tasks/task.ts";
export { taskFiles } from "./tasks/files.ts";
export { fromSamples, SampleRandom, splitSeed } from "./tasks/samples.ts";
export { type Answers, type TokenBatch, tokenRow, tokenTask, type TokenTaskParts } from "./tasks/token_task.ts";
export { BatchReader, type BatchReaderOptions } from "./tasks/reading.ts";
export type { ContinuationScore, Scorer, ScoreRequest } from "./tasks/scorer.ts";
export {
  type Answer,
  asTextModel,
  type Benchmark,
  type BenchmarkInstance,
  type BenchmarkSubject,
  BYTE_CODEC,
  defineBenchmark,
  type PairedScore,
  type ReaderShape,
  type TextCodec,
  type TextModel,
} from "./tasks/benchmark.ts";
export { textTask, type TextTaskOptions } from "./tasks/text/text.ts";
export { intervalOf, meanOf, proportion } from "./tasks/figures.ts";
export {
  type BenchmarkOptions,
  evaluateBenchmark,
  evaluateTask,
  type EvaluationCells,
  type EvaluationOptions,
  requireFit,
} from "./tasks/evaluate.ts";
export { type StepProgram, Trainer } from "./train/trainer.ts";
export { type LossScaling, type Precision, PRECISION_OPTIONS } from "./train/precision.ts";
export { type Collective, type Share, shareOf, SOLO, type SumOrder } from "./train/collective.ts";
export type { Compression } from "./train/compressed_sum.ts";
export { localCollectives } from "./train/local_collective.ts";
export type {
  StepInput,
  StepMetrics,
  StoredOptimizer,
  TrainerOptions,
  TrainingBatch,
  TrainingData,
  TrainingShape,
  TrainingState,
  ValidationMetrics,
} from "./train/training.ts";
export { type StepArguments, type StepResult, trainingStep } from "./train/training_step.ts";
export {
  type DocumentStarts,
  evenWindows,
  MixedWindows,
  RandomWindows,
  splitText,
  type TextSplit,
  type TokenSource,
  tokenSource,
  type TokenText,
  type WeightedText,
} from "./text/windows.ts";
export { evenStreams, type StreamOptions, StreamWindows } from "./text/stream_windows.ts";
export { BigramModel } from "./text/bigram.ts";
export { NgramModel } from "./text/ngram.ts";
export { HostRng } from "./nn/host_rng.ts";
export { Sampler, SAMPLING_OPTIONS, type SamplingOptions } from "./models/sampling.ts";
export { generate, type GenerateOptions } from "./models/generate.ts";
export { Decoder, type DecodeResult } from "./models/decoder.ts";
export { BatchDecoder } from "./models/batch_decoder.ts";
export { DecodeState, type ExportedDecodeState } from "./models/decode_state.ts";
export {
  Inspector,
  type InspectorOptions,
  type ObservedRow,
  TracedPiece,
  type TraceSelection,
} from "./models/inspector.ts";
export {
  decodeSafetensors,
  encodeSafetensors,
  type StoredTensor,
  type StoredTensors,
  type TensorData,
} from "./models/safetensors.ts";
export { type Quantization } from "./models/quantize.ts";
export { decodeWeights, encodeWeights, type EncodeWeightsOptions } from "./models/weights_file.ts";
export {
  type NeuralMemory,
  neuralMemory,
  type NeuralMemoryCall,
  type NeuralMemoryGate,
  type NeuralMemoryOptions,
  type NeuralMemoryParameters,
  type NeuralMemoryResult,
} from "./mixers/titans/neural_memory.ts";
export { decodeNeuralMemory, encodeNeuralMemory, type StoredNeuralMemory } from "./models/neural_memory_file.ts";
export {
  decodeMemory,
  encodeMemory,
  type EncodeMemoryOptions,
  fingerprint,
  type MemoryFile,
  type MemoryOwner,
} from "./models/memory_file.ts";
export {
  type Checkpoint,
  decodeCheckpoint,
  type DecodeOptions,
  encodeCheckpoint,
  requireSameModel,
} from "./train/checkpoint.ts";
export { CheckpointError, ConfigError, SamplingError, TrainingError } from "./errors.ts";
