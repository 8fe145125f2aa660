/**
 * The interpreter of plans on passes that are wrong on purpose: it names the pass, and where a rule of memory is broken
 * the kernel and the element.
 */
import { assert, assertStringIncludes } from "@std/assert";
import { Graph, type Tensor } from "../../core/graph.ts";
import { addIndex, constantIndex, scaleIndex } from "../../core/index_expr.ts";
import type { NdArray } from "../../core/op.ts";
import { scan } from "../../core/scan.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import { takeDonated } from "../../kernels/in_place.ts";
import type { ContractKernel, Kernel, MapKernel, Operand } from "../../kernels/kernel.ts";
import type { Plan, Schedule, Step, Value, ValueId } from "../../kernels/plan.ts";
import { liveRanges, planMemory } from "../../kernels/plan_memory.ts";
import { schedule } from "../../kernels/schedule.ts";
import * as ops from "../../ops/mod.ts";
import { wave } from "../evaluate.ts";
import { findStage, type Passes, type Stage, type StageFault, type StageOptions } from "./find_stage.ts";

type Program = (...args: Tensor[]) => unknown;

function find(
  fn: Program,
  inputs: readonly NdArray[],
  passes: Partial<Passes>,
  options: StageOptions = {},
): StageFault | undefined {
  const { graph } = trace(fn, inputs.map(({ shape, dtype }) => spec(shape, dtype)));
  return findStage(graph, inputs, { ...options, passes }).fault;
}

/** Products, sums, a softmax, a scan: several temporaries that live at different times. */
const program: Program = (x, y) => {
  const scores = ops.softmax(ops.matmul(x, y)), mixed = ops.matmul(scores, ops.transpose(y));
  const [last, all] = scan(
    (c: Tensor, row: Tensor): [Tensor, Tensor] => {
      const next = ops.tanh(ops.add(ops.matmul(ops.reshape(c, [1, 6]), ops.reshape(ops.mul(row, c), [6, 1])), c));
      return [ops.reshape(next, [6]), ops.mul(row, c)];
    },
    ops.sum(x, { axes: 0 }),
    mixed,
  );
  return [last, all, ops.matmul(ops.transpose(scores), mixed), ops.add(x, 1)];
};
const INPUTS = [wave([5, 6], 1), wave([6, 5], 2)];

Deno.test("passes that are right have no fault", () => {
  assert(find(program, INPUTS, {}, { donated: [0, 1] }) === undefined);
});

/** A schedule with each kernel changed, or left out. */
function mapKernels(change: (kernel: Kernel, number: number) => Kernel | undefined): Passes["schedule"] {
  return (graph, options) => {
    let number = 0;
    const visit = (steps: readonly Step[]): Step[] =>
      steps.flatMap((step): Step[] => {
        if (step.kind === "loop") return [{ ...step, steps: visit(step.steps) }];
        const kernel = change(step.kernel, number++);
        return kernel ? [{ ...step, kernel }] : [];
      });
    const made = schedule(graph, options);
    return { ...made, steps: visit(made.steps) };
  };
}

/** Changes the first kernel for which `change` gives another one. */
function changeFirst(change: (kernel: Kernel) => Kernel | undefined): Passes["schedule"] {
  let isDone = false;
  return mapKernels((kernel) => {
    const changed = isDone ? undefined : change(kernel);
    isDone ||= changed !== undefined;
    return changed ?? kernel;
  });
}

/** The kernel of `x + 1`. */
function isAddition(kernel: Kernel): kernel is MapKernel {
  return kernel.kind === "map" && kernel.origins.length === 1 && kernel.origins[0] === "add";
}

/** The addition with its store elsewhere. */
function moveStore(
  move: (index: MapKernel["stores"][number]["index"]) => MapKernel["stores"][number]["index"],
): Passes["schedule"] {
  return changeFirst((kernel) =>
    isAddition(kernel)
      ? { ...kernel, stores: kernel.stores.map((store) => ({ ...store, index: move(store.index) })) }
      : undefined
  );
}

function withOperand(kernel: Kernel, at: number, operand: Partial<Operand>): Kernel {
  return { ...kernel, operands: kernel.operands.map((known, i) => (i === at ? { ...known, ...operand } : known)) };
}

