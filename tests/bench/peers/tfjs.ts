/**
 * TensorFlow.js as a contestant: `deno run -A tfjs.ts wasm|webgpu [threads]`.
 *
 * It runs operation by operation. In its WebAssembly an operation is finished when its call returns; WebGPU collects
 * commands, which must be ended and submitted.
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
import { likeAPage, MAX_THREADS } from "./tfjs_threads.ts";

// In variables, so that checking types needs no download.
const VERSION = "4.22.0";
const PACKAGE = `npm:@tensorflow/tfjs@${VERSION}`;
const WEBGPU_PACKAGE = `npm:@tensorflow/tfjs-backend-webgpu@${VERSION}`;
/** The build for browsers: the one for Node is translated to older JavaScript, which its threads cannot read. */
const WASM_PACKAGE = `npm:@tensorflow/tfjs-backend-wasm@${VERSION}/dist/tf-backend-wasm.es2017.js`;

interface TfTensor {
  readonly rank: number;
  data(): Promise<Float32Array>;
  dispose(): void;
}

type Operand = TfTensor | number;

/** What is used of the library. */
interface Tf {
  readonly train: {
    adam(
      rate: number,
      beta1: number,
      beta2: number,
      epsilon: number,
    ): { minimize(loss: () => TfTensor, returnCost: true): TfTensor };
  };
  readonly linalg: { bandPart(x: TfTensor, lower: number, upper: number): TfTensor };
  tensor(data: Float32Array, shape: readonly number[]): TfTensor;
  variable(x: TfTensor): TfTensor;
  zeros(shape: readonly number[]): TfTensor;
  ones(shape: readonly number[]): TfTensor;
  tidy<T extends TfTensor | readonly TfTensor[]>(fn: () => T): T;
  grads(fn: (...args: TfTensor[]) => TfTensor): (args: readonly TfTensor[]) => TfTensor[];
  add(x: Operand, y: Operand): TfTensor;
  sub(x: Operand, y: Operand): TfTensor;
  mul(x: Operand, y: Operand): TfTensor;
  div(x: Operand, y: Operand): TfTensor;
  square(x: TfTensor): TfTensor;
  sqrt(x: TfTensor): TfTensor;
  rsqrt(x: TfTensor): TfTensor;
  tanh(x: TfTensor): TfTensor;
  sinh(x: TfTensor): TfTensor;
  cosh(x: TfTensor): TfTensor;
  sigmoid(x: TfTensor): TfTensor;
  softmax(x: TfTensor): TfTensor;
  matMul(x: TfTensor, y: TfTensor, transposeX?: boolean, transposeY?: boolean): TfTensor;
  sum(x: TfTensor, axis?: number, keepDims?: boolean): TfTensor;
  mean(x: TfTensor, axis?: number, keepDims?: boolean): TfTensor;
  reshape(x: TfTensor, shape: readonly number[]): TfTensor;
  transpose(x: TfTensor, axes: readonly number[]): TfTensor;
  tile(x: TfTensor, times: readonly number[]): TfTensor;
  slice(x: TfTensor, start: readonly number[], size: readonly number[]): TfTensor;
  stack(tensors: readonly TfTensor[], axis: number): TfTensor;
  env(): { set(flag: string, value: boolean): void };
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
  backend(): unknown;
}

interface WasmBackend {
  setThreadsCount(threads: number): void;
  getThreadsCount(): number;
}

/** The parts of the WebGPU backend that end and submit what it has collected. */
interface WebgpuBackend {
  readonly device: GPUDevice;
  readonly queue: GPUQueue;
  readonly commandEncoder: GPUCommandEncoder | null;
  endComputePassEncoder(): void;
  submitQueue(): void;
}

/** The jobs, on an open backend; `flush` waits until all work is done. */
class TfJobs {
  readonly #tf: Tf;
  readonly #flush: () => void;

  constructor(tf: Tf, flush: () => void) {
    this.#tf = tf;
    this.#flush = flush;
  }

