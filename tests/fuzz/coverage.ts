/** What a campaign has met: primitives, public functions, gradients. */
import * as ops from "../../ops/mod.ts";
import { PRIMITIVES } from "../../ops/registry.ts";
import type { Outcome } from "./check.ts";
import { OP_TABLE } from "./ops/table.ts";
import { allSteps, type FuzzProgram, type Step } from "./program.ts";

const DIFFERENTIATIONS = ["grad", "valueAndGrad", "vjp"];

/** Primitives that programs must reach: those of the registry, and the loop. */
export const WANTED_PRIMITIVES: readonly string[] = [...PRIMITIVES.map(({ name }) => name), "scan"];

/** Public functions that programs must use. */
export const WANTED_FUNCTIONS: readonly string[] = [
  ...Object.keys(ops),
  ...DIFFERENTIATIONS,
  "checkpoint",
  "customVjp",
].sort();

/** How many programs had what. */
export class Coverage {
  programs = 0;
  /** Programs with a gradient, and with a gradient inside of what is differentiated. */
  firstOrder = 0;
  secondOrder = 0;
  loops = 0;
  donated = 0;
  readonly primitives = new Map<string, number>(WANTED_PRIMITIVES.map((name) => [name, 0]));
  readonly functions = new Map<string, number>(WANTED_FUNCTIONS.map((name) => [name, 0]));

  /** Counts a program. */
  add(program: FuzzProgram, { primitives }: Pick<Outcome, "primitives">): void {
    this.programs++;
    const steps = allSteps(program.steps);
    if (steps.some(isDifferentiation)) this.firstOrder++;
    if (steps.some((step) => isDifferentiation(step) && allSteps(step.block!.steps).some(isDifferentiation))) {
      this.secondOrder++;
    }
    if (steps.some(({ op }) => op === "scan")) this.loops++;
    if (program.donate.length > 0) this.donated++;
    for (const name of primitives) this.primitives.set(name, (this.primitives.get(name) ?? 0) + 1);
    for (const name of new Set(steps.map(({ op }) => op))) {
      this.functions.set(name, (this.functions.get(name) ?? 0) + 1);
    }
  }

  /** Primitives and functions that no program had. */
  get missing(): string[] {
    return [
      ...WANTED_PRIMITIVES.filter((name) => this.primitives.get(name) === 0),
      ...WANTED_FUNCTIONS.filter((name) => this.functions.get(name) === 0),
    ];
  }

  /** A table of how many programs reached each primitive. */
  table(columns = 6): string {
    const cells = WANTED_PRIMITIVES.map((name) => `${name} ${this.primitives.get(name)}`);
    const width = Math.max(...cells.map((cell) => cell.length)) + 2;
    const lines: string[] = [];
    for (let i = 0; i < cells.length; i += columns) {
      lines.push(cells.slice(i, i + columns).map((cell) => cell.padEnd(width)).join("").trimEnd());
    }
    return lines.join("\n");
  }
}

function isDifferentiation({ op }: Step): boolean {
  return DIFFERENTIATIONS.includes(op);
}

/** Functions that the generator's table lacks: none, or the fuzzer is out of date. */
export function unreachableFunctions(): string[] {
  const known = new Set(OP_TABLE.map(({ name }) => name));
  return WANTED_FUNCTIONS.filter((name) => !known.has(name));
}
