/**
 * Muon (Jordan et al., https://kellerjordan.github.io/posts/muon, 2024): the momentum of a matrix, orthogonalised.
 * Embedding, head and vectors are updated by Adam. The size of the update is matched to Adam's as in Moonlight (Liu et
 * al., arXiv 2502.16982), so that one learning rate and one weight decay serve both.
 */
import type { Tensor } from "../../../core/graph.ts";
import {
  add,
  concat,
  div,
  greaterEqual,
  iota,
  less,
  logicalAnd,
  logicalOr,
  matmul,
  maximum,
  mul,
  pad,
  reshape,
  sliceAxis,
  sqrt,
  square,
  sum,
  swapAxes,
  where,
} from "../../../ops/mod.ts";
import type { NamedParameter, ParameterLayout } from "../../nn/parameters.ts";
import type { OptionTable } from "../../options/option_table.ts";
import { ADAM_OPTIONS, adamDirection, biasCorrections } from "./adam_w.ts";
import type { Optimizer } from "./optimizer.ts";

/** Options of {@link muon}. */
export const MUON_OPTIONS = {
  ...ADAM_OPTIONS,
  momentum: {
    kind: "number",
    default: 0.95,
    min: 0,
    max: 1,
    belowMax: true,
    flag: "optimizerMomentum",
    help: "decay of the momentum of matrices",
  },
  newtonSchulzSteps: { kind: "integer", default: 5, min: 1, max: 32, help: "iterations that orthogonalise a momentum" },
} as const satisfies OptionTable;

/**
 * Muon for matrices, AdamW for the rest.
 *
 *     m <- momentum m + (1 - momentum) g,   u = momentum m + (1 - momentum) g            Nesterov's form
 *     direction = 0.2 sqrt(max(in, out)) orthogonal(u)                                    of a matrix [in, out]
 *
 * A parameter of more axes, such as the first weights of memories [H, in, out], is as many matrices.
 */
export const muon: Optimizer<typeof MUON_OPTIONS, "first" | "second"> = {
  name: "muon",
  summary: "orthogonalised momentum for matrices, AdamW for embedding, head and vectors",
  options: MUON_OPTIONS,
  learningRate: 1e-2,
  state: ["first", "second"],
  scalars: biasCorrections,
  update({ gradient, state, scalars, layout }, { beta1, beta2, epsilon, momentum, newtonSchulzSteps }) {
    const inMatrix = matrixMask(layout),
      decay = where(inMatrix, momentum, beta1),
      share = where(inMatrix, 1 - momentum, 1 - beta1);
    const first = add(mul(state.first, decay), mul(gradient, share));
    const second = where(inMatrix, 0, add(mul(state.second, beta2), mul(square(gradient), 1 - beta2)));
    const lookahead = add(mul(first, momentum), mul(gradient, 1 - momentum));
    const direction = directionOf(layout, lookahead, {
      rest: adamDirection({ first, second }, scalars, epsilon),
      steps: newtonSchulzSteps,
    });
    return { direction, state: { first, second } };
  },
};

/** Whether Muon updates a parameter as matrices: it maps one hidden vector to another. */
export function isHiddenMatrix({ name, parameter: { shape, decay } }: NamedParameter): boolean {
  return decay && shape.length >= 2 && name !== "embedding" && name !== "head";
}

/** Where a parameter's part of the flat vector ends, padding included. */
function endsOf(layout: ParameterLayout): ReadonlyMap<NamedParameter, number> {
  const ordered = [...layout.entries].sort((a, b) => a.offset - b.offset);
  return new Map(ordered.map((entry, i) => [entry, ordered[i + 1]?.offset ?? layout.size]));
}

/** Parts of the flat vector in order: each matrix, and what lies between matrices. */
function partsOf(
  layout: ParameterLayout,
): { readonly start: number; readonly end: number; readonly matrix?: NamedParameter }[] {
  const parts: { start: number; end: number; matrix?: NamedParameter }[] = [];
  for (const [entry, end] of endsOf(layout)) {
    const last = parts[parts.length - 1];
    if (isHiddenMatrix(entry)) parts.push({ start: entry.offset, end, matrix: entry });
    else if (last && !last.matrix) last.end = end;
    else parts.push({ start: entry.offset, end });
  }
  return parts;
}

/** Which elements of a flat vector belong to matrices, bool [P]. The layout puts nearly all of them side by side. */
function matrixMask(layout: ParameterLayout): Tensor {
  const runs: { start: number; end: number }[] = [];
  for (const { start, end } of partsOf(layout).filter(({ matrix }) => matrix)) {
    const last = runs[runs.length - 1];
    if (last?.end === start) last.end = end;
    else runs.push({ start, end });
  }
  const index = iota([layout.size], 0);
  return runs.map(({ start, end }) => logicalAnd(greaterEqual(index, start), less(index, end)))
    .reduce(logicalOr, less(index, 0));
}

/** The direction of all parameters: of matrices the orthogonalised momentum, of the others as given. */
function directionOf(
  layout: ParameterLayout,
  momentum: Tensor,
  { rest, steps }: { readonly rest: Tensor; readonly steps: number },
): Tensor {
  const parts = partsOf(layout), matrices = parts.flatMap(({ matrix }) => matrix ?? []);
  const orthogonal = new Map<NamedParameter, Tensor>();
  // Matrices of one shape go through the iteration together.
  for (const group of Map.groupBy(matrices, ({ parameter: { shape } }) => wideShape(shape).join()).values()) {
    const stacked = group.map(({ offset, size, parameter: { shape } }) => {
      const [rows, columns] = shape.slice(-2);
      const matrix = reshape(sliceAxis(momentum, 0, offset, size), [size / (rows * columns), rows, columns]);
      return rows > columns ? swapAxes(matrix, 1, 2) : matrix;
    });
    const together = orthogonalize(concat(stacked, 0), steps);
    let start = 0;
    for (const [i, entry] of group.entries()) {
      const [rows, columns] = entry.parameter.shape.slice(-2), count = stacked[i].shape[0];
      const own = mul(sliceAxis(together, 0, start, count), 0.2 * Math.sqrt(Math.max(rows, columns)));
      orthogonal.set(entry, reshape(rows > columns ? swapAxes(own, 1, 2) : own, [entry.size]));
      start += count;
    }
  }
  const pieces = parts.map(({ start, end, matrix }) =>
    matrix ? pad(orthogonal.get(matrix)!, [[0, end - start - matrix.size]]) : sliceAxis(rest, 0, start, end - start)
  );
  return concat(pieces, 0);
}

/** The shape of a matrix, its shorter side first. */
function wideShape(shape: readonly number[]): readonly number[] {
  return shape.slice(-2).sort((a, b) => a - b);
}

// The quintic of the Newton-Schulz iteration; its slope at zero is large, so that small singular values grow fast.
const [A, B, C] = [3.4445, -4.7750, 2.0315];

/** Matrices [n, rows, columns], rows at most columns, with all singular values brought near 1, between 0.7 and 1.2. */
function orthogonalize(matrices: Tensor, steps: number): Tensor {
  const norm = sqrt(sum(square(matrices), { axes: [1, 2], keepDims: true }));
  let x = div(matrices, maximum(norm, 1e-20));
  for (let i = 0; i < steps; i++) {
    const gram = matmul(x, swapAxes(x, 1, 2));
    const factor = add(mul(gram, B), mul(matmul(gram, gram), C));
    x = add(mul(x, A), matmul(factor, x));
  }
  return x;
}
