import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { interpret } from "../../../core/interpret.ts";
import type { NdArray } from "../../../core/op.ts";
import { spec, trace } from "../../../core/trace.ts";
import { grad, jit, requestDevice, type Tensor } from "../../../mod.ts";
import { add, mean, mul, sliceAxis, square, squeeze } from "../../../ops/mod.ts";
import { ConfigError } from "../../../titans/errors.ts";
import * as nn from "../../../titans/nn/mod.ts";
import { array, wave } from "../../evaluate.ts";
import { assertClose, toHost, TOLERANCES } from "../../numeric.ts";

const B = 2, T = 4, D = 6, H = 5;

/** One of each layer, and what each is given; the last but one leaves biases out, the last has grouped causal heads. */
const LAYERS = {
  linear: nn.linear(D, H, { biasInitializer: nn.normal(1) }),
  embedding: nn.embedding(7, D),
  layerNorm: nn.layerNorm(D),
  rmsNorm: nn.rmsNorm(D),
  mlp: nn.mlp(D, H, { outWidth: 3 }),
  swiglu: nn.mlp(D, H, { activation: "swiglu" }),
  gru: nn.gru(D, H),
  attention: nn.multiHeadAttention(D, { heads: 2, bias: true }),
  grouped: nn.multiHeadAttention(8, { heads: 4, keyHeads: 2, causal: true, window: 3, rotary: true }),
};
const PARAMETERS = Object.fromEntries(Object.entries(LAYERS).map(([name, { parameters }]) => [name, parameters]));
const LAYOUT = nn.layoutOf(PARAMETERS);

type Outputs = Record<string, Tensor>;

/** Every layer applied to x [B, T, D], numbers [B, T] and a state [B, H]. */
function applyAll(params: Record<string, unknown>, x: Tensor, numbers: Tensor, state: Tensor, wide: Tensor): Outputs {
  const { linear, embedding, layerNorm, rmsNorm, mlp, swiglu, gru, attention, grouped } = params as Record<
    string,
    never
  >;
  const read = LAYERS.gru.apply(gru, x, { state }), back = LAYERS.gru.apply(gru, x, { reverse: true });
  return {
    linear: LAYERS.linear.apply(linear, x),
    embedding: LAYERS.embedding.apply(embedding, numbers),
    attend: LAYERS.embedding.attend(embedding, x),
    layerNorm: LAYERS.layerNorm.apply(layerNorm, x),
    rmsNorm: LAYERS.rmsNorm.apply(rmsNorm, x),
    mlp: LAYERS.mlp.apply(mlp, x),
    swiglu: LAYERS.swiglu.apply(swiglu, x),
    gru: read.output,
    gruState: read.state,
    gruBack: back.output,
    gruBackState: back.state,
    attention: LAYERS.attention.apply(attention, x),
    cross: LAYERS.attention.apply(attention, x, mul(x, 2)),
    grouped: LAYERS.grouped.apply(grouped, wide),
  };
}

const X = wave([B, T, D], 1), NUMBERS = array([B, T], [0, 6, 3, 3, 1, 2, 5, 4], "i32");
const STATE = wave([B, H], 2), WIDE = wave([B, T, 8], 3);
/** Gains and biases too are no ones and zeros. */
const FLAT: NdArray = (() => {
  const arrays = LAYOUT.unpack(LAYOUT.pack(LAYOUT.initialize(5)));
  for (const array of Object.values(arrays)) array.forEach((x, i) => array[i] = x + 0.1 * Math.sin(3 * i));
  const data = Float64Array.from(LAYOUT.pack(arrays));
  return { shape: [LAYOUT.size], dtype: "f32", data };
})();
const INPUTS = [X, NUMBERS, STATE, WIDE], SPECS = INPUTS.map(({ shape, dtype }) => spec(shape, dtype));

/** Parameters by name, as matrices of plain numbers. */
function parameter(name: string): (i: number, j?: number) => number {
  const { offset, parameter: { shape } } = LAYOUT.entries.find((entry) => entry.name === name)!;
  return (i, j) => FLAT.data[offset + (j === undefined ? i : i * shape[shape.length - 1] + j)];
}

/** `x W + b` of a row. */
function affine(name: string, row: readonly number[], weight = "weight", bias: string | undefined = "bias"): number[] {
  const entry = LAYOUT.entries.find((entry) => entry.name === `${name}.${weight}`)!, w = parameter(entry.name);
  const b = LAYOUT.entries.some((entry) => entry.name === `${name}.${bias}`) ? parameter(`${name}.${bias}`) : () => 0;
  return Array.from({ length: entry.parameter.shape[1] }, (_, j) => row.reduce((sum, x, i) => sum + x * w(i, j), b(j)));
}

