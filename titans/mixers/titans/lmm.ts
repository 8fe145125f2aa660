/** LMM: the memory alone mixes tokens. Output of the memory, a gate that is linear in the token, a projection. */
import type { Tensor } from "../../../core/graph.ts";
import { matmul, mul, silu } from "../../../ops/mod.ts";
import { matrix, type Parameter } from "../../nn/parameters.ts";
import { type AnyMixer, defineMixer } from "../mixer_interface.ts";
import {
  initialMemoryLayerState,
  type MemoryLayer,
  memoryLayer,
  memoryLayerParameters,
  type MemoryLayerState,
  memoryLayerStepState,
  memoryLayerToken,
} from "./memory_layer.ts";
import { MEMORY_METRICS, memoryRemedies, observeMemory } from "./observe_memory.ts";
import { checkMemoryOptions, LMM_OPTIONS } from "./options.ts";

/** Parameters of {@link lmm}. */
export interface LmmParameters<Leaf> {
  /** The memory and its projections. */
  readonly memory: MemoryLayer<Leaf>;
  /** [D, D] */
  readonly gate: Leaf;
  /** [D, D] */
  readonly out: Leaf;
}

/** The memory alone: `(silu(x G) * norm(M(x))) O`. */
export const lmm: AnyMixer = defineMixer<typeof LMM_OPTIONS, LmmParameters<Parameter>, MemoryLayerState>({
  name: "lmm",
  summary: "the memory alone",
  paper: "2501.00663",
  options: LMM_OPTIONS,
  metrics: MEMORY_METRICS,
  remedies: memoryRemedies,
  create(options, { width: D }) {
    checkMemoryOptions(options, D);
    const config = { ...options, width: D };
    const gated = (params: LmmParameters<Tensor>, x: Tensor, y: Tensor): Tensor =>
      matmul(mul(silu(matmul(x, params.gate)), y), params.out);
    return {
      interval: config.miniBatch,
      together: config.miniBatch,
      parameters: (scale) => ({
        memory: memoryLayerParameters(config),
        gate: matrix([D, D]),
        out: matrix([D, D], scale),
      }),
      initialState: ({ memory }, batch) => initialMemoryLayerState(memory, batch),
      forward(params, x, { state, update, observe }) {
        const memory = memoryLayer(config, params.memory, x, { state, update, trace: observe !== undefined });
        observeMemory(observe, { layer: params.memory, ...memory });
        return { output: gated(params, x, memory.output), state: memory.state };
      },
      stepState: memoryLayerStepState,
      step(params, x, { state, position }) {
        const memory = memoryLayerToken(config, params.memory, x, { state, position });
        return { output: gated(params, x, memory.output), state: memory.state };
      },
    };
  },
});
