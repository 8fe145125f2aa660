/** Copies of functions inside programs: the same steps under new names, and on other values from outside. */
import type { Block, Id, Step, Value } from "./program.ts";
import type { Growth } from "./scope.ts";

/**
 * A copy of a body.
 * @param outside What takes the place of values from outside, by id; the others stay.
 */
export function copyBlock(block: Block, outside: ReadonlyMap<Id, Id>, growth: Growth): Block {
  const names = new Map(outside);
  const copyValue = (value: Value): Value => {
    const id = growth.nextId++, range = growth.ranges.get(value.id);
    names.set(value.id, id);
    if (range) growth.ranges.set(id, range);
    return { ...value, id };
  };
  const nameOf = (id: Id): Id => names.get(id) ?? id;
  const copyBody = ({ params, steps, results }: Block): Block => ({
    params: params.map(copyValue),
    steps: steps.map((step): Step => ({
      ...step,
      args: step.args.map(nameOf),
      ...(step.block && { block: copyBody(step.block) }),
      out: step.out.map(copyValue),
    })),
    results: results.map(nameOf),
  });
  return copyBody(block);
}
