/**
 * Memory networks of all kinds, generated: those that are accepted give the same numbers token by token and in matrix
 * products, and the others are refused by one line that names what is wrong.
 */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { scan } from "../../core/scan.ts";
import { spec, trace } from "../../core/trace.ts";
import * as ops from "../../ops/mod.ts";
import { ConfigError } from "../../titans/errors.ts";
import { HostRng } from "../../titans/nn/host_rng.ts";
import {
  fastVector,
  type LayerShape,
  type Linear,
  type MemoryNetwork,
  mlpMemory,
  readMemory,
  swigluMemory,
  type Vector,
} from "../../titans/mixers/titans/memory_network.ts";
import { naiveMemory } from "../../titans/mixers/titans/naive.ts";
import { evaluateMemory, memoryInputs, products, reading, runMemory } from "./builders.ts";
import { assertClose, reference } from "./runners.ts";

const K = 3, WIDE = 6;

/** Something done to rows [..., T, width]. */
type Piece = (x: Tensor, seed: number) => Tensor;

const range = (shape: readonly number[]): number[] => shape.map((_, axis) => axis);
const withTime = (x: Tensor, last: number): number[] => [...x.shape.slice(0, -1), last];

/** What treats every row by itself and all alike. */
const ALIKE: Readonly<Record<string, Piece>> = {
  gelu: (x) => ops.gelu(x),
  softmax: (x) => ops.softmax(x),
  layerNorm: (x) => ops.layerNorm(x),
  "cumsum along the width": (x) => ops.cumsum(x, { axis: -1 }),
  "flip of the width": (x) => ops.flip(x, [-1]),
  "constants along the width": (x) =>
    ops.mul(x, ops.constant(range(Array.from({ length: x.shape[x.rank - 1] })).map((i) => 1 + i / 3))),
  "position in the width": (x) => ops.add(x, ops.iota(x.shape, x.rank - 1, x.dtype)),
  "rows as a list": (x) => ops.reshape(ops.tanh(ops.reshape(x, [-1, x.shape[x.rank - 1]])), x.shape),
  "rows turned and back": (x) => ops.swapAxes(ops.softmax(ops.swapAxes(x, -1, -2), { axis: -2 }), -1, -2),
  "pad and slice": (x) =>
    ops.sliceAxis(
      ops.pad(x, x.shape.map((_, axis) => axis === x.rank - 2 ? [1, 1] : [0, 0])),
      x.rank - 2,
      1,
      x.shape[x.rank - 2],
    ),
  "a product with constants": (x) => {
    const width = x.shape[x.rank - 1];
    return ops.matmul(
      x,
      ops.broadcastTo(ops.constant(Array.from({ length: width * width }, (_, i) => Math.sin(i)), [width, width]), [
        ...x.shape.slice(0, -2),
        width,
        width,
      ]),
    );
  },
  "a loop over the rows that carries nothing": (x) => {
    const rows = ops.transpose(x, [x.rank - 2, ...range(x.shape).filter((axis) => axis !== x.rank - 2)]);
    const [, ys] = scan((carry: Tensor, row: Tensor) => [carry, ops.tanh(row)], ops.zeros([]), rows);
    return ops.transpose(ys, [...range(x.shape.slice(2)).map((axis) => axis + 1), 0, x.rank - 1]);
  },
  "where above 0": (x) => ops.where(ops.greater(x, 0), x, ops.mul(x, 0.1)),
  "heads mixed": (x) => ops.add(x, ops.mean(x, { axes: [1], keepDims: true })),
};

/** What mixes rows, or treats them otherwise one than another. */
const NOT_ALIKE: Readonly<Record<string, Piece>> = {
  "mean over rows": (x) => ops.sub(x, ops.mean(x, { axes: [-2], keepDims: true })),
  "softmax over rows": (x) => ops.softmax(x, { axis: -2 }),
  "cumsum over rows": (x) => ops.cumsum(x, { axis: -2 }),
  "rows in reverse": (x) => ops.flip(x, [-2]),
  "rows one later": (x) =>
    ops.sliceAxis(
      ops.pad(x, x.shape.map((_, axis) => axis === x.rank - 2 ? [1, 0] : [0, 0])),
      x.rank - 2,
      0,
      x.shape[x.rank - 2],
    ),
  "attention among rows": (x) => ops.matmul(ops.softmax(ops.matmul(x, ops.swapAxes(x, -1, -2))), x),
  "reshape across rows": (x) =>
    ops.swapAxes(
      ops.reshape(ops.square(x), [...x.shape.slice(0, -2), x.shape[x.rank - 1], x.shape[x.rank - 2]]),
      -1,
      -2,
    ),
  "position of the row": (x) => ops.add(x, ops.iota(x.shape, x.rank - 2, x.dtype)),
  "the first row apart": (x) => ops.where(ops.less(ops.iota(x.shape, x.rank - 2), 1), x, ops.tanh(x)),
  "the largest row chosen": (x) => ops.where(ops.greater(ops.max(x, { axes: [-2], keepDims: true }), 0), x, ops.neg(x)),
  "a loop over the rows that carries a sum": (x) => {
    const rows = ops.transpose(x, [x.rank - 2, ...range(x.shape).filter((axis) => axis !== x.rank - 2)]);
    const [, ys] = scan(
      (carry: Tensor, row: Tensor) => [ops.add(carry, row), ops.add(carry, row)],
      ops.zerosLike(ops.squeeze(ops.sliceAxis(rows, 0, 0, 1), 0)),
      rows,
    );
    return ops.transpose(ys, [...range(x.shape.slice(2)).map((axis) => axis + 1), 0, x.rank - 1]);
  },
};

