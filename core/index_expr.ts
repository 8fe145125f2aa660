/**
 * Integer index expressions: how a tensor's element is found from loop variables.
 *
 * An {@link Index} is a sum `constant + sum(coefficient * atom)` in canonical form. Atoms are loop variables, floor
 * divisions and remainders of other indices by constants, and values computed at run time (a gathered row number).
 * Every index knows its range, which is what lets `(16 i + j) div 16` with `0 <= j < 16` become `i`: a reshape of a
 * reshape then costs nothing.
 */
import type { Expr } from "./expr.ts";
import { invariant } from "./errors.ts";
import type { Shape } from "./shape.ts";
import { stridesOf } from "./shape.ts";

/** A loop variable: takes the values `0 .. extent - 1`. Identity is the object's. */
export interface Var {
  readonly id: number;
  /** A short name for printing, such as `i0`. */
  readonly name: string;
  readonly extent: number;
}

/** What an index is a linear combination of. */
export type Atom =
  | { readonly kind: "var"; readonly variable: Var }
  | { readonly kind: "div"; readonly of: Index; readonly by: number }
  | { readonly kind: "mod"; readonly of: Index; readonly by: number }
  | { readonly kind: "value"; readonly value: Expr; readonly min: number; readonly max: number };

/** One summand of an index. */
export interface Term {
  readonly atom: Atom;
  readonly coefficient: number;
  readonly key: string;
}

/** A canonical integer expression with its range (inclusive). Equal indices have equal keys. */
export interface Index {
  readonly constant: number;
  readonly terms: readonly Term[];
  readonly min: number;
  readonly max: number;
  readonly key: string;
  /**
   * Number of atoms, including those inside divisions and remainders: the length of the index when written out.
   */
  readonly size: number;
}

let nextVarId = 0;

/** Makes a fresh loop variable. */
export function makeVar(name: string, extent: number): Var {
  return { id: nextVarId++, name, extent };
}

/** Names that stand in the order of their numbers, with however many digits: terms are sorted by their keys. */
function variableKey(id: number): string {
  const digits = `${id}`;
  return `v${String.fromCharCode(96 + digits.length)}${digits}`;
}

function atomKey(atom: Atom): string {
  switch (atom.kind) {
    case "var":
      return variableKey(atom.variable.id);
    case "div":
      return `(${atom.of.key})/${atom.by}`;
    case "mod":
      return `(${atom.of.key})%${atom.by}`;
    case "value":
      return `e${atom.value.id}`;
  }
}

function atomRange(atom: Atom): [number, number] {
  switch (atom.kind) {
    case "var":
      return [0, Math.max(0, atom.variable.extent - 1)];
    case "div":
      return [Math.floor(atom.of.min / atom.by), Math.floor(atom.of.max / atom.by)];
    case "mod":
      return [0, atom.by - 1];
    case "value":
      return [atom.min, atom.max];
  }
}

function make(constant: number, terms: readonly Term[]): Index {
  let min = constant, max = constant, key = "", kept = terms, size = 0;
  for (const { coefficient } of terms) {
    if (coefficient === 0) {
      kept = terms.filter((term) => term.coefficient !== 0);
      break;
    }
  }
  for (const { atom, coefficient, key: name } of kept) {
    let lo = 0, hi: number;
    if (atom.kind === "var") hi = Math.max(0, atom.variable.extent - 1);
    else [lo, hi] = atomRange(atom);
    min += coefficient * (coefficient > 0 ? lo : hi);
    max += coefficient * (coefficient > 0 ? hi : lo);
    size += atom.kind === "div" || atom.kind === "mod" ? 1 + atom.of.size : 1;
    key += key === "" ? `${coefficient}*${name}` : `+${coefficient}*${name}`;
  }
  if (key === "") key = `${constant}`;
  else if (constant !== 0) key += `+${constant}`;
  return { constant, terms: kept, min, max, key, size };
}

function fromAtom(atom: Atom): Index {
  return make(0, [{ atom, coefficient: 1, key: atomKey(atom) }]);
}

/** The index that is always `value`. */
export function constantIndex(value: number): Index {
  return make(value, []);
}

