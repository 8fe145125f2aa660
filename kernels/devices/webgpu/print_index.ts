/** Prints indices: sums of variables, quotients and run-time values, in terms of what the writer has declared. */
import { invariant } from "../../../core/errors.ts";
import type { Expr } from "../../../core/expr.ts";
import { constantIndex, type Index, substituteIndex, type Term } from "../../../core/index_expr.ts";
import { type Env as LaneEnv, LaneScope } from "../../codegen/lane_scope.ts";
import type { RegisterType } from "./print_literal.ts";
import { convert, joinLanes, LANES } from "./print_value.ts";
import type { Value, Writer } from "./print_writer.ts";

/** The values of the kernel's variables at the point where an expression is evaluated. */
export type Env = LaneEnv<Value>;

/** Prints the indices of one kernel into its writer. */
export abstract class IndexPrinter extends LaneScope<Value> {
  constructor(readonly writer: Writer) {
    super();
  }

  /** The value of an expression, which an index may read. */
  abstract value(expr: Expr, env: Env): Value;

  /** The value of a kernel's index, converted. */
  indexValue(source: Index, dtype: RegisterType, env: Env): Value {
    const index = this.index(source, env);
    const form = this.form(index, env);
    if (form?.step === 0) return convert(this.scalar(index, env), dtype);
    let value: Value;
    if (form) {
      const base = this.scalar(form.base, env);
      const steps = `vec4<i32>(${[0, 1, 2, 3].map((lane) => lane * form.step).join(", ")})`;
      value = { text: `(${base.text} + ${steps})`, dtype: "i32", width: 4, depth: base.depth, atomic: false };
    } else {
      value = joinLanes([0, 1, 2, 3].map((lane) => this.scalar(index, env, lane)));
    }
    return convert(value, dtype);
  }

  /** The i32 value of a rewritten index; `lane` picks a lane where the index varies. */
  scalar(source: Index, env: Env, lane?: number): Value {
    const index = lane === undefined ? source : atLane(source, env, lane);
    // Terms come in the order of variable ids, which equal kernels do not share. They are sorted by name before
    // anything is bound.
    const ordered = index.terms.map((term) => ({ term, key: this.#orderKey(term) })).sort((
      a,
      b,
    ) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    const parts = ordered.map(({ term }) => this.#term(term, env, lane)).sort((a, b) => a.depth - b.depth);
    if (parts.length === 0) return { text: `${index.constant}`, dtype: "i32", width: 1, depth: 0, atomic: true };
    let sum = "", depth = 0, count = 0;
    for (const part of parts) {
      if (count > 1 && part.depth > depth) [sum, count] = [this.writer.bind(sum, depth, "n"), 1];
      const magnitude = Math.abs(part.coefficient);
      const text = magnitude === 1 ? part.text : `${part.text} * ${magnitude}`;
      sum = sum === ""
        ? (part.coefficient < 0 ? `-${text}` : text)
        : `${sum} ${part.coefficient < 0 ? "-" : "+"} ${text}`;
      depth = part.depth;
      count += magnitude === 1 && part.coefficient > 0 ? 1 : 2;
    }
    if (index.constant === 0) {
      return { text: count > 1 ? this.writer.bind(sum, depth, "n") : sum, dtype: "i32", width: 1, depth, atomic: true };
    }
    if (count > 1) sum = this.writer.bind(sum, depth, "n");
    const text = `${sum} ${index.constant < 0 ? "-" : "+"} ${Math.abs(index.constant)}`;
    return { text: `(${text})`, dtype: "i32", width: 1, depth, atomic: false };
  }

  #orderKey({ atom, coefficient }: Term): string {
    if (atom.kind === "var") return `${this.writer.variable(atom.variable).name} ${coefficient}`;
    if (atom.kind === "value") return `~value ${`${atom.value.id}`.padStart(6, "0")} ${coefficient}`;
    return `~${atom.kind} ${atom.by} ${
      atom.of.terms.map((term) => this.#orderKey(term)).sort().join("+")
    } ${coefficient}`;
  }

  #term({ atom, coefficient }: Term, env: Env, lane?: number): { text: string; depth: number; coefficient: number } {
    switch (atom.kind) {
      case "var": {
        const { name, depth } = this.writer.variable(atom.variable);
        return { text: name, depth, coefficient };
      }
      case "value": {
        let value = this.writer.bound(convert(this.value(atom.value, env), "i32"), "n");
        if (value.width === 4) {
          invariant(lane !== undefined, "a varying run-time index is read as a scalar");
          value = { ...value, text: `${value.text}.${LANES[lane]}` };
        }
        return { text: value.text, depth: value.depth, coefficient };
      }
      case "div":
      case "mod": {
        const of = this.writer.bound(this.scalar(atom.of, env, lane), "n");
        const text = this.writer.bind(quotientText(atom.kind, of.text, atom.by, atom.of.min), of.depth, "n");
        return { text, depth: of.depth, coefficient };
      }
    }
  }
}

/** Floor division or remainder of an i32 by a positive constant. Shifts and masks already floor. */
function quotientText(kind: "div" | "mod", of: string, by: number, min: number): string {
  if ((by & (by - 1)) === 0) return kind === "div" ? `(${of} >> ${Math.log2(by)}u)` : `(${of} & ${by - 1})`;
  const sign = kind === "div" ? "/" : "%";
  if (min >= 0) return `(${of} ${sign} ${by})`;
  const shift = Math.ceil(-min / by);
  return kind === "div" ? `((${of} + ${shift * by}) / ${by} - ${shift})` : `((${of} + ${shift * by}) % ${by})`;
}

/** An index for one lane of an environment. */
export function atLane(index: Index, env: Env, lane: number): Index {
  return substituteIndex(index, new Map([[env.lane!.id, constantIndex(lane)]]));
}
