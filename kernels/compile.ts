/** The whole way from a function to a program, one line a pass. */
import { simplify } from "../core/simplify.ts";
import { type SpecsOf, trace } from "../core/trace.ts";
import type { Device } from "./device.ts";
import { planMemory } from "./plan_memory.ts";
import { Program } from "./program.ts";
import { schedule } from "./schedule.ts";

/**
 * Compiles a function for a device.
 * @param device Where it shall run.
 * @param fn A function of trees of tensors that returns a tree of tensors. Called once, with symbolic tensors.
 * @param specs Shape and dtype of every tensor in the arguments, one tree an argument.
 * @throws {ShapeError} or {DTypeError} at the line of `fn` that makes them; {CompileError} if the function cannot be compiled; {DeviceError} if the
 * program needs more than the device has.
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
export async function compile<Args extends readonly unknown[], R>(device: Device, fn: (...args: Args) => R, specs: SpecsOf<Args>): Promise<Program<Args, R>> {
  const { graph: traced, inputTree, outputTree } = trace(fn, specs);
  const graph = simplify(traced);
  const scheduled = device.needsPlan ? schedule(graph, device) : undefined;
  const plan = scheduled && planMemory(scheduled, device);
  const executable = await device.load({ graph, plan });
  return new Program({ device, graph, inputTree, outputTree, plan, executable });
}