/** The index that is a loop variable; a variable of extent 1 is the constant 0. */
export function varIndex(variable: Var): Index {
  return variable.extent <= 1 ? constantIndex(0) : fromAtom({ kind: "var", variable });
}

/** An index computed at run time (an integer expression), known to lie in `min .. max`. */
export function valueIndex(value: Expr, min: number, max: number): Index {
  return fromAtom({ kind: "value", value, min, max });
}

/** `lhs + rhs`. */
export function addIndex(lhs: Index, rhs: Index | number): Index {
  if (typeof rhs === "number") return rhs === 0 ? lhs : make(lhs.constant + rhs, lhs.terms);
  if (rhs.terms.length === 0) return addIndex(lhs, rhs.constant);
  if (lhs.terms.length === 0) return addIndex(rhs, lhs.constant);
  const terms: Term[] = [];
  let i = 0, j = 0;
  while (i < lhs.terms.length && j < rhs.terms.length) {
    const a = lhs.terms[i], b = rhs.terms[j];
    if (a.key === b.key) {
      terms.push({ atom: a.atom, key: a.key, coefficient: a.coefficient + b.coefficient });
      i++;
      j++;
    } else if (a.key < b.key) {
      terms.push(a);
      i++;
    } else {
      terms.push(b);
      j++;
    }
  }
  while (i < lhs.terms.length) terms.push(lhs.terms[i++]);
  while (j < rhs.terms.length) terms.push(rhs.terms[j++]);
  return make(lhs.constant + rhs.constant, terms);
}

/** `index * factor`. */
export function scaleIndex(index: Index, factor: number): Index {
  if (factor === 1) return index;
  return make(
    index.constant * factor,
    index.terms.map((term) => ({ ...term, coefficient: term.coefficient * factor })),
  );
}

/** The quotient of the terms of `index` that `by` divides, and the remaining terms. */
function splitByDivisor(index: Index, by: number): { quotient: Index; rest: Index } {
  const divisible = index.terms.filter((term) => term.coefficient % by === 0);
  const others = index.terms.filter((term) => term.coefficient % by !== 0);
  const restConstant = ((index.constant % by) + by) % by;
  return {
    quotient: make(
      (index.constant - restConstant) / by,
      divisible.map((term) => ({ ...term, coefficient: term.coefficient / by })),
    ),
    rest: make(restConstant, others),
  };
}

/**
 * A coefficient `c > 1` that divides `by`, such that what `c` does not divide stays within one step of `c`; 1 if there
 * is none.
 */
function commonStep(index: Index, by: number): number {
  const candidates = [...new Set(index.terms.map((term) => Math.abs(term.coefficient)))].sort((a, b) => b - a);
  for (const step of candidates) {
    if (step <= 1 || by % step !== 0 || step === by) continue;
    const { rest } = splitByDivisor(index, step);
    if (rest.min >= 0 && rest.max < step) return step;
  }
  return 1;
}

/** `floor(index / by)`, simplified by the range. `by` is a positive integer. */
export function divIndex(index: Index, by: number): Index {
  invariant(Number.isInteger(by) && by > 0, `index divided by ${by}`);
  if (by === 1) return index;
  const { quotient, rest } = splitByDivisor(index, by);
  const low = Math.floor(rest.min / by);
  if (low === Math.floor(rest.max / by)) return addIndex(quotient, low);
  const step = commonStep(rest, by);
  if (step > 1) return addIndex(quotient, divIndex(splitByDivisor(rest, step).quotient, by / step));
  if (rest.constant === 0 && rest.terms.length === 1 && rest.terms[0].coefficient === 1) {
    const { atom } = rest.terms[0];
    if (atom.kind === "div") return addIndex(quotient, divIndex(atom.of, atom.by * by));
  }
  return addIndex(quotient, fromAtom({ kind: "div", of: rest, by }));
}

