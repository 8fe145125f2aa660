/** A memory that learns by gradients, in its simplest form: a matrix, and the equations of the paper as they stand. */
import { compile, type Device, grad, type Program, requestDevice, spec, type Tensor } from "../../../mod.ts";
import { add, matmul, mul, sqrt, square, sub, sum } from "../../../ops/mod.ts";
import type { Gates, Updated } from "./protocol.ts";

/** The sides of the matrix. */
const WIDTH = 8;

interface Step {
  readonly memory: Tensor;
  readonly momentum: Tensor;
  readonly surprise: Tensor;
  readonly loss: Tensor;
}
type StepProgram = Program<
  [memory: Tensor, momentum: Tensor, key: Tensor, value: Tensor, theta: Tensor, eta: Tensor, alpha: Tensor],
  Step
>;

/** How far what the memory answers to a key is from the value. */
function loss(memory: Tensor, key: Tensor, value: Tensor): Tensor {
  return sum(square(sub(matmul(key, memory), value)));
}

/** Learns one pair. */
function step(
  memory: Tensor,
  momentum: Tensor,
  key: Tensor,
  value: Tensor,
  theta: Tensor,
  eta: Tensor,
  alpha: Tensor,
): Step {
  const gradient = grad(loss)(memory, key, value);
  const next = sub(mul(eta, momentum), mul(theta, gradient));
  return {
    memory: add(mul(sub(1, alpha), memory), next),
    momentum: next,
    surprise: sqrt(sum(square(gradient))),
    loss: loss(memory, key, value),
  };
}

/** Reads tokens. Each has a key and a value of its own, which look random and are always the same. */
export class GradientMemory {
  readonly #program: StepProgram;

  private constructor(program: StepProgram) {
    this.#program = program;
  }

  /** Compiles the step. */
  static async create(): Promise<GradientMemory> {
    const device: Device = await requestDevice({ kind: "reference" });
    const matrix = spec([WIDTH, WIDTH]), row = spec([1, WIDTH]), scalar = spec([]);
    return new GradientMemory(await compile(device, step, [matrix, matrix, row, row, scalar, scalar, scalar]));
  }

  /** Learns tokens, one after the other, from an empty memory on. */
  async read(tokens: readonly number[], { theta, eta, alpha }: Gates): Promise<Updated[]> {
    let memory = new Float32Array(WIDTH * WIDTH), momentum = memory;
    const updates: Updated[] = [];
    for (const token of tokens) {
      const [key, value] = [rowOf(2 * token), rowOf(2 * token + 1)];
      const scalars = [theta, eta, alpha].map((gate) => Float32Array.of(gate));
      const after = await this.#program.run(memory, momentum, key, value, scalars[0], scalars[1], scalars[2]);
      memory = after.memory.data as Float32Array<ArrayBuffer>;
      momentum = after.momentum.data as Float32Array<ArrayBuffer>;
      updates.push({
        token,
        surprise: after.surprise.data[0] as number,
        loss: after.loss.data[0] as number,
        momentum: Array.from(momentum),
        memory: Array.from(memory),
      });
    }
    return updates;
  }
}

/** A row of length 1 that a number stands for. */
function rowOf(seed: number): Float32Array {
  let state = 48271 * (seed + 11);
  const row = Float32Array.from({ length: WIDTH }, () => {
    state = state * 48271 % 2147483647;
    return state / 2147483647 - 0.5;
  });
  const norm = Math.sqrt(row.reduce((total, value) => total + value * value, 0));
  return row.map((value) => value / norm);
}
