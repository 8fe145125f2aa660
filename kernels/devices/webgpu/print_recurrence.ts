/**
 * Prints recurrence kernels: each invocation iterates over time for one point of the space, or for four neighbouring
 * ones.
 */
import { addIndex, constantIndex, scaleIndex, varIndex } from "../../../core/index_expr.ts";
import type { RecurrenceKernel } from "../../kernel.ts";
import { isLongSum } from "../../long_sums.ts";
import { Evaluator } from "./print_expr.ts";
import { convert, splat } from "./print_value.ts";
import { BlockSums, overSteps, stepsPerTurn } from "./print_loops.ts";
import { registerType, typeName } from "./print_literal.ts";
import { chooseWalk, liveLanes, startFlat, workgroupSizeFor } from "./print_space.ts";
import type { Value, WgslKernel, Writer } from "./print_writer.ts";

/** Prints a recurrence kernel. */
export function printRecurrence(kernel: RecurrenceKernel, writer: Writer): WgslKernel {
  const { states, stores, time, space, reverse } = kernel;
  const exprs = states.flatMap(({ a, b }) => [a, b]);
  const evaluator = new Evaluator(writer, stores, exprs);
  const walk = chooseWalk(evaluator, space, exprs, stores);
  const size = workgroupSizeFor(walk.groups, writer.target.style === "gpu" ? 64 : 8);
  const { id, launch } = startFlat(writer, walk.groups, size);
  const group = varIndex(id);
  const live = liveLanes(evaluator, walk, group);
  const width = walk.lane ? 4 : 1;
  const names = states.map((_, number) => (number === 0 ? "state" : `state${number}`));
  writer.reserve(names);
  const types = states.map(({ b }) => registerType(b.dtype));
  types.forEach((type, number) => writer.line(`var ${names[number]} = ${typeName(type, width)}(0);`));
  const long = states.map((state) => isLongSum(kernel, state)),
    each = stepsPerTurn(time.extent, writer.target, long.includes(true));
  const summed = types.flatMap((
    type,
    number,
  ) => (long[number] ? { name: names[number], type: typeName(type, width) } : []));
  const sums = summed.length === 0 ? undefined : new BlockSums(writer, summed, Math.floor(time.extent / each), each);
  overSteps(writer, { name: "t", extent: time.extent, each, sums }, (step) => {
    const now = reverse ? addIndex(constantIndex(time.extent - 1), scaleIndex(step, -1)) : step;
    const replace = walk.replace(group).set(time.id, now);
    const present: Value[] = [];
    states.forEach(({ a, b }, number) => {
      const before = evaluator.env(replace, walk.lane, ...present), dtype = types[number], name = names[number];
      const operand = (value: Value) => splat(convert(value, dtype), width).text;
      const kept = long[number] ? name : `${operand(evaluator.value(a, before))} * ${name}`;
      writer.line(`${name} = ${kept} + ${operand(evaluator.value(b, before))};`);
      const text = long[number] ? `${sums!.textOf(name)} + ${name}` : name;
      present.push(writer.bound({ text, dtype, width, depth: writer.depth, atomic: false }, "state"));
    });
    const after = evaluator.env(replace, walk.lane, ...present);
    const values = stores.map(({ value }) => writer.bound(evaluator.value(value, after)));
    stores.forEach((store, at) => evaluator.store(store, values[at], after, live));
  });
  return writer.finish(size, launch.workgroups);
}