function rowsOf({ data, shape }: NdArray): number[][] {
  const width = shape[shape.length - 1];
  return Array.from({ length: data.length / width }, (_, i) => [...data.subarray(i * width, (i + 1) * width)]);
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** One token of a GRU by PyTorch's equations. */
function gruStep(x: readonly number[], h: readonly number[]): number[] {
  const gi = affine("gru", x, "input", "inputBias"), gh = affine("gru", h, "recurrent", "recurrentBias");
  return h.map((old, i) => {
    const r = sigmoid(gi[i] + gh[i]), z = sigmoid(gi[H + i] + gh[H + i]);
    const n = Math.tanh(gi[2 * H + i] + r * gh[2 * H + i]);
    return (1 - z) * n + z * old;
  });
}

/** Attention row by row; `sees` says which keys a query sees, `turn` rotates a head's row. */
function attend(
  name: string,
  x: readonly number[][],
  context: readonly number[][],
  { heads, keyHeads, sees, turn }: {
    heads: number;
    keyHeads: number;
    sees: (query: number, key: number) => boolean;
    turn: (row: number[], position: number) => number[];
  },
): number[][] {
  const K = x[0].length / heads;
  return x.map((row, q) => {
    const batch = Math.floor(q / T), query = affine(`${name}.query`, row);
    const mixed = Array.from({ length: heads }, (_, head) => {
      const at = (full: number[], group: number) => full.slice(group * K, (group + 1) * K);
      const group = Math.floor(head / (heads / keyHeads)), own = turn(at(query, head), q % T);
      const keys = context.slice(batch * T, (batch + 1) * T);
      const weights = keys.map((token, s) => {
        const key = turn(at(affine(`${name}.key`, token), group), s);
        return sees(q % T, s) ? Math.exp(own.reduce((sum, x, i) => sum + x * key[i], 0) / Math.sqrt(K)) : 0;
      });
      const total = weights.reduce((a, b) => a + b);
      return Array.from(
        { length: K },
        (_, i) =>
          keys.reduce((sum, token, s) => sum + weights[s] / total * at(affine(`${name}.value`, token), group)[i], 0),
      );
    });
    return affine(`${name}.out`, mixed.flat());
  });
}

/** Pairs (i, i + K / 2) turned by `position * 10000^(-2 i / K)`. */
function rotate(row: number[], position: number): number[] {
  const half = row.length / 2;
  return row.map((x, i) => {
    const pair = i % half, angle = position * 10000 ** (-pair / half);
    const other = i < half ? -row[i + half] : row[i - half];
    return x * Math.cos(angle) + other * Math.sin(angle);
  });
}

/** What every layer gives, in plain numbers. */
function expectedOutputs(): Record<string, number[]> {
  const x = rowsOf(X), wide = rowsOf(WIDE), mean = (row: number[]) => row.reduce((a, b) => a + b) / row.length;
  const table = parameter("embedding.table"), gain = parameter("layerNorm.gain"), bias = parameter("layerNorm.bias");
  const gelu = (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
  const read = (start: number[][], order: readonly number[]): { all: number[]; last: number[] } => {
    const states = start.map((state, b) => {
      const all: number[][] = [];
      for (const t of order) all[t] = state = gruStep(x[b * T + t], state);
      return { all: all.flat(), last: state };
    });
    return { all: states.flatMap(({ all }) => all), last: states.flatMap(({ last }) => last) };
  };
  const forward = read(rowsOf(STATE), [0, 1, 2, 3]), back = read([0, 1].map(() => new Array(H).fill(0)), [3, 2, 1, 0]);
  const all = { heads: 2, keyHeads: 2, sees: () => true, turn: (row: number[]) => row };
  const windowed = { heads: 4, keyHeads: 2, sees: (q: number, s: number) => s <= q && s > q - 3, turn: rotate };
  return {
    linear: x.flatMap((row) => affine("linear", row)),
    embedding: [...NUMBERS.data].flatMap((n) => Array.from({ length: D }, (_, i) => table(n, i))),
    attend: x.flatMap((row) =>
      Array.from({ length: 7 }, (_, n) => row.reduce((sum, x, i) => sum + x * table(n, i), 0))
    ),
    layerNorm: x.flatMap((row) => {
      const m = mean(row), deviation = Math.sqrt(mean(row.map((x) => (x - m) ** 2)) + 1e-5);
      return row.map((x, i) => (x - m) / deviation * gain(i) + bias(i));
    }),
    rmsNorm: x.flatMap((row) => {
      const size = Math.sqrt(mean(row.map((x) => x * x)) + 1e-6);
      return row.map((x, i) => x / size * parameter("rmsNorm.gain")(i));
    }),
    mlp: x.flatMap((row) => affine("mlp.contract", affine("mlp.expand", row).map(gelu))),
    swiglu: x.flatMap((row) => {
      const both = affine("swiglu.expand", row);
      return affine("swiglu.contract", both.slice(0, H).map((gate, i) => gate * sigmoid(gate) * both[H + i]));
    }),
    gru: forward.all,
    gruState: forward.last,
    gruBack: back.all,
    gruBackState: back.last,
    attention: attend("attention", x, x, all).flat(),
    cross: attend("attention", x, x.map((row) => row.map((x) => 2 * x)), all).flat(),
    grouped: attend("grouped", wide, wide, windowed).flat(),
  };
}

Deno.test("nn: every layer computes what its formula says, in plain numbers", () => {
  const fn = (flat: Tensor, ...inputs: [Tensor, Tensor, Tensor, Tensor]) => applyAll(LAYOUT.unflatten(flat), ...inputs);
  const { graph, outputPaths } = trace(fn, [spec([LAYOUT.size]), ...SPECS] as never);
  const results = interpret(graph, [FLAT, ...INPUTS]), expected = expectedOutputs();
  assertEquals([...outputPaths].sort(), Object.keys(expected).sort());
  outputPaths.forEach((name, i) =>
    assertClose(results[i].data, expected[name], { relative: 1e-12, absolute: 1e-12 }, name, results[i].shape)
  );
  assertEquals(results[outputPaths.indexOf("gru")].shape, [B, T, H]);
});

Deno.test("nn: all layers give the reference's values on cpu and webgpu, and on cpu its gradients", async () => {
  type Inputs = [Tensor, Tensor, Tensor, Tensor];
  const outputs = (flat: Tensor, ...inputs: Inputs) => Object.values(applyAll(LAYOUT.unflatten(flat), ...inputs));
  const gradient = grad((flat: Tensor, ...inputs: Inputs) =>
    outputs(flat, ...inputs).map((y) => mean(square(add(y, 0.3)))).reduce(add)
  );
  const runOn = async (kind: "reference" | "cpu" | "webgpu"): Promise<number[]> => {
    using device = await requestDevice({ kind });
    // Shaders take time to compile: the gradients are those of ops, which other tests run there.
    using run = jit(device, (flat: Tensor, ...inputs: Inputs) => [
      ...outputs(flat, ...inputs),
      ...(kind === "webgpu" ? [] : [gradient(flat, ...inputs)]),
    ]);
    const [x, numbers, state, wide] = INPUTS.map((input) => ({ ...input, data: toHost(input) }) as never);
    return (await run(toHost(FLAT), x, numbers, state, wide)).flatMap(({ data }) => [...data]);
  };
  const expected = await runOn("reference");
  for (const kind of ["cpu", "webgpu"] as const) {
    const results = await runOn(kind);
    assertClose(results, expected.slice(0, results.length), TOLERANCES.accumulation.f32, kind, [results.length]);
  }
});

Deno.test("nn: a GRU token by token gives the sequence's numbers", () => {
  const { graph } = trace((flat: Tensor, x: Tensor, state: Tensor) => {
    const params = (LAYOUT.unflatten(flat) as Record<string, never>).gru, states: Tensor[] = [];
    for (let t = 0; t < T; t++) {
      states.push(LAYERS.gru.step(params, squeeze(sliceAxis(x, 1, t, 1), 1), states.at(-1) ?? state));
    }
    return states;
  }, [spec([LAYOUT.size]), spec(X.shape), spec(STATE.shape)]);
  const states = interpret(graph, [FLAT, X, STATE]), { gru } = expectedOutputs();
  states.forEach(({ data }, t) =>
    data.forEach((value, i) => assertAlmostEquals(value, gru[Math.floor(i / H) * T * H + t * H + i % H], 1e-12))
  );
});

Deno.test("nn: what does not fit is one line", () => {
  const fails = (text: string, fn: () => unknown, name = "ConfigError") => {
    const error = assertThrows(fn, Error);
    assertEquals([error.name, error.message], [name, text]);
  };
  const apply = <P>(layer: nn.Layer<P>, shape: readonly number[]) => () =>
    trace((flat: Tensor, x: Tensor) => layer.apply(nn.layoutOf(layer.parameters).unflatten(flat) as P, x), [
      spec([nn.layoutOf(layer.parameters).size]),
      spec(shape),
    ]);
  fails(
    "Cannot apply a linear layer to f32[2, 4]: it was made for a last axis of 3, this one has 4",
    apply(nn.linear(3, 2), [2, 4]),
    "ShapeError",
  );
  fails(
    "Cannot make attention with heads 4: it must divide the width, 6",
    () => nn.multiHeadAttention(6, { heads: 4 }),
  );
  fails(
    "Cannot rotate heads of width 3: rotary heads have an even width",
    () => nn.multiHeadAttention(6, { heads: 2, rotary: true }),
  );
  fails(
    'Cannot make an mlp with activation "gelo": there are gelu, relu, silu, tanh, swiglu',
    () => nn.mlp(2, 3, { activation: "gelo" as "gelu" }),
  );
  fails(
    "Cannot scale a parameter of shape [3] by what goes in and out of it: it needs the two axes of a matrix; give a number",
    () => nn.heNormal()([3]),
  );
  fails(
    "Cannot make a parameter that starts orthogonal with shape [3]: it needs two axes",
    () => new nn.Parameter([3], nn.orthogonal(), true),
  );
  assertThrows(() => nn.linear(2, 3, { biases: true } as never), ConfigError, "did you mean bias");
});
