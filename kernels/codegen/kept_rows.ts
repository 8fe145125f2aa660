/**
 * Values of a row kernel that several passes over the row need. The first pass stores them in a row of scratch memory
 * and later passes load them: softmax computes each exponential once, rather than once for the sum and once for the
 * result.
 */
import { type Expr, operandsOf } from "../../core/expr.ts";
import { type Index, scaleIndex, type Var, visitVars } from "../../core/index_expr.ts";
import type { RowKernel } from "../kernel.ts";
import type { Reduce } from "./row_levels.ts";
import { timeOf } from "./expr_time.ts";
import { splat } from "./lanes.ts";
import type { Env, Evaluator } from "./evaluator.ts";
import type { Value } from "./writer.ts";

/** Estimated nanoseconds per element above which a value is kept instead of recomputed. */
const MIN_TIME = 0.8;

/** Maximum bytes of kept rows: a fraction of the L2 cache. */
const MAX_BYTES = 128 * 1024;

/** The values that a row kernel keeps. */
export class KeptRows {
  /** For each kept expression, the pass that computes it and its slot. */
  readonly #rows = new Map<Expr, { readonly pass: number; readonly offset: number }>();
  readonly #elementBytes: number;

  /**
   * Chooses the values to keep.
   * @param levels The reductions of each pass; element stores are the last pass.
   * @param isAcross Whether lanes run across rows, in which case one row per lane is kept.
   */
  constructor(
    readonly kernel: RowKernel,
    readonly evaluator: Evaluator,
    levels: readonly (readonly Reduce[])[],
    isAcross: boolean,
  ) {
    const { elementStores, row } = kernel;
    const vectorBytes = 4 * evaluator.writer.lanes;
    this.#elementBytes = isAcross ? vectorBytes : 4;
    const passes = [...levels.map((level) => level.map(({ body }) => body)), elementStores.map(({ value }) => value)];
    const varies = varying(row);
    const rowBytes = vectorBytes * Math.ceil(this.#elementBytes * row.extent / vectorBytes);
    const computed = new Map<Expr, number>();
    passes.forEach((roots, pass) => {
      const seen = new Set<Expr>();
      const visit = (expr: Expr): void => {
        if (seen.has(expr) || !varies(expr)) return;
        seen.add(expr);
        const earlier = computed.get(expr);
        if (
          earlier !== undefined && earlier < pass && this.#isWorth(expr, varies) &&
          (this.#rows.size + 1) * rowBytes <= MAX_BYTES
        ) {
          this.#rows.set(expr, { pass: earlier, offset: this.#rows.size * rowBytes });
        }
        if (this.#rows.has(expr)) return;
        operandsOf(expr).forEach(visit);
        if (earlier === undefined) computed.set(expr, pass);
      };
      roots.forEach(visit);
    });
    evaluator.scratchBytes = this.#rows.size * rowBytes;
  }

  #isWorth(expr: Expr, varies: (expr: Expr) => boolean): boolean {
    return expr.dtype === "f32" && timeOf(expr, (part) => varies(part) && !this.#rows.has(part)) >= MIN_TIME;
  }

  /** Whether anything is kept. */
  get isUsed(): boolean {
    return this.#rows.size > 0;
  }

  /** Whether an expression is kept. */
  has(expr: Expr): boolean {
    return this.#rows.has(expr);
  }

  /** Stores the values that this pass is the first to compute. Called in the loop over the row. */
  write(pass: number, env: Env): void {
    for (const [expr, row] of this.#rows) {
      if (row.pass !== pass) continue;
      const value = this.evaluator.value(expr, env), { writer } = this.evaluator;
      if (env.lane) writer.effect("lanes.store", [this.#address(env), splat(writer, value)], [row.offset]);
      else writer.effect("f32.store", [this.#address(env), value], [row.offset]);
    }
  }

  /** Makes later passes read the values that a pass has stored. */
  finish(pass: number): void {
    for (const [expr, row] of this.#rows) {
      if (row.pass !== pass) continue;
      this.evaluator.kept.set(expr.id, (env) => {
        // The row may be overwritten at the same address, so the load must not be moved.
        return this.evaluator.writer.fresh(env.lane ? "lanes.load" : "f32.load", [this.#address(env)], [row.offset]);
      });
    }
  }

  /** The offset of an element in the first row. */
  #address(env: Env): Value {
    const { evaluator } = this, at = env.replace.get(this.kernel.row.id)!;
    const form = evaluator.form(at, env);
    const element = evaluator.scalar(scaleIndex(form!.base, this.#elementBytes), env);
    return evaluator.writer.op("address.add", [evaluator.writer.parameter("scratch"), element]);
  }
}

/** Whether an expression varies along the row; reductions do not. */
function varying(row: Var): (expr: Expr) => boolean {
  const known = new Map<Expr, boolean>();
  const indexVaries = (index: Index): boolean => {
    let found = false;
    visitVars(index, (variable) => {
      if (variable.id === row.id) found = true;
    });
    return found ||
      index.terms.some((
        { atom },
      ) => (atom.kind === "value" ? varies(atom.value) : atom.kind !== "var" && indexVaries(atom.of)));
  };
  const varies = (expr: Expr): boolean => {
    let found = known.get(expr);
    if (found === undefined) {
      if (expr.kind === "reduce") found = false;
      else if (expr.kind === "load" || expr.kind === "index" || expr.kind === "inRange") {
        found = indexVaries(expr.index);
      } else found = operandsOf(expr).some(varies);
      known.set(expr, found);
    }
    return found;
  };
  return varies;
}