function withValue(made: Schedule, id: ValueId, value: Partial<Value>): Schedule {
  return { ...made, values: made.values.map((known) => (known.id === id ? { ...known, ...value } : known)) };
}

/** Whether some kernel has both values as operands. */
function meet(steps: readonly Step[], a: ValueId, b: ValueId): boolean {
  return steps.some((
    step,
  ) => (step.kind === "loop" ? meet(step.steps, a, b) : step.operands.includes(a) && step.operands.includes(b)));
}

/** Two temporaries of which one lives while the other is needed later on: of one kernel, or of none together. */
function neighbours(plan: Plan, { together = false } = {}): [ValueId, ValueId] {
  const ranges = [...liveRanges(plan)].filter(([, { first, last }]) => last > first);
  for (const [a, x] of ranges) {
    for (const [b, y] of ranges) {
      if (x.first < y.first && y.first < x.last && meet(plan.steps, a, b) === together) return [a, b];
    }
  }
  throw new Error("no two temporaries live at one time");
}

const withOffset = (plan: Plan, id: ValueId, offset: number): Plan => ({
  ...plan,
  offsets: new Map([...plan.offsets, [id, offset]]),
});

/** Wrong passes: what is wrong, the pass that is to be blamed, and what is to be said of it. */
const FAULTS: readonly (readonly [string, Stage, string, Partial<Passes>])[] = [
  ["a wrong rewrite", "simplify", "output 3, element 0", {
    simplify: (graph) =>
      simplify(new Graph(graph.inputs, graph.outputs.map((y, i) => (i === 3 ? graph.inputs[0] : y)), graph.names)),
  }],
  ["a pass that throws", "simplify", "Internal: no", {
    simplify: () => {
      throw new Error("Internal: no");
    },
  }],
  ["a kernel left out", "schedule", "which nobody has written", {
    schedule: mapKernels((kernel, number) => (number === 0 ? undefined : kernel)),
  }],
  ["the last kernel left out", "schedule", "which nobody has written", {
    schedule: mapKernels((kernel) => (isAddition(kernel) ? undefined : kernel)),
  }],
  ["stores out of bounds", "schedule", "stores element 30 of operand", {
    schedule: moveStore((index) => addIndex(index, 1)),
  }],
  ["stores before the start", "schedule", "stores element -1 of operand", {
    schedule: moveStore((index) => addIndex(index, -1)),
  }],
  ["all invocations store one element", "schedule", "which another invocation reads or stores", {
    schedule: moveStore(() => constantIndex(0)),
  }],
  ["elements in another order", "schedule", "element 0 is", {
    schedule: moveStore((index) => addIndex(scaleIndex(index, -1), 29)),
  }],
  ["an operand larger than its value", "schedule", "has 1000 elements, its value", {
    schedule: changeFirst((kernel) => withOperand(kernel, 0, { size: 1000 })),
  }],
  ["an operand of another dtype", "schedule", "operand 0 is i32, its value f32", {
    schedule: changeFirst((kernel) => withOperand(kernel, 0, { dtype: "i32" })),
  }],
  ["an input that is written", "schedule", "writes the input", {
    schedule: changeFirst((kernel) =>
      kernel.kind === "contract" ? withOperand(kernel, 0, { access: "readwrite" }) : undefined
    ),
  }],
  ["a load of what is only written", "schedule", "which is only written", {
    schedule: changeFirst((kernel) => kernel.kind === "row" ? withOperand(kernel, 0, { access: "write" }) : undefined),
  }],
  ["a loop that runs backwards", "schedule", "output 0, element 0 is", {
    schedule: (graph, options) => {
      const made = schedule(graph, options);
      return {
        ...made,
        steps: made.steps.map((step) => (step.kind === "loop" ? { ...step, reverse: !step.reverse } : step)),
      };
    },
  }],
  ["values that share memory", "plan", "which value", {
    planMemory: (made, limits) => {
      const plan = planMemory(made, limits), [a, b] = neighbours(plan);
      return withOffset(plan, b, plan.offsets.get(a)!);
    },
  }],
  ["operands that share memory", "plan", "share memory, value", {
    planMemory: (made, limits) => {
      const plan = planMemory(made, limits), [a, b] = neighbours(plan, { together: true });
      return withOffset(plan, b, plan.offsets.get(a)!);
    },
  }],
  ["an arena that is too small", "plan", "in an arena of", {
    planMemory: (made, limits) => ({ ...planMemory(made, limits), arenaBytes: 256 }),
  }],
  ["a place that is not aligned", "plan", "not at a multiple of 256", {
    planMemory: (made, limits) => {
      const plan = planMemory(made, limits);
      return withOffset(plan, neighbours(plan)[0], 4);
    },
  }],
  ["a value without a place", "plan", "has no place in the arena", {
    planMemory: (made, limits) => ({ ...planMemory(made, limits), offsets: new Map() }),
  }],
  ["a value of too few bytes", "plan", "takes 4 bytes", {
    planMemory: (made, limits) =>
      planMemory(withValue(made, neighbours(planMemory(made, limits))[0], { sizeBytes: 4 }), limits),
  }],
  ["a value across a cut", "plan", "across a cut", {
    planMemory: (made, limits) => ({ ...planMemory(made, limits), bufferBytes: 64 }),
  }],
];

