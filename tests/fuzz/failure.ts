/** What a program did wrong, and where. */
import { allSteps, type FuzzProgram } from "./program.ts";

/**
 * The stage to blame, in the order of compilation. `trace`: an op refused its operands or gave another type than it
 * should. `gradient`: the graph's own f64 value differs from difference quotients. `simplify`, `schedule`, `plan`: the
 * pass changed a value, or broke a rule. `compile`: a device refused the program. `device`: printer or executor, since
 * everything before agrees. `repeat`: the same program came out differently.
 */
export type Stage = "trace" | "gradient" | "simplify" | "tile" | "schedule" | "plan" | "compile" | "device" | "repeat";

/** One wrong element. */
export interface Wrong {
  readonly output: number;
  readonly element: number;
  readonly actual: number;
  readonly expected: number;
  readonly allowed: number;
  /** How many elements of that output are wrong. */
  readonly count: number;
  readonly size: number;
}

/** A failure of one program. */
export interface Failure {
  readonly seed: number;
  readonly stage: Stage;
  /** The device, for the stages that have one. */
  readonly device?: string;
  readonly message: string;
  readonly wrong?: Wrong;
}

/** The same for failures that are probably one fault: stage, device kind, and the message without its numbers. */
export function kindOf(failure: Failure): string {
  const device = failure.device?.split(" ")[0] ?? "";
  // A wrong number is told from NaN and infinity: they have different causes.
  const value = failure.wrong ? ` ${describe(failure.wrong.actual)} for ${describe(failure.wrong.expected)}` : "";
  const text = failure.wrong
    ? "wrong"
    : failure.message.split("\n")[0].replaceAll(/#?-?\d[\d.e+-]*/g, "#").slice(0, 160);
  return `${failure.stage} ${device} ${text}${value}`;
}

function describe(value: number): string {
  return Number.isNaN(value) ? "NaN" : Number.isFinite(value) ? "number" : "infinity";
}

/** A failure's kind and the ops of the (shrunk) program that shows it. */
export function signature(failure: Failure, program: FuzzProgram): string {
  return `${kindOf(failure)} [${[...new Set(allSteps(program.steps).map(({ op }) => op))].sort().join(" ")}]`;
}
