/**
 * Whether a program's gradients are gradients: against difference quotients of the functions that it differentiates, in
 * f64.
 *
 * A second trace of the program notes every outermost call of `grad`, `valueAndGrad` and `vjp` and adds to its results,
 * for a point near the argument and one direction d, the gradient's inner product with d and the values of the function
 * at 0, +-h, +-h/2 and +-h/4 along d. What the quotient may be off by comes from the program: the difference of the two
 * central quotients, of which the truncation error of the finer one is a third, and the bounds of the f64 arithmetic.
 * Where the function has a kink at the point, the one-sided quotients stay apart as h shrinks, and where it has many
 * near the point, the central ones do not come closer as those of smooth functions do: then the check says nothing.
 */
import { checkpoint } from "../../core/checkpoint.ts";
import { grad, valueAndGrad, vjp } from "../../core/grad.ts";
import { currentContext, type Graph, type Tensor } from "../../core/graph.ts";
import type { NdArray } from "../../core/op.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { spec, trace } from "../../core/trace.ts";
import { add, cast, constant, mul, sum } from "../../ops/mod.ts";
import * as ops from "../../ops/mod.ts";
import { evaluateBounded } from "./bounds/evaluate.ts";
import { HOST } from "./bounds/precision.ts";
import { byHand } from "./by_hand.ts";
import { callOf } from "./ops/table.ts";
import type { FuzzProgram } from "./program.ts";
import { Random } from "./random.ts";
import { buildFunction } from "./text.ts";

/** So small that few elements of a program that ties all of them have a kink between the outermost points. */
const H = 2 ** -16;
const STEPS = [0, H, -H, H / 2, -H / 2, H / 4, -H / 4];

/** A differentiated function, its point, and its gradient at any point. */
interface Differentiation {
  readonly loss: (point: readonly Tensor[]) => Tensor;
  readonly point: readonly Tensor[];
  readonly gradient: (point: readonly Tensor[]) => readonly Tensor[];
}

type Loss = (...args: Tensor[]) => Tensor;

/** The library with differentiations that are noted, and a mark for functions that stop gradients. */
class Recorder {
  readonly found: Differentiation[] = [];
  #depth = 0;
  #stopped = false;

  get library(): Record<string, unknown> {
    return {
      ...ops,
      checkpoint,
      byHand,
      stopGradient: (x: Tensor) => {
        this.#stopped = true;
        return ops.stopGradient(x);
      },
      grad: (fn: Loss, options: { readonly argnums: number | readonly number[] }) => (...args: Tensor[]) => {
        const gradients = this.#inside(() => grad(fn, options)(...args));
        this.#note(fn, args, options.argnums);
        return gradients;
      },
      valueAndGrad: (fn: Loss, options: { readonly argnums: number | readonly number[] }) => (...args: Tensor[]) => {
        const [value, gradients] = this.#inside(() => valueAndGrad(fn, options)(...args));
        this.#note(fn, args, options.argnums);
        return [value, gradients];
      },
      vjp: (fn: (x: readonly Tensor[]) => Tensor[], primal: readonly Tensor[]) => {
        const [value, pull] = this.#inside(() => vjp(fn, primal));
        const stopped = this.#stopped;
        return [value, (cotangent: Tensor[]) => {
          this.#stopped = stopped;
          const loss = (point: readonly Tensor[]) =>
            fn(point).map((result, i) => cast(sum(mul(result, cotangent[i])), "f32")).reduce(add);
          this.#keep({ loss, point: primal, gradient: (point) => vjp(fn, point)[1](cotangent) });
          return pull(cotangent);
        }];
      },
    };
  }

  #inside<T>(run: () => T): T {
    if (this.#depth === 0) this.#stopped = false;
    this.#depth++;
    try {
      return run();
    } finally {
      this.#depth--;
    }
  }

  #note(fn: Loss, args: readonly Tensor[], argnums: number | readonly number[]): void {
    const positions = typeof argnums === "number" ? [argnums] : argnums;
    const at = (point: readonly Tensor[]): Tensor[] => {
      const all = [...args];
      positions.forEach((position, i) => all[position] = point[i]);
      return all;
    };
    const gradient = (point: readonly Tensor[]) => grad(fn, { argnums: positions })(...at(point));
    this.#keep({ loss: (point) => fn(...at(point)), point: positions.map((position) => args[position]), gradient });
  }

  /** Only outermost ones, outside of loops: the others are part of what these differentiate, or belong to a step. */
  #keep(differentiation: Differentiation): void {
    if (this.#depth === 0 && currentContext().scope.depth === 0 && !this.#stopped) this.found.push(differentiation);
  }
}

