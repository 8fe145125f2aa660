/** Hand-built kernels for the printer's tests: one function a family, sizes as arguments. */
import type { DType } from "../../core/dtype.ts";
import type { BinaryOp, Combine, Expr, UnaryOp } from "../../core/expr.ts";
import { ExprBuilder } from "../../core/expr.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import { addIndex, linearIndex, makeVar, scaleIndex, splitIndex, valueIndex, varIndex } from "../../core/index_expr.ts";
import type { Kernel, Operand, Store } from "../../kernels/kernel.ts";

/** Builds the operands, loads and stores of one kernel. */
export class Build extends ExprBuilder {
  readonly operands: Operand[] = [];

  /** Adds an operand and returns its number. */
  operand(shape: readonly number[], dtype: DType = "f32", access: Operand["access"] = "read"): number {
    return this.operands.push({ dtype, size: shape.reduce((a, b) => a * b, 1), access }) - 1;
  }

  /** Loads from a fresh operand of a shape at variables or indices. */
  read(shape: readonly number[], at: readonly (Var | Index)[], dtype: DType = "f32"): Expr {
    return this.load(this.operand(shape, dtype), linearIndex(at.map(toIndex), shape), dtype);
  }

  /** Stores to a fresh operand. */
  write(shape: readonly number[], at: readonly (Var | Index)[], value: Expr): Store {
    return { operand: this.operand(shape, value.dtype, "write"), index: linearIndex(at.map(toIndex), shape), value };
  }

  u(op: UnaryOp, x: Expr): Expr {
    return this.unary(op, x);
  }

  b(op: BinaryOp, lhs: Expr, rhs: Expr | number): Expr {
    return this.binary(op, lhs, typeof rhs === "number" ? this.const(rhs, lhs.dtype) : rhs);
  }
}

function toIndex(at: Var | Index): Index {
  return "terms" in at ? at : varIndex(at);
}

const common = { loops: [], origins: ["test"] };

/** gelu-like map over [rows, columns] with a broadcast row, a transposed operand and two stores. */
export function mapKernel(rows: number, columns: number): Kernel {
  const e = new Build(), i = makeVar("i", rows), j = makeVar("j", columns);
  const x = e.read([rows, columns], [i, j]), bias = e.read([columns], [j]), other = e.read([columns, rows], [j, i]);
  const sum = e.b("add", e.b("mul", x, other), bias);
  const gate = e.b("mul", sum, e.u("sigmoid", sum));
  return {
    ...common,
    kind: "map",
    space: [i, j],
    stores: [e.write([rows, columns], [i, j], gate), e.write([rows, columns], [i, j], e.u("tanh", sum))],
    operands: e.operands,
  };
}

/** Elementwise on one flat axis; the whole space is collapsible. */
export function flatKernel(shape: readonly number[]): Kernel {
  const e = new Build(), space = shape.map((extent, at) => makeVar(`i${at}`, extent));
  const value = e.b("add", e.read(shape, space), e.b("mul", e.read(shape, space), 0.1));
  return { ...common, kind: "map", space, stores: [e.write(shape, space, value)], operands: e.operands };
}

/** A one-operand function over points. */
export function unaryKernel(op: UnaryOp, size: number, dtype: DType = "f32"): Kernel {
  const e = new Build(), i = makeVar("i", size);
  return {
    ...common,
    kind: "map",
    space: [i],
    stores: [e.write([size], [i], e.u(op, e.read([size], [i], dtype)))],
    operands: e.operands,
  };
}

/** A two-operand function over points. */
export function binaryKernel(op: BinaryOp, size: number, dtype: DType = "f32"): Kernel {
  const e = new Build(), i = makeVar("i", size);
  const value = e.b(op, e.read([size], [i], dtype), e.read([size], [i], dtype));
  return { ...common, kind: "map", space: [i], stores: [e.write([size], [i], value)], operands: e.operands };
}

/**
 * A padded, shifted and flipped read: `select(inRange(j - shift), x[i, j - shift], 0) + x[i, columns - 1 - j]`, and the
 * index as a value.
 */