interface Generated {
  readonly network: MemoryNetwork;
  /** What is wrong with it, if anything. */
  readonly fault?: { readonly name: string; readonly said: RegExp };
  readonly description: string;
}

/**
 * A network of one to three matrices and perhaps a fast vector and a gain, with pieces between them; `wrong` puts one
 * fault in.
 */
function generate(seed: number, wrong: boolean): Generated {
  const rng = new HostRng(seed, "networks");
  let draws = 0;
  const below = (count: number): number => Math.floor(rng.uniform(draws++) * count);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)];
  const depth = 1 + below(3), hasVector = below(2) === 1, hasGain = below(2) === 1;
  const layers: LayerShape[] = Array.from(
    { length: depth },
    (_, l) => ({ in: l === 0 ? K : WIDE, out: l === depth - 1 ? K : WIDE }),
  );
  if (hasVector) layers.push(fastVector(K));
  const pieces = Array.from({ length: depth + 1 }, () => pick(Object.keys(ALIKE)));
  const fault = wrong ? pick(["piece", "twice", "unused", "unknown"] as const) : undefined;
  const place = below(depth + 1), bad = pick(Object.keys(NOT_ALIKE)), chosen = below(depth);
  const forward = (linear: Linear, x: Tensor, gains: readonly Tensor[], vector: Vector): Tensor => {
    let z = x;
    for (let l = 0; l <= depth; l++) {
      z = ALIKE[pieces[l]](z, l);
      if (fault === "piece" && l === place) z = NOT_ALIKE[bad](z, l);
      if (l < depth && !(fault === "unused" && l === chosen)) z = linear(l, z);
      else if (l < depth) z = ops.broadcastTo(ops.sum(z, { axes: [-1], keepDims: true }), withTime(z, layers[l].out));
      if (fault === "twice" && l === chosen) {
        z = ops.add(
          z,
          linear(l, ops.broadcastTo(ops.mean(z, { axes: [-1], keepDims: true }), withTime(z, layers[l].in))),
        );
      }
      if (fault === "unknown" && l === chosen) z = ops.add(z, linear(layers.length, z));
    }
    if (hasVector) z = ops.mul(z, ops.add(vector(depth), 1));
    return hasGain ? ops.add(x, ops.mul(z, ops.expandDims(ops.add(gains[0], 1), 1))) : z;
  };
  const said = {
    piece: /^Cannot use the memory network: row \d+ of .* (depends on row \d+ too|is computed otherwise than row 0)/,
    twice: new RegExp(`^Cannot use the memory network: matrix ${chosen} is used 2 times`),
    unused: new RegExp(`^Cannot use the memory network: matrix ${chosen} is never used`),
    unknown: new RegExp(`^Cannot use the memory network: it has no layer ${layers.length}`),
  };
  const description = `network ${seed}: ${pieces.join(", ")}${
    fault === "piece" ? `; ${bad} at ${place}` : fault ? `; ${fault} ${chosen}` : ""
  }`;
  return {
    network: { layers, gains: hasGain ? [[K]] : [], forward },
    description,
    ...(fault ? { fault: { name: fault, said: said[fault] } } : {}),
  };
}

Deno.test("networks that are accepted give the same numbers token by token, in matrix products and read one by one, gradients too", async () => {
  for (let seed = 0; seed < 24; seed++) {
    const { network, description } = generate(seed, false);
    const inputs = memoryInputs(network, { T: 7, B: 1, H: 2, K });
    try {
      const expected = await evaluateMemory(reference, runMemory(naiveMemory, network, { miniBatch: 3 }), inputs);
      assertClose(
        await evaluateMemory(reference, runMemory(products, network, { miniBatch: 3 }), inputs),
        expected,
        1e-8,
      );
      assertClose(
        await evaluateMemory(reference, runMemory(reading, network, { miniBatch: 3 }), inputs),
        expected,
        1e-8,
      );
    } catch (error) {
      throw new Error(description, { cause: error });
    }
  }
});

