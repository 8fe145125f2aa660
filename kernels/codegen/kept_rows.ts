/**
 * Values of a row kernel that several passes over the row need. The first pass stores them in a row of scratch memory
 * and later passes load them: softmax computes each exponential once, rather than once for the sum and once for the
 * result. Where the result's own row can hold them in the meantime, they are stored there: its cache lines are then
 * fetched while the first pass computes.
 */
import { type Expr, operandsOf } from "../../core/expr.ts";
import { type Index, scaleIndex, type Var, visitVars } from "../../core/index_expr.ts";
import type { RowKernel, Store } from "../kernel.ts";
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
  /** The store whose row holds the kept values; undefined if they are in scratch memory. */
  readonly #home: Store | undefined;

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
    this.#home = isAcross ? undefined : this.#findHome();
    evaluator.scratchBytes = this.#home ? 0 : this.#rows.size * rowBytes;
  }

  #isWorth(expr: Expr, varies: (expr: Expr) => boolean): boolean {
    return expr.dtype === "f32" && timeOf(expr, (part) => varies(part) && !this.#rows.has(part)) >= MIN_TIME;
  }

  /**
   * The only element store, if the only kept value can lie in its place until the last pass. No operand is in that
   * memory: row kernels update nothing in place (in_place.ts).
   */
  #findHome(): Store | undefined {
    const { elementStores: [store, ...others], operands, row } = this.kernel;
    if (!store || others.length > 0 || this.#rows.size !== 1) return undefined;
    const { dtype, access } = operands[store.operand], { terms } = store.index;
    const along = terms.find(({ atom }) => atom.kind === "var" && atom.variable.id === row.id);
    const isPlain = along?.coefficient === 1 && terms.every(({ atom }) => atom.kind === "var");
    return isPlain && dtype === "f32" && access === "write" ? store : undefined;
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
      const { address, offset } = this.#place(row.offset, env);
      if (env.lane) writer.effect("lanes.store", [address, splat(writer, value)], [offset]);
      else writer.effect("f32.store", [address, value], [offset]);
    }
  }

  /** Makes later passes read the values that a pass has stored. */
  finish(pass: number): void {
    for (const [expr, row] of this.#rows) {
      if (row.pass !== pass) continue;
      this.evaluator.kept.set(expr.id, (env) => {
        // The row may be overwritten at the same address, so the load must not be moved.
        const { address, offset } = this.#place(row.offset, env);
        return this.evaluator.writer.fresh(env.lane ? "lanes.load" : "f32.load", [address], [offset]);
      });
    }
  }

  /** The address of an element in the row that begins at an offset in scratch memory, or in the result's own. */
  #place(offset: number, env: Env): { readonly address: Value; readonly offset: number } {
    const { evaluator } = this;
    if (this.#home) {
      const index = evaluator.index(this.#home.index, env);
      return evaluator.address(this.#home.operand, evaluator.form(index, env)!.base, env);
    }
    const at = env.replace.get(this.kernel.row.id)!;
    const form = evaluator.form(at, env);
    const element = evaluator.scalar(scaleIndex(form!.base, this.#elementBytes), env);
    return { address: evaluator.writer.op("address.add", [evaluator.writer.parameter("scratch"), element]), offset };
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
