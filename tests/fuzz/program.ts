/**
 * Programs as plain data. A {@link FuzzProgram} is what a seed stands for: it can be written as JSON, made smaller step
 * by step, and printed as TypeScript ({@link file://./text.ts}), which is also how it is run.
 */
import type { DType } from "../../core/dtype.ts";

/** A value's name: unique in a program, its blocks included. */
export type Id = number;

/** Shape and dtype. */
export interface FuzzType {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** What a step or a block defines. */
export interface Value extends FuzzType {
  readonly id: Id;
}

/** An attribute: JSON, with numbers that JSON lacks as texts (`"NaN"`, `"-Infinity"`, `"-0"`). */
export type FuzzAttr = number | string | boolean | readonly FuzzAttr[] | { readonly [key: string]: FuzzAttr };

/** Attributes by name. */
export type FuzzAttrs = { readonly [key: string]: FuzzAttr };

/** A function inside a program: the body of a loop, or what is differentiated. May use values from outside. */
export interface Block {
  readonly params: readonly Value[];
  readonly steps: readonly Step[];
  readonly results: readonly Id[];
}

/** One call of an op: `args` by name, results defined as `out`. */
export interface Step {
  readonly op: string;
  readonly args: readonly Id[];
  readonly attrs: FuzzAttrs;
  readonly out: readonly Value[];
  readonly block?: Block;
}

/** How an argument's elements are made, so that descriptions stay short. */
export type Fill =
  /** Evenly distributed between two numbers, rounded to the dtype. */
  | { readonly kind: "uniform"; readonly low: number; readonly high: number; readonly seed: number }
  /** Whole numbers from `low` to `high`, both included. */
  | { readonly kind: "integers"; readonly low: number; readonly high: number; readonly seed: number }
  /** As uniform, with NaN, infinities, zeros of both signs and large numbers among them. */
  | { readonly kind: "edges"; readonly low: number; readonly high: number; readonly seed: number }
  /** The numbers themselves. */
  | { readonly kind: "list"; readonly values: readonly FuzzAttr[] };

/** An argument of a program. */
export interface Input extends Value {
  readonly fill: Fill;
}

/** A program. */
export interface FuzzProgram {
  readonly seed: number;
  readonly inputs: readonly Input[];
  readonly steps: readonly Step[];
  /** What is returned, in order; a value may stand here twice, and so may an argument. */
  readonly outputs: readonly Id[];
  /** Positions of arguments that are given up. */
  readonly donate: readonly number[];
}

/** All steps, those of blocks included, outermost first. */
export function allSteps(steps: readonly Step[]): Step[] {
  return steps.flatMap((step) => [step, ...(step.block ? allSteps(step.block.steps) : [])]);
}

/** The number of calls. */
export function stepCount(program: FuzzProgram): number {
  return allSteps(program.steps).length;
}

/** The program without steps and arguments that nothing needs. */
export function withoutDead(program: FuzzProgram): FuzzProgram {
  const { steps, used } = liveSteps(program.steps, program.outputs);
  const keep = program.inputs.map(({ id }, i) => used.has(id) || program.donate.includes(i));
  const inputs = program.inputs.filter((_, i) => keep[i]);
  const donate = program.donate.map((position) => keep.slice(0, position).filter(Boolean).length);
  return { ...program, steps, inputs, donate };
}

function liveSteps(steps: readonly Step[], results: readonly Id[]): { steps: Step[]; used: Set<Id> } {
  const used = new Set<Id>(results);
  const live: Step[] = [];
  for (const step of steps.toReversed()) {
    if (!step.out.some(({ id }) => used.has(id))) continue;
    let block = step.block;
    if (block) {
      const inner = liveSteps(block.steps, block.results);
      block = { ...block, steps: inner.steps };
      for (const id of inner.used) used.add(id);
    }
    for (const id of step.args) used.add(id);
    live.push(block ? { ...step, block } : step);
  }
  return { steps: live.toReversed(), used };
}
