/** All that is asked of one program: of every pass, of every device, and of doing it twice. */
import { isHalf } from "../../core/dtype.ts";
import { checkpoint } from "../../core/checkpoint.ts";
import { grad, valueAndGrad, vjp } from "../../core/grad.ts";
import type { Graph, Tensor } from "../../core/graph.ts";
import { interpret } from "../../core/interpret.ts";
import type { NdArray } from "../../core/op.ts";
import { sameShape } from "../../core/shape.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import { verify } from "../../core/verify.ts";
import type { Device } from "../../kernels/device.ts";
import { takeDonated } from "../../kernels/in_place.ts";
import { planMemory } from "../../kernels/plan_memory.ts";
import type { Plan } from "../../kernels/plan.ts";
import { schedule } from "../../kernels/schedule.ts";
import { scheduleElementwise } from "../../kernels/schedule/elementwise.ts";
import type { TileSize } from "../../kernels/tiling/large.ts";
import { tile } from "../../kernels/tiling/tile.ts";
import * as ops from "../../ops/mod.ts";
import { byHand } from "./by_hand.ts";
import { evaluatePlan } from "../kernels/evaluate_plan.ts";
import { evaluateSchedule } from "../kernels/evaluate_schedule.ts";
import { scheduleText } from "../kernels/schedule_text.ts";
import { toHost } from "../numeric.ts";
import type { Bounded } from "./bounds/bounded.ts";
import { evaluateBounded } from "./bounds/evaluate.ts";
import { DEVICE, HOST, HOST_STORED, REORDERED } from "./bounds/precision.ts";
import { type Allowance, compare, type Comparison, describeWrong, noComparison } from "./compare.ts";
import type { Failure, Stage } from "./failure.ts";
import { checkGradients } from "./gradient_check.ts";
import { callOf } from "./ops/table.ts";
import { allSteps, type FuzzProgram, type Id } from "./program.ts";
import { brokenRule } from "./schedule_check.ts";
import { runOn, type Runs, sourcesOn, type Target } from "./targets.ts";
import { buildFunction } from "./text.ts";
import { inputArrays } from "./values.ts";

/** What programs are written with. */
export const LIBRARY: Readonly<Record<string, unknown>> = { ...ops, grad, valueAndGrad, vjp, checkpoint, byHand };

/** One program in so many is compiled twice, to see that the texts are the same. */
const COMPILED_TWICE = 4;

/** What to check. */
export interface CheckOptions {
  readonly targets: readonly Target[];
  /** Whether schedules are run on the host; on unless said. */
  readonly schedules?: boolean;
}

/** What came of a program. */
export interface Outcome {
  readonly failures: readonly Failure[];
  readonly comparison: Comparison;
  /** The primitives of the traced graph. */
  readonly primitives: ReadonlySet<string>;
  readonly nodeCount: number;
  /** Gradients that were compared with difference quotients. */
  readonly gradients: number;
}

/** A failure on the way; thrown to end a check. */
class Stop extends Error {
  constructor(readonly failure: Omit<Failure, "seed">) {
    super(failure.message);
  }
}

function attempt<T>(stage: Stage, run: () => T, device?: string): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof Stop) throw error;
    throw new Stop({ stage, device, message: textOf(error) });
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** The graph of a program, with the types of everything that it defines. */
export function traceProgram(program: FuzzProgram): { graph: Graph; types: Map<Id, Tensor> } {
  const types = new Map<Id, Tensor>();
  const fn = buildFunction(program, callOf, { library: LIBRARY, record: (id, tensor) => types.set(id, tensor) });
  const { graph } = trace(fn, program.inputs.map(({ shape, dtype }) => spec(shape, dtype)));
  return { graph, types };
}