  tasks(): Peer["tasks"] {
    const tf = this.#tf;
    return {
      "matmul 256": () => this.#product([256, 256]),
      "matmul 512": () => this.#product([512, 512]),
      "matmul 1024": () => this.#product([1024, 1024]),
      "matmul 256 x 64^3": () => this.#product([256, 64, 64]),
      "gelu(xw + b) + x, 4M": () =>
        this.#function(
          (x, w, b) => [tf.add(this.#gelu(tf.add(tf.mul(x, w), b)), x)],
          [1, 2, 3].map((seed) => random([2 ** 22], 1, seed)),
        ),
      "softmax 4096 x 256": () => this.#function((x) => [tf.softmax(x)], [random([4096, 256], 1, 1)]),
      "layer norm 4096 x 256, forward + backward": () => this.#layerNorm(),
      "MLP 256-1024-256, batch 512, Adam": () => this.#perceptron(),
      "causal attention B4 T256 D256 H4, forward + backward": () => this.#attention(),
      "chunk layer, chunk 64, Adam": () => this.#chunkLayer(64),
      "chunk layer, chunk 16, Adam": () => this.#chunkLayer(16),
    };
  }

  #upload({ data, shape }: Data): TfTensor {
    return this.#tf.tensor(data, shape);
  }

  /** A function of tensors that stay. */
  #function(fn: (...args: TfTensor[]) => readonly TfTensor[], data: readonly Data[]): Task {
    const args = data.map((array) => this.#upload(array));
    let results: readonly TfTensor[] = [];
    return {
      run: () => {
        results = this.#tf.tidy(() => fn(...args));
        this.#flush();
        return Promise.resolve();
      },
      check: () => sumOfAbsoluteValues(results.map((tensor) => tensor.data())),
      release: () => results.forEach((tensor) => tensor.dispose()),
    };
  }

