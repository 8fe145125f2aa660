/** From a seed to a program. */
import type { DType } from "../../core/dtype.ts";
import { CONTROL } from "./ops/control.ts";
import type { FuzzOp } from "./ops/fuzz_op.ts";
import { PLAIN_OPS } from "./ops/table.ts";
import { type FuzzProgram, type Id, type Step, type Value, withoutDead } from "./program.ts";
import { Random } from "./random.ts";
import { type Growth, Scope } from "./scope.ts";

const ONE: readonly number[] = [1];
const SMALL: readonly number[] = [2, 3, 4, 5, 6, 7, 8, 9];
const COMPOSITE: readonly number[] = [4, 6, 8, 9, 10, 12];
const MIDDLE: readonly number[] = [11, 12, 13, 15, 16, 17, 31, 32, 33];
const LARGE: readonly number[] = [63, 64, 65, 127, 128, 129];
const HUGE: readonly number[] = [257, 512, 1023, 1025, 2049];

const MAX_DEPTH = 3;
/** How often loops and gradients come, beside their weights. */
const CONTROL_SHARE = 2.2;

/** How often a step repeats the op of the step before it. */
const REPEATED = 0.12;

/** What a program leans to: names of ops that come more often in it. */
const THEMES: readonly (readonly string[])[] = [
  ["reshape", "transpose", "flip", "slice", "pad", "concat", "broadcastTo", "swapAxes", "squeeze", "expandDims"],
  ["sum", "max", "min", "mean", "argmax", "softmax", "logSumExp", "layerNorm", "reshape", "where"],
  ["matmul", "einsum", "attention", "where", "iota", "lessEqual", "transpose", "broadcastTo", "reshape"],
  ["linearScan", "cumsum", "cumprod", "slice", "flip", "concat", "mul"],
  ["gather", "scatterAdd", "oneHot", "argmax", "iota", "reshape", "transpose"],
  ["scan", "grad", "vjp", "valueAndGrad", "checkpoint", "customVjp", "mul", "sum"],
  ["scan", "grad", "vjp", "matmul", "tanh", "mul"],
  ["grad", "vjp", "gather", "scatterAdd", "mul", "slice", "pad", "concat"],
  ["grad", "vjp", "max", "min", "maximum", "minimum", "mul", "add", "sub", "square"],
];

type Weighted = readonly (readonly [weight: number, op: FuzzOp])[];

/**
 * The ops of one program: some of them, since a program of few kinds goes deeper into how these meet than one of
 * everything (Groce et al., "Swarm testing", ISSTA 2012), and those of a theme more often.
 */
function chooseOps(random: Random): { plain: Weighted; all: Weighted } {
  const isSwarm = random.chance(0.7), theme = random.chance(0.6) ? random.of(THEMES) : [];
  const weigh = (op: FuzzOp, weight: number): [number, FuzzOp] => {
    const isTheme = theme.includes(op.name);
    return [isTheme ? 6 * weight : isSwarm && random.chance(0.6) ? 0 : weight, op];
  };
  const plain = PLAIN_OPS.map((op) => weigh(op, op.weight));
  return { plain, all: [...plain, ...CONTROL.map((op) => weigh(op, CONTROL_SHARE * op.weight))] };
}

/** Extents that a program works with: few, so that shapes meet. */
function palette(random: Random, isLarge: boolean): number[] {
  // All axes alike: where axes are mixed up, no shape tells.
  if (!isLarge && random.chance(0.15)) return [random.of(SMALL)];
  const extents = [
    random.of(SMALL),
    random.of(SMALL),
    random.of(COMPOSITE),
    random.weighted([[3, random.of(SMALL)], [3, random.of(MIDDLE)], [1, random.of(LARGE)]]),
  ];
  if (random.chance(0.4)) extents.push(...ONE);
  if (random.chance(0.06)) extents.push(0);
  if (isLarge) extents.push(random.of(LARGE), random.of(HUGE));
  return extents;
}

/** Adds steps to a body until there are enough or nothing fits. */
function growWith({ plain, all }: ReturnType<typeof chooseOps>): Growth["grow"] {
  return (scope, steps) => {
    const { random, growth } = scope;
    const until = scope.steps.length + steps;
    let last: FuzzOp | undefined;
    for (let tries = 0; scope.steps.length < until && tries < 3 * steps && growth.budget > 0; tries++) {
      // An op of what the same op gave is what rewrites look for.
      const again = random.chance(REPEATED) ? last : undefined;
      last = again ?? random.weighted(scope.depth < MAX_DEPTH ? all : plain);
      last.make(scope);
    }
  };
}

/** The program of a seed: always the same. */
export function generate(seed: number): FuzzProgram {
  const random = new Random(seed);
  const isLarge = random.chance(0.12);
  const float: DType = random.chance(0.05) ? random.of(["f16", "bf16"]) : "f32";
  const growth: Growth = {
    random,
    palette: palette(random, isLarge),
    chain: random.of([0, 0, 0.3, 0.6]),
    maxElements: isLarge ? 20000 : random.of([64, 400, 2000, 4096]),
    float,
    edges: random.chance(0.12),
    inputs: [],
    ranges: new Map(),
    nextId: 0,
    budget: random.weighted([[2, 8], [4, 16], [3, 30], [1, 45]]),
    grow: growWith(chooseOps(random)),
  };
  const scope = new Scope(growth);
  for (let count = random.integer(1, 3); count > 0; count--) {
    scope.anyInput({
      shape: scope.shape(),
      dtype: random.chance(0.8) ? float : random.of(["i32", "u32", "bool", "f32"]),
    });
  }
  growth.grow(scope, Math.min(growth.budget, random.integer(2, 18)));
  if (scope.steps.length === 0) {
    const x = scope.float();
    scope.define("neg", [x], {}, x);
  }
  const program = { seed, inputs: growth.inputs, steps: scope.steps, outputs: chooseOutputs(scope), donate: [] };
  const live = withoutDead(program);
  return { ...live, donate: random.chance(0.3) ? random.subset(live.inputs.length) : [] };
}

/**
 * What nothing else uses is returned, and now and then something twice, something inner, and an argument as it came.
 */
function chooseOutputs(scope: Scope): Id[] {
  const { random } = scope;
  const used = new Set(usedBy(scope.steps));
  const sinks = scope.own.filter(({ id }) => !used.has(id)).slice(-4);
  const outputs: Value[] = sinks.length > 0 ? [...sinks] : [random.of(scope.own)];
  if (random.chance(0.2)) outputs.push(random.of(scope.own));
  if (random.chance(0.1)) outputs.push(random.of(outputs));
  if (random.chance(0.1)) outputs.push(random.of(scope.growth.inputs));
  return outputs.map(({ id }) => id);
}

function usedBy(steps: readonly Step[]): Id[] {
  return steps.flatMap(({ args, block }) => [...args, ...(block ? [...block.results, ...usedBy(block.steps)] : [])]);
}