/** Checks a program. Never throws for what the program does. */
export async function check(program: FuzzProgram, { targets, schedules = true }: CheckOptions): Promise<Outcome> {
  const failures: Failure[] = [], comparison = noComparison();
  let primitives: ReadonlySet<string> = new Set(), nodeCount = 0, gradients = 0;
  const fail = (failure: Omit<Failure, "seed">): void => void failures.push({ seed: program.seed, ...failure });
  try {
    const inputs = inputArrays(program.inputs);
    const { graph: traced } = attempt("trace", () => tracedAndTyped(program));
    primitives = primitivesOf(traced);
    nodeCount = traced.nodes.length;
    const graph = attempt("simplify", () => simplified(traced, inputs));
    gradients = attempt("gradient", () => gradientsOf(program, inputs));
    const expected = attempt("trace", () => evaluateBounded(graph, inputs, DEVICE));
    compare(expected.map(({ data }) => data), expected, undefined, comparison);
    const plans = new Map<string, Plan>();
    // Drivers reorder sums, WebAssembly does not.
    const reordered = targets.some(({ kind }) => kind === "webgpu")
      ? attempt("trace", () => evaluateBounded(graph, inputs, REORDERED))
      : expected;
    for (const target of targets) {
      try {
        await checkOn(target, {
          program,
          graph,
          inputs,
          expected: target.kind === "webgpu" ? reordered : expected,
          plans,
          schedules,
        });
      } catch (error) {
        if (!(error instanceof Stop)) throw error;
        // One device of a kind is enough to tell of what all of them have in common.
        if (
          !failures.some(({ stage, device }) =>
            stage === error.failure.stage && device?.split(" ")[0] === error.failure.device?.split(" ")[0]
          )
        ) {
          fail(error.failure);
        }
      }
    }
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    fail(error.failure);
  }
  return { failures, comparison, primitives, nodeCount, gradients };
}

/** Traces a program twice: it must give one graph, and what each step gives must have the type that its op promises. */
function tracedAndTyped(program: FuzzProgram): { graph: Graph } {
  const { graph, types } = traceProgram(program);
  for (const { op, out } of allSteps(program.steps)) {
    for (const { id, shape, dtype } of out) {
      const is = types.get(id);
      if (is && (is.dtype !== dtype || !sameShape(is.shape, shape))) {
        throw new Error(`${op} gives ${is} where ${dtype}[${shape.join(", ")}] is right`);
      }
    }
  }
  verify(graph);
  if (traceProgram(program).graph.key !== graph.key) {
    throw new Stop({ stage: "repeat", message: "tracing twice gives two graphs" });
  }
  return { graph };
}

function primitivesOf(graph: Graph): Set<string> {
  const names = new Set<string>();
  const visit = ({ nodes }: Graph): void => {
    for (const { op, attrs } of nodes) {
      names.add(op.name);
      if ("body" in attrs) visit(attrs.body as Graph);
    }
  };
  visit(graph);
  return names;
}

function usesHalves(graph: Graph): boolean {
  return [...graph.inputs, ...graph.nodes.flatMap(({ outputs }) => outputs)].some(({ dtype }) => isHalf(dtype));
}

/** The simplified graph, which must have the same values: within the bounds of both in f64. */
function simplified(traced: Graph, inputs: readonly NdArray[]): Graph {
  const graph = simplify(traced);
  verify(graph);
  if (simplify(traced).key !== graph.key) {
    throw new Stop({ stage: "repeat", message: "simplifying twice gives two graphs" });
  }
  const before = interpret(traced, inputs), after = interpret(graph, inputs);
  if (compare(after.map(({ data }) => data), before)) {
    const bounds = [evaluateBounded(traced, inputs, HOST), evaluateBounded(graph, inputs, HOST)];
    const wrong = compare(after.map(({ data }) => data), before, bothBounds(bounds));
    if (wrong) throw new Stop({ stage: "simplify", message: describeWrong(wrong), wrong });
  }
  return graph;
}

function bothBounds(bounds: readonly (readonly Bounded[])[]): Allowance {
  return (output, element) => bounds.reduce((total, each) => total + (each[output].radius?.[element] ?? 0), 0);
}

function gradientsOf(program: FuzzProgram, inputs: readonly NdArray[]): number {
  if (!program.steps.some(({ op }) => op === "grad" || op === "valueAndGrad" || op === "vjp")) return 0;
  const checks = checkGradients(program, inputs);
  const wrong = checks.find(({ kind }) => kind === "wrong");
  if (wrong) {
    const { slope, quotient, allowed } = wrong;
    throw new Stop({
      stage: "gradient",
      message: `a gradient's slope along a direction is ${slope}, the difference quotient ${quotient} (off by at most ${
        allowed.toPrecision(3)
      })`,
    });
  }
  return checks.filter(({ kind }) => kind === "right").length;
}

interface Prepared {
  readonly program: FuzzProgram;
  readonly graph: Graph;
  readonly inputs: readonly NdArray[];
  readonly expected: readonly Bounded[];
  /** Plans by kind of device. */
  readonly plans: Map<string, Plan>;
  readonly schedules: boolean;
}

