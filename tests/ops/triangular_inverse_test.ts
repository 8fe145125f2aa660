/** How exact inverses of unit triangles are in f32, where rows are alike and where they are not. */
import { assert } from "@std/assert";
import { compile, requestDevice, spec, type Tensor } from "../../mod.ts";
import * as ops from "../../ops/mod.ts";
import { randn } from "../numeric.ts";

const WIDTH = 16;

/** Unit keys of so many tokens. */
function keysOf(kind: "random" | "all equal" | "two alternating", count: number): number[][] {
  const numbers = randn(count * WIDTH, 1, 7);
  return Array.from({ length: count }, (_, t) => {
    const from = kind === "random" ? t : kind === "all equal" ? 0 : t % 2;
    const key = [...numbers.subarray(from * WIDTH, (from + 1) * WIDTH)];
    const size = Math.hypot(...key);
    return key.map((value) => Math.fround(value / size));
  });
}

/** `I + strictly lower (beta K K^T)`: what a chunk of the delta rule inverts. In f32, so that all forms see the same. */
function matrixOf(keys: readonly number[][], beta: number): Float32Array {
  const N = keys.length;
  return Float32Array.from({ length: N * N }, (_, at) => {
    const row = Math.floor(at / N), column = at % N;
    if (column >= row) return row === column ? 1 : 0;
    return beta * keys[row].reduce((sum, value, i) => sum + value * keys[column][i], 0);
  });
}

/** The exact inverse: substitution in doubles. */
function exactInverse(matrix: Float32Array, N: number): Float64Array {
  const result = new Float64Array(N * N);
  for (let column = 0; column < N; column++) {
    for (let row = column; row < N; row++) {
      let value = row === column ? 1 : 0;
      for (let k = column; k < row; k++) value -= matrix[row * N + k] * result[k * N + column];
      result[row * N + column] = value;
    }
  }
  return result;
}

/** Keys, beta, and the greatest error allowed, over the greatest element. */
const TABLE = [
  ["random", 1, 3e-7],
  ["all equal", 0.5, 1e-7],
  ["all equal", 1, 1e-7],
  ["two alternating", 1, 2e-7],
] as const;

for (const kind of ["cpu", "webgpu"] as const) {
  Deno.test(`triangularInverse: keeps its digits in f32 where keys repeat, on ${kind}`, async () => {
    using device = await requestDevice({ kind });
    const lines: string[] = [];
    for (const N of [16, 64]) {
      const matrices = TABLE.map(([keys, beta]) => matrixOf(keysOf(keys, N), beta));
      const program = await compile(
        device,
        (x: Tensor) => ops.triangularInverse(x, { unitDiagonal: true }),
        [spec([TABLE.length, N, N])],
      );
      const { data } = await program.run(Float32Array.from(matrices.flatMap((matrix) => [...matrix])));
      program.dispose();
      TABLE.forEach(([keys, beta, allowed], i) => {
        const exact = exactInverse(matrices[i], N), found = data.subarray(i * N * N, (i + 1) * N * N);
        const scale = exact.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        const error = exact.reduce((worst, value, at) => Math.max(worst, Math.abs(found[at] - value)), 0) / scale;
        lines.push(`${keys}, beta ${beta}, ${N} rows: ${error.toExponential(1)}`);
        assert(error <= allowed, `${lines.at(-1)}, allowed ${allowed}`);
      });
    }
    console.log(`errors of triangularInverse on ${kind}: ${lines.join("; ")}`);
  });
}
