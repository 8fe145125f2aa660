/**
 * EinFFT: channels are mixed in the frequency domain, by a complex MLP whose matrices are diagonal in blocks (Patro and
 * Agneeswaran, arXiv 2403.15360).
 *
 *     z = FFT(x as [N, blocks, D / blocks]);   z <- shrink(relu(z W + b) V + c);   y = real part of the inverse FFT
 *
 * The transform is over tokens and blocks, unitary; relu and shrinking act on real and imaginary parts by themselves.
 * Windows have few tokens, so it is a product with a matrix.
 */
import type { Tensor } from "../../../core/graph.ts";
import {
  abs,
  add,
  constant,
  einsum,
  matmul,
  maximum,
  mul,
  relu,
  reshape,
  sign,
  sliceAxis,
  squeeze,
  sub,
} from "../../../ops/mod.ts";
import { ConfigError } from "../../errors.ts";
import type { Layer } from "../../nn/layer.ts";
import { Parameter } from "../../nn/parameters.ts";

/** A complex matrix for each block, and biases: real parts and imaginary parts. */
interface ComplexLinear<Leaf> {
  /** [2, blocks, D / blocks, D / blocks] */
  readonly weight: Leaf;
  /** [2, blocks, D / blocks] */
  readonly bias: Leaf;
}

/** Parameters of {@link einFft}. */
export interface EinFftParameters<Leaf> {
  /** Before the activation. */
  readonly first: ComplexLinear<Leaf>;
  /** After it. */
  readonly second: ComplexLinear<Leaf>;
}

const BLOCKS = 4, SCALE = 0.02, SHRINK = 0.01;

interface Complex {
  readonly real: Tensor;
  readonly imaginary: Tensor;
}

/** The layer for tokens [B, N, width]. @throws {ConfigError} if the width is no multiple of the blocks. */
export function einFft(width: number): Layer<EinFftParameters<Tensor>> {
  if (width % BLOCKS !== 0) {
    throw new ConfigError(
      `Cannot mix channels of width ${width} by EinFFT: it must be a multiple of ${BLOCKS}`,
      "width",
    );
  }
  const size = width / BLOCKS;
  const complex = (): ComplexLinear<Parameter> => ({
    weight: new Parameter([2, BLOCKS, size, size], { normal: SCALE }, true),
    bias: new Parameter([2, BLOCKS, size], { normal: SCALE }, false),
  });
  return {
    parameters: { first: complex(), second: complex() },
    apply: (params, x) => {
      const [B, N] = x.shape, points = N * BLOCKS, [cosines, sines] = fourier(N, BLOCKS);
      const rows = reshape(x, [B, points, size]), place = [B, N, BLOCKS, size];
      const there = {
        real: reshape(matmul(cosines, rows), place),
        imaginary: reshape(mul(matmul(sines, rows), -1), place),
      };
      const first = complexLinear(params.first, there);
      const active = { real: relu(first.real), imaginary: relu(first.imaginary) };
      const second = complexLinear(params.second, active), back = [B, points, size];
      const real = reshape(shrink(second.real), back), imaginary = reshape(shrink(second.imaginary), back);
      return reshape(sub(matmul(cosines, real), matmul(sines, imaginary)), x.shape);
    },
  };
}

/** Cosines and sines of the unitary transform over N tokens and M blocks, both [N M, N M]. */
function fourier(N: number, M: number): [cosines: Tensor, sines: Tensor] {
  const points = N * M, scale = 1 / Math.sqrt(points);
  const table = (of: (angle: number) => number): Tensor => {
    const values = Float32Array.from({ length: points * points }, (_, i) => {
      const [k, n] = [Math.floor(i / points), i % points];
      const turns = Math.floor(k / M) * Math.floor(n / M) / N + (k % M) * (n % M) / M;
      return scale * of(2 * Math.PI * turns);
    });
    return constant(values, [points, points]);
  };
  return [table(Math.cos), table(Math.sin)];
}

/** `z W + b` for each block. */
function complexLinear({ weight, bias }: ComplexLinear<Tensor>, { real, imaginary }: Complex): Complex {
  const part = (of: Tensor, i: number): Tensor => squeeze(sliceAxis(of, 0, i, 1), 0);
  const by = (z: Tensor, w: Tensor): Tensor => einsum("bnmi,mij->bnmj", z, w);
  const [wr, wi, br, bi] = [part(weight, 0), part(weight, 1), part(bias, 0), part(bias, 1)];
  return {
    real: add(sub(by(real, wr), by(imaginary, wi)), br),
    imaginary: add(add(by(real, wi), by(imaginary, wr)), bi),
  };
}

/** Soft shrinkage: values go towards zero by a constant, and those below it become zero. */
function shrink(x: Tensor): Tensor {
  return mul(sign(x), maximum(sub(abs(x), SHRINK), 0));
}
