/**
 * Determines from what every element of a tensor is computed: an abstract interpretation of a graph, element by
 * element, based only on the kinds of its ops.
 *
 * An element's provenance is the set of sources that it depends on, and the fingerprint of the formula that computes
 * it. Elements with different formulas have different fingerprints (except with probability 2^-32), so "each row of the
 * output is the same function of the same row of the input" can be read off: every element depends on its own row's
 * source only, and the fingerprints of a column are all equal.
 *
 * The sets are upper bounds: factors of zero still count, and a gather depends on every element that it could select.
 */
import { type Graph, type Node, reachable, type Tensor } from "./graph.ts";
import { attrsKey } from "./graph.ts";
import type { Type } from "./dtype.ts";
import type { IndexedAxis, OpDef } from "./op.ts";
import { isLoop, type ScanAttrs } from "./loop.ts";
import { type Shape, sizeOfShape, stridesOf } from "./shape.ts";

/** The provenance of a tensor's elements, row-major. */
export interface Provenance {
  /** The sources that an element depends on: bit i for source i. */
  readonly sources: Int32Array;
  /** A fingerprint of the formula that computes it. */
  readonly formula: Int32Array;
}

/**
 * Elements that depend on no source, each with a unique formula: the provenance of an opaque tensor. `seed`
 * distinguishes such tensors.
 */
export function opaque(type: Type, seed: number): Provenance {
  const result = empty(sizeOfShape(type.shape)), start = mix(0x2545f491, seed);
  for (let i = 0; i < result.formula.length; i++) result.formula[i] = mix(start, i);
  return result;
}

/**
 * Traces every tensor between `outputs` and the tensors in `known`.
 * @param outputs Where to begin.
 * @param known The provenance of tensors at which to stop. Completed with that of all tensors on the way.
 */
export function traceProvenance(outputs: readonly Tensor[], known: Map<Tensor, Provenance>): void {
  for (const node of reachable(outputs, new Set(known.keys()))) {
    const results = provenanceOf(node, node.inputs.map((input) => known.get(input)!));
    node.outputs.forEach((tensor, i) => {
      if (!known.has(tensor)) known.set(tensor, results[i]);
    });
  }
}

function empty(size: number): Provenance {
  return { sources: new Int32Array(size), formula: new Int32Array(size) };
}

