/** The pipeline from a function to a program, one pass per line. */
import { checkKind } from "../core/describe.ts";
import type { Half } from "../core/dtype.ts";
import { CompileError } from "../core/errors.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { simplify } from "../core/simplify.ts";
import { type SpecsOf, trace } from "../core/trace.ts";
import type { CompileWatch, Device } from "./device.ts";
import { PhaseTimer } from "./phases.ts";
import { planMemory } from "./plan_memory.ts";
import { Program } from "./program.ts";
import { donatedLeaves } from "./arguments.ts";
import { scheduleFor } from "./schedule/parts.ts";

/** Options of {@link compile}. */
export interface CompileOptions extends CompileWatch {
  /**
   * Positions of the arguments, whole trees, whose device arrays the caller gives up at each launch. They are disposed,
   * and results of the same type may lie in their memory. Host arrays in their place are not touched. Default: none.
   */
  readonly donate?: readonly number[];
  /**
   * The 16-bit type in which results that one kernel passes to others are kept, where that is good enough: not sums,
   * statistics of rows, what loops carry, nor arguments and results (kernels/schedule/narrow.ts). Computation is in f32
   * all the same. For devices that plan memory. Default: all are kept as they are.
   */
  readonly storage?: Half;
}

const COMPILE_OPTIONS = optionNames<CompileOptions>({
  donate: true,
  storage: true,
  progress: true,
  signal: true,
  phase: true,
});

/**
 * Compiles a function for a device.
 * @param device Where it shall run.
 * @param fn A function of trees of tensors that returns a tree of tensors. Called once, with symbolic tensors.
 * @param specs Shape and dtype of every tensor in the arguments, one tree an argument.
 * @param options Which arguments are given up.
 * @throws {ShapeError} or {DTypeError} at the line of `fn` that makes them; {CompileError} if the function cannot be
 * compiled; {DeviceError} if the program needs more than the device has.
 * @example
 * ```ts
 * import { compile, requestDevice, spec, type Tensor } from "@mneme/titans";
 * import { mul } from "@mneme/titans/ops";
 *
 * const device = await requestDevice({ kind: "reference" });
 * const program = await compile(device, (x: Tensor) => mul(x, x), [spec([3])]);
 * const { data } = await program.run([1, 2, 3]);
 * if (data[2] !== 9) throw new Error(`9 was expected, not ${data[2]}`);
 * device.dispose();
 * ```
 */
export async function compile<Args extends readonly unknown[], R>(
  device: Device,
  fn: (...args: Args) => R,
  specs: SpecsOf<Args>,
  options: CompileOptions = {},
): Promise<Program<Args, R>> {
  checkOptions("compile", options, COMPILE_OPTIONS);
  checkDevice("compile for", device);
  const { progress, signal, phase } = options;
  signal?.throwIfAborted();
  const timer = new PhaseTimer(phase);
  const { graph: traced, inputTree, outputTree } = trace(fn, specs);
  timer.end("trace");
  const donated = donatedLeaves(inputTree, options.donate ?? []);
  const graph = simplify(traced);
  timer.end("simplify");
  const scheduled = device.needsPlan
    ? await scheduleFor(device.limits, graph, { donated, storage: options.storage })
    : undefined;
  if (scheduled) timer.end("schedule");
  const plan = scheduled && planMemory(scheduled, device.limits);
  if (plan) timer.end("plan");
  const executable = await device.load({ graph, plan, donated, progress, signal, phase });
  return new Program({ device, graph, inputTree, outputTree, plan, executable, donated });
}

/** @throws {CompileError} if a value is not a device, such as the promise of one. */
export function checkDevice(action: string, device: unknown): void {
  const isDevice = typeof (device as Device | undefined)?.load === "function";
  checkKind(isDevice, action, device, "a device: await requestDevice()", CompileError);
}
