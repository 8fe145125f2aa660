import { assert, assertEquals } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { printGraph } from "../../core/print.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import type { ModelConfig } from "../../titans/models/config.ts";
import type { ForwardOptions, ForwardResult, Model, ModelState } from "../../titans/models/model.ts";
import { cut, memoryStates, observing, tinyModel, tokensOf } from "./builders.ts";
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

/** What is observed at each token in a block, by name. */
type Trace<Leaf> = Readonly<Record<string, Leaf>>;

function forward(
  model: Model,
  options: ForwardOptions,
): (flat: Tensor, tokens: Tensor, before: { state?: ModelState }) => ForwardResult & { trace: Trace<Tensor>[] } {
  return (flat, tokens, before) => {
    const { observe, blocks: trace } = observing();
    return { ...model.forward(model.unflatten(flat), tokens, { ...before, ...options, observe }), trace };
  };
}

/** What a model does on tokens, after a state if one is given. */
async function traced(
  run: Runner,
  model: Model,
  params: Value,
  tokens: Value,
  state?: unknown,
): Promise<{ trace: Trace<Value>[]; state: unknown }> {
  const result = await run(forward(model, {}), [params, tokens, (state ? { state } : {}) as never]);
  return { trace: result.trace as unknown as Trace<Value>[], state: result.state };
}

for (const [name, options] of VARIANTS) {
  Deno.test(`${name}: observing leaves the graph of logits and state as it is`, () => {
    const { model } = tinyModel(options);
    const graph = (ask: ForwardOptions): string => {
      const rest = (flat: Tensor, tokens: Tensor): ForwardResult => model.forward(model.unflatten(flat), tokens, ask);
      return printGraph(simplify(trace(rest, [spec([model.layout.size]), spec([2, 19], "i32")]).graph));
    };
    assertEquals(graph({ observe: () => {} }), graph({}));
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

Deno.test("a token that is not stored has theta 0, and surprises all the same", async () => {
  const { model, params } = tinyModel({ model: "lmm", momentum: false, forgetting: false });
  const fn = (flat: Tensor, tokens: Tensor, update: Tensor): { trace: Trace<Tensor>[] } =>
    forward(model, { update })(flat, tokens, {});
  const store = { shape: [1, 6], data: [1, 1, 0, 1, 1, 1] };
  for (
    const { theta, updateNorm, surprise } of (await reference(fn, [params, tokensOf(1, 6), store]))
      .trace as unknown as Trace<Value>[]
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
