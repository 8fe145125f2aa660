/**
 * Linear recurrences: numbers known from PyTorch in f64, tiles of every size against one token at a time, pieces against
 * the whole, and decays down to nothing.
 */
import { assert, assertThrows } from "@std/assert";
import type { Tensor } from "../../../core/graph.ts";
import { spec } from "../../../core/trace.ts";
import { compile, requestDevice } from "../../../kernels/mod.ts";
import {
  add,
  broadcastTo,
  concat,
  div,
  exp,
  expandDims,
  greater,
  logSigmoid,
  minimum,
  mul,
  neg,
  ones,
  onesLike,
  sliceAxis,
  softplus,
  where,
} from "../../../ops/mod.ts";
import { ConfigError } from "../../../titans/errors.ts";
import {
  decayFactor,
  linearRecurrence,
  linearRecurrenceStep,
  type RecurrenceResult,
} from "../../../titans/nn/linear_recurrence.ts";
import { assertClose, noise, onDevice, reference, type Value } from "../runners.ts";
import { B, checkCores, H, inPieces, K, tokenByToken, V, weightsFor, withGradient } from "./recurrences.ts";

const DECAYS = ["none", "constant", "head", "channel"] as const;
type Decay = typeof DECAYS[number];

/** What a recurrence takes. Axis 2 is time, but that of the state. */
interface Inputs<Leaf> {
  readonly rows: { readonly query: Leaf; readonly key: Leaf; readonly value: Leaf; readonly logits?: Leaf };
  readonly state: Leaf;
}

function inputs(decay: Decay, T: number, scale = 1): Inputs<Value> {
  const logits = { none: undefined, constant: undefined, head: [B, H, T], channel: [B, H, T, K] }[decay];
  return {
    rows: {
      query: noise([B, H, T, K], 1),
      key: noise([B, H, T, K], 2),
      value: noise([B, H, T, V], 3),
      ...(logits && { logits: noise(logits, 5, scale) }),
    },
    state: noise([B, H, K, V], 4),
  };
}

function decayOf(decay: Decay, logits: Tensor | undefined): Tensor | readonly number[] | undefined {
  return decay === "none" ? undefined : decay === "constant" ? [-0.03, -1.7] : neg(softplus(logits!));
}

const tiled = (decay: Decay, tile?: number) => ({ rows: { logits, ...rows }, state }: Inputs<Tensor>) =>
  linearRecurrence(rows, { state, tile, decay: decayOf(decay, logits) });

/** One token after the other: the oracle. */
const oracle = (decay: Decay) =>
  tokenByToken(({ rows: { logits, ...token }, state }: Inputs<Tensor>): RecurrenceResult =>
    linearRecurrenceStep(token, { state, decay: decayOf(decay, logits) })
  );

for (const decay of DECAYS) {
  Deno.test(`linear recurrence, decay ${decay}: tiles of every size give what single tokens give, gradients too`, async () => {
    for (const T of [1, 2, 17, 77]) {
      const given = [inputs(decay, T, 3), weightsFor(T)] as const;
      const expected = await reference(withGradient(oracle(decay)), given as never);
      for (const tile of [undefined, 1, 8, 16, 64]) {
        if (T === 1 && tile !== undefined) continue;
        assertClose(await reference(withGradient(tiled(decay, tile)), given as never), expected, 1e-8);
      }
    }
  });

  Deno.test(`linear recurrence, decay ${decay}: pieces with a carried state give the whole`, async () => {
    const T = 45, given = inputs(decay, T);
    const pieces = inPieces(tiled(decay, 16), () => [[0, 7], [7, 1], [8, 37]]);
    assertClose(await reference(pieces, [given]), await reference(tiled(decay, 16), [given]), 1e-8);
  });
}

for (const kind of ["cpu", "webgpu"] as const) {
  Deno.test(`${kind}: linear recurrences with every decay, small and large, give the numbers of the reference in f32, gradients too`, async () => {
    const device = await requestDevice({ kind }), T = 77;
    // All kinds in one program, so that they share kernels. Large: decays down to e^-50, and next to them some of nearly 1.
    const all = Object.fromEntries(DECAYS.map((decay) => [decay, inputs(decay, T, 20)]));
    const fn = (all: Record<Decay, Inputs<Tensor>>, weights: readonly Tensor[]): unknown =>
      Object.fromEntries(DECAYS.map((decay) => [decay, withGradient(tiled(decay))(all[decay], weights)]));
    const args = [all, weightsFor(T)] as never;
    assertClose(await onDevice(device)(fn as never, args), await reference(fn as never, args), 1e-4);
    device.dispose();
  });
}

