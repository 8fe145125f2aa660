/**
 * Random programs on devices whose bindings are too short for most of their tensors: split schedules on the host, where
 * an operand can be bound at any word, and kernels with pieces on WebGPU.
 */
import { bindingsOf, fitsBindings } from "../../kernels/limits.ts";
import { assert, assertEquals } from "@std/assert";
import { DeviceError } from "../../core/errors.ts";
import type { Graph } from "../../core/graph.ts";
import type { NdArray } from "../../core/op.ts";
import { simplify } from "../../core/simplify.ts";
import { takeDonated } from "../../kernels/in_place.ts";
import type { KernelStep, Schedule, Step } from "../../kernels/plan.ts";
import { planMemory } from "../../kernels/plan_memory.ts";
import { schedule } from "../../kernels/schedule.ts";
import { splitKernels, type SplitLimits } from "../../kernels/schedule/split.ts";
import { evaluateSchedule } from "../kernels/evaluate_schedule.ts";
import { bindAtMost, countPieces, openFinely } from "../kernels/short_bindings.ts";
import { toHost } from "../numeric.ts";
import type { Bounded } from "./bounds/bounded.ts";
import { evaluateBounded } from "./bounds/evaluate.ts";
import { HOST_STORED, REORDERED } from "./bounds/precision.ts";
import { traceProgram } from "./check.ts";
import { compare, describeWrong } from "./compare.ts";
import { generate } from "./generate.ts";
import { brokenRule } from "./schedule_check.ts";
import { runOn } from "./targets.ts";
import { inputArrays } from "./values.ts";

interface Prepared {
  readonly graph: Graph;
  readonly donated: readonly number[];
  readonly inputs: readonly NdArray[];
  /** The schedule for so many operands. */
  readonly scheduled: (maxOperands: number) => Schedule;
}

function prepare(seed: number): Prepared {
  const program = generate(seed), graph = simplify(traceProgram(program).graph);
  const donated = program.donate.toSorted((a, b) => a - b);
  const scheduled = (maxOperands: number): Schedule => takeDonated(schedule(graph, { maxOperands }), donated);
  return { graph, donated, inputs: inputArrays(program.inputs), scheduled };
}

const largestOf = ({ values }: Schedule): number => Math.max(...values.map(({ sizeBytes }) => sizeBytes));

function kernelsOf(steps: readonly Step[]): KernelStep[] {
  return steps.flatMap((step) => (step.kind === "loop" ? kernelsOf(step.steps) : [step]));
}

/** The schedule within some limits; undefined where a kernel is refused, with how many bindings it needs. */
function splitFor({ scheduled }: Prepared, limits: SplitLimits): Schedule | undefined {
  const first = scheduled(limits.maxOperands);
  if (fitsBindings(first, limits)) return first;
  try {
    return splitKernels(first, limits, scheduled);
  } catch (error) {
    if (!(error instanceof DeviceError) || error.reason !== "limit") throw error;
    return undefined;
  }
}

function assertRight(found: readonly ArrayLike<number>[], expected: readonly Bounded[], seed: number, slack = 0): void {
  const wrong = compare(found, expected, (output, at) => (1 + slack) * (expected[output].radius?.[at] ?? 0));
  if (wrong) throw new Error(`seed ${seed}: ${describeWrong(wrong)}`);
}

Deno.test("fuzz: split kernels compute what whole ones do", () => {
  let split = 0, refused = 0;
  for (let seed = 0; seed < 300; seed++) {
    const prepared = prepare(seed), first = prepared.scheduled(8);
    const limits = { maxOperands: 8, alignmentBytes: 16, lanes: 4, maxBindingBytes: quarter(largestOf(first)) };
    const found = splitFor(prepared, limits);
    if (!found) {
      refused++;
      continue;
    }
    for (const { kernel } of kernelsOf(found.steps)) assert(bindingsOf(kernel.operands, limits.maxBindingBytes) <= 8);
    assertEquals(brokenRule(found), undefined, `seed ${seed}`);
    if (kernelsOf(found.steps).length > kernelsOf(first.steps).length) split++;
    const expected = evaluateBounded(prepared.graph, prepared.inputs, HOST_STORED);
    assertRight(evaluateSchedule(found, prepared.inputs.map(({ data }) => data)), expected, seed, 1);
  }
  console.log(`fuzz in pieces: ${split} of 300 programs have split kernels, ${refused} are refused`);
  assert(split > 30 && refused < 30);
});

function quarter(bytes: number): number {
  return Math.max(16, Math.ceil(bytes / 4 / 16) * 16);
}

Deno.test("fuzz: programs of fixed seeds are right on webgpu in pieces of bindings", async () => {
  const counts = { kernels: 0, inPieces: 0 };
  using device = await openFinely({ poison: true, printer: countPieces(counts) });
  for (let seed = 0; seed < 25; seed++) {
    const prepared = prepare(seed), { graph, donated, inputs } = prepared;
    bindAtMost(device, largestOf(prepared.scheduled(16)) / 3, 16);
    const found = splitFor(prepared, device.limits);
    assert(found, `seed ${seed} is refused`);
    const { results } = await runOn(
      device,
      { graph, plan: planMemory(found, device.limits), donated },
      inputs.map(toHost),
    );
    assertRight(results[0], evaluateBounded(graph, inputs, REORDERED), seed);
  }
  console.log(`fuzz in pieces: ${counts.inPieces} of ${counts.kernels} kernels`);
  assert(counts.inPieces > counts.kernels / 8);
});
