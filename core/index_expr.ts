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

/** The least and the greatest value of an atom. */
export function atomRange(atom: Atom): [number, number] {
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

/** An index in canonical form: its terms are sorted by their keys, and no coefficient is 0. */
class Sum implements Index {
  readonly constant: number;
  readonly terms: readonly Term[];
  readonly min: number;
  readonly max: number;
  readonly size: number;
  /** Whether a term is a remainder: only these recombine. */
  readonly #hasRemainder: boolean;
  #key: string | undefined = undefined;
  #recombined: Index | undefined = undefined;

  constructor(constant: number, terms: readonly Term[]) {
    let min = constant, max = constant, size = 0, hasRemainder = false;
    for (let i = 0; i < terms.length; i++) {
      const { atom, coefficient } = terms[i];
      let lo = 0, hi: number;
      if (atom.kind === "var") {
        hi = Math.max(0, atom.variable.extent - 1);
        size++;
      } else {
        [lo, hi] = atomRange(atom);
        size += atom.kind === "value" ? 1 : 1 + atom.of.size;
        if (atom.kind === "mod") hasRemainder = true;
      }
      min += coefficient * (coefficient > 0 ? lo : hi);
      max += coefficient * (coefficient > 0 ? hi : lo);
    }
    this.constant = constant;
    this.terms = terms;
    this.min = min;
    this.max = max;
    this.size = size;
    this.#hasRemainder = hasRemainder;
  }

  /** Written when it is first asked for: most sums are parts of others and are never compared. */
  get key(): string {
    return this.#key ??= keyOf(this.constant, this.terms);
  }

  /** {@link recombine}, remembered. */
  static recombined(index: Index): Index {
    if (!(index instanceof Sum) || !index.#hasRemainder) return index;
    return index.#recombined ??= shortened(index);
  }
}

function keyOf(constant: number, terms: readonly Term[]): string {
  if (terms.length === 0) return `${constant}`;
  let key = `${terms[0].coefficient}*${terms[0].key}`;
  for (let i = 1; i < terms.length; i++) key += `+${terms[i].coefficient}*${terms[i].key}`;
  return constant === 0 ? key : `${key}+${constant}`;
}

function fromAtom(atom: Atom): Index {
  return new Sum(0, [{ atom, coefficient: 1, key: atomKey(atom) }]);
}

/** Adds multiples of sorted terms to sorted terms, in place; what cancels out is removed. */
function addTerms(sum: Term[], terms: readonly Term[], factor: number): void {
  if (factor === 0) return;
  let at = 0;
  for (let i = 0; i < terms.length; i++) {
    const term = terms[i], { key } = term;
    while (at < sum.length && sum[at].key < key) at++;
    if (at === sum.length || sum[at].key !== key) sum.splice(at++, 0, scaledTerm(term, factor));
    else {
      const coefficient = sum[at].coefficient + factor * term.coefficient;
      if (coefficient === 0) sum.splice(at, 1);
      else sum[at] = { atom: sum[at].atom, coefficient, key };
    }
  }
}

function scaledTerm(term: Term, factor: number): Term {
  return factor === 1 ? term : { atom: term.atom, coefficient: factor * term.coefficient, key: term.key };
}

/** The index that is always `value`. */
export function constantIndex(value: number): Index {
  return new Sum(value, []);
}

const ZERO = constantIndex(0);

const variableIndices = new WeakMap<Var, Index>();

/** The index that is a loop variable; a variable of extent 1 is the constant 0. */
export function varIndex(variable: Var): Index {
  if (variable.extent <= 1) return ZERO;
  let index = variableIndices.get(variable);
  if (!index) variableIndices.set(variable, index = fromAtom({ kind: "var", variable }));
  return index;
}

/** An index computed at run time (an integer expression), known to lie in `min .. max`. */
export function valueIndex(value: Expr, min: number, max: number): Index {
  return fromAtom({ kind: "value", value, min, max });
}

/** `lhs + rhs`. */
export function addIndex(lhs: Index, rhs: Index | number): Index {
  if (typeof rhs === "number") return rhs === 0 ? lhs : new Sum(lhs.constant + rhs, lhs.terms);
  if (rhs.terms.length === 0) return addIndex(lhs, rhs.constant);
  if (lhs.terms.length === 0) return addIndex(rhs, lhs.constant);
  return addScaled(lhs, rhs, 1);
}

/** `lhs + factor rhs`. */
function addScaled(lhs: Index, rhs: Index, factor: number): Index {
  const terms = lhs.terms.slice();
  addTerms(terms, rhs.terms, factor);
  return new Sum(lhs.constant + factor * rhs.constant, terms);
}

/** `index * factor`. */
export function scaleIndex(index: Index, factor: number): Index {
  if (factor === 1) return index;
  return new Sum(
    index.constant * factor,
    factor === 0 ? [] : index.terms.map((term) => scaledTerm(term, factor)),
  );
}

/** The terms of `index` that `by` divides, divided. */
function quotientBy(index: Index, by: number): Index {
  const terms: Term[] = [];
  for (const { atom, coefficient, key } of index.terms) {
    if (coefficient % by === 0) terms.push({ atom, coefficient: coefficient / by, key });
  }
  return new Sum((index.constant - restOf(index.constant, by)) / by, terms);
}

/** The terms of `index` that `by` does not divide. */
function restBy(index: Index, by: number): Index {
  const constant = restOf(index.constant, by);
  let isRest = constant === index.constant;
  for (const { coefficient } of index.terms) isRest &&= coefficient % by !== 0;
  return isRest ? index : new Sum(constant, index.terms.filter(({ coefficient }) => coefficient % by !== 0));
}

function restOf(value: number, by: number): number {
  return ((value % by) + by) % by;
}

/**
 * A coefficient `c > 1` that divides `by`, such that what `c` does not divide stays within one step of `c`; 1 if there
 * is none.
 */
function commonStep(index: Index, by: number): number {
  const candidates: number[] = [];
  for (const { coefficient } of index.terms) {
    const step = Math.abs(coefficient);
    if (step > 1 && by % step === 0 && step !== by && !candidates.includes(step)) candidates.push(step);
  }
  candidates.sort((a, b) => b - a);
  for (const step of candidates) {
    const rest = restBy(index, step);
    if (rest.min >= 0 && rest.max < step) return step;
  }
  return 1;
}

/** `floor(index / by)`, simplified by the range. `by` is a positive integer. */
export function divIndex(index: Index, by: number): Index {
  invariant(Number.isInteger(by) && by > 0, `index divided by ${by}`);
  if (by === 1) return index;
  const quotient = quotientBy(index, by), rest = restBy(index, by);
  const low = Math.floor(rest.min / by);
  if (low === Math.floor(rest.max / by)) return addIndex(quotient, low);
  const step = commonStep(rest, by);
  if (step > 1) return addIndex(quotient, divIndex(quotientBy(rest, step), by / step));
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
  const rest = restBy(index, by);
  const low = Math.floor(rest.min / by);
  if (low === Math.floor(rest.max / by)) return addIndex(rest, -low * by);
  const step = commonStep(rest, by);
  if (step > 1) {
    return addIndex(scaleIndex(modIndex(quotientBy(rest, step), by / step), step), restBy(rest, step));
  }
  if (rest.constant === 0 && rest.terms.length === 1 && rest.terms[0].coefficient === 1) {
    const { atom } = rest.terms[0];
    if (atom.kind === "mod" && atom.by % by === 0) return modIndex(atom.of, by);
  }
  return fromAtom({ kind: "mod", of: rest, by });
}

/** Row-major offset of a multi-index: `sum(index[axis] * stride[axis])`. */
export function linearIndex(indices: readonly Index[], shape: Shape): Index {
  const strides = stridesOf(shape), terms: Term[] = [];
  let constant = 0;
  for (let axis = 0; axis < indices.length; axis++) {
    constant += strides[axis] * indices[axis].constant;
    addTerms(terms, indices[axis].terms, strides[axis]);
  }
  return new Sum(constant, terms);
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
  return Sum.recombined(index);
}

/** {@link recombine} of an index that has remainders. */
function shortened(index: Index): Index {
  for (const { atom, coefficient } of index.terms) {
    if (atom.kind !== "mod") continue;
    const { of, by } = atom;
    const quotient = divIndex(of, by);
    const without = addScaled(index, modIndex(of, by), -coefficient);
    const whole = addScaled(addScaled(without, quotient, -coefficient * by), of, coefficient);
    if (whole.terms.length < index.terms.length) return recombine(whole);
    for (const other of index.terms) {
      if (other.atom.kind !== "mod" || other.coefficient !== coefficient * by || other.atom.of.key !== quotient.key) {
        continue;
      }
      const joined = scaleIndex(modIndex(of, by * other.atom.by), coefficient);
      const rest = addScaled(without, modIndex(quotient, other.atom.by), -other.coefficient);
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
  const terms: Term[] = [];
  let { constant } = index, isSame = true;
  for (const term of index.terms) {
    const value = substituted(term.atom, replace, mapValue);
    if (!value) addTerms(terms, [term], 1);
    else {
      isSame = false;
      constant += term.coefficient * value.constant;
      addTerms(terms, value.terms, term.coefficient);
    }
  }
  return recombine(isSame ? index : new Sum(constant, terms));
}

/** What takes an atom's place; undefined where it stays as it is. */
function substituted(
  atom: Atom,
  replace: ReadonlyMap<number, Index>,
  mapValue: (value: Expr) => Expr,
): Index | undefined {
  switch (atom.kind) {
    case "var":
      return replace.get(atom.variable.id);
    case "value": {
      const value = mapValue(atom.value);
      return value === atom.value ? undefined : valueIndex(value, atom.min, atom.max);
    }
    default: {
      const of = substituteIndex(atom.of, replace, mapValue);
      if (of === atom.of) return undefined;
      return atom.kind === "div" ? divIndex(of, atom.by) : modIndex(of, atom.by);
    }
  }
}

/** Calls `visit` for every loop variable that the index reads (not those inside run-time values). */
export function visitVars(index: Index, visit: (variable: Var) => void): void {
  for (const { atom } of index.terms) {
    if (atom.kind === "var") visit(atom.variable);
    else if (atom.kind !== "value") visitVars(atom.of, visit);
  }
}

/** Whether the index depends on run-time values. */
export function readsValues({ terms }: Index): boolean {
  return terms.some(({ atom }) => atom.kind === "value" || (atom.kind !== "var" && readsValues(atom.of)));
}