/** A random tensor of a tensor's type, as a constant: multiples of a step. */
function randomLike({ shape, dtype }: Tensor, random: Random, step: number): Tensor {
  return constant(Array.from({ length: sizeOfShape(shape) }, () => random.integer(-4, 4) * step), shape, dtype);
}

/** Small irregular numbers, none of them 0. */
function offset({ shape, dtype }: Tensor, random: Random): Tensor {
  return constant(
    Array.from({ length: sizeOfShape(shape) }, () => (random.unit() < 0.5 ? -1 : 1) * (0.002 + 0.006 * random.unit())),
    shape,
    dtype,
  );
}

function quotients({ loss, point: given, gradient }: Differentiation, random: Random): Tensor[] {
  // A little beside the point: whole numbers sit on steps and ties, where what a gradient is said to be is a
  // convention.
  const point = given.map((tensor) => add(tensor, offset(tensor, random)));
  const directions = point.map((tensor) => randomLike(tensor, random, 0.25));
  const slope = gradient(point).map((g, i) => cast(sum(mul(g, directions[i])), "f32")).reduce(add);
  const values = STEPS.map((h) =>
    cast(loss(point.map((tensor, i) => (h === 0 ? tensor : add(tensor, mul(directions[i], h))))), "f32")
  );
  return [slope, ...values];
}

/** What was found of one differentiation. */
export interface GradientCheck {
  readonly kind: "right" | "wrong" | "undecided";
  readonly slope: number;
  readonly quotient: number;
  readonly allowed: number;
}

/** Checks every outermost differentiation of a program at given arguments. */
export function checkGradients(program: FuzzProgram, inputs: readonly NdArray[]): GradientCheck[] {
  const recorder = new Recorder();
  const fn = buildFunction(program, callOf, { library: recorder.library });
  const random = new Random(program.seed);
  const specs = program.inputs.map(({ shape, dtype }) => spec(shape, dtype));
  const { graph } = trace((...args: Tensor[]) => {
    fn(...args);
    return recorder.found.slice().map((each) => quotients(each, random));
  }, specs);
  return judge(graph, inputs);
}

function judge(graph: Graph, inputs: readonly NdArray[]): GradientCheck[] {
  const results = evaluateBounded(graph, inputs, HOST).map(({ data, radius }) => ({
    value: data[0],
    radius: radius ? radius[0] : 0,
  }));
  const checks: GradientCheck[] = [];
  const per = STEPS.length + 1;
  for (let at = 0; at < results.length; at += per) {
    const [slope, middle, right, left, nearRight, nearLeft, nextRight, nextLeft] = results.slice(at, at + per);
    const coarse = (right.value - left.value) / (2 * H), fine = (nearRight.value - nearLeft.value) / H;
    const noise = (right.radius + left.radius + 2 * nearRight.radius + 2 * nearLeft.radius + 4 * middle.radius) / H;
    const gap = Math.abs(right.value - 2 * middle.value + left.value) / H,
      nearGap = Math.abs(nearRight.value - 2 * middle.value + nearLeft.value) / (H / 2);
    const finest = (nextRight.value - nextLeft.value) / (H / 2);
    const finestNoise = noise + 2 * (nextRight.radius + nextLeft.radius) / H;
    const allowed = 2 * Math.abs(coarse - fine) + noise + slope.radius;
    // A quarter, of smooth functions.
    const converges = Math.abs(fine - finest) <= 0.5 * Math.abs(coarse - fine) + finestNoise;
    const isKink = nearGap > 0.7 * gap + 2 * noise;
    const decided = Number.isFinite(allowed) && Number.isFinite(slope.value) && !isKink && converges &&
      allowed <= 0.05 * Math.max(Math.abs(fine), Math.abs(slope.value), 1e-3);
    const kind = !decided ? "undecided" : Math.abs(slope.value - fine) <= allowed ? "right" : "wrong";
    checks.push({ kind, slope: slope.value, quotient: fine, allowed });
  }
  return checks;
}