Deno.test("networks that are none are refused in every form, by a line that says what is wrong", () => {
  for (let seed = 0; seed < 120; seed++) {
    const { network, fault, description } = generate(seed, true);
    const inputs = memoryInputs(network, { T: 7, B: 1, H: 2, K });
    for (const form of [naiveMemory, products, reading]) {
      const build = (): unknown =>
        trace(runMemory(form, network, { miniBatch: 3 }) as never, [specsOf(inputs)] as never);
      const { message, field } = assertThrows(build, ConfigError, "Cannot use the memory network", description);
      assertMatch(message, fault!.said, description);
      assertEquals([message.includes("\n"), field], [false, "network"], description);
    }
  }
});

Deno.test("every way to mix rows is found, wherever it stands", () => {
  for (const [name, piece] of Object.entries(NOT_ALIKE)) {
    const network: MemoryNetwork = {
      layers: [{ in: K, out: K }],
      gains: [],
      forward: (linear, x) => linear(0, piece(x, 0)),
    };
    assertMatch(refusal(network), /row \d of the rows for linear\(0, rows\)/, name);
    const after: MemoryNetwork = { ...network, forward: (linear, x) => piece(linear(0, x), 0) };
    assertMatch(refusal(after), /row \d of its output/, name);
  }
});

Deno.test("an op that mixes rows is named, and what to do", () => {
  const network: MemoryNetwork = {
    layers: [{ in: K, out: K }],
    gains: [],
    forward: (linear, x) => NOT_ALIKE["mean over rows"](linear(0, x), 0),
  };
  assertEquals(
    refusal(network),
    "Cannot use the memory network: row 0 of its output depends on row 4 too (by sum); each must be a function of itself alone, since a memory may read its tokens " +
      "together or one by one: let no op run over axis -2",
  );
});

Deno.test("hooks that are asked for the wrong kind, in a loop or with rows that do not fit say so", () => {
  const layers = [{ in: K, out: K }, fastVector(K)];
  const of = (forward: MemoryNetwork["forward"]): string => refusal({ layers, gains: [], forward });
  assertMatch(
    of((linear, x) => ops.add(linear(0, x), linear(1, x))),
    /takes rows f32\[1, 2, 5, 1\] here.*ask for it by vector\(1\)/,
  );
  assertMatch(of((_linear, x, _gains, vector) => ops.add(x, vector(0))), /ask for it by linear\(0, rows\)/);
  assertMatch(
    of((linear, x) => linear(0, ops.concat([x, x], -1))),
    /takes rows f32\[1, 2, 5, 3\] here, and linear\(0, rows\) is given f32\[1, 2, 5, 6\]/,
  );
  assertMatch(
    of((linear, x, _gains, vector) => ops.concat([linear(0, x), ops.mul(x, vector(1))], -1)),
    /it must give rows as it takes them/,
  );
  assertMatch(
    of((linear, x, _gains, vector) =>
      ops.mul(scan((z: Tensor) => [linear(0, z), undefined], x, undefined, { length: 2 })[0], vector(1))
    ),
    /inside a loop/,
  );
  assertMatch(of((linear, x) => linear(0, x)), /fast vector 1 is never used/);
  assertMatch(of((linear, x) => linear(0.5, x)), /no layer 0.5/);
  assertMatch(
    refusal({ layers: [{ in: K, out: 0 }], gains: [], forward: (linear, x) => linear(0, x) }),
    /`out` of layer 0 must be an integer of at least 1/,
  );
});

Deno.test("the networks of the library would pass if they were not known to", () => {
  for (const depth of [1, 2, 3, 4]) {
    for (const gain of ["outer", "fast"] as const) {
      for (const norm of [true, false]) assertEquals(refusal({ ...mlpMemory({ width: K, depth, gain, norm }) }), "");
    }
  }
  for (const gain of ["outer", "fast"] as const) assertEquals(refusal({ ...swigluMemory({ width: K, gain }) }), "");
});

Deno.test("a network may use tensors from outside, broadcast to rows too, and is checked once", () => {
  let calls = 0;
  trace((outside: Tensor, w: Tensor, x: Tensor) => {
    const network: MemoryNetwork = {
      layers: [{ in: K, out: K }],
      gains: [],
      forward: (linear, rows) => {
        calls++;
        return ops.mul(linear(0, rows), ops.add(ops.broadcastTo(ops.tanh(outside), rows.shape), 1));
      },
    };
    const first = readMemory({ network, gains: [] }, [w], x);
    assertEquals(calls, 2);
    assert(readMemory({ network, gains: [] }, [w], x) === first);
    assertEquals(calls, 3);
    return first;
  }, [spec([K]), spec([1, 2, K, K]), spec([1, 2, 5, K])]);
});

/** What a network is refused with; nothing if it is not. */
function refusal(network: MemoryNetwork): string {
  try {
    trace(
      runMemory(products, network, { miniBatch: 3 }) as never,
      [specsOf(memoryInputs(network, { T: 6, B: 1, H: 2, K }))] as never,
    );
    return "";
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
}

function specsOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(specsOf);
  const record = value as Record<string, unknown>;
  if ("data" in record) return spec(record.shape as number[]);
  return Object.fromEntries(Object.entries(record).map(([key, item]) => [key, specsOf(item)]));
}
