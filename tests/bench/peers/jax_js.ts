/**
 * jax-js as a contestant: `deno run -A jax_js.ts wasm|webgpu`.
 *
 * Every job is one `jit`. jax-js counts references: an operation consumes its arguments, and `.ref` keeps one for
 * later.
 */
import { chunkLayer } from "../../golden_layers.ts";
import { serve } from "./protocol.ts";
import {
  adapterName,
  countBufferBytes,
  type Data,
  finish,
  type Peer,
  random,
  servedBy,
  sumOfAbsoluteValues,
  type Task,
  zeros,
} from "./tasks.ts";

/** In a variable, so that checking types needs no download. */
const PACKAGE = "npm:@jax-js/jax@0.1.25";

type Operand = JaxArray | number;

interface JaxArray {
  readonly ref: JaxArray;
  add(other: Operand): JaxArray;
  sub(other: Operand): JaxArray;
  mul(other: Operand): JaxArray;
  div(other: Operand): JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  transpose(axes: readonly number[]): JaxArray;
  /** An empty list takes the whole of an axis. */
  slice(...index: (number | [])[]): JaxArray;
  data(): Promise<Float32Array>;
  gpuBuffer(): Promise<GPUBuffer>;
  dispose(): void;
}

type Arrays = Readonly<Record<string, JaxArray>>;
type Tree = JaxArray | readonly Tree[] | { readonly [name: string]: Tree };

/** What is used of the library. */
interface Jax {
  readonly numpy: {
    array(data: Float32Array | number): JaxArray;
    zeros(shape: readonly number[]): JaxArray;
    zerosLike(x: JaxArray): JaxArray;
    broadcastTo(x: JaxArray, shape: readonly number[]): JaxArray;
    stack(arrays: readonly JaxArray[], axis: number): JaxArray;
    matmul(lhs: JaxArray, rhs: JaxArray): JaxArray;
    subtract(lhs: Operand, rhs: Operand): JaxArray;
    reciprocal(x: JaxArray): JaxArray;
    sqrt(x: JaxArray): JaxArray;
    square(x: JaxArray): JaxArray;
    mean(x: JaxArray, axis?: number): JaxArray;
    sum(x: JaxArray, axis?: number, options?: { readonly keepdims: boolean }): JaxArray;
  };
  readonly nn: {
    gelu(x: JaxArray): JaxArray;
    silu(x: JaxArray): JaxArray;
    sigmoid(x: JaxArray): JaxArray;
    softmax(x: JaxArray, axis: number): JaxArray;
    standardize(x: JaxArray, axis: number, options: { readonly epsilon: number }): JaxArray;
    dotProductAttention(q: JaxArray, k: JaxArray, v: JaxArray, options: { readonly isCausal: boolean }): JaxArray;
  };
  readonly tree: {
    leaves(tree: Tree): JaxArray[];
    ref<T extends Tree>(tree: T): T;
    map<T extends Tree>(fn: (...leaves: JaxArray[]) => JaxArray, first: T, ...others: readonly T[]): T;
  };
  jit<A extends readonly Tree[], R extends Tree>(fn: (...args: A) => R): (...args: A) => R;
  grad<P extends Tree, A extends readonly Tree[]>(fn: (p: P, ...args: A) => JaxArray): (p: P, ...args: A) => P;
  valueAndGrad<P extends Tree, A extends readonly Tree[]>(
    fn: (p: P, ...args: A) => JaxArray,
  ): (p: P, ...args: A) => [JaxArray, P];
  init(device: string): Promise<string[]>;
  defaultDevice(device: string): void;
  blockUntilReady(tree: Tree): Promise<Tree>;
  getWebGPUDevice(): GPUDevice;
}

/** The jobs, on an open device; `ready` waits for results. */
class JaxJobs {
  readonly #jax: Jax;
  readonly #ready: (tree: Tree) => Promise<void>;

  constructor(jax: Jax, ready: (tree: Tree) => Promise<void>) {
    this.#jax = jax;
    this.#ready = ready;
  }

