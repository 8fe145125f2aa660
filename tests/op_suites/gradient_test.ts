import { grad } from "../../core/grad.ts";
import { assertClose, GRADIENT_TOLERANCE } from "../numeric.ts";
import { OP_CASES } from "../op_cases.ts";
import { differentiable, directionalDifference, directionOf, dot, evaluate, forEachCase, lossOf } from "./evaluate.ts";

Deno.test("op table: first-order gradients agree with central differences", () => {
  const cases = differentiable(OP_CASES);
  let checked = 0;
  forEachCase(cases, (opCase) => {
    const { name, inputs, differentiable } = opCase;
    const loss = lossOf(opCase);
    const gradients = evaluate(grad(loss, { argnums: differentiable }), inputs, name);
    differentiable.forEach((argument, i) => {
      const direction = directionOf(inputs[argument], i);
      const difference = directionalDifference(loss, inputs, argument, direction);
      assertClose(
        [dot(gradients[i], direction)],
        [difference],
        GRADIENT_TOLERANCE,
        `${name}: gradient in argument ${argument}`,
      );
      checked++;
    });
  });
  console.log(`op table, first-order gradients: ${cases.length} cases, ${checked} arguments`);
});
