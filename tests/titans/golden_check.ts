/** Compares losses, outputs and norms of gradients with those of a case of golden_baselines.txt. */
import { assert } from "@std/assert";
import { valueAndGrad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { add, mean, sqrt, square, sub, sum } from "../../ops/mod.ts";
import { randn } from "../golden_layers.ts";
import { type Golden, GOLDENS } from "./golden_baselines.ts";
import { relativeError, type Runner, type Value } from "./runners.ts";

const B = 2, T = 37, D = 16;

/** What is checked: outputs [B, T, D] for tokens [B, T, D] and the parameters of the table by their names. */
export type GoldenFunction = (golden: Readonly<Record<string, Tensor>>, x: Tensor) => Tensor;

/** The parameter, or the part of a stack, whose gradients have one norm in the table. */
const partOf = (name: string): string => name.split(".")[0];

/**
 * Loss, outputs, and norms of the gradients in x and in the parameters of the table: those of a layer of ours are made of
 * these as a part of what is differentiated.
 */
function evaluated(outputOf: GoldenFunction) {
  return (golden: Record<string, Tensor>, x: Tensor, target: Tensor): Record<string, Tensor> => {
    const loss = (golden: Record<string, Tensor>, x: Tensor): [Tensor, Tensor] => {
      const output = outputOf(golden, x);
      return [mean(square(sub(output, target))), output];
    };
    const [[value, output], [gradients, dx]] = valueAndGrad(loss, { argnums: [0, 1] })(golden, x) as unknown as [
      [Tensor, Tensor],
      [Record<string, Tensor>, Tensor],
    ];
    const parts = Map.groupBy(Object.entries({ x: dx, ...gradients }), ([name]) => partOf(name));
    const norms = [...parts].map(([part, own]) => {
      const squares = own.map(([, gradient]) => sum(square(gradient)));
      return [`d ${part}`, sqrt(squares.reduce((total, square) => add(total, square)))];
    });
    return { loss: value, output, ...Object.fromEntries(norms) };
  };
}

/** The numbers of the table, under the names of {@link evaluated} or as `y[297]`, `mean` and `norm`. */
function numbersOf({ figures, gradients }: Golden): [name: string, value: number][] {
  return [
    ...Object.entries(figures),
    ...Object.entries(gradients).map(([name, norm]): [string, number] => [`d ${name}`, norm]),
  ];
}

/** Checks all numbers of a case. */
export async function checkGolden(
  name: string,
  outputOf: GoldenFunction,
  { run, tolerance }: { readonly run: Runner; readonly tolerance: number },
): Promise<void> {
  const golden = GOLDENS.get(name)!;
  const [x, target] = [10, 11].map((seed): Value => ({ shape: [B, T, D], data: randn(B * T * D, 1, seed) }));
  const result = await run(evaluated(outputOf), [{ ...golden.parameters }, x, target]);
  const y = Array.from(result.output.data), expected = numbersOf(golden);
  for (const [figure, value] of expected) {
    const place = figure.match(/^y\[(\d+)\]$/);
    const actual = place
      ? y[Number(place[1])]
      : figure === "mean"
      ? y.reduce((a, b) => a + b, 0) / y.length
      : figure === "norm"
      ? Math.hypot(...y)
      : result[figure].data[0];
    // Single outputs and their mean are as exact as the outputs are on the whole.
    const floor = place || figure === "mean" ? Math.hypot(...y) / Math.sqrt(y.length) : undefined;
    const error = relativeError([actual], [value], floor);
    assert(error <= tolerance, `${name}: ${figure} is ${actual}, not ${value}: off by ${error}`);
  }
  const known = new Set(["output", ...expected.map(([figure]) => figure)]);
  assert(Object.keys(result).every((figure) => known.has(figure)), `${name}: a parameter has no number`);
}
