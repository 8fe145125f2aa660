/**
 * A mixer that the library does not know: it trains, validates, decodes token by token, is saved and loaded, remembers
 * and is inspected like a built-in one. docs/own_mixer.md shows the same.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { requestDevice } from "../../kernels/mod.ts";
import { concat, expandDims, linearScan, mean, mul, sigmoid, sliceAxis, sqrt, square, zeros } from "../../ops/mod.ts";
import {
  CheckpointError,
  ConfigError,
  decodeCheckpoint,
  decodeMemory,
  Decoder,
  defineConfig,
  defineLayer,
  defineMixer,
  defineOptimizer,
  encodeCheckpoint,
  encodeMemory,
  fingerprint,
  Inspector,
  Model,
  RandomWindows,
  Trainer,
} from "../../titans/mod.ts";
import * as nn from "../../titans/nn/mod.ts";
import { cut, readModel, rowsOf } from "./builders.ts";
import { reference, relativeError } from "./runners.ts";

const average = defineMixer({
  name: "average",
  summary: "a gated exponential moving average of each channel",
  options: {
    halfLife: { kind: "number", default: 8, min: 0, aboveMin: true, help: "tokens after which a value counts half" },
  },
  metrics: { averageSize: { of: "size", as: "mean" } },
  create({ halfLife }, { width }) {
    const kept = 2 ** (-1 / halfLife);
    const [value, gate, out] = [nn.linear(width, width), nn.linear(width, width), nn.linear(width, width)];
    return defineLayer({
      interval: 1,
      parameters: () => ({ value: value.parameters, gate: gate.parameters, out: out.parameters }),
      initialState: (_params, batch) => ({ last: zeros([batch, 1, width]) }),
      forward(params, x, { state, observe }) {
        const T = x.shape[1], values = mul(value.apply(params.value, x), 1 - kept); // [B, T, D]
        const averages = linearScan(kept, concat([state.last, values], 1), { axis: 1 }); // [B, 1 + T, D]
        const own = sliceAxis(averages, 1, 1, T), gated = mul(sigmoid(gate.apply(params.gate, x)), own);
        observe?.("size", expandDims(sqrt(mean(square(own), { axes: 2 })), 1), ["batch", "head", "time"]);
        return { output: out.apply(params.out, gated), state: { last: sliceAxis(averages, 1, T, 1) } };
      },
    });
  },
});

const blocks = [{ mixer: average, halfLife: 4 }, { mixer: "attention", span: "window", window: 8 }, { mixer: "lmm" }];
const SIZES = { width: 16, heads: 2, mlpHidden: 32, miniBatch: 4, memoryExpansion: 1 } as const;
const TEXT = new TextEncoder().encode("An average forgets slowly. ".repeat(40));

Deno.test("own mixer: trains, validates, decodes, is saved, loaded, remembered and inspected", async () => {
  const model = new Model(defineConfig({ ...SIZES, blocks })), shape = { batch: 2, length: 16 };
  assertEquals([model.interval, `${model}`.split(" model")[0]], [4, "average,attention,lmm"]);
  const device = await requestDevice({ kind: "cpu" });
  const optimizer = defineOptimizer({ learningRate: 1e-2, totalSteps: 30, warmupSteps: 3 });
  const trainer = await Trainer.create(device, { model, optimizer, shape, seed: 1 });
  const steps = await trainer.run(new RandomWindows(TEXT, shape, 1), 30),
    windows = Int32Array.from(TEXT.subarray(0, 34));
  const validated = await trainer.validate(windows);
  assert(steps[0].bitsPerByte > 7 && validated.bitsPerByte < 3, `${steps[0].bitsPerByte}, ${validated.bitsPerByte}`);
  assert(validated.averageSize > 0 && validated.memoryNorm > 0, "both mixers report");

  const bytes = encodeCheckpoint({ config: model.config, seed: 1, state: await trainer.exportState() });
  const { message } = assertThrows(() => decodeCheckpoint(bytes), CheckpointError, 'block 0 with mixer "average"');
  assert(message.includes("{ mixers: [...] }") && !message.includes("\n"), message);
  const { config, state } = decodeCheckpoint(bytes, { mixers: [average] });
  const again = await Trainer.create(device, { model: new Model(config), optimizer, shape, seed: 1, state });
  assertEquals(await again.validate(windows), validated, "what is loaded is what was saved");

  const loaded = again.model,
    params = loaded.layout.pack(state.params),
    decoder = await Decoder.create(device, loaded, params);
  const tokens = { shape: [1, 12], dtype: "i32" as const, data: Int32Array.from(TEXT.subarray(0, 12)) };
  const { logits } = await readModel(reference, loaded, { shape: [params.length], data: params }, tokens);
  for (let t = 0; t < 12; t++) {
    const read = await decoder.read([TEXT[t]]);
    assert(relativeError(read, rowsOf(logits, t, t + 1)) < 1e-4, `token ${t} read alone`);
  }
  const owner = { model: loaded, weights: fingerprint(params) };
  const memory = decodeMemory(encodeMemory(owner, { reading: await decoder.state.export(), notes: {} }), owner);
  assertEquals(memory.reading, await decoder.state.export());

  const inspector = await Inspector.create(device, loaded, params);
  assert(inspector.quantities.includes("size") && inspector.quantities.includes("surprise"));
  for await (const piece of inspector.read(TEXT.subarray(0, 12))) {
    assert(piece.values("size", { block: 0 }).every((size) => size > 0));
    assertThrows(
      () => piece.values("surprise", { block: 0 }),
      ConfigError,
      "Cannot look at block 0: it has no surprise",
    );
  }
  device.dispose();
});

Deno.test("own mixer: pieces chain exactly, and options are checked like built-in ones", async () => {
  const model = new Model(defineConfig({ ...SIZES, vocabulary: 11, blocks: blocks.slice(0, 2) }));
  const params = { shape: [model.layout.size], data: model.layout.pack(model.initialize(1)) };
  const tokens = { shape: [1, 19], dtype: "i32" as const, data: Int32Array.from({ length: 19 }, (_, i) => i * i % 11) };
  const whole = (await readModel(reference, model, params, tokens)).logits;
  for (const at of [1, 7, 18]) {
    const { state } = await readModel(reference, model, params, cut(tokens, 0, at));
    const { logits } = await readModel(reference, model, params, cut(tokens, at, 19), state);
    assert(relativeError(logits.data, rowsOf(whole, at, 19)) < 1e-10, `the piece from ${at}`);
  }
  const define = (halfLife: number, more = {}): unknown =>
    defineConfig({ ...SIZES, blocks: [{ mixer: average, halfLife, ...more }] });
  assertThrows(() => define(0), ConfigError, "Cannot use halfLife 0: it must be above 0");
  assertThrows(() => define(1, { window: 4 }), ConfigError, "option window of average in block 0");
  assertThrows(() => defineMixer({ ...average, name: "mlp" }), ConfigError, 'Cannot define mixer "mlp"');
});