export function shiftKernel(rows: number, columns: number, shift: number): Kernel {
  const e = new Build(), i = makeVar("i", rows), j = makeVar("j", columns);
  const from = addIndex(varIndex(j), -shift);
  const x = e.operand([rows, columns]);
  const load = (at: Index) => e.load(x, linearIndex([varIndex(i), at], [rows, columns]), "f32");
  const flipped = load(addIndex(scaleIndex(varIndex(j), -1), columns - 1));
  const padded = e.select(e.inRange(from, 0, columns), load(from), e.const(0));
  const value = e.b("add", e.b("add", padded, flipped), e.index(from, "f32"));
  return {
    ...common,
    kind: "map",
    space: [i, j],
    stores: [e.write([rows, columns], [i, j], value)],
    operands: e.operands,
  };
}

/** A reshape of a transpose: indices with divisions and remainders that do not cancel. */
export function reshapeKernel(a: number, b: number, c: number): Kernel {
  const e = new Build(), i = makeVar("i", a * b * c);
  const x = e.operand([c, b, a]);
  const flat = varIndex(i);
  const [ia, ib, ic] = splitIndex(flat, [a, b, c]);
  const value = e.load(x, linearIndex([ic, ib, ia], [c, b, a]), "f32");
  return { ...common, kind: "map", space: [i], stores: [e.write([a * b * c], [i], value)], operands: e.operands };
}

/** Rows of a table by run-time number; a number outside gives NaN. */
export function gatherKernel(table: number, width: number, count: number): Kernel {
  const e = new Build(), t = makeVar("t", count), d = makeVar("d", width);
  const number = e.read([count], [t], "i32");
  const row = valueIndex(e.b("max", e.b("min", number, table - 1), 0), 0, table - 1);
  const isInside = e.binary("and", e.b("ge", number, 0), e.b("lt", number, table));
  const value = e.select(isInside, e.read([table, width], [row, d]), e.const(NaN));
  return {
    ...common,
    kind: "map",
    space: [t, d],
    stores: [e.write([count, width], [t, d], value)],
    operands: e.operands,
  };
}

/** Reads the slice of a stacked operand that an enclosing loop's index picks, and stores into one of two slots. */
export function loopKernel(steps: number, size: number): Kernel {
  const e = new Build(), outer = makeVar("outer", 3), n = makeVar("n", steps), i = makeVar("i", size);
  const value = e.b("add", e.read([steps, size], [n, i]), e.index(varIndex(outer), "f32"));
  const store = e.write([3, size], [outer, i], e.b("add", value, e.const(-Infinity)));
  return {
    kind: "map",
    loops: [outer, n],
    origins: [],
    space: [i],
    stores: [{ ...store, value }],
    operands: e.operands,
  };
}

/** A reduction of `x * x` (or x) along a row that is contiguous (`axis` 1) or strided (`axis` 0). */
export function reduceKernel(
  combine: Combine,
  rows: number,
  columns: number,
  axis: 0 | 1,
  dtype: DType = "f32",
): Kernel {
  const e = new Build(), i = makeVar("i", axis === 1 ? rows : columns), r = makeVar("r", axis === 1 ? columns : rows);
  const x = e.read([rows, columns], axis === 1 ? [i, r] : [r, i], dtype);
  const value = e.reduce(combine, r, combine === "sum" && dtype === "f32" ? e.b("mul", x, x) : x);
  return {
    ...common,
    kind: "row",
    space: [i],
    row: r,
    rowStores: [e.write([i.extent], [i], value)],
    elementStores: [],
    operands: e.operands,
  };
}

/** Softmax over rows with a causal mask, storing the row's log-sum-exp as well. */
export function softmaxKernel(rows: number, columns: number, masked: boolean): Kernel {
  const e = new Build(), i = makeVar("i", rows), r = makeVar("r", columns);
  const x = e.read([rows, columns], [i, r]);
  const distance = addIndex(varIndex(i), scaleIndex(varIndex(r), -1));
  const logits = masked ? e.select(e.inRange(distance, 0, rows + 1), x, e.const(-Infinity)) : x;
  const max = e.reduce("max", r, logits);
  const weight = e.u("exp", e.b("sub", logits, max));
  const total = e.reduce("sum", r, weight);
  const element = e.write([rows, columns], [i, r], e.b("div", weight, total));
  const log = e.write([rows], [i], e.b("add", e.u("log", total), max));
  return {
    ...common,
    kind: "row",
    space: [i],
    row: r,
    rowStores: [log],
    elementStores: [element],
    operands: e.operands,
  };
}

