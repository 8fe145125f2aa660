/**
 * From a program that fails to the smallest one that fails alike: results, steps, functions, extents, options and
 * values are taken away one by one as long as the same stage goes on failing in the same way.
 */
import { interpret } from "../../core/interpret.ts";
import { Graph } from "../../core/graph.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { check, traceProgram } from "./check.ts";
import { type Failure, kindOf } from "./failure.ts";
import {
  allSteps,
  type Fill,
  type FuzzAttr,
  type FuzzAttrs,
  type FuzzProgram,
  type Id,
  type Input,
  type Step,
  stepCount,
  type Value,
  withoutDead,
} from "./program.ts";
import type { Target } from "./targets.ts";
import { numberAttr } from "./text.ts";
import { inputArrays } from "./values.ts";

/** A failure with the program that shows it. */
export interface Shrunk {
  readonly program: FuzzProgram;
  readonly failure: Failure;
}

/** Shrinks until nothing more can be taken away, or so many programs were tried. */
export async function shrink(start: Shrunk, targets: readonly Target[], maxTries = 600): Promise<Shrunk> {
  const kind = kindOf(start.failure);
  const { device } = start.failure;
  const concerned = device
    ? targets.filter((target) => target.name === device || target.name.split(" ")[0] === device).slice(0, 1)
    : [];
  let best = start, tries = 0;
  /** Takes the first smaller program of a way that fails alike; whether there was one. */
  const step = async (way: Way): Promise<boolean> => {
    for (const candidate of way(best.program)) {
      if (tries >= maxTries) return false;
      const program = retyped(candidate);
      if (!program || weight(program) >= weight(best.program)) continue;
      tries++;
      const { failures } = await check(program, { targets: concerned });
      const failure = failures.find((each) => kindOf(each) === kind);
      if (!failure) continue;
      best = { program, failure };
      return true;
    }
    return false;
  };
  // Each way as long as it helps, then the next: what one has taken away makes room for those before it.
  for (let before = -1; before !== weight(best.program);) {
    before = weight(best.program);
    for (const way of WAYS) while (await step(way));
  }
  return best;
}

/** How much there is to read. */
function weight(program: FuzzProgram): number {
  const elements = program.inputs.reduce((sum, { shape }) => sum + Math.log2(1 + sizeOfShape(shape)) + shape.length, 0);
  const fills = program.inputs.reduce(
    (sum, { fill }) => sum + { integers: 0, uniform: 3, list: 4, edges: 5 }[fill.kind],
    0,
  );
  const dtypes = program.inputs.reduce(
    (sum, { dtype }) => sum + { f32: 0, i32: 1, u32: 2, bool: 2, f16: 3, bf16: 3 }[dtype],
    0,
  );
  const attrs = allSteps(program.steps).reduce((sum, step) => sum + JSON.stringify(step.attrs).length, 0);
  return 100 * stepCount(program) + 30 * program.outputs.length + 10 * program.inputs.length +
    8 * program.donate.length + 4 * elements + fills + 5 * dtypes +
    0.5 * attrs;
}

/** The program with the types that its steps have now; undefined if it is none any more. */
function retyped(candidate: FuzzProgram): FuzzProgram | undefined {
  const program = withoutDead(candidate);
  if (program.outputs.length === 0) return undefined;
  try {
    const { types } = traceProgram(program);
    const typed = (value: Value): Value => {
      const type = types.get(value.id);
      return type ? { id: value.id, shape: type.shape, dtype: type.dtype } : value;
    };
    return {
      ...program,
      steps: mapSteps(
        program.steps,
        (step) => ({
          ...step,
          out: step.out.map(typed),
          ...(step.block && { block: { ...step.block, params: step.block.params.map(typed) } }),
        }),
      ),
    };
  } catch {
    return undefined;
  }
}

/** Applies a function to every step, inner ones first. */
function mapSteps(steps: readonly Step[], map: (step: Step) => Step): Step[] {
  return steps.map((step) =>
    map(step.block ? { ...step, block: { ...step.block, steps: mapSteps(step.block.steps, map) } } : step)
  );
}