  /** Loss, gradients of all variables, and Adam. */
  #training(loss: () => TfTensor): Task {
    const adam = this.#tf.train.adam(1e-3, 0.9, 0.999, 1e-8);
    let latest: TfTensor | undefined;
    return {
      run: () => {
        latest = adam.minimize(loss, true);
        this.#flush();
        return Promise.resolve();
      },
      check: async () => (await latest?.data())?.[0] ?? NaN,
      release: () => latest?.dispose(),
    };
  }

  #variables(parameters: Readonly<Record<string, Data>>): Record<string, TfTensor> {
    return Object.fromEntries(
      Object.entries(parameters).map(([name, data]) => [name, this.#tf.variable(this.#upload(data))]),
    );
  }

  #gelu(x: TfTensor, tanh: (x: TfTensor) => TfTensor = this.#tf.tanh): TfTensor {
    const tf = this.#tf;
    const inner = tf.mul(Math.sqrt(2 / Math.PI), tf.add(x, tf.mul(0.044715, tf.mul(x, tf.square(x)))));
    return tf.mul(tf.mul(0.5, x), tf.add(1, tanh(inner)));
  }

  #product(shape: readonly number[]): Task {
    return this.#function((a, b) => [this.#tf.matMul(a, b)], [random(shape, 1, 1), random(shape, 1, 2)]);
  }

  #layerNorm(): Task {
    const tf = this.#tf;
    const [dy, ...data] = [
      random([4096, 256], 1, 4),
      random([4096, 256], 1, 1),
      random([256], 1, 2),
      random([256], 1, 3),
    ];
    const scale = this.#upload(dy);
    const gradients = tf.grads((x, gain, bias) => {
      const centred = tf.sub(x, tf.mean(x, -1, true));
      const normal = tf.mul(centred, tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), 1e-5)));
      return tf.sum(tf.mul(tf.add(tf.mul(normal, gain), bias), scale));
    });
    return this.#function((...args) => gradients(args), data);
  }

  #perceptron(): Task {
    const tf = this.#tf;
    const { w1, b1, w2, b2 } = this.#variables({
      w1: random([256, 1024], 1 / 16, 1),
      b1: zeros([1024]),
      w2: random([1024, 256], 1 / 32, 2),
      b2: zeros([256]),
    });
    const [x, y] = [3, 4].map((seed) => this.#upload(random([512, 256], 1, seed)));
    return this.#training(() => {
      const hidden = this.#gelu(tf.add(tf.matMul(x, w1), b1));
      return tf.mean(tf.square(tf.sub(tf.add(tf.matMul(hidden, w2), b2), y)));
    });
  }

  #attention(): Task {
    const tf = this.#tf;
    const B = 4, T = 256, D = 256, H = 4, K = D / H;
    const dy = this.#upload(random([B * T, D], 1, 6));
    const mask = tf.tidy(() => tf.mul(tf.sub(1, tf.linalg.bandPart(tf.ones([T, T]), -1, 0)), -1e9));
    const gradients = tf.grads((wq, wk, wv, wo, x) => {
      const rows = tf.reshape(x, [B * T, D]);
      const [q, k, v] = [wq, wk, wv].map((w) =>
        tf.transpose(tf.reshape(tf.matMul(rows, w), [B, T, H, K]), [0, 2, 1, 3])
      );
      const shares = tf.softmax(tf.add(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(K)), mask));
      const merged = tf.reshape(tf.transpose(tf.matMul(shares, v), [0, 2, 1, 3]), [B * T, D]);
      return tf.sum(tf.mul(tf.matMul(merged, wo), dy));
    });
    return this.#function((...args) => gradients(args), [
      ...[1, 2, 3, 4].map((seed) => random([D, D], 1 / 16, seed)),
      random([B, T, D], 1, 5),
    ]);
  }

  /** The layer that updates its memory once a chunk. */
  #chunkLayer(C: number): Task {
    const tf = this.#tf;
    const golden = chunkLayer();
    const B = 2, T = 512, D = 128, H = 2, K = 64, E = 4 * K, N = T / C, M = B * H;
    const p = this.#variables(golden.parameters);
    const [x, y] = [golden.x, golden.y].map(({ data }) => this.#upload({ data, shape: [B * T, D] }));
    const heads = (z: TfTensor): TfTensor =>
      tf.reshape(tf.transpose(tf.reshape(z, [B, T, H, K]), [0, 2, 1, 3]), [M, N, C, K]);
    const gates = (z: TfTensor): TfTensor =>
      tf.reshape(tf.transpose(tf.reshape(tf.sigmoid(z), [B, T, H]), [0, 2, 1]), [M, N, C]);
    const silu = (z: TfTensor): TfTensor => tf.mul(z, tf.sigmoid(z));
    const normalize = (z: TfTensor): TfTensor => tf.div(z, tf.sqrt(tf.add(tf.sum(tf.square(z), -1, true), 1e-6)));
    // The gradient of the gradient of tf.tanh is wrong, without an error.
    const tanh = (z: TfTensor): TfTensor => tf.div(tf.sinh(z), tf.cosh(z));
    const memory = (w1: TfTensor, w2: TfTensor, z: TfTensor): TfTensor =>
      tf.matMul(this.#gelu(tf.matMul(z, w1), tanh), w2);
    const copies = (w: TfTensor, rows: number, columns: number): TfTensor =>
      tf.reshape(tf.tile(tf.reshape(w, [1, H, rows, columns]), [B, 1, 1, 1]), [M, rows, columns]);
    /** Chunk i of [M, N, ...], in another shape. */
    const chunk = (z: TfTensor, i: number, shape: readonly number[]): TfTensor => {
      const rest = Array.from({ length: z.rank - 2 }, () => 0);
      return tf.reshape(tf.slice(z, [0, i, ...rest], [-1, 1, ...rest.map(() => -1)]), shape);
    };
    return this.#training(() => {
      const q = normalize(heads(silu(tf.matMul(x, p.Wq)))),
        k = normalize(heads(silu(tf.matMul(x, p.Wk)))),
        v = heads(silu(tf.matMul(x, p.Wv)));
      const theta = tf.div(gates(tf.matMul(x, p.Wt)), C);
      const eta = tf.mean(gates(tf.matMul(x, p.We)), -1), alpha = tf.mul(tf.mean(gates(tf.matMul(x, p.Wa)), -1), 0.1);
      let weights = [copies(p.m1, K, E), copies(p.m2, E, K)], surprise = [tf.zeros([M, K, E]), tf.zeros([M, E, K])];
      const out: TfTensor[] = [];
      for (let i = 0; i < N; i++) {
        out.push(memory(weights[0], weights[1], chunk(q, i, [M, C, K])));
        // Nothing reads the last update.
        if (i === N - 1) break;
        const key = chunk(k, i, [M, C, K]), value = chunk(v, i, [M, C, K]), rate = chunk(theta, i, [M, C]);
        const inner = (w1: TfTensor, w2: TfTensor): TfTensor =>
          tf.sum(tf.mul(tf.sum(tf.square(tf.sub(memory(w1, w2, key), value)), -1), rate));
        const gradient = tf.grads(inner)(weights);
        const keep = chunk(eta, i, [M, 1, 1]), forget = tf.sub(1, chunk(alpha, i, [M, 1, 1]));
        surprise = surprise.map((s, l) => tf.sub(tf.mul(s, keep), gradient[l]));
        weights = weights.map((w, l) => tf.add(tf.mul(w, forget), surprise[l]));
      }
      const merged = tf.reshape(tf.transpose(tf.reshape(tf.stack(out, 1), [B, H, T, K]), [0, 2, 1, 3]), [B * T, D]);
      return tf.mean(tf.square(tf.sub(tf.matMul(merged, p.Wo), y)));
    });
  }
}