/** Layer normalisation in place: mean and variance in two dependent passes, a gain along the row. */
export function normKernel(rows: number, columns: number, axis: 0 | 1): Kernel {
  const e = new Build(), i = makeVar("i", rows), r = makeVar("r", columns);
  const shape = axis === 1 ? [rows, columns] : [columns, rows], at = axis === 1 ? [i, r] : [r, i];
  const operand = e.operand(shape, "f32", "readwrite");
  const index = linearIndex(at.map((variable) => varIndex(variable)), shape);
  const x = e.load(operand, index, "f32");
  const mean = e.b("mul", e.reduce("sum", r, x), 1 / columns);
  const centred = e.b("sub", x, mean);
  const variance = e.b("mul", e.reduce("sum", r, e.b("mul", centred, centred)), 1 / columns);
  const value = e.b("mul", e.b("mul", centred, e.u("rsqrt", e.b("add", variance, 1e-5))), e.read([columns], [r]));
  const stores = [{ operand, index, value }];
  return { ...common, kind: "row", space: [i], row: r, rowStores: [], elementStores: stores, operands: e.operands };
}

/** How a contract kernel's operands and result lie in memory. */
export interface ContractOptions {
  readonly batch?: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeLhs?: boolean;
  readonly transposeRhs?: boolean;
  readonly transposeOut?: boolean;
  /**
   * Fuses a product and a causal mask into the operands, and bias + gelu-like + residual (and a second store) into the
   * result.
   */
  readonly fused?: boolean;
}

/** Matrix multiplication. */
export function contractKernel(
  { batch = 1, m, n, k, transposeLhs, transposeRhs, transposeOut, fused }: ContractOptions,
): Kernel {
  const e = new Build(), b = makeVar("b", batch), M = makeVar("m", m), N = makeVar("n", n), K = makeVar("k", k);
  let lhs = transposeLhs ? e.read([batch, k, m], [b, K, M]) : e.read([batch, m, k], [b, M, K]);
  let rhs = transposeRhs ? e.read([batch, n, k], [b, N, K]) : e.read([batch, k, n], [b, K, N]);
  let value: Expr = e.accumulator();
  const outShape = transposeOut ? [batch, n, m] : [batch, m, n], at = transposeOut ? [b, N, M] : [b, M, N];
  const stores: Store[] = [];
  if (fused) {
    const distance = addIndex(varIndex(M), scaleIndex(varIndex(K), -1));
    lhs = e.select(e.inRange(distance, 0, m + k), e.u("tanh", lhs), e.const(0));
    rhs = e.b("mul", rhs, e.read([k], [K]));
    value = e.b("add", e.b("mul", value, 0.5), e.read([n], [N]));
    stores.push(e.write(outShape, at, value));
    value = e.b("add", e.b("mul", value, e.u("sigmoid", value)), e.read(outShape, at));
  }
  stores.push(e.write(outShape, at, value));
  return {
    ...common,
    kind: "contract",
    batch: [b],
    m: M,
    n: N,
    k: K,
    lhs,
    rhs,
    stores,
    mask: [],
    operands: e.operands,
  };
}

/** `h = sigmoid(a) h + b` over time, for [batch, time, width], stored scaled. */
export function recurrenceKernel(batch: number, time: number, width: number, reverse: boolean): Kernel {
  const e = new Build(),
    b = makeVar("b", batch),
    t = makeVar("t", time),
    d = makeVar("d", width),
    shape = [batch, time, width];
  const a = e.u("sigmoid", e.read(shape, [b, t, d])), input = e.read(shape, [b, t, d]);
  const store = e.write(shape, [b, t, d], e.b("mul", e.accumulator(), e.read([width], [d])));
  return {
    ...common,
    kind: "recurrence",
    space: [b, d],
    time: t,
    reverse,
    states: [{ a, b: input }],
    stores: [store],
    operands: e.operands,
  };
}

/**
 * Three states of one walk: `p = a p + b`, `g = b g + (p + 1)`, `h = g h + p`, for [batch, time, width]; the last two
 * are stored.
 */
