import { grad } from "../../core/grad.ts";
import { assertClose, GRADIENT_TOLERANCE } from "../numeric.ts";
import { OP_CASES } from "../op_cases.ts";
import {
  differentiable,
  directionalDifference,
  directionOf,
  dot,
  evaluate,
  forEachCase,
  lossOf,
  slopeOf,
} from "./evaluate.ts";

Deno.test("op table: second-order gradients agree with central differences of the gradients", () => {
  const cases = differentiable(OP_CASES);
  let checked = 0;
  forEachCase(cases, (opCase) => {
    const { name, inputs, differentiable } = opCase;
    for (const first of differentiable) {
      const slope = slopeOf(lossOf(opCase), first, directionOf(inputs[first], first + 10));
      const gradients = evaluate(grad(slope, { argnums: differentiable }), inputs, name);
      differentiable.forEach((argument, i) => {
        const direction = directionOf(inputs[argument], i + 20);
        const difference = directionalDifference(slope, inputs, argument, direction);
        assertClose(
          [dot(gradients[i], direction)],
          [difference],
          GRADIENT_TOLERANCE,
          `${name}: second gradient in arguments ${first}, ${argument}`,
        );
        checked++;
      });
    }
  });
  console.log(`op table, second-order gradients: ${cases.length} cases, ${checked} pairs of arguments`);
});
