/** Whether a device computes what the f64 reference computes. */
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import type { NdArray } from "../../core/op.ts";
import { interpret } from "../../core/interpret.ts";
import { simplify } from "../../core/simplify.ts";
import { type Spec, spec, trace } from "../../core/trace.ts";
import { compile, type Device, type Program, type ResultTensor } from "../../mod.ts";
import { assertClose, toHost, TOLERANCES } from "../numeric.ts";
import type { OpCase } from "../op_cases.ts";
import { lossOf } from "./evaluate.ts";

/** How many cases and results went through a device. */
export interface ParityCount {
  readonly cases: number;
  readonly results: number;
}

/** The program of a case: its result, and the gradients in its differentiable arguments. */
export function programOf(opCase: OpCase): (...args: Tensor[]) => Tensor[] {
  const { fn, differentiable } = opCase;
  if (differentiable.length === 0) return (...args) => [fn(...args)];
  const gradients = grad(lossOf(opCase), { argnums: differentiable });
  return (...args) => [fn(...args), ...gradients(...args) as Tensor[]];
}

/** How cases are checked. */
export interface ParityOptions {
  /** Another device, which must compute the same to the last bit. */
  readonly alike?: Device;
  /** Compiles all cases before the first runs, for devices that make few objects of kernels that come together. */
  readonly together?: boolean;
}

/** A case on a device. */
type CaseProgram = Program<Tensor[], Tensor[]>;

/**
 * Runs cases, with their gradients, on a device and on the f64 reference and compares all results.
 * @throws {Error} that lists the cases which fail, each with shape, worst element, both values and the allowance.
 */
export async function checkParity(
  device: Device,
  cases: readonly OpCase[],
  { alike, together = false }: ParityOptions = {},
): Promise<ParityCount> {
  const ahead = together ? await Promise.all(cases.map((opCase) => compileCase(device, opCase))) : [];
  const failures: string[] = [];
  let results = 0;
  for (const [i, opCase] of cases.entries()) {
    try {
      const expected = expectedOf(opCase), found = await runCase(ahead[i] ?? await compileCase(device, opCase), opCase);
      compare(opCase, found, expected);
      if (alike) checkAlike(opCase, await runCase(await compileCase(alike, opCase), opCase), found);
      results += found.length;
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

/** The types of a case's arguments. */
export function specsOf({ inputs }: OpCase): Spec[] {
  return inputs.map(({ shape, dtype }) => spec(shape, dtype));
}

function compileCase(device: Device, opCase: OpCase): Promise<CaseProgram> {
  return compile(device, programOf(opCase), specsOf(opCase));
}

function expectedOf(opCase: OpCase): NdArray[] {
  return interpret(simplify(trace(programOf(opCase), specsOf(opCase)).graph), opCase.inputs);
}

/** Runs a program once. */
async function runCase(program: CaseProgram, { inputs }: OpCase): Promise<ResultTensor[]> {
  try {
    return await program.run(...inputs.map(toHost));
  } finally {
    program.dispose();
  }
}

function compare({ name, tolerance }: OpCase, found: readonly ResultTensor[], expected: readonly NdArray[]): void {
  found.forEach(({ data, shape, dtype }, i) => {
    // A gradient has passed through the loss around the op as well.
    const allowed = TOLERANCES[i === 0 ? tolerance : "accumulation"][dtype];
    assertClose(data, expected[i].data, allowed, i === 0 ? name : `${name}: gradient ${i - 1}`, shape);
  });
}

function checkAlike({ name }: OpCase, found: readonly ResultTensor[], wanted: readonly ResultTensor[]): void {
  found.forEach(({ data }, i) => {
    const at = data.findIndex((value, at) => !Object.is(value, wanted[i].data[at]));
    if (at >= 0) throw new Error(`${name}: element ${at} of result ${i} is ${data[at]} and ${wanted[i].data[at]}`);
  });
}
