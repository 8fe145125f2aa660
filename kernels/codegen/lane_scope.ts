/**
 * What a printer knows about a kernel's expressions before it prints them, whatever the language: how indices look in
 * terms of what the device counts, which values differ between the lanes of a vector, and what reading and writing
 * them costs.
 */
import type { Expr } from "../../core/expr.ts";
import { operandsOf } from "../../core/expr.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import { substituteIndex } from "../../core/index_expr.ts";
import type { Store } from "../kernel.ts";
import { type LaneForm, laneForm } from "./lane_index.ts";

/** What the kernel's variables are at the place where an expression is evaluated. */
export interface Env<Value> {
  /** Distinguishes environments in caches. */
  readonly id: number;
  /** Values of kernel variables, by id, in terms of declared variables and the lane. */
  readonly replace: ReadonlyMap<number, Index>;
  /** The variable that is the lane, whose extent is their number; scalars only if absent. */
  readonly lane?: Var;
  /** What `accumulator` means here, by its state. */
  readonly accumulators: readonly (Value | undefined)[];
}

/** The environments of one kernel, and its expressions in each of them. A value has one lane or all. */
export abstract class LaneScope<Value extends { readonly width: number }> {
  /** Values of finished reductions, by expression id. */
  abstract readonly reductions: ReadonlyMap<number, Value>;
  #indices = new Map<string, Index>();
  #varies = new Map<string, boolean>();
  #envs = 0;

  /** What reading an element costs, or one for each lane where the index varies. */
  protected abstract loadCost(operand: number, index: Index, env: Env<Value>): number;
  /** What writing an element costs, or one for each lane. */
  protected abstract storeCost(store: Store, env: Env<Value>): number;

  /** Makes an environment. */
  env(replace: ReadonlyMap<number, Index>, lane?: Var, ...accumulators: readonly (Value | undefined)[]): Env<Value> {
    return { id: this.#envs++, replace, lane, accumulators };
  }

  /** An index of the kernel in terms of what is declared. */
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

  /** Whether an expression differs between lanes. */
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

  /** Whether a reduction that is yet to be computed will differ between lanes. */
  protected reductionVaries({ body }: Expr & { kind: "reduce" }, env: Env<Value>): boolean {
    return this.varies(body, env);
  }

  /** Whether lanes differ in passing a range check. */
  protected rangeVaries({ index }: Expr & { kind: "inRange" }, env: Env<Value>): boolean {
    return this.#indexVaries(index, env);
  }

  /**
   * What the memory instructions of expressions and stores cost at one environment, all lanes together. Each
   * expression is read once.
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