Deno.test("linear recurrence: decays of e^-60 a token hide what was before, exactly as single tokens say", async () => {
  for (const decay of ["head", "channel"] as const) {
    const given = inputs(decay, 40),
      { logits } = given.rows,
      data = Float64Array.from(logits!.data, (_, i) => i % 5 ? -30 : 60);
    const far: Inputs<Value> = { ...given, rows: { ...given.rows, logits: { ...logits!, data } } };
    assertClose(await reference(tiled(decay), [far]), await reference(oracle(decay), [far]), 1e-7);
  }
});

Deno.test("linear recurrence: equal decays of all channels are one per head, constant ones a number, and none are zeros", async () => {
  const T = 29, given = inputs("head", T);
  const run = (decayOf: (logits: Tensor) => Tensor | readonly number[] | undefined): Promise<unknown> =>
    reference(
      ({ rows: { logits, ...rows }, state }: Inputs<Tensor>) =>
        linearRecurrence(rows, { state, decay: decayOf(logits!) }),
      [given],
    );
  const everywhere = (value: number) => (logits: Tensor): Tensor => mul(onesLike(logits), value);
  const channels = (decay: Tensor): Tensor => broadcastTo(expandDims(decay, -1), [B, H, T, K]);
  const decays = (logits: Tensor): Tensor => neg(softplus(logits));
  assertClose(await run((logits) => channels(decays(logits))), await run(decays), 1e-10);
  assertClose(await run(() => [-0.3, -0.3]), await run(everywhere(-0.3)), 1e-10);
  assertClose(await run(() => undefined), await run(everywhere(0)), 1e-10);
});

Deno.test("what decays leave is their exponential, or 0 well before products with it are subnormal", async () => {
  const logs = Float32Array.from({ length: 4400 }, (_, i) => -i / 40);
  const device = await requestDevice({ kind: "cpu" });
  const program = await compile(device, (x: Tensor) => decayFactor(x), [spec([logs.length])]);
  const { data } = await program.run(logs);
  device.dispose();
  data.forEach((left, i) => {
    const exact = Math.exp(logs[i]);
    assert(left === 0 || left > 1.2e-32, `exp(${logs[i]}) is ${left}`);
    assert(Math.abs(left - exact) < 2e-7 * exact + 2e-22, `exp(${logs[i]}) is ${left}, not ${exact}`);
  });
});

Deno.test("linear recurrence: numbers of the cores known from PyTorch", () => {
  const elu1 = (x: Tensor): Tensor => where(greater(x, 0), add(x, 1), exp(minimum(x, 0)));
  return checkCores({
    "core linear normalised": ({ q, k, v }) => {
      const value = concat([v, ones([...v.shape.slice(0, 3), 1])], 3);
      const { output, state } = linearRecurrence({ query: elu1(q), key: elu1(k), value });
      const [numbers, sums] = [sliceAxis(output, 3, 0, 12), sliceAxis(output, 3, 12, 1)];
      return { output: div(numbers, add(sums, 1e-10)), state: sliceAxis(state, 3, 0, 12) };
    },
    "core retention": ({ q, k, v }) =>
      linearRecurrence({ query: q, key: k, value: v }, { decay: [5, 6].map((n) => Math.log(1 - 2 ** -n)) }),
    "core scalar decay": ({ q, k, v, a }) => linearRecurrence({ query: q, key: k, value: v }, { decay: logSigmoid(a) }),
    "core gla": ({ q, k, v, gk }) => linearRecurrence({ query: q, key: k, value: v }, { decay: logSigmoid(gk) }),
  });
});

Deno.test("linear recurrence: a tile that is no number of tokens is refused", () => {
  const trace = (tile: number) => reference(tiled("none", tile), [inputs("none", 4)]);
  for (const tile of [0, 1.5]) assertThrows(() => trace(tile), ConfigError, `Cannot use tile ${tile} of a recurrence`);
});
