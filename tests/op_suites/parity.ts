/** Whether a device computes what the f64 reference computes. */
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { interpret } from "../../core/interpret.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import { compile, type Device } from "../../mod.ts";
import { assertClose, toHost, TOLERANCES } from "../numeric.ts";
import type { OpCase } from "../op_cases.ts";
import { lossOf } from "./evaluate.ts";

/** How many cases and results went through a device. */
export interface ParityCount {
  readonly cases: number;
  readonly results: number;
}

/** The program of a case: its result, and the gradients in its differentiable arguments. */
function programOf(opCase: OpCase): (...args: Tensor[]) => Tensor[] {
  const { fn, differentiable } = opCase;
  if (differentiable.length === 0) return (...args) => [fn(...args)];
  const gradients = grad(lossOf(opCase), { argnums: differentiable });
  return (...args) => [fn(...args), ...gradients(...args) as Tensor[]];
}

/**
 * Runs cases, with their gradients, on a device and on the f64 reference and compares all results.
 * @param names How error texts call the device.
 * @throws {Error} that lists the cases which fail, each with shape, worst element, both values and the allowance.
 */
export async function checkParity(device: Device, cases: readonly OpCase[]): Promise<ParityCount> {
  const failures: string[] = [];
  let results = 0;
  for (const opCase of cases) {
    try {
      results += await checkCase(device, opCase);
    } catch (error) {
      failures.push(error instanceof Error && error.name === "Error" ? error.message : `${opCase.name}: ${error}`);
    }
  }
  if (failures.length > 0) {
    throw new Error(
      `${failures.length} of ${cases.length} cases failed on ${device.info.description}:\n${
        failures.slice(0, 40).join("\n")
      }`,
    );
  }
  return { cases: cases.length, results };
}

async function checkCase(device: Device, opCase: OpCase): Promise<number> {
  const { name, inputs, tolerance } = opCase;
  const specs = inputs.map(({ shape, dtype }) => spec(shape, dtype)), fn = programOf(opCase);
  const expected = interpret(simplify(trace(fn, specs).graph), inputs);
  const program = await compile(device, fn, specs);
  try {
    const results = await program.run(...inputs.map(toHost));
    results.forEach(({ data, shape, dtype }, i) => {
      // A gradient has passed through the loss around the op as well.
      const allowed = TOLERANCES[i === 0 ? tolerance : "accumulation"][dtype];
      assertClose(data, expected[i].data, allowed, i === 0 ? name : `${name}: gradient ${i - 1}`, shape);
    });
    return results.length;
  } finally {
    program.dispose();
  }
}