/** Puts one value in the place of another everywhere. */
function replaced(program: FuzzProgram, from: Id, to: Id): FuzzProgram {
  const swap = (id: Id): Id => (id === from ? to : id);
  const steps = mapSteps(program.steps, (step) => ({
    ...step,
    args: step.args.map(swap),
    ...(step.block && { block: { ...step.block, results: step.block.results.map(swap) } }),
  }));
  return { ...program, steps, outputs: program.outputs.map(swap) };
}

/** One way of making programs smaller, the boldest first. */
type Way = (program: FuzzProgram) => Iterable<FuzzProgram>;

function* fewerResults(program: FuzzProgram): Generator<FuzzProgram> {
  // What an earlier step gives, so that all after it can go.
  for (const { id } of program.steps.flatMap(({ out }) => out)) {
    if (program.outputs[0] !== id || program.outputs.length > 1) yield { ...program, outputs: [id] };
  }
  if (program.outputs.length === 1) return;
  for (const output of new Set(program.outputs)) yield { ...program, outputs: [output] };
  for (let i = 0; i < program.outputs.length; i++) yield { ...program, outputs: program.outputs.toSpliced(i, 1) };
}

function* fewerDonations(program: FuzzProgram): Generator<FuzzProgram> {
  if (program.donate.length > 0) yield { ...program, donate: [] };
  for (let i = 0; i < program.donate.length; i++) yield { ...program, donate: program.donate.toSpliced(i, 1) };
}

/** Every value of one dtype with another, plainer one. */
function* otherTypes(program: FuzzProgram): Generator<FuzzProgram> {
  for (
    const [from, to] of [["f16", "f32"], ["bf16", "f32"], ["u32", "i32"], ["bool", "i32"], ["i32", "f32"]] as const
  ) {
    const swap = (attr: FuzzAttr): FuzzAttr => (attr === from ? to : attr);
    if (!program.inputs.some(({ dtype }) => dtype === from)) continue;
    yield {
      ...program,
      inputs: program.inputs.map((input) => (input.dtype === from ? { ...input, dtype: to } : input)),
      steps: mapSteps(
        program.steps,
        (step) => ({
          ...step,
          attrs: Object.fromEntries(Object.entries(step.attrs).map(([name, attr]) => [name, swap(attr)])),
        }),
      ),
    };
  }
}

/** What a step gives becomes an argument with the values that it had, so that all before it can go. */
function* cuts(program: FuzzProgram): Generator<FuzzProgram> {
  let values: Map<Id, Float64Array>;
  try {
    const { graph, types } = traceProgram(program);
    const wanted = program.steps.flatMap(({ out }) => out).filter(({ id }) => types.has(id));
    const results = interpret(
      new Graph(graph.inputs, wanted.map(({ id }) => types.get(id)!), graph.names),
      inputArrays(program.inputs),
    );
    values = new Map(wanted.map(({ id }, i) => [id, results[i].data]));
  } catch {
    return;
  }
  for (const step of program.steps.toReversed()) {
    const inputs = step.out.filter(({ id }) => values.has(id)).map(({ id, shape, dtype }): Input => {
      const data = values.get(id)!;
      const fill: Fill = data.length <= 400
        ? { kind: "list", values: [...data].map(numberAttr) }
        : { kind: "uniform", low: Math.max(-4, Math.min(...data)), high: Math.min(4, Math.max(...data)), seed: 1 };
      return { id, shape, dtype, fill };
    });
    yield {
      ...program,
      inputs: [...program.inputs, ...inputs],
      steps: program.steps.filter((other) => other !== step),
    };
  }
}

/** A function's body in place of what is made of it: the loop's first step, the function without its gradient. */
function* opened(program: FuzzProgram): Generator<FuzzProgram> {
  for (const [at, step] of program.steps.entries()) {
    const { block } = step;
    if (!block) continue;
    const count = step.op === "scan" ? step.attrs.carries as number : block.params.length;
    const head = program.steps.slice(0, at);
    let inner: FuzzProgram = { ...program, steps: [...head, ...block.steps], outputs: block.results };
    block.params.slice(0, count).forEach(({ id }, i) => inner = replaced(inner, id, step.args[i]));
    const slices = block.params.slice(count).map((param): Input => ({
      ...param,
      fill: { kind: "uniform", low: -2, high: 2, seed: param.id },
    }));
    yield { ...inner, inputs: [...inner.inputs, ...slices], donate: [] };
  }
}