for (const [name, stage, message, passes] of FAULTS) {
  Deno.test(`a wrong pass is found: ${name}`, () => {
    const fault = find(program, INPUTS, passes);
    assert(fault, "nothing was found");
    assert(fault.stage === stage, `${fault.stage} is blamed: ${fault.message}`);
    assertStringIncludes(fault.message, message);
  });
}

Deno.test("a wrong pass is found: an output takes an input that is read afterwards", () => {
  const fn: Program = (x, y) => [ops.add(x, 1), ops.matmul(ops.transpose(x), y), ops.sum(x)];
  const greedy: Passes["takeDonated"] = (made) =>
    withValue(made, made.outputs[0], { storage: { kind: "output", position: 0, takes: 0 } });
  const fault = find(fn, [wave([4, 4], 1), wave([4, 4], 2)], { takeDonated: greedy }, { donated: [0] });
  assert(fault?.stage === "donation", `${fault?.stage}: ${fault?.message}`);
});

Deno.test("a wrong pass is found: an in-place output that is read at another element than the one that is written", () => {
  const fn: Program = (x) => [ops.flip(ops.tanh(x), [0])];
  const inputs = [wave([8], 1)];
  // What takeDonated does where it may, done where it may not.
  const merge: Passes["takeDonated"] = (made) => {
    const pointwise = takeDonated(
      schedule(simplify(trace((x: Tensor) => [ops.tanh(x)], [spec([8])]).graph), { maxOperands: 8 }),
      [0],
    );
    const [step] = pointwise.steps;
    assert(step.kind === "kernel" && step.kernel.kind === "map" && step.operands.length === 1);
    const { kernel } = step, [store] = kernel.stores;
    const flipped: MapKernel = { ...kernel, stores: [{ ...store, index: addIndex(scaleIndex(store.index, -1), 7) }] };
    return { ...pointwise, inputs: made.inputs, steps: [{ ...step, kernel: flipped }] };
  };
  const fault = find(fn, inputs, { takeDonated: merge }, { donated: [0] });
  assert(fault?.stage === "donation" && fault.kernel !== undefined, `${fault?.stage}: ${fault?.message}`);
  assertStringIncludes(fault.message, "which another invocation");
});

Deno.test("a wrong pass is found: a band of the mask that leaves out terms that count", () => {
  const fn: Program = (x, y) => {
    const causal = ops.greaterEqual(ops.iota([6, 6], 0), ops.iota([6, 6], 1));
    return ops.matmul(ops.where(causal, x, 0), y);
  };
  const narrow = changeFirst((kernel) =>
    kernel.kind !== "contract" || kernel.mask.length === 0 ? undefined : {
      ...kernel,
      mask: kernel.mask.map((band) => band.map((index) => addIndex(index, -1))),
    } satisfies ContractKernel
  );
  assert(find(fn, [wave([6, 6], 1), wave([6, 6], 2)], {}) === undefined);
  const fault = find(fn, [wave([6, 6], 1), wave([6, 6], 2)], { schedule: narrow });
  assert(fault?.stage === "masks", `${fault?.stage}: ${fault?.message}`);
});