async function checkOn({ name, kind, device }: Target, prepared: Prepared): Promise<void> {
  const { program, graph, inputs, expected, plans } = prepared;
  const isFirst = !plans.has(kind),
    plan = device.needsPlan ? plans.get(kind) ?? planned(device, kind, prepared) : undefined;
  if (plan) plans.set(kind, plan);
  const donated = donatedOf(program);
  let runs: Runs;
  try {
    runs = await runOn(device, { graph, plan, donated }, inputs.map(toHost));
  } catch (error) {
    throw new Stop({ stage: "compile", device: name, message: textOf(error) });
  }
  const [first, second] = runs.results;
  const wrong = compare(first, expected);
  if (wrong) throw new Stop({ stage: "device", device: name, message: describeWrong(wrong), wrong });
  second.forEach((again, output) => {
    for (let i = 0; i < again.length; i++) {
      if (Object.is(again[i], first[output][i])) continue;
      throw new Stop({
        stage: "repeat",
        device: name,
        message: `result ${output}, element ${i} is ${first[output][i]} in a first run and ${again[i]} in a second`,
      });
    }
  });
  if (!plan || !isFirst || program.seed % COMPILED_TWICE !== 0) return;
  // From the program on, every pass again: the texts must be the same to the letter.
  const graphAgain = simplify(traceProgram(program).graph);
  const again = await sourcesOn(device, {
    graph: graphAgain,
    plan: planMemory(
      takeDonated(schedule(tile(graphAgain, tileOf(program)), device.limits), donated),
      device.limits,
    ),
    donated,
  });
  if (again.join("\n") !== runs.sources.join("\n")) {
    throw new Stop({ stage: "repeat", device: name, message: "compiling twice gives two texts" });
  }
}

function donatedOf({ donate }: FuzzProgram): number[] {
  return donate.toSorted((a, b) => a - b);
}

/**
 * Tiles of a size that small programs have several of, whole tensors for every other one; for every fourth, a device
 * on which one tensor may have a few elements only.
 */
function tileOf({ seed }: FuzzProgram): TileSize | undefined {
  if (seed % 2 === 0) return undefined;
  const size = { elements: 4 << (seed % 5), rows: 1 + seed % 3, recomputed: 0 };
  return seed % 4 === 3 ? { ...size, largestBytes: 16 << (seed % 5) } : size;
}

/** Schedules and plans for a device, checking each pass. */
function planned(device: Device, kind: string, { program, graph, inputs, schedules }: Prepared): Plan {
  const donated = donatedOf(program);
  const tiled = attempt("tile", () => tile(graph, tileOf(program)), kind);
  attempt("tile", () => verify(tiled), kind);
  const scheduled = attempt("schedule", () => takeDonated(schedule(tiled, device.limits), donated), kind);
  // What schedules programs of one elementwise kernel must give the same as the scheduler.
  const single = donated.length > 0 ? undefined : scheduleElementwise(tiled, device.limits);
  if (single && scheduleText(single) !== scheduleText(scheduled)) {
    throw new Stop({ stage: "schedule", device: kind, message: "one elementwise kernel is scheduled in two ways" });
  }
  const broken = brokenRule(scheduled);
  if (broken) throw new Stop({ stage: "schedule", device: kind, message: broken });
  const plan = attempt("plan", () => planMemory(scheduled, device.limits), kind);
  if (schedules && !usesHalves(graph)) checkValues(plan, { device: kind, graph, inputs });
  return plan;
}

/** Runs a plan on the host: a wrong value is the plan's fault if the schedule alone gives the right one. */
function checkValues(
  plan: Plan,
  { device, graph, inputs }: { readonly device: string; readonly graph: Graph; readonly inputs: readonly NdArray[] },
): void {
  const data = inputs.map((input) => input.data), expected = evaluateBounded(graph, inputs, HOST_STORED);
  const faultOf = (stage: Stage, run: () => Float64Array[]): Omit<Failure, "seed"> | undefined => {
    try {
      // Both are computed in f64, and either may be off by its bound.
      const wrong = compare(run(), expected, bothBounds([expected, expected]));
      return wrong && { stage, device, message: describeWrong(wrong), wrong };
    } catch (error) {
      return { stage, device, message: textOf(error) };
    }
  };
  const failure = faultOf("plan", () => evaluatePlan(plan, data));
  if (failure) throw new Stop(faultOf("schedule", () => evaluateSchedule(plan, data)) ?? failure);
}
