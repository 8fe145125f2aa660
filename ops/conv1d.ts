/** One-dimensional convolution, as matrix products. */
import { OptionError, ShapeError } from "../core/errors.ts";
import type { Tensor } from "../core/graph.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { formatType, sizeOfShape } from "../core/shape.ts";
import { add, mul } from "./binary.ts";
import { concat } from "./concat.ts";
import { checkDomain, checkSameDType } from "./define.ts";
import { matmul } from "./matmul.ts";
import { pad, sliceAxis } from "./slice.ts";
import { expandDims, reshape, transpose } from "./views.ts";

/** Options of {@link conv1d}. */
export interface Conv1dOptions {
  /** Distance between outputs. Default: 1. */
  readonly stride?: number;
  /** Distance between the taps of the kernel. Default: 1. */
  readonly dilation?: number;
  /** Number of groups of channels, which are convolved separately; as many as channels is depthwise. Default: 1. */
  readonly groups?: number;
  /**
   * Zeros before and after the input. `"valid"`: none. `"same"`: `ceil(T / stride)` outputs, centred, an odd zero after.
   * `"causal"`: all before, so that no output depends on later inputs. Default: `"valid"`.
   */
  readonly padding?: "valid" | "same" | "causal" | readonly [before: number, after: number];
}

const CONV1D_OPTIONS = optionNames<Conv1dOptions>({ stride: true, dilation: true, groups: true, padding: true });

/** The options with defaults and padding resolved. */
interface Geometry {
  readonly stride: number;
  readonly dilation: number;
  readonly groups: number;
  readonly before: number;
  readonly after: number;
  /** Number of outputs. */
  readonly length: number;
}

function checkWhole(option: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least) {
    throw new OptionError(
      `Cannot use ${option} ${value} of conv1d: it must be an integer, at least ${least}`,
      option,
    );
  }
}

function geometryOf(x: Tensor, w: Tensor, options: Conv1dOptions): Geometry {
  const { stride = 1, dilation = 1, groups = 1, padding = "valid" } = options;
  checkWhole("stride", stride, 1);
  checkWhole("dilation", dilation, 1);
  checkWhole("groups", groups, 1);
  const [, T, I] = x.shape, [O, perGroup, W] = w.shape;
  if (x.rank !== 3 || w.rank !== 3 || perGroup * groups !== I || O % groups !== 0 || W < 1) {
    throw new ShapeError(
      `Cannot convolve x ${formatType(x)} with w ${
        formatType(w)
      } in ${groups} groups: x must be [B, T, I] and w [O, I / groups, W] with W at least 1 and O a multiple of groups`,
      [x.shape, w.shape],
    );
  }
  const reach = (W - 1) * dilation;
  const [before, after] = typeof padding !== "string"
    ? padding
    : padding === "valid"
    ? [0, 0]
    : padding === "causal"
    ? [reach, 0]
    : halves(Math.max(0, (Math.ceil(T / stride) - 1) * stride + reach + 1 - T));
  checkWhole("padding", before, 0);
  checkWhole("padding", after, 0);
  const length = Math.max(0, Math.floor((before + T + after - reach - 1) / stride) + 1);
  return { stride, dilation, groups, before, after, length };
}

function halves(total: number): [number, number] {
  return [Math.floor(total / 2), Math.ceil(total / 2)];
}

/** The inputs of each tap, `[B, length, I]`. */
function tapsOf(x: Tensor, W: number, { stride, dilation, before, after, length }: Geometry): Tensor[] {
  // A stride is a reshape into rows of that length, the last of which may reach beyond the input.
  const filled = pad(x, [[0, 0], [before, after + stride - 1], [0, 0]]), [B, , I] = x.shape;
  return Array.from({ length: W }, (_, j) => {
    const seen = sliceAxis(filled, 1, length === 0 ? 0 : j * dilation, length * stride);
    return stride === 1 ? seen : reshape(sliceAxis(reshape(seen, [B, length, stride, I]), 2, 0, 1), [B, length, I]);
  });
}

/**
 * Convolution along the second axis: `y[b, t, o] = sum over i, j of w[o, i, j] x[b, t stride + j dilation - before, i]`, the taps in
 * order of time as in PyTorch and JAX. Shapes: x `[B, T, I]`, w `[O, I / groups, W]`, result `[B, T', O]` with
 * `T' = floor((before + T + after - (W - 1) dilation - 1) / stride) + 1`. Computed as one product of
 * `[B T', W I]` by `[W I, O]`, batched over groups; elementwise if depthwise. Gradient: to both.
 * @throws {ShapeError} if the shapes do not fit each other and the groups.
 * @throws {DTypeError} if the dtypes differ or are not floats.
 * @throws {OptionError} if a stride, dilation, number of groups or padding is not valid.
 */
export function conv1d(x: Tensor, w: Tensor, options: Conv1dOptions = {}): Tensor {
  checkOptions("conv1d", options, CONV1D_OPTIONS);
  checkDomain("convolve", x, "float");
  checkSameDType("convolve", x, w);
  const geometry = geometryOf(x, w, options), { groups, length } = geometry;
  const [B, , I] = x.shape, [O, perGroup, W] = w.shape, taps = tapsOf(x, W, geometry);
  if (perGroup === 1 && groups > 1) {
    const each = taps.map((tap, j) => mul(expandDims(tap, -1), reshape(sliceAxis(w, 2, j, 1), [I, O / I])));
    return reshape(each.reduce((sum, tap) => add(sum, tap)), [B, length, O]);
  }
  // [B, T', W I] to [G, B T', W I / G], and w to [G, W I / G, O / G].
  const columns = reshape(concat(taps, 2), [sizeOfShape([B, length]), W, groups, perGroup]);
  const rows = reshape(transpose(columns, [2, 0, 1, 3]), [groups, B * length, W * perGroup]);
  const weights = transpose(reshape(w, [groups, O / groups, perGroup, W]), [0, 3, 2, 1]);
  const product = matmul(rows, reshape(weights, [groups, W * perGroup, O / groups])); // [G, B T', O / G]
  return reshape(transpose(product, [1, 0, 2]), [B, length, O]);
}