/** One step of MurmurHash3 (Austin Appleby, public domain). */
function mix(hash: number, value: number): number {
  let k = Math.imul(value, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const h = hash ^ k;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

function hashText(text: string): number {
  let hash = 0x9747b28c;
  for (let i = 0; i < text.length; i++) hash = mix(hash, text.charCodeAt(i));
  return hash;
}

/** Appends an input to an element's formula. */
function absorb(to: Provenance, at: number, from: Provenance, index: number): void {
  to.sources[at] |= from.sources[index];
  to.formula[at] = mix(to.formula[at], from.formula[index]);
}

function provenanceOf(node: Node, inputs: readonly Provenance[]): readonly Provenance[] {
  if (isLoop(node)) return loop(node.attrs as ScanAttrs, inputs);
  const { op, attrs, inputs: types, outputs: [type] } = node;
  if (op.kind === "view") return [view(node, inputs)];
  if (op.kind === "source") return [source(node)];
  if (op.kind === "alias") return op.aliased(inputs);
  const result = empty(sizeOfShape(type.shape));
  result.formula.fill(hashText(`${op.name}${attrsKey(attrs)}`));
  combine(op, { attrs, types, inputs, type, result });
  return [result];
}

interface Combination {
  readonly attrs: Node["attrs"];
  readonly types: readonly Type[];
  readonly inputs: readonly Provenance[];
  readonly type: Type;
  readonly result: Provenance;
}

/** The kinds that compute elements of their one output. */
function combine(op: OpDef, { attrs, types, inputs, type, result }: Combination): void {
  const size = result.formula.length;
  switch (op.kind) {
    case "map":
      for (const input of inputs) for (let i = 0; i < size; i++) absorb(result, i, input, i);
      return;
    case "reduce": {
      const places = dropAxes(types[0].shape, op.lower(attrs).axes);
      places.forEach((place, i) => absorb(result, place, inputs[0], i));
      return;
    }
    case "contract":
      return contract(result, inputs, [types[0].shape, types[1].shape]);
    case "recurrence": {
      const { axis, reverse } = op.lower(attrs), stride = stridesOf(type.shape)[axis], extent = type.shape[axis];
      for (let n = 0; n < size; n++) {
        const i = reverse ? size - 1 - n : n, step = Math.floor(i / stride) % extent;
        if (step !== (reverse ? extent - 1 : 0)) absorb(result, i, result, reverse ? i + stride : i - stride);
        for (const input of inputs) absorb(result, i, input, i);
      }
      return;
    }
    case "gather":
    case "scatter":
      return indexed(op, op.lower(attrs), types, inputs, result);
  }
}

function source({ op, attrs, outputs: [type] }: Node): Provenance {
  const result = empty(sizeOfShape(type.shape));
  const [values] = op.reference([], attrs, [type]);
  const words = new Int32Array(Float64Array.from(values).buffer);
  for (let i = 0; i < values.length; i++) result.formula[i] = mix(mix(0x85ebca6b, words[2 * i]), words[2 * i + 1]);
  return result;
}

/**
 * A view moves positions in the same way as elements. A result that is the same for two numberings of the positions is
 * a fill.
 */
function view({ op, attrs, inputs: types, outputs: [type] }: Node, inputs: readonly Provenance[]): Provenance {
  const SHIFT = 2 ** 40, offsets: number[] = [];
  let total = 0;
  for (const { sources } of inputs) {
    offsets.push(total);
    total += sources.length;
  }
  const moved = [0, SHIFT].map((shift) =>
    op.reference(
      types.map(({ shape, dtype }, n) => ({
        shape,
        dtype,
        data: Float64Array.from(inputs[n].sources, (_, i) => shift + offsets[n] + i),
      })),
      attrs,
      [type],
    )[0]
  );
  const result = empty(sizeOfShape(type.shape)), fill = hashText(`fill${attrsKey(attrs)}`);
  for (let i = 0; i < result.formula.length; i++) {
    const at = moved[0][i];
    if (moved[1][i] - at !== SHIFT) {
      result.formula[i] = fill;
      continue;
    }
    let n = inputs.length - 1;
    while (at < offsets[n]) n--;
    result.sources[i] = inputs[n].sources[at - offsets[n]];
    result.formula[i] = inputs[n].formula[at - offsets[n]];
  }
  return result;
}

/** For each element of `shape`, its position in the shape without `axes`. */
function dropAxes(shape: Shape, axes: readonly number[]): Int32Array {
  const inner = stridesOf(shape),
    kept = [...shape.keys()].filter((axis) => !axes.includes(axis)),
    outer = stridesOf(kept.map((axis) => shape[axis]));
  return Int32Array.from(
    { length: sizeOfShape(shape) },
    (_, i) => kept.reduce((place, axis, n) => place + Math.floor(i / inner[axis]) % shape[axis] * outer[n], 0),
  );
}

function contract(result: Provenance, [lhs, rhs]: readonly Provenance[], [left, right]: readonly Shape[]): void {
  const rank = left.length, M = left[rank - 2], K = left[rank - 1], N = right[rank - 1];
  const rows = empty(sizeOfShape(left) / Math.max(1, K)), columns = empty(sizeOfShape(right) / Math.max(1, K));
  for (let i = 0; i < rows.formula.length; i++) for (let k = 0; k < K; k++) absorb(rows, i, lhs, i * K + k);
  for (let i = 0; i < columns.formula.length; i++) {
    const batch = Math.floor(i / N), n = i % N;
    for (let k = 0; k < K; k++) absorb(columns, i, rhs, (batch * K + k) * N + n);
  }
  for (let i = 0; i < result.formula.length; i++) {
    const row = Math.floor(i / N);
    absorb(result, i, rows, row);
    absorb(result, i, columns, Math.floor(row / M) * N + i % N);
  }
}

/** Gathers depend on every element that the index could select; scatters on every element that could be added. */
function indexed(
  { kind }: OpDef,
  { axis, batch }: IndexedAxis,
  types: readonly Type[],
  [operand, indices, updates]: readonly Provenance[],
  result: Provenance,
): void {
  const { shape } = types[0],
    extent = shape[axis],
    count = sizeOfShape(types[1].shape.slice(batch)),
    shared = sizeOfShape(shape.slice(batch, axis)),
    inner = sizeOfShape(shape.slice(axis + 1));
  const slice = kind === "gather" ? count : extent;
  for (let i = 0; i < result.formula.length; i++) {
    const within = i % inner, at = Math.floor(i / inner) % slice, outer = Math.floor(i / inner / slice);
    const numbers = Math.floor(outer / shared) * count;
    if (kind === "gather") {
      for (let a = 0; a < extent; a++) absorb(result, i, operand, (outer * extent + a) * inner + within);
      absorb(result, i, indices, numbers + at);
    } else {
      result.formula[i] = mix(result.formula[i], at);
      absorb(result, i, operand, i);
      for (let n = 0; n < count; n++) {
        absorb(result, i, updates, (outer * count + n) * inner + within);
        absorb(result, i, indices, numbers + n);
      }
    }
  }
}

/** A loop is walked step by step, as its reference does. */
function loop(
  { body, length, carryCount, xsCount, reverse, history }: ScanAttrs,
  inputs: readonly Provenance[],
): Provenance[] {
  const sizes = body.outputs.slice(carryCount).map(({ shape }) => sizeOfShape(shape));
  const ys = sizes.map((size) => empty(size * length)),
    histories = history.map((c) => empty(inputs[c].formula.length * length));
  const consts = inputs.slice(carryCount + xsCount);
  let carry = inputs.slice(0, carryCount);
  for (let step = 0; step < length; step++) {
    const i = reverse ? length - 1 - step : step;
    history.forEach((c, h) => place(histories[h], carry[c], i));
    const slices = inputs.slice(carryCount, carryCount + xsCount).map((x) => part(x, i, x.formula.length / length));
    const out = stepOf(body, [...carry, ...slices, ...consts]);
    carry = out.slice(0, carryCount);
    ys.forEach((y, n) => place(y, out[carryCount + n], i));
  }
  return [...carry, ...ys, ...histories];
}

function stepOf(body: Graph, inputs: readonly Provenance[]): Provenance[] {
  const known = new Map(body.inputs.map((tensor, i) => [tensor, inputs[i]]));
  traceProvenance(body.outputs, known);
  return body.outputs.map((tensor) => known.get(tensor)!);
}

function part({ sources, formula }: Provenance, i: number, size: number): Provenance {
  return { sources: sources.subarray(i * size, (i + 1) * size), formula: formula.subarray(i * size, (i + 1) * size) };
}

function place(to: Provenance, from: Provenance, i: number): void {
  to.sources.set(from.sources, i * from.sources.length);
  to.formula.set(from.formula, i * from.formula.length);
}
