/** Rules that every schedule keeps, checked without running it. */
import type { Schedule, Step, ValueId } from "../../kernels/plan.ts";

/**
 * The first rule that a schedule breaks, as text: complete, in order, writing only what is its own. Undefined if it
 * keeps all.
 */
export function brokenRule(schedule: Schedule): string | undefined {
  const { values } = schedule;
  const owner = (id: ValueId): ValueId => {
    const { storage } = values[id];
    return storage.kind === "alias" ? storage.of : id;
  };
  const written = new Set<ValueId>(
    values.filter(({ storage }) => storage.kind === "input" || storage.kind === "constant").map(({ id }) => id),
  );
  const visit = (steps: readonly Step[]): string | undefined => {
    for (const step of steps) {
      if (step.kind === "loop") {
        const broken = visit(step.steps);
        if (broken) return broken;
        continue;
      }
      const { kernel, operands } = step, name = `${kernel.kind} kernel (${kernel.origins.join(", ")})`;
      if (operands.length !== kernel.operands.length) {
        return `${name} has ${kernel.operands.length} operands and is given ${operands.length}`;
      }
      for (let i = 0; i < operands.length; i++) {
        const { access } = kernel.operands[i], { storage, label } = values[owner(operands[i])];
        if (access !== "write" && !written.has(owner(operands[i])) && storage.kind !== "output") {
          return `${name} reads ${label} before anything writes it`;
        }
        if (
          access !== "write" && storage.kind === "output" && storage.takes === undefined &&
          !written.has(owner(operands[i]))
        ) {
          return `${name} reads result ${label} before it is written`;
        }
        if (access !== "read" && (storage.kind === "input" || storage.kind === "constant")) {
          return `${name} writes ${label}, which is an ${storage.kind}`;
        }
      }
      operands.forEach((id, i) => kernel.operands[i].access !== "read" && written.add(owner(id)));
    }
    return undefined;
  };
  const broken = visit(schedule.steps);
  if (broken) return broken;
  for (const [position, id] of schedule.outputs.entries()) {
    const { storage, sizeBytes, type } = values[id];
    if (storage.kind !== "output" || storage.position !== position) {
      return `result ${position} has storage ${storage.kind}`;
    }
    const isEmpty = type.shape.includes(0) || sizeBytes === 0;
    if (!written.has(id) && !isEmpty) return `result ${position} is never written`;
  }
  return undefined;
}
