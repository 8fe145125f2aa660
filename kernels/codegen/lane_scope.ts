/**
 * Analysis of a kernel's expressions for printers, whatever the language: rewritten indices, which values vary across
 * the lanes of a vector, and what loads and stores cost.
 */
import type { Expr } from "../../core/expr.ts";
import { operandsOf } from "../../core/expr.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import { substituteIndex } from "../../core/index_expr.ts";
import type { Store } from "../kernel.ts";
import { type LaneForm, laneForm } from "./lane_index.ts";

/** The values of the kernel's variables at the point where an expression is evaluated. */
export interface Env<Value> {
  /** Identifies the environment in caches. */
  readonly id: number;
  /** Values of kernel variables, by id, in terms of declared variables and the lane. */
  readonly replace: ReadonlyMap<number, Index>;
  /** The variable that is the lane; its extent is the number of lanes. Absent for scalar evaluation. */
  readonly lane?: Var;
  /** The current value of `accumulator`, by its state. */
  readonly accumulators: readonly (Value | undefined)[];
}

/** Analysis of one kernel's expressions per environment. A value is either uniform or varies across all lanes. */
export abstract class LaneScope<Value extends { readonly width: number }> {
  /** Values of finished reductions, by expression id. */
  abstract readonly reductions: ReadonlyMap<number, Value>;
  #indices = new Map<string, Index>();
  #varies = new Map<string, boolean>();
  #envs = 0;

  /** The cost of loading an element, or of one load per lane if the index varies. */
  protected abstract loadCost(operand: number, index: Index, env: Env<Value>): number;
  /** The cost of storing an element, or of one store per lane. */
  protected abstract storeCost(store: Store, env: Env<Value>): number;

  /** Makes an environment. */
  env(replace: ReadonlyMap<number, Index>, lane?: Var, ...accumulators: readonly (Value | undefined)[]): Env<Value> {
    return { id: this.#envs++, replace, lane, accumulators };
  }

  /** An index of the kernel in terms of declared variables. */
  index(index: Index, env: Env<Value>): Index {
    const key = `${env.id}:${index.key}`;
    let found = this.#indices.get(key);
    if (!found) this.#indices.set(key, found = substituteIndex(index, env.replace));
    return found;
  }

  /** How a rewritten index depends on the lane. */
  form(index: Index, env: Env<Value>): LaneForm | undefined {
    return env.lane ? laneForm(index, env.lane, (value) => this.varies(value, env)) : { base: index, step: 0 };
  }

  /** Whether an expression varies across lanes. */
  varies(expr: Expr, env: Env<Value>): boolean {
    if (!env.lane) return false;
    const key = `${env.id}:${expr.id}`;
    let found = this.#varies.get(key);
    if (found === undefined) this.#varies.set(key, found = this.#variesNow(expr, env));
    return found;
  }

  #variesNow(expr: Expr, env: Env<Value>): boolean {
    switch (expr.kind) {
      case "const":
        return false;
      case "accumulator":
        return (env.accumulators[expr.state]?.width ?? 1) > 1;
      case "reduce": {
        const known = this.reductions.get(expr.id);
        return known ? known.width > 1 : this.reductionVaries(expr, env);
      }
      case "inRange":
        return this.rangeVaries(expr, env);
      case "index":
      case "load":
        return this.#indexVaries(expr.index, env);
      default:
        return operandsOf(expr).some((operand) => this.varies(operand, env));
    }
  }

  #indexVaries(index: Index, env: Env<Value>): boolean {
    return this.form(this.index(index, env), env)?.step !== 0;
  }

  /** Whether a reduction that has not been computed yet will vary across lanes. */
  protected reductionVaries({ body }: Expr & { kind: "reduce" }, env: Env<Value>): boolean {
    return this.varies(body, env);
  }

  /** Whether a range check can have different outcomes across lanes. */
  protected rangeVaries({ index }: Expr & { kind: "inRange" }, env: Env<Value>): boolean {
    return this.#indexVaries(index, env);
  }

  /**
   * Total cost of the memory instructions of expressions and stores in an environment, over all lanes. Each expression
   * is visited once.
   */
  cost(exprs: readonly Expr[], stores: readonly Store[], env: Env<Value>): number {
    const seen = new Set<number>();
    const visitIndex = (index: Index): number =>
      index.terms.reduce(
        (sum, { atom }) =>
          sum + (atom.kind === "value" ? visit(atom.value) : atom.kind === "var" ? 0 : visitIndex(atom.of)),
        0,
      );
    const visit = (expr: Expr): number => {
      if (seen.has(expr.id)) return 0;
      seen.add(expr.id);
      if (expr.kind === "load") return this.loadCost(expr.operand, expr.index, env) + visitIndex(expr.index);
      if (expr.kind === "index" || expr.kind === "inRange") return visitIndex(expr.index);
      return operandsOf(expr).reduce((sum, operand) => sum + visit(operand), 0);
    };
    const loads = [...exprs, ...stores.map(({ value }) => value)].reduce((sum, expr) => sum + visit(expr), 0);
    return stores.reduce((sum, store) => sum + this.storeCost(store, env) + visitIndex(store.index), loads);
  }
}
