import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  addIndex,
  divIndex,
  linearIndex,
  makeVar,
  modIndex,
  splitIndex,
  substituteIndex,
  varIndex,
} from "../../core/index_expr.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { evaluateIndex, indexTrees } from "./index_trees.ts";

Deno.test("index simplification keeps values and ranges", () => {
  fc.assert(
    fc.property(
      indexTrees,
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 3, maxLength: 3 }),
      (tree, extents) => {
        const vars = extents.map((extent, i) => makeVar(`v${i}`, extent));
        const index = tree.build(vars);
        for (let step = 0; step < 12; step++) {
          const at = extents.map((extent, i) => (step * (i + 3) + i) % extent);
          const expected = tree.value(at);
          const got = evaluateIndex(index, new Map(vars.map((v, i) => [v.id, at[i]])));
          assertEquals(got, expected);
          assert(index.min <= got && got <= index.max, `${got} outside ${index.min}..${index.max}`);
        }
      },
    ),
    { numRuns: 500, seed: 1 },
  );
});

Deno.test("quotients and remainders of quotients and remainders keep their values, whatever divides what", () => {
  const kinds = [["div", divIndex], ["mod", modIndex]] as const;
  const variable = makeVar("v", 61), at = [...Array(61).keys()].map((value) => new Map([[variable.id, value]]));
  for (const [inner, first] of kinds) {
    for (const [outer, second] of kinds) {
      for (let a = 1; a <= 13; a++) {
        for (let b = 1; b <= 13; b++) {
          for (const shift of [0, 5, -7]) {
            const index = second(addIndex(first(varIndex(variable), a), shift), b);
            at.forEach((values, x) => {
              const middle = (inner === "div" ? Math.floor(x / a) : x % a) + shift;
              const expected = outer === "div" ? Math.floor(middle / b) : ((middle % b) + b) % b;
              assertEquals(evaluateIndex(index, values), expected, `(${x} ${inner} ${a} + ${shift}) ${outer} ${b}`);
            });
          }
        }
      }
    }
  }
});

Deno.test("splitting a linear index gives the multi-index back, for any regrouping of axes", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 }), fc.nat(3), (shape, cut) => {
      const vars = shape.map((extent, i) => makeVar(`i${i}`, extent));
      const linear = linearIndex(vars.map(varIndex), shape);
      const at = Math.min(cut, shape.length);
      const grouped = [sizeOfShape(shape.slice(0, at)), sizeOfShape(shape.slice(at))];
      const back = splitIndex(linearIndex(splitIndex(linear, grouped), grouped), shape);
      assertEquals(back.map((index) => index.key), vars.map((v) => varIndex(v).key));
    }),
    { numRuns: 200, seed: 2 },
  );
});

Deno.test("a merge of axes that a reshape split again costs nothing", () => {
  const b = makeVar("b", 2), t = makeVar("t", 512), d = makeVar("d", 128);
  const [batch, time, head, width] = splitIndex(linearIndex([b, t, d].map(varIndex), [2, 512, 128]), [2, 512, 2, 64]);
  assertEquals([batch.key, time.key], [varIndex(b).key, varIndex(t).key]);
  assertEquals([head.key, width.key], [divIndex(varIndex(d), 64).key, modIndex(varIndex(d), 64).key]);
});

Deno.test("substitution replaces variables inside divisions", () => {
  const i = makeVar("i", 64), outer = makeVar("o", 8), inner = makeVar("n", 8);
  const replace = new Map([[i.id, linearIndex([outer, inner].map(varIndex), [8, 8])]]);
  assertEquals(substituteIndex(divIndex(varIndex(i), 8), replace).key, varIndex(outer).key);
  assertEquals(substituteIndex(modIndex(varIndex(i), 8), replace).key, varIndex(inner).key);
});

Deno.test("terms stand in the order in which their variables were made, however many were made before", () => {
  let crossings = 0;
  for (let last = makeVar("x", 2); crossings < 2;) {
    const next = makeVar("y", 2);
    if (`${last.id}`.length < `${next.id}`.length) crossings++;
    const { terms } = addIndex(varIndex(next), varIndex(last));
    assertEquals(terms.map(({ atom }) => atom.kind === "var" && atom.variable.id), [last.id, next.id]);
    last = next;
    if (last.id > 1e6) throw new Error("no number of variables with one digit more was met");
  }
});
