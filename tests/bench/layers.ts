/**
 * Times a training step (loss and gradients) of one layer of Mamba, Mamba2, DeltaNet and Gated DeltaNet against the same
 * layer in eager PyTorch, in chunks where it has them; Mamba's selective scan is the plain loop over time.
 *
 *     NODEVICE_SELECT=1 deno run -A tests/bench/layers.ts [DEVICE [LAYER..]]
 *
 * Both have the same parameters, B 2, T 2,048, D 128 and 2 heads; losses and norms of gradients must agree before anything
 * is timed. Steps run in turns, and the fastest of each counts. MNEME_PYTHON is the Python that has torch.
 */
import { valueAndGrad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { compile, type Device, type DeviceKind, requestDevice, spec } from "../../mod.ts";
import { mean, square, sub } from "../../ops/mod.ts";
import { MIXERS } from "../../titans/mixers/registry.ts";
import { layoutOf } from "../../titans/nn/layer.ts";
import { defaultsOf } from "../../titans/options/option_table.ts";
import { randn } from "../golden_layers.ts";
import { linesOf } from "./peers/protocol.ts";

const B = 2, T = 2048, D = 128, HEADS = 2, ROUNDS = 12;
const LAYERS = ["mamba", "mamba2", "deltaNet", "gatedDeltaNet"] as const;
type LayerName = typeof LAYERS[number];

/** Relative differences of losses and of norms of gradients; f32 sums of 4,096 tokens. */
const TOLERANCE = 1e-3;

/** A layer with arrays for its parameters. */
function layerWithArrays(name: LayerName) {
  const { [name]: { create, options } } = MIXERS;
  const layer = create({ ...defaultsOf(options), heads: HEADS }, { width: D, block: 0, blocks: 1 });
  const layout = layoutOf(layer.parameters(1));
  return { layer, layout, arrays: layout.initialize(1) };
}

/** A step of the library: the loss, the norms of gradients by name, and how to run it again. */
async function own(
  device: Device,
  { layer, layout, arrays }: ReturnType<typeof layerWithArrays>,
  x: Float32Array,
  target: Float32Array,
) {
  const loss = (flat: Tensor, x: Tensor, target: Tensor): Tensor => {
    const params = layout.unflatten(flat);
    const { output } = layer.forward(params, x, { state: layer.initialState(params, B), atStart: true });
    return mean(square(sub(output, target)));
  };
  const program = await compile(device, valueAndGrad(loss), [spec([layout.size]), spec([B, T, D]), spec([B, T, D])]);
  const flat = layout.pack(arrays), step = () => program.run(flat, x, target);
  const [value, gradient] = await step();
  const norms = layout.entries.map(({ name, offset, size }) =>
    [name, Math.hypot(...gradient.data.subarray(offset, offset + size))] as const
  );
  return { loss: value.data[0], norms: Object.fromEntries(norms), step };
}

/** A child that answers every line with one of JSON. */
class Peer {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: AsyncGenerator<string, void>;

  constructor(python: string) {
    const path = new URL("peers/torch_layers.py", import.meta.url).pathname;
    this.#process = new Deno.Command(python, { args: [path], stdin: "piped", stdout: "piped" }).spawn();
    this.#input = this.#process.stdin.getWriter();
    this.#output = linesOf(this.#process.stdout);
  }

  async ask(line: string): Promise<Record<string, unknown>> {
    await this.#input.write(new TextEncoder().encode(`${line}\n`));
    const { value } = await this.#output.next();
    if (!value) throw new Error("PyTorch's process ended: its message is above");
    return JSON.parse(value);
  }

  async close(): Promise<void> {
    await this.#input.close();
    await this.#process.status;
  }
}

function base64({ buffer }: Float32Array): string {
  const bytes = new Uint8Array(buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return btoa(text);
}

function requireClose(name: string, actual: number, expected: number): void {
  const error = Math.abs(actual - expected) / Math.abs(expected);
  if (!(error <= TOLERANCE)) {
    throw new Error(`${name} is ${actual} here and ${expected} in PyTorch: not the same layer`);
  }
}

/** The fastest steps of both, in milliseconds. */
async function compare(device: Device, name: LayerName): Promise<{ own: number; torch: number }> {
  const given = layerWithArrays(name), x = randn(B * T * D, 1, 10), target = randn(B * T * D, 1, 11);
  const shapes = Object.fromEntries(given.layout.entries.map(({ name, parameter }) => [name, parameter.shape]));
  const encoded = (shape: readonly number[], data: Float32Array) => [shape, base64(data)];
  const arrays = {
    ...Object.fromEntries(
      Object.entries(given.arrays).map(([name, data]) => [name, encoded(shapes[name], data.slice())]),
    ),
    x: encoded([B, T, D], x),
    target: encoded([B, T, D], target),
  };
  const peer = new Peer(Deno.env.get("MNEME_PYTHON") || "python3");
  try {
    const theirs = await peer.ask(
      JSON.stringify({ layer: name, heads: HEADS, threads: navigator.hardwareConcurrency, arrays }),
    );
    const ours = await own(device, given, x, target), norms = theirs.norms as Record<string, number>;
    requireClose(`the loss of ${name}`, ours.loss, theirs.loss as number);
    for (const key of Object.keys(norms)) {
      requireClose(`the gradient of ${name} in ${key}`, ours.norms[key], norms[key]);
    }
    const best = { own: Infinity, torch: Infinity };
    for (let round = 0; round < ROUNDS; round++) {
      const start = performance.now();
      await ours.step();
      best.own = Math.min(best.own, performance.now() - start);
      best.torch = Math.min(best.torch, (await peer.ask("step")).ms as number);
    }
    return best;
  } finally {
    await peer.close();
  }
}

async function main([kind = "cpu", ...names]: readonly string[]): Promise<void> {
  const device = await requestDevice({ kind: kind as DeviceKind });
  try {
    for (const name of names.length > 0 ? names as LayerName[] : LAYERS) {
      const { own, torch } = await compare(device, name);
      const ratio = (torch / own).toFixed(2);
      console.log(`${name}: ${own.toFixed(1)} ms on ${kind}, ${torch.toFixed(1)} ms in PyTorch, ${ratio} times`);
    }
  } finally {
    device.dispose();
  }
}

if (import.meta.main) await main(Deno.args);
