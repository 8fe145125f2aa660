/** Prints recurrence kernels: one invocation walks time for one point of space, or for four neighbours. */
import { addIndex, constantIndex, makeVar, scaleIndex, varIndex } from "../../core/index_expr.ts";
import type { RecurrenceKernel } from "../kernel.ts";
import { convert, Evaluator, splat } from "./print_expr.ts";
import { typeName } from "./print_math.ts";
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
  states.forEach(({ b }, number) => writer.line(`var ${names[number]} = ${typeName(b.dtype, width)}(0);`));
  const step = makeVar("t", time.extent);
  writer.openLoop("t", time.extent);
  writer.declare(step, "t");
  const now = reverse ? addIndex(constantIndex(time.extent - 1), scaleIndex(varIndex(step), -1)) : varIndex(step);
  const replace = walk.replace(group).set(time.id, now);
  const present: Value[] = [];
  states.forEach(({ a, b }, number) => {
    const before = evaluator.env(replace, walk.lane, ...present), { dtype } = b, name = names[number];
    const operand = (value: Value) => splat(convert(value, dtype), width).text;
    const decay = operand(evaluator.value(a, before)), input = operand(evaluator.value(b, before));
    writer.line(`${name} = ${decay} * ${name} + ${input};`);
    present.push(writer.bound({ text: name, dtype, width, depth: writer.depth, atomic: false }, "state"));
  });
  const after = evaluator.env(replace, walk.lane, ...present);
  const values = stores.map(({ value }) => writer.bound(evaluator.value(value, after)));
  stores.forEach((store, at) => evaluator.store(store, values[at], after, live));
  writer.close();
  return writer.finish(size, launch.workgroups);
}
