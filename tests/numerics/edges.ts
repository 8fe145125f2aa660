/** Runs tables of ops on a device and finds results that are not what the table says. */
import { compile, type Device, spec } from "../../mod.ts";
import type { HostTensor } from "../../kernels/host_data.ts";
import type { Tensor } from "../../core/graph.ts";
import type { DType } from "../../core/dtype.ts";
import { isSubnormal, ulpDistance } from "./f32.ts";
import type { Allowance, Round } from "./elementwise_table.ts";

/** What a device promises beside the values themselves. */
export interface Promises {
  /** What intermediate results may be rounded to. */
  readonly rounds: readonly Round[];
  /** Whether subnormal numbers may count as 0, and zeros may lose their sign. */
  readonly flushes: boolean;
}

/** What each device promises. */
export function promisesOf(kind: string): Promises {
  const flush = (x: number) => isSubnormal(Math.fround(x)) ? 0 * Math.sign(x) : Math.fround(x);
  if (kind === "webgpu") return { rounds: [Math.fround, flush], flushes: true };
  return { rounds: [kind === "reference" ? (x) => x : Math.fround], flushes: false };
}

/** Runs a function once. */
export async function runOnce(
  device: Device,
  fn: (...args: Tensor[]) => Tensor[],
  args: readonly (Float32Array | Int32Array | Uint32Array)[],
): Promise<HostTensor[]> {
  const dtypeOf = (
    data: object,
  ): DType => (data instanceof Float32Array ? "f32" : data instanceof Int32Array ? "i32" : "u32");
  const program = await compile(device, fn, args.map((data) => spec([data.length], dtypeOf(data))));
  try {
    return await program.run(...args);
  } finally {
    program.dispose();
  }
}

/**
 * Why a result is wrong; undefined where it is right.
 * @param exactOf The exact result of the operands; a device that flushes may have seen zeros for subnormal ones.
 */
export function wrongness(
  result: number,
  operands: readonly number[],
  exactOf: (operands: readonly number[], round: Round) => number,
  allowance: Allowance,
  promises: Promises,
): string | undefined {
  const candidates = promises.flushes ? flushed(operands) : [operands];
  const expected = candidates.flatMap((seen) => promises.rounds.map((round) => exactOf(seen, round)));
  if (expected.some((exact) => isRight(result, exact, allowance, promises))) return undefined;
  return `of ${operands.map(text).join(", ")} is ${text(result)}, expected ${text(expected[0])}`;
}

function isRight(result: number, exact: number, { ulp, absolute = 0 }: Allowance, { flushes }: Promises): boolean {
  if (Number.isNaN(exact) || Number.isNaN(result)) return Number.isNaN(exact) && Number.isNaN(result);
  if (exact === 0 && result === 0) return flushes || Object.is(result, exact);
  if (flushes && result === 0 && (isSubnormal(Math.fround(exact)) || Math.fround(exact) === 0)) return true;
  return ulpDistance(result, exact) <= Math.max(ulp, 0.5) || Math.abs(result - exact) <= absolute;
}

/** The operands, and what is left of them where some of the subnormal ones are 0. */
function flushed(operands: readonly number[]): number[][] {
  return operands.reduce<number[][]>(
    (all, operand) =>
      all.flatMap((
        rest,
      ) => (isSubnormal(operand) ? [[...rest, operand], [...rest, operand < 0 ? -0 : 0]] : [[...rest, operand]])),
    [[]],
  );
}

function text(value: number): string {
  return Object.is(value, -0) ? "-0" : `${value}`;
}

/** Throws with the first failures, if there are any. */
export function report(label: string, count: number, failures: readonly string[]): void {
  if (failures.length > 0) {
    throw new Error(`${label}: ${failures.length} of ${count} results are wrong:\n${failures.slice(0, 60).join("\n")}`);
  }
}
