/** Yardsticks of the cpu device: what plain JavaScript reaches. */
import type { ProductShape, Yardstick } from "./yardstick.ts";

/** A product by three loops over typed arrays, the inner one along rows, item by item of the batch. */
export function loopProduct(lhs: Float32Array, rhs: Float32Array, shape: ProductShape): Yardstick {
  const { batch, m, n, k } = shape;
  const result = new Float32Array(batch * m * n);
  return {
    name: "JavaScript loops",
    flops: 2 * batch * m * n * k,
    time: (count) => elapsed(count, () => multiply(lhs, rhs, result, shape)),
    read: () => {
      multiply(lhs, rhs, result, shape);
      return Promise.resolve(result);
    },
    dispose: () => {},
  };
}

function multiply(lhs: Float32Array, rhs: Float32Array, result: Float32Array, { batch, m, n, k }: ProductShape): void {
  result.fill(0);
  for (let row = 0; row < batch * m; row++) {
    const item = Math.floor(row / m) * k * n;
    for (let p = 0; p < k; p++) {
      const factor = lhs[row * k + p], from = item + p * n;
      for (let j = 0; j < n; j++) result[row * n + j] += factor * rhs[from + j];
    }
  }
}

/** `Float32Array.set`: what one thread copies. */
export function arrayCopy(size: number): Yardstick {
  const from = new Float32Array(size).fill(1), to = new Float32Array(size);
  return {
    name: "Float32Array.set",
    bytes: 8 * size,
    time: (count) => elapsed(count, () => to.set(from)),
    dispose: () => {},
  };
}

function elapsed(count: number, run: () => void): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < count; i++) run();
  return Promise.resolve(performance.now() - start);
}
