/** Splitting and merging variables changes no value of any index, whether or not it took part in choosing them. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  addIndex,
  divIndex,
  type Index,
  linearIndex,
  makeVar,
  modIndex,
  splitIndex,
  type Var,
  varIndex,
} from "../../core/index_expr.ts";
import {
  mergeVariables,
  splitVariables,
  substituteStages,
  type Variables,
} from "../../kernels/schedule/index_tools.ts";
import { evaluateIndex, indexTrees } from "../core/index_trees.ts";

/** The values of variables at every point of their space. */
function* pointsOf(vars: readonly Var[]): Generator<ReadonlyMap<number, number>> {
  const count = vars.reduce((size, { extent }) => size * extent, 1);
  for (let point = 0; point < count; point++) {
    let rest = point;
    yield new Map(
      vars.toReversed().map(({ id, extent }) => {
        const value = rest % extent;
        rest = (rest - value) / extent;
        return [id, value];
      }),
    );
  }
}

/**
 * Checks that variables in a new form meet each point of the old space once, and that every index keeps its value
 * there.
 */
function checkSame(before: readonly Var[], { vars, stages }: Variables, indices: readonly Index[]): void {
  const old = before.map((variable) => substituteStages(varIndex(variable), stages));
  const moved = indices.map((index) => substituteStages(index, stages));
  const met = new Set<string>();
  for (const point of pointsOf(vars)) {
    const at = old.map((index) => evaluateIndex(index, point));
    met.add(at.join());
    const there = new Map(before.map(({ id }, i) => [id, at[i]]));
    indices.forEach((index, i) => {
      const expected = evaluateIndex(index, there), got = evaluateIndex(moved[i], point);
      if (got !== expected) {
        throw new Error(`index ${i} is ${got} instead of ${expected} at ${at}: ${index.key} became ${moved[i].key}`);
      }
    });
  }
  assertEquals(met.size, before.reduce((size, { extent }) => size * extent, 1));
}

/** Applies splits and merges in turn, each chosen by the indices that take part as they are by then. */
function rearrange(vars: readonly Var[], indices: readonly Index[], turns: readonly boolean[]): Variables {
  return turns.reduce<Variables>((current, isSplit) => {
    const now = indices.map((index) => substituteStages(index, current.stages));
    const next = (isSplit ? splitVariables : mergeVariables)(current.vars, now);
    return { vars: next.vars, stages: [...current.stages, ...next.stages] };
  }, { vars, stages: [] });
}

const turns = fc.array(fc.boolean(), { minLength: 1, maxLength: 4 });
const extents = fc.array(fc.constantFrom(1, 2, 3, 4, 6, 8), { minLength: 3, maxLength: 3 });

Deno.test("variables split and merged for some random indices leave the values of all as they are", () => {
  let changed = 0;
  fc.assert(
    fc.property(
      fc.array(indexTrees, { maxLength: 2 }),
      fc.array(indexTrees, { minLength: 1, maxLength: 3 }),
      extents,
      turns,
      (looked, others, extents, turns) => {
        const vars = extents.map((extent, i) => makeVar(`v${i}`, extent)).filter(({ extent }) => extent > 1);
        const all = extents.map((extent, i) => vars.find(({ name }) => name === `v${i}`) ?? makeVar("one", extent));
        const taking = looked.map((tree) => tree.build(all));
        const result = rearrange(vars, taking, turns);
        if (result.stages.length > 0) changed++;
        checkSame(vars, result, [...taking, ...others.map((tree) => tree.build(all))]);
      },
    ),
    { numRuns: 600, seed: 11 },
  );
  assert(changed > 200);
});

Deno.test("variables split and merged for layouts of reshaped, transposed and flipped spaces leave all values as they are", () => {
  const regroup = (offset: Index, shape: readonly number[], kind: number): Index => {
    const index = splitIndex(offset, shape);
    if (kind === 0) return linearIndex(index, shape);
    if (kind === 1) return linearIndex(index.toReversed(), shape.toReversed());
    if (kind === 2) return addIndex(linearIndex(index, shape), divIndex(offset, shape[0]));
    return modIndex(linearIndex(index.toReversed(), shape.toReversed()), shape[0] * 2);
  };
  const step = fc.tuple(
    fc.constantFrom([4, 6, 4], [12, 8], [3, 2, 16], [2, 2, 2, 12], [96], [6, 16], [32, 3]),
    fc.nat(3),
  );
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 1, maxLength: 3 }),
      fc.array(step, { minLength: 1, maxLength: 3 }),
      turns,
      (looked, others, turns) => {
        const vars = [4, 4, 6].map((extent, i) => makeVar(`v${i}`, extent));
        const start = linearIndex(vars.map(varIndex), [4, 4, 6]);
        const build = (steps: typeof looked): Index =>
          steps.reduce((offset, [shape, kind]) => regroup(offset, shape, kind), start);
        const taking = [build(looked)];
        checkSame(vars, rearrange(vars, taking, turns), [...taking, build(others)]);
      },
    ),
    { numRuns: 300, seed: 12 },
  );
});

Deno.test("indices that took part in merging are sums of the merged variable", () => {
  const vars = [2, 3, 4].map((extent, i) => makeVar(`v${i}`, extent)),
    offset = linearIndex(vars.map(varIndex), [2, 3, 4]);
  const { vars: [merged, ...rest], stages } = mergeVariables(vars, [offset]);
  assertEquals([merged.extent, rest.length], [24, 0]);
  assertEquals(substituteStages(offset, stages).key, varIndex(merged).key);
});
