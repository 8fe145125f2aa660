/** The shape of the matmul-only form: how many kernels a mini-batch is, and how it is cut in tiles. */
import { assert, assertEquals } from "@std/assert";
import { valueAndGrad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { spec } from "../../core/trace.ts";
import { compile, requestDevice } from "../../kernels/mod.ts";
import { chunkedMemory, defaultTile } from "../../titans/mixers/titans/chunked_memory.ts";
import { type MemorySequence, type MemoryState, mlpMemory } from "../../titans/mixers/titans/memory_network.ts";
import { tokenLayer } from "../golden_layers.ts";
import { assertClose, noise, reference } from "./runners.ts";

Deno.test("a mini-batch of a memory of two layers is at most 12 kernels forward and 30 backward, its factors one each", async () => {
  const device = await requestDevice({ kind: "cpu" });
  try {
    for (const miniBatch of [16, 64]) {
      const layer = tokenLayer("layer, b 64, norm", { form: "matmul", checkpoint: "save", miniBatch });
      const params = Object.fromEntries(
        Object.entries(layer.parameters).map(([name, { shape }]) => [name, spec(shape)]),
      );
      const step = (p: Record<string, Tensor>, x: Tensor, y: Tensor): unknown =>
        valueAndGrad((q: Record<string, Tensor>) => layer.loss(q, x, y))(p);
      using program = await compile(device, step, [params, spec(layer.x.shape), spec(layer.y.shape)] as never);
      const { kernels } = program.explain();
      const loops: number[] = [];
      kernels.forEach(({ depth }, at) => {
        if (depth === 1 && (at === 0 || kernels[at - 1].depth === 0)) loops.push(0);
        if (depth === 1) loops[loops.length - 1]++;
      });
      assertEquals(loops.length, 2);
      assert(
        loops[0] <= 12 && loops[1] <= 30,
        `mini-batches of ${miniBatch} are ${loops[0]} kernels forward and ${loops[1]} backward`,
      );
      assertEquals(kernels.filter(({ kind }) => kind === "recurrence").length, 2);
    }
  } finally {
    device.dispose();
  }
});

Deno.test("the tile is the mini-batch up to 64 tokens, then a whole part of it that is not tiny", () => {
  const tiles: readonly (readonly [number, number])[] = [
    [1, 1],
    [16, 16],
    [63, 63],
    [64, 64],
    [65, 65],
    [96, 48],
    [127, 127],
    [128, 64],
    [130, 26],
    [256, 64],
  ];
  assertEquals(tiles.map(([miniBatch]) => [miniBatch, defaultTile(miniBatch)]), tiles.map((pair) => [...pair]));
});

Deno.test("a mini-batch of several tiles by default gives what one tile gives", async () => {
  const [B, H, T, K] = [1, 2, 140, 4], network = mlpMemory({ width: K, depth: 2, expansion: 2 });
  const gate = (seed: number, scale: number) => {
    const { shape, data } = noise([B, H, T], seed);
    return { shape, data: Float64Array.from(data, (x) => scale / (1 + Math.exp(-x))) };
  };
  const weights = network.layers.map((layer, l) => noise([B, H, layer.in, layer.out], 10 + l, 0.5));
  const inputs = {
    sequence: {
      query: noise([B, H, T, K], 1, 0.5),
      key: noise([B, H, T, K], 2, 0.5),
      value: noise([B, H, T, K], 3),
      theta: gate(4, 0.1),
      eta: gate(5, 1),
      alpha: gate(6, 0.1),
    },
    state: { weights, surprise: weights.map(({ shape }, l) => noise(shape, 20 + l, 0.1)) },
    gains: network.gains.map((shape, i) => noise([H, ...shape], 30 + i, 0.1)),
  };
  const run = (tile?: number) =>
    reference(
      ({ sequence, state, gains }: { sequence: MemorySequence; state: MemoryState; gains: readonly Tensor[] }) => {
        const { output, state: last } = chunkedMemory({ network, gains }, sequence, { state, miniBatch: 128, tile });
        return { output, last };
      },
      [inputs],
    );
  assertClose(await run(), await run(128), 1e-12);
});