/** Opens the WebAssembly backend, with SIMD and threads. */
async function openWasm(tf: Tf, threads: number): Promise<Peer> {
  const wasm = await import(WASM_PACKAGE) as WasmBackend;
  await likeAPage(threads, async () => {
    wasm.setThreadsCount(threads);
    tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", true);
    if (!await tf.setBackend("wasm")) throw new Error("the WebAssembly backend of TensorFlow.js does not start");
    await tf.ready();
  });
  return {
    description: `tfjs ${VERSION}, wasm, SIMD, threads: ${wasm.getThreadsCount()}`,
    tasks: new TfJobs(tf, () => {}).tasks(),
    note: "eager; finished when its calls return",
  };
}

/** Opens the WebGPU backend. */
async function openWebgpu(tf: Tf): Promise<Peer> {
  const deviceBytes = countBufferBytes();
  await import(WEBGPU_PACKAGE);
  if (!await tf.setBackend("webgpu")) throw new Error("the WebGPU backend of TensorFlow.js does not start");
  await tf.ready();
  const backend = tf.backend() as WebgpuBackend;
  const flush = (): void => {
    if (backend.commandEncoder !== null) {
      // Without this a pass that is still open is lost, without an error.
      backend.endComputePassEncoder();
      backend.submitQueue();
    }
    finish(backend.queue);
  };
  return {
    description: `tfjs ${VERSION}, WebGPU, ${adapterName(backend.device)}`,
    tasks: new TfJobs(tf, flush).tasks(),
    note: "eager; submitted by submitQueue, awaited by the queue without Deno's 11 ms; the first run includes uploads",
    deviceBytes,
  };
}

const [device = "wasm", threads = Math.min(navigator.hardwareConcurrency, MAX_THREADS)] = Deno.args;

await serve(async () => {
  const module = await import(PACKAGE) as Tf & { readonly default?: Tf };
  const tf = module.default ?? module;
  return servedBy(await (device === "webgpu" ? openWebgpu(tf) : openWasm(tf, Number(threads))));
});