/** `index mod by` (never negative), simplified by the range. `by` is a positive integer. */
export function modIndex(index: Index, by: number): Index {
  invariant(Number.isInteger(by) && by > 0, `index modulo ${by}`);
  if (by === 1) return constantIndex(0);
  const { rest } = splitByDivisor(index, by);
  const low = Math.floor(rest.min / by);
  if (low === Math.floor(rest.max / by)) return addIndex(rest, -low * by);
  const step = commonStep(rest, by);
  if (step > 1) {
    const parts = splitByDivisor(rest, step);
    return addIndex(scaleIndex(modIndex(parts.quotient, by / step), step), parts.rest);
  }
  if (rest.constant === 0 && rest.terms.length === 1 && rest.terms[0].coefficient === 1) {
    const { atom } = rest.terms[0];
    if (atom.kind === "mod" && atom.by % by === 0) return modIndex(atom.of, by);
  }
  return fromAtom({ kind: "mod", of: rest, by });
}

/** Row-major offset of a multi-index: `sum(index[axis] * stride[axis])`. */
export function linearIndex(indices: readonly Index[], shape: Shape): Index {
  const strides = stridesOf(shape);
  return indices.reduce((sum, index, axis) => addIndex(sum, scaleIndex(index, strides[axis])), constantIndex(0));
}

/** The multi-index of a row-major offset; inverse of {@link linearIndex} for offsets inside the shape. */
export function splitIndex(offset: Index, shape: Shape): Index[] {
  const strides = stridesOf(shape);
  return shape.map((extent, axis) => {
    if (extent <= 1 || strides[axis] === 0) return constantIndex(0);
    const quotient = divIndex(offset, strides[axis]);
    return axis === 0 && quotient.min >= 0 && quotient.max < extent ? quotient : modIndex(quotient, extent);
  });
}

/**
 * Puts quotients and remainders of one index together: `b (x div b) + x mod b` is `x`, and
 * `b (x div b mod a) + x mod b` is `x mod (a b)`. Each candidate is an identity that holds for every x, so it is kept
 * whenever it makes the sum shorter.
 */
export function recombine(index: Index): Index {
  for (const { atom, coefficient } of index.terms) {
    if (atom.kind !== "mod") continue;
    const { of, by } = atom;
    const quotient = divIndex(of, by);
    const without = addIndex(index, scaleIndex(modIndex(of, by), -coefficient));
    const whole = addIndex(addIndex(without, scaleIndex(quotient, -coefficient * by)), scaleIndex(of, coefficient));
    if (whole.terms.length < index.terms.length) return recombine(whole);
    for (const other of index.terms) {
      if (other.atom.kind !== "mod" || other.coefficient !== coefficient * by || other.atom.of.key !== quotient.key) {
        continue;
      }
      const joined = scaleIndex(modIndex(of, by * other.atom.by), coefficient);
      const rest = addIndex(without, scaleIndex(modIndex(quotient, other.atom.by), -other.coefficient));
      const sum = addIndex(rest, joined);
      if (sum.terms.length < index.terms.length) return recombine(sum);
    }
  }
  return index;
}

/**
 * Replaces loop variables (by id) with other indices and recombines at every level.
 * @param mapValue Maps the run-time values inside the index.
 */
export function substituteIndex(
  index: Index,
  replace: ReadonlyMap<number, Index>,
  mapValue: (value: Expr) => Expr = (value) => value,
): Index {
  let out = constantIndex(index.constant);
  for (const { atom, coefficient } of index.terms) {
    let value: Index;
    switch (atom.kind) {
      case "var":
        value = replace.get(atom.variable.id) ?? varIndex(atom.variable);
        break;
      case "div":
        value = divIndex(substituteIndex(atom.of, replace, mapValue), atom.by);
        break;
      case "mod":
        value = modIndex(substituteIndex(atom.of, replace, mapValue), atom.by);
        break;
      case "value":
        value = valueIndex(mapValue(atom.value), atom.min, atom.max);
        break;
    }
    out = addIndex(out, scaleIndex(value, coefficient));
  }
  return recombine(out);
}

/** Calls `visit` for every loop variable that the index reads (not those inside run-time values). */
export function visitVars(index: Index, visit: (variable: Var) => void): void {
  for (const { atom } of index.terms) {
    if (atom.kind === "var") visit(atom.variable);
    else if (atom.kind !== "value") visitVars(atom.of, visit);
  }
}
