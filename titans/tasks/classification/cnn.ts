/**
 * The convolutional baseline of GenomicsBenchmarks (Gresova et al., BMC Genomic Data 2023), without its batch norms: the
 * embedding, three convolutions with a maximum over pairs after each, and two linear layers. Convolutions keep the
 * length, so that short sequences can be read.
 */
import type { Tensor } from "../../../core/graph.ts";
import { add, conv1d, expandDims, gather, max, mul, relu, reshape, sliceAxis } from "../../../ops/mod.ts";
import { ConfigError } from "../../errors.ts";
import type { Layer } from "../../nn/layer.ts";
import { linear, type LinearParameters } from "../../nn/linear.ts";
import { Parameter, table, vector } from "../../nn/parameters.ts";
import type { Alphabet } from "./alphabet.ts";
import { tokenMask } from "./classification.ts";

const EMBEDDING = 100, CHANNELS = [16, 8, 4], KERNEL = 8, HIDDEN = 512, POOL = 2;

interface Convolution<Leaf> {
  /** [out, in, taps] */
  readonly weight: Leaf;
  /** [out] */
  readonly bias: Leaf;
}

/** Parameters of {@link cnn}. */
export interface CnnParameters<Leaf> {
  /** A row for each token. */
  readonly embedding: Leaf;
  /** From the input on. */
  readonly convolutions: readonly Convolution<Leaf>[];
  /** Of all that is left of the length. */
  readonly hidden: LinearParameters<Leaf>;
  /** Of classes. */
  readonly head: LinearParameters<Leaf>;
}

/** The network: tokens i32 [B, length] to logits [B, classes]. @throws {ConfigError} if samples are too short. */
export function cnn(length: number, classes: number, alphabet: Alphabet): Layer<CnnParameters<Tensor>> {
  const left = CHANNELS.reduce((rest) => Math.floor(rest / POOL), length);
  if (left < 1) {
    throw new ConfigError(
      `Cannot read ${alphabet.samples} of ${length} ${alphabet.name} by the convolutional network: it takes ${
        POOL ** CHANNELS.length
      } at least`,
      "length",
    );
  }
  const hidden = linear(left * CHANNELS[CHANNELS.length - 1], HIDDEN), head = linear(HIDDEN, classes);
  const convolutions = CHANNELS.map((channels, i): Convolution<Parameter> => {
    const inputs = i === 0 ? EMBEDDING : CHANNELS[i - 1], normal = Math.sqrt(2 / (inputs * KERNEL));
    return { weight: new Parameter([channels, inputs, KERNEL], { normal }, true), bias: vector([channels], 0) };
  });
  return {
    parameters: {
      embedding: table([alphabet.size, EMBEDDING], 1),
      convolutions,
      hidden: hidden.parameters,
      head: head.parameters,
    },
    apply: (params, tokens) => {
      // Padding is zeros, as what convolutions see beyond the ends.
      const read = mul(gather(params.embedding, tokens), expandDims(tokenMask(tokens, alphabet), 2));
      const rows = params.convolutions.reduce(
        (x, { weight, bias }) => pooled(relu(add(conv1d(x, weight, { padding: "same" }), bias))),
        read,
      );
      const [B, T, C] = rows.shape;
      return head.apply(params.head, hidden.apply(params.hidden, reshape(rows, [B, T * C])));
    },
  };
}

/** The greater one of each two rows; an odd last one is dropped. */
function pooled(x: Tensor): Tensor {
  const [B, T, C] = x.shape, count = Math.floor(T / POOL);
  return max(reshape(sliceAxis(x, 1, 0, count * POOL), [B, count, POOL, C]), { axis: 2 });
}