  tasks(): Peer["tasks"] {
    return {
      "matmul 256": () => this.#product([256, 256]),
      "matmul 512": () => this.#product([512, 512]),
      "matmul 1024": () => this.#product([1024, 1024]),
      "matmul 256 x 64^3": () => this.#product([256, 64, 64]),
      "gelu(xw + b) + x, 4M": () => {
        const { nn } = this.#jax;
        return this.#function(
          (x, w, b) => [nn.gelu(x.ref.mul(w).add(b)).add(x)],
          [1, 2, 3].map((seed) => random([2 ** 22], 1, seed)),
        );
      },
      "softmax 4096 x 256": () => this.#function((x) => [this.#jax.nn.softmax(x, -1)], [random([4096, 256], 1, 1)]),
      "layer norm 4096 x 256, forward + backward": () => this.#layerNorm(),
      "MLP 256-1024-256, batch 512, Adam": () => this.#perceptron(),
      "causal attention B4 T256 D256 H4, forward + backward": () => this.#attention(),
      "chunk layer, chunk 64, Adam": () => this.#chunkLayer(64),
      "chunk layer, chunk 16, Adam": () => this.#chunkLayer(16),
    };
  }

  #upload({ data, shape }: Data): JaxArray {
    return this.#jax.numpy.array(data).reshape(shape);
  }

  /** A function of arrays that stay. */
  #function(fn: (...args: JaxArray[]) => readonly JaxArray[], data: readonly Data[]): Task {
    const args = data.map((array) => this.#upload(array));
    const program = this.#jax.jit(fn);
    let results: readonly JaxArray[] = [];
    return {
      run: async () => {
        results = program(...args.map((array) => array.ref));
        await this.#ready(results);
      },
      check: () => sumOfAbsoluteValues(results.map((array) => array.ref.data())),
      release: () => results.forEach((array) => array.dispose()),
    };
  }

  /** Loss, gradients and Adam in one program, whose state moves on. */
  #training(
    loss: (p: Arrays, x: JaxArray, y: JaxArray) => JaxArray,
    parameters: Readonly<Record<string, Data>>,
    inputs: readonly [Data, Data],
  ): Task {
    const { numpy: np, tree, jit, valueAndGrad } = this.#jax;
    type State = {
      readonly params: Arrays;
      readonly first: Arrays;
      readonly second: Arrays;
      readonly power1: JaxArray;
      readonly power2: JaxArray;
    };
    const step = jit((state: State, x: JaxArray, y: JaxArray): [JaxArray, State] => {
      const [value, gradient] = valueAndGrad(loss)(tree.ref(state.params), x, y);
      return [value, this.#adam(state, gradient)];
    });
    const params: Arrays = Object.fromEntries(
      Object.entries(parameters).map(([name, data]) => [name, this.#upload(data)]),
    );
    const empty = (): Arrays => tree.map((p) => np.zerosLike(p.ref), params);
    let state: State = { params, first: empty(), second: empty(), power1: np.array(1), power2: np.array(1) };
    const [x, y] = inputs.map((data) => this.#upload(data));
    let latest: JaxArray | undefined;
    return {
      run: async () => {
        [latest, state] = step(state, x.ref, y.ref);
        await this.#ready([latest, state]);
      },
      check: async () => (await latest?.ref.data())?.[0] ?? NaN,
      release: () => latest?.dispose(),
    };
  }

  /** Adam, with the powers of its betas as arrays, so that every step is the same program. */
  #adam<
    S extends {
      readonly params: Arrays;
      readonly first: Arrays;
      readonly second: Arrays;
      readonly power1: JaxArray;
      readonly power2: JaxArray;
    },
  >(
    state: S,
    gradient: Arrays,
  ): { params: Arrays; first: Arrays; second: Arrays; power1: JaxArray; power2: JaxArray } {
    const { numpy: np, tree } = this.#jax;
    const power1 = state.power1.mul(0.9), power2 = state.power2.mul(0.999);
    const first = tree.map((m, g) => m.mul(0.9).add(g.ref.mul(0.1)), state.first, gradient);
    const second = tree.map((v, g) => v.mul(0.999).add(np.square(g).mul(0.001)), state.second, gradient);
    const scale1 = np.reciprocal(np.subtract(1, power1.ref)), scale2 = np.reciprocal(np.subtract(1, power2.ref));
    const params = tree.map(
      (p, m, v) => p.sub(m.ref.mul(scale1.ref).mul(1e-3).div(np.sqrt(v.ref.mul(scale2.ref)).add(1e-8))),
      state.params,
      first,
      second,
    );
    for (const scale of [scale1, scale2]) scale.dispose();
    return { params, first, second, power1, power2 };
  }

  #product(shape: readonly number[]): Task {
    return this.#function((a, b) => [this.#jax.numpy.matmul(a, b)], [random(shape, 1, 1), random(shape, 1, 2)]);
  }

  #layerNorm(): Task {
    const { numpy: np, nn, grad } = this.#jax;
    const loss = ({ x, gain, bias }: Arrays, dy: JaxArray): JaxArray =>
      np.sum(nn.standardize(x, -1, { epsilon: 1e-5 }).mul(gain).add(bias).mul(dy));
    const gradient = grad(loss);
    const data = [random([4096, 256], 1, 1), random([256], 1, 2), random([256], 1, 3), random([4096, 256], 1, 4)];
    return this.#function((x, gain, bias, dy) => {
      const d = gradient({ x, gain, bias }, dy);
      return [d.x, d.gain, d.bias];
    }, data);
  }

  #perceptron(): Task {
    const { numpy: np, nn } = this.#jax;
    const loss = ({ w1, b1, w2, b2 }: Arrays, x: JaxArray, y: JaxArray): JaxArray =>
      np.mean(np.square(np.matmul(nn.gelu(np.matmul(x, w1).add(b1)), w2).add(b2).sub(y)));
    const parameters = {
      w1: random([256, 1024], 1 / 16, 1),
      b1: zeros([1024]),
      w2: random([1024, 256], 1 / 32, 2),
      b2: zeros([256]),
    };
    return this.#training(loss, parameters, [random([512, 256], 1, 3), random([512, 256], 1, 4)]);
  }

  #attention(): Task {
    const { numpy: np, nn, grad } = this.#jax;
    const B = 4, T = 256, D = 256, H = 4;
    const loss = ({ wq, wk, wv, wo, x }: Arrays, dy: JaxArray): JaxArray => {
      const [q, k, v] = [wq, wk, wv].map((w) => np.matmul(x.ref, w).reshape([B, T, H, D / H]));
      x.dispose();
      return np.sum(np.matmul(nn.dotProductAttention(q, k, v, { isCausal: true }).reshape([B, T, D]), wo).mul(dy));
    };
    const gradient = grad(loss);
    const weights = [1, 2, 3, 4].map((seed) => random([D, D], 1 / 16, seed));
    return this.#function((wq, wk, wv, wo, x, dy) => {
      const d = gradient({ wq, wk, wv, wo, x }, dy);
      return [d.wq, d.wk, d.wv, d.wo, d.x];
    }, [...weights, random([B, T, D], 1, 5), random([B, T, D], 1, 6)]);
  }

  /** The layer that updates its memory once a chunk, unrolled: jax-js has no loops. */
  #chunkLayer(C: number): Task {
    const { numpy: np, nn, grad } = this.#jax;
    const { parameters, x, y } = chunkLayer();
    const B = 2, T = 512, D = 128, H = 2, K = 64, E = 4 * K, N = T / C, M = B * H;
    const heads = (z: JaxArray): JaxArray => z.reshape([B, T, H, K]).transpose([0, 2, 1, 3]).reshape([M, N, C, K]);
    const gates = (z: JaxArray): JaxArray => nn.sigmoid(z).transpose([0, 2, 1]).reshape([M, N, C]);
    const normalize = (z: JaxArray): JaxArray =>
      z.ref.div(np.sqrt(np.sum(np.square(z), -1, { keepdims: true }).add(1e-6)));
    const memory = ({ w1, w2 }: Arrays, z: JaxArray): JaxArray => np.matmul(nn.gelu(np.matmul(z, w1)), w2);
    const copies = (w: JaxArray, rows: number, columns: number): JaxArray =>
      np.broadcastTo(w, [B, H, rows, columns]).reshape([M, rows, columns]);
    const loss = (p: Arrays, x: JaxArray, y: JaxArray): JaxArray => {
      const q = normalize(heads(nn.silu(np.matmul(x.ref, p.Wq)))),
        k = normalize(heads(nn.silu(np.matmul(x.ref, p.Wk))));
      const v = heads(nn.silu(np.matmul(x.ref, p.Wv)));
      const theta = gates(np.matmul(x.ref, p.Wt)).div(C);
      const eta = np.mean(gates(np.matmul(x.ref, p.We)), -1), alpha = np.mean(gates(np.matmul(x, p.Wa)), -1).mul(0.1);
      let weights: Arrays = { w1: copies(p.m1, K, E), w2: copies(p.m2, E, K) };
      let surprise: Arrays = { w1: np.zeros([M, K, E]), w2: np.zeros([M, E, K]) };
      const out: JaxArray[] = [];
      for (let i = 0; i < N; i++) {
        out.push(memory(this.#jax.tree.ref(weights), q.ref.slice([], i)));
        // Nothing reads the last update.
        if (i === N - 1) break;
        const [key, value, rate] = [k, v, theta].map((z) => z.ref.slice([], i));
        // Closed over on purpose: `grad` stops the gradient of its further arguments.
        const inner = (w: Arrays): JaxArray => np.sum(np.sum(np.square(memory(w, key).sub(value)), -1).mul(rate));
        const gradient = grad(inner)(this.#jax.tree.ref(weights));
        const keep = eta.ref.slice([], i).reshape([M, 1, 1]),
          forget = np.subtract(1, alpha.ref.slice([], i)).reshape([M, 1, 1]);
        surprise = this.#jax.tree.map((s, g) => s.mul(keep.ref).sub(g), surprise, gradient);
        weights = this.#jax.tree.map((w, s) => w.mul(forget.ref).add(s.ref), weights, surprise);
        for (const gate of [keep, forget]) gate.dispose();
      }
      for (const array of [q, k, v, theta, eta, alpha, ...Object.values(weights), ...Object.values(surprise)]) {
        array.dispose();
      }
      const merged = np.stack(out, 1).reshape([B, H, T, K]).transpose([0, 2, 1, 3]).reshape([B, T, D]);
      return np.mean(np.square(np.matmul(merged, p.Wo).sub(y)));
    };
    return this.#training(loss, parameters, [x, y]);
  }
}

const [device = "wasm"] = Deno.args;

await serve(async () => {
  const deviceBytes = device === "webgpu" ? countBufferBytes() : undefined;
  const jax = await import(PACKAGE) as Jax;
  if (!(await jax.init(device)).includes(device)) throw new Error(`jax-js finds no ${device} here`);
  jax.defaultDevice(device);
  const version = PACKAGE.slice("npm:@jax-js/".length).replace("jax@", "jax-js ");
  if (device !== "webgpu") {
    const wait = async (tree: Tree): Promise<void> => void await jax.blockUntilReady(tree);
    const threads = `${navigator.hardwareConcurrency} workers`;
    return servedBy({
      description: `${version}, wasm, ${threads}`,
      tasks: new JaxJobs(jax, wait).tasks(),
      note: "jit; awaited by blockUntilReady",
    });
  }
  const gpu = jax.getWebGPUDevice();
  const wait = async (tree: Tree): Promise<void> => {
    // Asking for their buffers submits what they wait for, as blockUntilReady does, whose own wait would cost Deno's 11
    // ms.
    await Promise.all(jax.tree.leaves(tree).map((array) => array.ref.gpuBuffer()));
    finish(gpu.queue);
  };
  return servedBy({
    description: `${version}, WebGPU, ${adapterName(gpu)}`,
    tasks: new JaxJobs(jax, wait).tasks(),
    note: "jit; submitted by gpuBuffer, awaited by the queue without Deno's 11 ms",
    deviceBytes,
  });
});
