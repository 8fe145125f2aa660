/**
 * Is it worth sharing one long text among ranks, each of which reads a part and hands the memory's state to the next?
 * Simulates a step both ways, from chunk times that are measured here and a latency and bandwidth that are given, for
 * docs/scaling.md: `deno task simulate:pipeline --help`.
 *
 * - Data parallel: R ranks read a text each, and add up their gradients. A step has R texts.
 * - Pipeline: R ranks read R texts together, each its R-th of every text. The state goes forwards from rank to rank,
 *   its gradient backwards, and gradients are added up as before. Rank r reads text t once it has read text t - 1 and rank
 *   r - 1 has read t; backwards the same from the last rank. So ranks idle at both ends, and each keeps what it must
 *   for the backward pass of its part of all texts that are under way.
 */
import { integer, number } from "../../cli/flags.ts";
import { requestDevice } from "../../kernels/mod.ts";
import { compile } from "../../kernels/compile.ts";
import { spec } from "../../core/trace.ts";
import type { Tensor } from "../../core/graph.ts";
import { valueAndGrad } from "../../core/grad.ts";
import { flatten } from "../../core/tree.ts";
import { isTensor } from "../../core/graph.ts";
import { defineConfig, Model, nextToken } from "../../titans/mod.ts";
import { forwardLoss } from "../../titans/train/gradient.ts";
import { runTool } from "../tool.ts";

const CHUNK = 512, ROUNDS = 6;

/** Seconds of a part of a text and the size of what is handed on. */
export interface Costs {
  /** Forward and backward, of a token. */
  readonly forward: number;
  readonly backward: number;
  readonly stateBytes: number;
  readonly gradientBytes: number;
}

/** What parts of a text and messages cost. */
export interface Link {
  /** Tokens of a text. */
  readonly tokens: number;
  readonly latencyUs: number;
  /** GB/s. */
  readonly gigabytes: number;
}

/** What a way of sharing takes. */
interface Step {
  readonly seconds: number;
  /** Tokens per second. */
  readonly speed: number;
  /** Tokens of which a rank keeps activations at once. */
  readonly kept: number;
}

const message = (bytes: number, { latencyUs, gigabytes }: Link): number => latencyUs * 1e-6 + bytes / (gigabytes * 1e9);
const sum = (ranks: number, bytes: number, link: Link): number => 2 * (ranks - 1) * message(bytes / ranks, link);

/** R texts on R ranks, a text each. */
export function dataParallel(ranks: number, { forward, backward, gradientBytes }: Costs, link: Link): Step {
  const { tokens } = link, seconds = tokens * (forward + backward) + sum(ranks, gradientBytes, link);
  return { seconds, speed: ranks * tokens / seconds, kept: tokens };
}

/** Some texts through a pipeline of ranks: when each rank has read its part of each, forwards and then backwards. */
export function pipeline({ ranks, texts }: { ranks: number; texts: number }, costs: Costs, link: Link): Step {
  const { tokens } = link, part = tokens / ranks, handOver = message(costs.stateBytes, link);
  const free = new Float64Array(ranks), last = new Float64Array(texts);
  const pass = (order: readonly number[], work: number, ready: Float64Array): void => {
    for (let text = 0; text < texts; text++) {
      let at = ready[text];
      order.forEach((rank, i) => {
        at = Math.max(at + (i > 0 ? handOver : 0), free[rank]) + part * work;
        free[rank] = at;
      });
      last[text] = at;
    }
  };
  const forwards = Array.from({ length: ranks }, (_, rank) => rank);
  pass(forwards, costs.forward, new Float64Array(texts));
  pass(forwards.toReversed(), costs.backward, last.slice());
  const seconds = Math.max(...last) + sum(ranks, costs.gradientBytes, link);
  return { seconds, speed: texts * tokens / seconds, kept: texts * part };
}

/** Measures a chunk of a nano model forwards, and forwards and backwards. */
async function measured(name: "lmm" | "mac"): Promise<Costs> {
  using device = await requestDevice({ kind: "native" });
  const model = new Model(defineConfig({ model: name }, "nano")), objective = nextToken({ masked: false });
  const loss = (flat: Tensor, ids: Tensor): Tensor =>
    forwardLoss(model, objective, model.unflatten(flat), { data: { tokens: ids } }).loss.sum;
  const specs = [spec([model.layout.size]), spec([1, CHUNK + 1], "i32")] as const;
  const programs = [
    await compile(device, loss, [...specs]),
    await compile(device, (flat: Tensor, ids: Tensor) => valueAndGrad((p: Tensor) => loss(p, ids))(flat), [...specs]),
  ];
  const params = model.layout.pack(model.initialize(0)),
    ids = Int32Array.from({ length: CHUNK + 1 }, (_, i) => i % 251);
  const least = [Infinity, Infinity];
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, program] of programs.entries()) {
      const begun = performance.now();
      await program.run(params, ids);
      least[i] = Math.min(least[i], (performance.now() - begun) / 1000);
    }
  }
  let stateBytes = 0;
  // The state of a text is what the model hands on; its size is known once it is traced.
  await compile(device, (flat: Tensor) => {
    const state = model.initialState(model.unflatten(flat), 1);
    stateBytes = flatten(state, isTensor).leaves.reduce(
      (bytes, { shape }) => bytes + 4 * shape.reduce((a, b) => a * b, 1),
      0,
    );
    return flat;
  }, [specs[0]]);
  const [forward, both] = least.map((seconds) => seconds / CHUNK);
  return { forward, backward: both - forward, stateBytes, gradientBytes: 4 * model.layout.size };
}

async function simulate(link: Link): Promise<void> {
  const { tokens, latencyUs, gigabytes } = link;
  for (const name of ["lmm", "mac"] as const) {
    const costs = await measured(name);
    console.log(
      `${name}: ${(costs.forward * 1e6).toFixed(1)} us per token forwards, ${
        (costs.backward * 1e6).toFixed(1)
      } backwards; state ${(costs.stateBytes / 1e3).toFixed(0)} kB, gradient ${
        (costs.gradientBytes / 1e3).toFixed(0)
      } kB; texts of ${tokens} tokens, ${latencyUs} us, ${gigabytes} GB/s`,
    );
    for (const ranks of [2, 4, 8, 16, 64]) {
      const shown = ({ seconds, speed, kept }: Step): string =>
        `${seconds.toFixed(2)} s, ${Math.round(speed)} tokens/s, ${kept} tokens kept`;
      console.log(`${ranks} ranks: data ${shown(dataParallel(ranks, costs, link))}`);
      for (const texts of [1, ranks, 4 * ranks]) {
        console.log(`  pipeline, ${texts} texts: ${shown(pipeline({ ranks, texts }, costs, link))}`);
      }
    }
  }
}

if (import.meta.main) {
  await runTool({
    task: "simulate:pipeline",
    about:
      `Measures what chunks of nano LMM and MAC take on the native device, and simulates training steps of 2 to 64 ranks
over long texts: data parallelism, and a pipeline of ranks that read a part of a text each. A minute.`,
    flags: {
      tokens: integer("tokens of a text", 131072, { min: CHUNK }),
      latencyUs: number("microseconds of a message", 50, { min: 0 }),
      gigabytes: number("GB/s between ranks", 1.25, { min: 0, aboveMin: true }),
    },
    run: simulate,
  });
}
