import { assertEquals } from "@std/assert";
import { sizeOfShape } from "../../core/shape.ts";
import { assertClose, REFERENCE_TOLERANCE } from "../numeric.ts";
import { OP_CASES } from "../op_cases.ts";
import { evaluate, forEachCase } from "./evaluate.ts";

Deno.test("op table: references agree with plain JavaScript, before and after simplification", () => {
  let compared = 0;
  forEachCase(OP_CASES, ({ name, fn, inputs, expected }) => {
    const [result] = evaluate(fn, inputs, name);
    assertEquals(result.data.length, sizeOfShape(result.shape), name);
    if (!expected) return;
    assertClose(result.data, expected(...inputs), REFERENCE_TOLERANCE, name, result.shape);
    compared++;
  });
  console.log(`op table, reference values: ${OP_CASES.length} cases, ${compared} of them against plain JavaScript`);
});
