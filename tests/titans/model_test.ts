import { assert, assertEquals, assertThrows } from "@std/assert";
import { grad, valueAndGrad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { flatten, unflatten } from "../../core/tree.ts";
import { requestDevice } from "../../kernels/mod.ts";
import { add, crossEntropy, silu, sliceAxis, sum } from "../../ops/mod.ts";
import { defineConfig, type ModelConfig, PRESETS } from "../../titans/models/config.ts";
import { ConfigError } from "../../titans/errors.ts";
import { findMixer } from "../../titans/mixers/registry.ts";
import { lmm } from "../../titans/mixers/titans/lmm.ts";
import { withNetwork } from "../../titans/mixers/titans/memory_config.ts";
import type { MemoryNetwork } from "../../titans/mixers/titans/memory_network.ts";
import { Model, type ModelState } from "../../titans/models/model.ts";
import { ParameterLayout } from "../../titans/nn/parameters.ts";
import { decodeSafetensors, encodeSafetensors } from "../../titans/models/safetensors.ts";
import { cut, MODELS, partsOf, readModel as read, rowsOf as rows, TINY, tinyModel, tokensOf } from "./builders.ts";
import {
  assertClose,
  isValue,
  leavesOf,
  noise,
  norm,
  onDevice,
  prepareReference,
  reference,
  relativeError,
  testOnDevices,
  type Value,
} from "./runners.ts";

const VARIANTS: typeof MODELS = [
  ...MODELS,
  ["lmm, gates a layer", { model: "lmm", gateGranularity: "layer", forgetTo: "zero" }],
  ["mag, gates a channel, swiglu memory", { model: "mag", gateGranularity: "channel", memory: "swiglu" }],
];

for (const [name, options] of VARIANTS) {
  Deno.test(`${name}: changing a token leaves every output before it bit-identical`, async () => {
    const { model, params } = tinyModel(options);
    const T = 19, tokens = tokensOf(1, T);
    const { logits } = await read(reference, model, params, tokens);
    for (const t of [0, 1, 3, 4, 7, 8, 10, 15, 16, 18]) {
      const other = { ...tokens, data: Int32Array.from(tokens.data, (x, i) => (i === t ? (x + 1) % 11 : x)) };
      const changed = (await read(reference, model, params, other)).logits;
      assertEquals(rows(changed, 0, t), rows(logits, 0, t), `token ${t}`);
      assert(relativeError(rows(changed, t, T), rows(logits, t, T)) > 1e-6, `token ${t} changes nothing`);
    }
  });

  Deno.test(`${name}: a sequence equals its pieces with carried state, cut anywhere`, async () => {
    const { model, params } = tinyModel(options);
    const T = 19, tokens = tokensOf(1, T);
    const whole = (await read(reference, model, params, tokens)).logits;
    for (let at = 1; at < T; at++) {
      const boundary = at - at % model.interval;
      const first = await read(reference, model, params, cut(tokens, 0, at));
      assert(relativeError(rows(first.logits, 0, at), rows(whole, 0, at)) < 1e-10, `the piece up to ${at}`);
      const second = await read(reference, model, params, cut(tokens, boundary, T), first.state);
      assert(
        relativeError(rows(second.logits, 0, T - boundary), rows(whole, boundary, T)) < 1e-10,
        `the piece from ${at}`,
      );
    }
    let state: unknown;
    for (let start = 0; start < T; start += model.interval) {
      const piece = await read(
        reference,
        model,
        params,
        cut(tokens, start, Math.min(T, start + model.interval)),
        state,
      );
      assert(
        relativeError(Float64Array.from(piece.logits.data), rows(whole, start, start + model.interval)) < 1e-10,
        `the piece at ${start}`,
      );
      state = piece.state;
    }
  });

  Deno.test(`${name}: lengths 1, 2, 17, 63, 77, 512 and 1023 work, and agree with each other`, async () => {
    const { model, params } = tinyModel({ ...options, blocks: 1, maxLength: 1023 });
    const tokens = tokensOf(1, 1023);
    const whole = (await read(reference, model, params, tokens)).logits;
    assert(Array.from(whole.data).every(Number.isFinite));
    for (const T of [1, 2, 17, 63, 77, 512]) {
      const { logits } = await read(reference, model, params, cut(tokens, 0, T));
      assert(relativeError(Float64Array.from(logits.data), rows(whole, 0, T)) < 1e-9, `length ${T}`);
    }
  });

  Deno.test(`${name}: sequences of a batch do not touch each other`, async () => {
    const { model, params } = tinyModel(options);
    const tokens = tokensOf(2, 11);
    const { logits, state } = await read(reference, model, params, tokens);
    const size = logits.data.length / 2;
    const other = { ...tokens, data: Int32Array.from(tokens.data, (x, i) => (i < 11 ? (x + 3) % 11 : x)) };
    const changed = await read(reference, model, params, other);
    assertEquals(Float64Array.from(changed.logits.data).slice(size), Float64Array.from(logits.data).slice(size));
    const before = leavesOf(state);
    for (const [leaf, values] of Object.entries(leavesOf(changed.state))) {
      assertEquals(
        Array.from(values).slice(values.length / 2),
        Array.from(before[leaf]).slice(values.length / 2),
        leaf,
      );
    }
  });

  const table = findMixer(options.model!)!.options, hasMemory = "miniBatch" in table || "chunk" in table;
  Deno.test(`${name}: ${hasMemory ? "memories learn only from tokens that" : "nothing depends on what"} the mask stores`, async () => {
    // What was learned from persistent tokens would go on through the momentum, stored tokens or not.
    const persistentTokens = options.model === "mag" || options.model === "mal" ? 0 : 2;
    const { model, params } = tinyModel({ ...options, persistentTokens, forgetting: false });
    const T = 19, tokens = tokensOf(1, T);
    const forward = (flat: Tensor, tokens: Tensor, update: Tensor): { logits: Tensor; state: ModelState } =>
      model.forward(model.unflatten(flat), tokens, { update });
    const masked = (data: number[]): Promise<{ logits: Value; state: unknown }> =>
      reference(forward, [params, tokens, { shape: [1, T], data }]);
    const all = await masked(new Array(T).fill(1)),
      none = await masked(new Array(T).fill(0)),
      plain = await read(reference, model, params, tokens);
    assertEquals(leavesOf(all), leavesOf(plain));
    if (!hasMemory) return assertEquals(leavesOf(none), leavesOf(plain));
    const initial = leavesOf(await reference((flat: Tensor) => model.initialState(model.unflatten(flat), 1), [params]));
    const isMemory = (leaf: string): boolean => /weights|surprise|memory$/.test(leaf);
    const unchanged = leavesOf(none.state), changed = leavesOf(all.state);
    for (const [leaf, values] of Object.entries(initial).filter(([leaf]) => isMemory(leaf))) {
      assert(relativeError(unchanged[leaf], values, 1) < 1e-14, `${leaf} learned from tokens that are not stored`);
      assert(relativeError(changed[leaf], values, 1) > 1e-6, `${leaf} did not learn`);
    }
  });

  Deno.test(`${name}: the gradient of the loss is that of finite differences, in every parameter, and nowhere zero`, async () => {
    const { model, params } = tinyModel({ ...options, blocks: 1 });
    const tokens = tokensOf(1, 20);
    const loss = (flat: Tensor, tokens: Tensor): Tensor =>
      crossEntropy(
        model.forward(model.unflatten(flat), sliceAxis(tokens, 1, 0, 19)).logits,
        sliceAxis(tokens, 1, 1, 19),
      );
    const gradient = (await reference(grad(loss), [params, tokens])).data;
    const lossOf = prepareReference(loss, [params, tokens]);
    for (const { part, indices } of partsOf(model)) {
      assert(norm(indices.map((i) => gradient[i])) > 1e-8, `the gradient of ${part} is zero`);
      // Norms of short rows bend the loss strongly, so the step is small and the difference one of fourth order.
      const direction = noise([indices.length], 7).data, step = 1e-6;
      const moved = (sign: number): number => {
        const data = Float64Array.from(params.data);
        indices.forEach((i, n) => data[i] += sign * step * direction[n]);
        return lossOf([{ ...params, data }, tokens]).data[0];
      };
      const expected = (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12 * step);
      const actual = indices.reduce((total, i, n) => total + gradient[i] * direction[n], 0);
      assert(
        Math.abs(actual - expected) <= 1e-6 * Math.max(1e-3, Math.abs(expected)),
        `${part}: gradient ${actual}, finite difference ${expected}`,
      );
    }
  });

  Deno.test(`${name}: tile and checkpoint policy change neither loss nor gradient`, async () => {
    const results = await Promise.all(
      [{}, { checkpoint: "save" as const }, { tile: 2 }, { tile: 2, checkpoint: "save" as const }].map((cost) => {
        const { model, params } = tinyModel({ ...options, checkpoint: "recompute", ...cost });
        const loss = (flat: Tensor, tokens: Tensor): Tensor =>
          crossEntropy(
            model.forward(model.unflatten(flat), sliceAxis(tokens, 1, 0, 19)).logits,
            sliceAxis(tokens, 1, 1, 19),
          );
        return reference(valueAndGrad(loss), [params, tokensOf(2, 20)]);
      }),
    );
    for (const result of results) assertClose(result, results[0], 1e-9);
  });
}

/** Two lengths of each model on the software adapter, which compiles slowly; together all. */
const LENGTHS: Readonly<Record<string, readonly number[]>> = {
  "lmm": [2, 1023],
  "mac, causal": [1, 77],
  "mag": [17, 63],
  "mal": [63, 512],
};

testOnDevices("lengths from 1 to 1023 give the logits of the reference", async ({ run, device, t }) => {
  for (const [name, few] of Object.entries(LENGTHS)) {
    const [, options] = VARIANTS.find(([variant]) => variant === name)!;
    await t.step(name, async () => {
      // The defaults of both: a memory that forgets its start within the text divides by ever smaller outputs, and
      // rounding errors grow without bound.
      const { model, params } = tinyModel({ ...options, width: 16, blocks: 1, thetaMax: 0.1, alphaBias: -8 });
      const tokens = tokensOf(1, 1023);
      const { logits } = await read(reference, model, params, tokens);
      for (const T of device.info.kind === "cpu" ? [1, 2, 17, 63, 77, 512, 1023] : few) {
        const actual = await read(run, model, params, cut(tokens, 0, T));
        assert(relativeError(actual.logits.data, rows(logits, 0, T)) < 2e-5, `length ${T}`);
      }
    });
  }
});

Deno.test("a state that was written to a file and read again goes on as if it had not been, bit for bit", async (t) => {
  const device = await requestDevice({ kind: "cpu" });
  for (const name of ["lmm", "mac, previous segment", "mag", "mal"]) {
    const [, options] = VARIANTS.find(([variant]) => variant === name)!;
    await t.step(name, async () => {
      const { model, params } = tinyModel({ ...options, blocks: 1 });
      const tokens = tokensOf(1, 16), run = onDevice(device);
      const { state } = await read(run, model, params, cut(tokens, 0, 8));
      const { leaves, paths, spec: tree } = flatten(state, isValue);
      const file = encodeSafetensors({
        tensors: Object.fromEntries(
          leaves.map(({ shape, data }, i) => [paths[i], { shape, data: Float32Array.from(data) }]),
        ),
        metadata: {},
      });
      const { tensors } = decodeSafetensors(file);
      const restored = unflatten(tree, paths.map((path) => tensors[path]));
      const expected = await read(run, model, params, cut(tokens, 8, 16), state);
      assertEquals(leavesOf(await read(run, model, params, cut(tokens, 8, 16), restored)), leavesOf(expected));
    });
  }
  device.dispose();
});

Deno.test("every option and ablation changes what a model says", async () => {
  const logitsOf = async (options: Partial<ModelConfig>): Promise<ArrayLike<number>> => {
    const { model, params } = tinyModel(options);
    return (await read(reference, model, params, tokensOf(1, 19))).logits.data;
  };
  const switches: Partial<ModelConfig>[] = [
    { memoryDepth: 1 },
    { memoryDepth: 3 },
    { memoryActivation: "silu" },
    { momentum: false },
    { forgetting: false },
    { convolution: 0 },
    { persistentTokens: 0 },
    { strictRetrieval: true },
    { memoryNorm: false },
    { memory: "swiglu" },
    { normalizeKeys: false },
    { gateGranularity: "layer" },
    { gateGranularity: "channel" },
  ];
  for (
    const [model, more] of Object.entries({ mac: [{ segment: 4 }], mag: [{ window: 3 }], mal: [{ window: 3 }] }) as [
      "mac" | "mag" | "mal",
      object[],
    ][]
  ) {
    const full = await logitsOf({ model });
    for (const options of [...switches, ...more]) {
      const logits = await logitsOf({ model, ...options });
      assert(Array.from(logits).every(Number.isFinite));
      assert(relativeError(logits, full) > 1e-6, `${model}: ${JSON.stringify(options)} changes nothing`);
    }
  }
});

Deno.test("a layer with a memory network of the user's own: the gradient is that of finite differences", async () => {
  const network: MemoryNetwork = {
    layers: [{ in: 4, out: 4 }, { in: 4, out: 4 }],
    gains: [],
    forward: (linear, x) => linear(1, add(x, silu(linear(0, x)))),
  };
  for (const gateGranularity of ["head", "channel"] as const) {
    const mixer = withNetwork(lmm, network);
    const { layers: [{ layer }] } = new Model(defineConfig({ ...TINY, gateGranularity, blocks: [{ mixer }] }));
    const layout = new ParameterLayout(layer.parameters(1));
    const params: Value = { shape: [layout.size], data: Float64Array.from(layout.pack(layout.initialize(1))) };
    const x = noise([2, 7, 8], 5);
    const loss = (flat: Tensor, x: Tensor): Tensor => {
      const params = layout.unflatten(flat);
      return sum(silu(layer.forward(params, x, { state: layer.initialState(params, 2) }).output));
    };
    const [{ data: forParams }, { data: forTokens }] = await reference(grad(loss, { argnums: [0, 1] }), [params, x]);
    const lossOf = prepareReference(loss, [params, x]), step = 1e-6;
    const p = noise([layout.size], 8), d = noise(x.shape, 9);
    const along = (value: Value, direction: Value, scale: number): Value => ({
      ...value,
      data: Float64Array.from(value.data, (v, i) => v + scale * direction.data[i]),
    });
    const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
      Array.from(a).reduce((total, v, i) => total + v * b[i], 0);
    const ofParams = (lossOf([along(params, p, step), x]).data[0] - lossOf([along(params, p, -step), x]).data[0]) /
      (2 * step);
    const ofTokens = (lossOf([params, along(x, d, step)]).data[0] - lossOf([params, along(x, d, -step)]).data[0]) /
      (2 * step);
    assert(
      Math.abs(dot(forParams, p.data) - ofParams) < 1e-6 * Math.abs(ofParams),
      `${dot(forParams, p.data)}, finite difference ${ofParams}`,
    );
    assert(
      Math.abs(dot(forTokens, d.data) - ofTokens) < 1e-6 * Math.abs(ofTokens),
      `${dot(forTokens, d.data)}, finite difference ${ofTokens}`,
    );
  }
});

Deno.test("the logits of one position are those of the whole", async () => {
  const { model, params } = tinyModel({});
  const tokens = tokensOf(1, 11);
  const { logits } = await read(reference, model, params, tokens);
  const forward = (flat: Tensor, tokens: Tensor, position: Tensor): Tensor =>
    model.forward(model.unflatten(flat), tokens, { position }).logits;
  const one = await reference(forward, [params, tokens, { shape: [], dtype: "i32", data: [6] }]);
  assertEquals(one.shape, [1, 11]);
  assert(relativeError(one.data, rows(logits, 6, 7)) < 1e-12);
});

Deno.test("the layout aligns parameters, puts those that decay first, and packs and unpacks without loss", () => {
  const model = new Model(PRESETS.nano);
  const { layout } = model;
  for (const { name, offset, parameter } of layout.entries) {
    assertEquals(offset % 64, 0, name);
    assertEquals(offset < layout.decayEnd, parameter.decay, name);
    assertEquals(
      parameter.decay,
      /projection|gates|initial|gate$|out$|expand|contract|attention|contextProjection|head/.test(name),
      name,
    );
  }
  const first = model.initialize(5);
  assertEquals(layout.unpack(layout.pack(first)), first);
  assertEquals(model.initialize(5), first);
  assert(model.initialize(6).embedding[0] !== first.embedding[0]);
  assertEquals(Array.from(first["blocks.0.mac.memory.gateBias"]), [0, 0, 0, 0, -8, -8]);
  assertThrows(
    () => layout.pack({ ...first, head: new Float32Array(3) }),
    RangeError,
    "parameter head: it has 3 elements",
  );
});

Deno.test("the flat vector of gradients has zeros between the parameters", async () => {
  const { model, params } = tinyModel({});
  const round = await reference((flat: Tensor) => model.layout.flatten(model.unflatten(flat)), [params]);
  const inside = new Set(
    model.layout.entries.flatMap(({ offset, size }) => Array.from({ length: size }, (_, i) => offset + i)),
  );
  assertEquals(Array.from(round.data), Array.from(params.data, (x, i) => (inside.has(i) ? x : 0)));
});

Deno.test("options that cannot be are refused by name", () => {
  const cases: [Partial<ModelConfig> | Record<string, unknown>, string][] = [
    [{ heads: 3 }, "heads 3: it must divide the width, 64"],
    [{ segment: 40 }, "segment 40: it must be a multiple of the mini-batch, 16"],
    [{ miniBatch: 16, tile: 5 }, "tile 5"],
    [{ memoryDepth: 5 }, "memoryDepth 5: it must be an integer from 1 to 4"],
    [{ thetaMax: 0 }, "thetaMax 0"],
    [{ model: "gpt" as "mag" }, 'model "gpt": it must be one of lmm, mac, mag, mal, attention, linear,'],
    [{ blocks: [] }, "blocks 0: it must be an integer from 1"],
    [{ blocks: [{ mixer: "gpt" }] }, 'block 0 with mixer "gpt": built in are lmm, mac, mag, mal, attention, linear,'],
    [{ blocks: [{ mixer: "lmm" }, { mixer: "mag", segment: 16 }] }, "option segment of mag in block 1"],
    [{ blocks: [{ mixer: "lmm", miniBatch: 0 }] }, "miniBatch 0: it must be an integer from 1"],
    [{ model: "attention", keyHeads: 3 }, "keyHeads 3: it must divide the heads, 2"],
    [
      { memory: "swiglu", memoryDepth: 3 },
      "memoryDepth 3: a swiglu memory has one depth: leave it at 2, or use memory mlp",
    ],
    [{ model: "mal", width: 6, heads: 2 }, "heads 2: rotary positions need an even head width"],
    [{ window: 0 }, "window 0: it must be an integer from 1"],
    [{ gateGranularity: "token" as "head" }, 'gateGranularity "token": it must be one of head, layer, channel'],
    [{ width: Number.NaN }, "width NaN: it must be an integer"],
    [{ momentum: 1 }, "momentum 1: it must be true or false"],
    [{ depth: 2 }, "option depth of a model"],
  ];
  for (const [options, text] of cases) {
    assertThrows(() => defineConfig(options as Partial<ModelConfig>), ConfigError, text);
  }
});