/** A value of the same type in the place of what a step gives. */
function* bypasses(program: FuzzProgram): Generator<FuzzProgram> {
  const types = new Map<Id, Value>(program.inputs.map((input) => [input.id, input]));
  for (const { out, block } of allSteps(program.steps)) {
    for (const value of [...out, ...(block?.params ?? [])]) types.set(value.id, value);
  }
  for (const step of allSteps(program.steps).toReversed()) {
    for (const out of step.out) {
      for (const id of new Set([...step.args, ...(step.block?.results ?? [])])) {
        const arg = types.get(id);
        if (arg && arg.dtype === out.dtype && String(arg.shape) === String(out.shape)) {
          yield replaced(program, out.id, id);
        }
      }
    }
  }
}

const SHAPE_ATTRS = ["shape", "sizes", "n", "length", "classes", "a", "b"];

/** Smaller extents, each in all its places. */
function* smaller(program: FuzzProgram): Generator<FuzzProgram> {
  const extents = [
    ...new Set(
      program.inputs.flatMap(({ shape }) => shape).concat(
        allSteps(program.steps).flatMap(({ out }) => out.flatMap(({ shape }) => shape)),
      ),
    ),
  ].filter((n) => n > 1);
  for (const extent of extents.toSorted((a, b) => b - a)) {
    for (const to of new Set([1, 2, 3, 4, extent >> 1, extent - 1])) {
      if (to >= extent || to < 1) continue;
      const swap = (attr: FuzzAttr): FuzzAttr => (attr === extent ? to : Array.isArray(attr) ? attr.map(swap) : attr);
      yield {
        ...program,
        inputs: program.inputs.map((input) => ({ ...resized(input, input.shape.map((n) => (n === extent ? to : n))) })),
        steps: mapSteps(
          program.steps,
          (step) => ({
            ...step,
            attrs: Object.fromEntries(
              Object.entries(step.attrs).map(([name, attr]) => [name, SHAPE_ATTRS.includes(name) ? swap(attr) : attr]),
            ),
          }),
        ),
      };
    }
  }
}

function resized(input: Input, shape: readonly number[]): Input {
  const { fill } = input;
  return {
    ...input,
    shape,
    fill: fill.kind === "list" ? { kind: "list", values: fill.values.slice(0, sizeOfShape(shape)) } : fill,
  };
}

/** Options left out, and plainer values. */
function* plainer(program: FuzzProgram): Generator<FuzzProgram> {
  for (const target of allSteps(program.steps)) {
    for (const name of Object.keys(target.attrs)) {
      const without: FuzzAttrs = Object.fromEntries(Object.entries(target.attrs).filter(([other]) => other !== name));
      yield {
        ...program,
        steps: mapSteps(
          program.steps,
          (step) => (step.out[0].id === target.out[0].id ? { ...step, attrs: without } : step),
        ),
      };
    }
  }
  for (const [at, input] of program.inputs.entries()) {
    const size = sizeOfShape(input.shape);
    const fills: Fill[] = [{ kind: "integers", low: 1, high: 1, seed: 1 }, {
      kind: "integers",
      low: 0,
      high: 3,
      seed: 1,
    }];
    if (size <= 64) {
      fills.push({
        kind: "list",
        values: Array.from({ length: size }, (_, i) => (input.dtype === "bool" ? i % 2 : i + 1)),
      });
    }
    for (const fill of fills) {
      if (JSON.stringify(fill) !== JSON.stringify(input.fill)) {
        yield { ...program, inputs: program.inputs.with(at, { ...input, fill }) };
      }
    }
  }
}

const WAYS: readonly Way[] = [fewerResults, cuts, opened, bypasses, fewerDonations, smaller, plainer, otherTypes];
