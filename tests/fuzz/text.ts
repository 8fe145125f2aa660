/**
 * Programs as TypeScript. The text that a script shows is the text that is run, so that what is printed is what failed.
 */
import type { Tensor } from "../../core/graph.ts";
import type { Block, FuzzAttr, FuzzProgram, Id, Step, Value } from "./program.ts";

/** A number from an attribute. */
export function parseNumber(attr: FuzzAttr): number {
  return Number(attr);
}

/** A number as an attribute. */
export function numberAttr(value: number): FuzzAttr {
  return Object.is(value, -0) ? "-0" : Number.isFinite(value) ? value : String(value);
}

/** An attribute as TypeScript: texts that are numbers print as numbers. */
export function literal(attr: FuzzAttr): string {
  if (typeof attr === "string") {
    return ["NaN", "Infinity", "-Infinity", "-0"].includes(attr) ? attr : JSON.stringify(attr);
  }
  if (Array.isArray(attr)) return `[${attr.map(literal).join(", ")}]`;
  if (typeof attr === "object") {
    const entries = Object.entries(attr).map(([name, value]) => `${name}: ${literal(value)}`);
    return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
  }
  return String(attr);
}

/** How a text is to be. */
export interface TextOptions {
  /** With types, for a script; without, for `new Function`. */
  readonly typed: boolean;
  /** Calls `record(id, tensor)` for everything that is defined. */
  readonly recorded?: boolean;
}

/** The name of a value. */
export function nameOf(id: Id): string {
  return `v${id}`;
}

/** The expression of a step's call. */
export type Call = (step: Step, text: Printer) => string;

/** Prints steps, blocks and whole programs, given how each op is called. */
export class Printer {
  constructor(readonly calls: (op: string) => Call, readonly options: TextOptions) {}

  /** The statements of a program's body, one a line, the return among them. */
  body(program: FuzzProgram): string[] {
    return [...this.#steps(program.steps), `return [${program.outputs.map(nameOf).join(", ")}];`];
  }

  /** Parameters of an arrow function, each one a tensor or (lists of lists) a pattern. */
  parameter(values: readonly Value[]): string {
    return values.map(({ id }) => `${nameOf(id)}${this.options.typed ? ": Tensor" : ""}`).join(", ");
  }

  /** A pattern that takes a list of tensors apart. */
  pattern(values: readonly Value[]): string {
    return `[${values.map(({ id }) => nameOf(id)).join(", ")}]`;
  }

  /**
   * A block as an arrow function: `head` are its parameters, `result` makes the returned expression of the results'
   * names.
   */
  block(head: string, block: Block, result: (names: readonly string[]) => string): string {
    const lines = [
      ...this.records(block.params),
      ...this.#steps(block.steps),
      `return ${result(block.results.map(nameOf))};`,
    ];
    return `(${head}) => {\n${lines.map((line) => indent(line)).join("\n")}\n}`;
  }

  /** Statements that record what was defined. */
  records(values: readonly Value[]): string[] {
    return this.options.recorded ? values.map(({ id }) => `record(${id}, ${nameOf(id)});`) : [];
  }

  #steps(steps: readonly Step[]): string[] {
    return steps.flatMap((step) => {
      const call = this.calls(step.op)(step, this);
      // A call that defines all by itself starts with "const".
      const line = call.startsWith("const ")
        ? `${call};`
        : `const ${step.out.length === 1 ? nameOf(step.out[0].id) : this.pattern(step.out)} = ${call};`;
      return [line, ...this.records(step.out)];
    });
  }
}

/** Moves every line of a text to the right. */
export function indent(text: string): string {
  return text.split("\n").map((line) => `  ${line}`).join("\n");
}

/** Called with everything that a program defines while it is traced. */
export type Record = (id: Id, tensor: Tensor) => void;

/** A program's function, made from its text over a library of ops. */
export function buildFunction(
  program: FuzzProgram,
  calls: (op: string) => Call,
  { library, record }: { readonly library: Readonly<{ [name: string]: unknown }>; readonly record?: Record },
): (...args: Tensor[]) => Tensor[] {
  const printer = new Printer(calls, { typed: false, recorded: record !== undefined });
  const names = Object.keys(library);
  const source = `"use strict";\nreturn (${printer.parameter(program.inputs)}) => {\n${
    printer.body(program).join("\n")
  }\n};`;
  return new Function("record", ...names, source)(record, ...Object.values(library)) as (...args: Tensor[]) => Tensor[];
}