export function chainKernel(batch: number, time: number, width: number, reverse: boolean): Kernel {
  const e = new Build(),
    b = makeVar("b", batch),
    t = makeVar("t", time),
    d = makeVar("d", width),
    shape = [batch, time, width],
    at = [b, t, d];
  const a = e.u("sigmoid", e.read(shape, at)),
    input = e.u("tanh", e.read(shape, at)),
    [p, g, h] = [0, 1, 2].map((state) => e.accumulator("f32", state));
  const states = [{ a, b: input }, { a: input, b: e.b("add", p, 1) }, { a: e.u("sigmoid", g), b: p }];
  const stores = [e.write(shape, at, e.b("mul", g, 0.5)), e.write(shape, at, e.b("add", h, p))];
  return { ...common, kind: "recurrence", space: [b, d], time: t, reverse, states, stores, operands: e.operands };
}

/** Adds rows of updates to rows of a table by run-time number; numbers outside are skipped. */
export function scatterKernel(table: number, width: number, count: number): Kernel {
  const e = new Build(), p = makeVar("p", count), d = makeVar("d", width);
  const number = e.read([count], [p], "i32");
  const valid = e.binary("and", e.b("ge", number, 0), e.b("lt", number, table));
  const update = e.b("mul", e.read([count, width], [p, d]), 2);
  const target = e.operand([table, width], "f32", "readwrite");
  const index = linearIndex([valueIndex(number, 0, table - 1), varIndex(d)], [table, width]);
  return { ...common, kind: "scatter", space: [d], position: p, target, index, valid, update, operands: e.operands };
}

/**
 * The kernel with what it only writes in the middle of larger operands: `margin` elements before and behind must stay
 * as they are. What it reads is followed by enough elements for whole vectors, so that printers use vectors although
 * there is a rest.
 */
export function embedded(kernel: Kernel, margin: number): Kernel {
  const isMoved = (operand: number): boolean => kernel.operands[operand].access === "write";
  const move = (stores: readonly Store[]): Store[] =>
    stores.map((store) => (isMoved(store.operand) ? { ...store, index: addIndex(store.index, margin) } : store));
  const operands = kernel.operands.map((operand, at) => ({
    ...operand,
    size: isMoved(at) ? operand.size + 2 * margin : 4 * Math.ceil(operand.size / 4),
  }));
  switch (kernel.kind) {
    case "row":
      return { ...kernel, operands, rowStores: move(kernel.rowStores), elementStores: move(kernel.elementStores) };
    case "scatter":
      return {
        ...kernel,
        operands: operands.map((
          operand,
          at,
        ) => (at === kernel.target ? { ...operand, size: kernel.operands[at].size + 2 * margin } : operand)),
        index: addIndex(kernel.index, margin),
      };
    default:
      return { ...kernel, operands, stores: move(kernel.stores) };
  }
}

/** One kernel of each kind in sizes that are no multiples of four, of tiles or of workgroups, each {@link embedded}. */
export function embeddedKernels(): [string, Kernel][] {
  const kernels: [string, Kernel][] = [
    ["map of 3", flatKernel([3])],
    ["map of 17", flatKernel([17])],
    ["map of 3 x 5", mapKernel(3, 5)],
    ["sums of rows", reduceKernel("sum", 5, 17, 1)],
    ["sums of columns", reduceKernel("sum", 9, 7, 0)],
    ["few long rows", reduceKernel("max", 3, 1030, 1)],
    ["softmax", softmaxKernel(5, 19, false)],
    ["product of 5 x 7 x 3", contractKernel({ m: 5, n: 7, k: 3 })],
    ["product of 17 x 13 x 9, fused", contractKernel({ m: 17, n: 13, k: 9, fused: true })],
    ["product of 17 x 13 x 9, transposed", contractKernel({ m: 17, n: 13, k: 9, transposeOut: true })],
    ["product of 66 x 70 x 20", contractKernel({ m: 66, n: 70, k: 20 })],
    ["recurrence", recurrenceKernel(3, 5, 7, true)],
    ["scatter", scatterKernel(5, 3, 9)],
  ];
  return kernels.map(([name, kernel]) => [name, embedded(kernel, 4)]);
}
