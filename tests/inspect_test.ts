/**
 * What a console, a template and JSON show of the library's objects: a line each, where there were pages of insides,
 * [object Object] and errors.
 */
import { assert, assertEquals } from "@std/assert";
import type { Tensor } from "../core/graph.ts";
import { spec, trace } from "../core/trace.ts";
import { compile, type Device, requestDevice } from "../kernels/mod.ts";
import { matmul, sum } from "../ops/mod.ts";
import { Decoder, defineConfig, defineOptimizer, Inspector, Model, Trainer } from "../titans/mod.ts";

const CONFIG = defineConfig({ model: "lmm", width: 8, heads: 1, blocks: 1, mlpHidden: 8, vocabulary: 8, miniBatch: 2 });

/** What is shown of an object: on a console, in a template, as JSON. */
function shown(value: unknown): { readonly text: string; readonly json: unknown } {
  const text = String(value);
  assertEquals(Deno.inspect(value), text);
  // Within something else too.
  assertEquals(Deno.inspect({ value }, { breakLength: Infinity }), `{ value: ${text} }`);
  return { text, json: JSON.parse(JSON.stringify({ value })).value };
}

Deno.test("tensors, specs, graphs and traces are shown in a line", () => {
  const traced = trace((x: Tensor) => {
    const y = sum(x, { axes: 0 });
    assertEquals(shown(y), { text: `f32[3] (sum #${y.node.id})`, json: { shape: [3], dtype: "f32" } });
    return y;
  }, [spec([2, 3])]);
  assertEquals(shown(spec([2, 3], "i32")), { text: "i32[2, 3]", json: { shape: [2, 3], dtype: "i32" } });
  const { text, json } = shown(traced.graph);
  assertEquals([text, json], ["graph (f32[2, 3]) -> (f32[3]) of 1 node", text]);
  assert(Deno.inspect(traced).length < 300 && JSON.stringify(traced).length < 300);
});

for (const kind of ["cpu", "webgpu", "reference"] as const) {
  Deno.test(`${kind}: devices, arrays and programs are shown in a line`, async () => {
    using device = await requestDevice({ kind });
    assertEquals(shown(device), { text: `${kind}: ${device.info.description}`, json: { ...device.info } });
    const array = device.upload(new Float32Array(6), spec([2, 3]));
    assertEquals(shown(array), { text: `f32[2, 3] on ${kind}`, json: { shape: [2, 3], dtype: "f32", device: kind } });
    array.dispose();
    assertEquals(shown(array).text, `f32[2, 3] on ${kind}`);
    using program = await compile(device, (x: Tensor, ...ws: Tensor[]) => ws.map((w) => matmul(x, w)), [
      spec([2, 3]),
      ...Array.from({ length: 5 }, () => spec([3, 1])),
    ]);
    const { text, json } = shown(program), work = kind === "reference" ? "interpreted" : /\d+ kernels?, \d\.\d\d MiB/;
    assert(
      text.startsWith(
        `program on ${kind}: (f32[2, 3], f32[3, 1], f32[3, 1], f32[3, 1] and 2 more) -> (f32[2, 1], f32[2, 1], f32[2, 1], f32[2, 1] and 1 more), `,
      ),
      text,
    );
    assert(typeof work === "string" ? text.endsWith(work) : work.test(text), text);
    const { device: on, inputs, outputs, peakBytes } = json as ReturnType<typeof program.toJSON>;
    assertEquals([on, inputs.length, outputs.length, peakBytes], [kind, 6, 5, program.peakBytes]);
    assertEquals(Deno.inspect(program.explain()), String(program.explain()));
  });
}

async function withModel(use: (device: Device, model: Model, params: Float32Array) => Promise<void>): Promise<void> {
  using device = await requestDevice({ kind: "reference" });
  const model = new Model(CONFIG);
  await use(device, model, model.layout.pack(model.initialize(1)));
}

Deno.test("models, trainers, decoders, states and inspectors are shown in a line", () =>
  withModel(async (device, model, params) => {
    const count = model.layout.parameterCount.toLocaleString("en"),
      line = `lmm model: 1 block of width 8, ${count} parameters`;
    assertEquals(shown(model), { text: line, json: { ...CONFIG } });
    assertEquals(shown(model.layout).text, `layout of ${model.layout.entries.length} tensors, ${count} parameters`);
    const trainer = await Trainer.create(device, {
      model,
      optimizer: defineOptimizer(),
      shape: { batch: 1, length: 2 },
      seed: 1,
    });
    const { text, json } = shown(trainer);
    assertEquals(text, `trainer at step 0 on reference, 2 tokens a step: ${line}`);
    assertEquals(json, {
      step: 0,
      device: "reference",
      shape: { batch: 1, length: 2, accumulate: 1 },
      model: { ...CONFIG },
    });
    trainer.dispose();
    const decoder = await Decoder.create(device, model, params);
    await decoder.read([1, 2, 3]);
    assertEquals(shown(decoder), {
      text: `decoder on reference after 3 tokens: ${line}`,
      json: { tokensRead: 3, device: "reference", model: { ...CONFIG } },
    });
    assertEquals(shown(decoder.state), { text: "state after 3 tokens", json: { tokensRead: 3 } });
    decoder.dispose();
    const inspector = await Inspector.create(device, model, params, { length: 4 });
    assertEquals(shown(inspector), {
      text: `inspector of pieces of 4 tokens: ${line}`,
      json: { length: 4, model: { ...CONFIG } },
    });
    inspector.dispose();
  }));
