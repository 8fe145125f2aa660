import { assert, assertEquals } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { printGraph } from "../../core/print.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import type { ModelConfig } from "../../titans/config.ts";
import {
  type ForwardOptions,
  type ForwardResult,
  memoryStates,
  type Model,
  type ModelState,
} from "../../titans/models/model.ts";
import type { MemoryTrace } from "../../titans/mixers/titans/trace.ts";
import { cut, tinyModel, tokensOf } from "./builders.ts";
import {
  assertClose,
  leavesOf,
  norm,
  reference,
  relativeError,
  type Runner,
  testOnDevices,
  type Value,
} from "./runners.ts";

const VARIANTS: readonly (readonly [string, Partial<ModelConfig>])[] = [
  ["lmm", { model: "lmm" }],
  ["mac, causal", { model: "mac" }],
  ["mac, previous segment, gates a layer", { model: "mac", memoryQuery: "previous-segment", gateGranularity: "layer" }],
  ["mac, learned, strict", { model: "mac", memoryQuery: "learned", strictRetrieval: true }],
  ["mag, gates a channel", { model: "mag", gateGranularity: "channel" }],
  ["mal", { model: "mal" }],
];

function forward(
  model: Model,
  options: ForwardOptions,
): (flat: Tensor, tokens: Tensor, before: { state?: ModelState }) => ForwardResult {
  return (flat, tokens, before) => model.forward(model.unflatten(flat), tokens, { ...before, ...options });
}

/** What a model does on tokens, after a state if one is given. */
async function traced(
  run: Runner,
  model: Model,
  params: Value,
  tokens: Value,
  state?: unknown,
): Promise<{ trace: MemoryTrace<Value>[]; state: unknown }> {
  const result = await run(forward(model, { trace: true }), [params, tokens, (state ? { state } : {}) as never]);
  return { trace: result.trace as unknown as MemoryTrace<Value>[], state: result.state };
}

for (const [name, options] of VARIANTS) {
  Deno.test(`${name}: asking for the trace leaves the graph of logits and state as it is`, () => {
    const { model } = tinyModel(options);
    const graph = (ask: ForwardOptions): string => {
      const rest = (flat: Tensor, tokens: Tensor): Omit<ForwardResult, "trace"> => {
        const { logits, state } = forward(model, ask)(flat, tokens, {});
        return { logits, state };
      };
      return printGraph(simplify(trace(rest, [spec([model.layout.size]), spec([2, 19], "i32")]).graph));
    };
    assertEquals(graph({ trace: true }), graph({}));
  });

  Deno.test(`${name}: the norms after the last token are those of the state, and pieces trace like the whole`, async () => {
    const { model, params } = tinyModel(options);
    const T = 19, tokens = tokensOf(2, T), at = T - T % model.interval;
    const whole = await traced(reference, model, params, tokens);
    const first = await traced(reference, model, params, cut(tokens, 0, at)),
      second = await traced(reference, model, params, cut(tokens, at, T), first.state);
    assertEquals(whole.trace.length, model.config.blocks);
    memoryStates(first.state as ModelState).forEach((state, block) => {
      const { shape } = first.trace[block].surprise;
      assertEquals(shape, [2, 2, at]);
      const rows = [first.trace[block].memoryNorm, first.trace[block].momentumNorm];
      [state.weights, state.surprise].forEach((matrices, which) => {
        for (let bh = 0; bh < 4; bh++) {
          const parts = (matrices as unknown as Value[]).map(({ data }) =>
            norm(Array.from(data).slice(bh * data.length / 4, (bh + 1) * data.length / 4))
          );
          assert(relativeError([rows[which].data[bh * at + at - 1]], [norm(parts)]) < 1e-9);
        }
      });
    });
    const wholeLeaves = leavesOf(whole.trace), secondLeaves = leavesOf(second.trace);
    for (const [leaf, values] of Object.entries(leavesOf(first.trace))) {
      const all = { shape: [2, 2, T], data: wholeLeaves[leaf] };
      assert(norm(values) > 1e-9, `${leaf} is zero`);
      assert(relativeError(values, cut(all, 0, at).data) < 1e-10, `${leaf} of the first piece`);
      assert(relativeError(secondLeaves[leaf], cut(all, at, T).data) < 1e-10, `${leaf} of the second piece`);
    }
  });
}

Deno.test("without being asked a model gives no trace", async () => {
  const { model, params } = tinyModel({ model: "mac" });
  assertEquals(Object.keys(await reference(forward(model, {}), [params, tokensOf(1, 3), {}])), ["logits", "state"]);
});

Deno.test("a token that is not stored has theta 0, and surprises all the same", async () => {
  const { model, params } = tinyModel({ model: "lmm", momentum: false, forgetting: false });
  const fn = (flat: Tensor, tokens: Tensor, store: Tensor): ForwardResult =>
    model.forward(model.unflatten(flat), tokens, { trace: true, store });
  const store = { shape: [1, 6], data: [1, 1, 0, 1, 1, 1] };
  for (
    const { theta, updateNorm, surprise } of (await reference(fn, [params, tokensOf(1, 6), store]))
      .trace as unknown as MemoryTrace<Value>[]
  ) {
    for (const { data } of [theta, updateNorm]) {
      assertEquals(Array.from(data, (x) => x > 0), [
        true,
        true,
        false,
        true,
        true,
        true,
        true,
        true,
        false,
        true,
        true,
        true,
      ]);
    }
    assert(Array.from(surprise.data).every((x) => x > 0));
  }
});

testOnDevices("models trace as on the reference", async ({ run, device }) => {
  // Each variant is another program, and the software adapter compiles slowly.
  for (const [, options] of device.info.kind === "cpu" ? VARIANTS : VARIANTS.slice(2, 3)) {
    const { model, params } = tinyModel(options);
    const tokens = tokensOf(2, 11);
    assertClose(
      (await traced(run, model, params, tokens)).trace,
      (await traced(reference, model, params, tokens)).trace,
      2e-4,
    );
  }
});
