import { assert, assertEquals } from "@std/assert";
import type { Graph } from "../../core/graph.ts";
import * as ops from "../../ops/mod.ts";
import { PRIMITIVES } from "../../ops/registry.ts";
import { OP_CASES } from "../op_cases.ts";
import { grad } from "../../core/grad.ts";
import { graphsOf, lossOf } from "./evaluate.ts";

const opNames = (graph: Graph): Set<string> => new Set(graph.nodes.map((node) => node.op.name));

Deno.test("op table: every primitive is used by a case of its own", () => {
  const used = new Map<string, Set<string>>();
  for (const { op, fn, inputs } of OP_CASES) {
    const names = used.get(op) ?? used.set(op, new Set()).get(op)!;
    for (const name of opNames(graphsOf(fn, inputs).plain)) names.add(name);
  }
  const missing = PRIMITIVES.filter(({ name }) => !used.get(name)?.has(name)).map(({ name }) => name);
  assertEquals(missing, [], "primitives that the op table lacks");
  console.log(`op table: ${OP_CASES.length} cases, ${PRIMITIVES.length} primitives, ${used.size} ops`);
});

Deno.test("op table: every public op has a case", () => {
  const cased = new Set(OP_CASES.map(({ op }) => op));
  assertEquals(Object.keys(ops).filter((name) => !cased.has(name)), [], "public ops that the op table lacks");
});

Deno.test("op table: every primitive with a gradient is differentiated by a case of its own", () => {
  const differentiated = new Set<string>();
  for (const opCase of OP_CASES) {
    if (
      opCase.differentiable.length > 0 &&
      graphsOf(grad(lossOf(opCase), { argnums: opCase.differentiable }), opCase.inputs).plain.nodes.length > 0
    ) {
      differentiated.add(opCase.op);
    }
  }
  const missing = PRIMITIVES.filter(({ name, vjp }) => typeof vjp === "function" && !differentiated.has(name)).map((
    { name },
  ) => name);
  assertEquals(missing, [], "primitives without a gradient case");
});

Deno.test("op table: a primitive without a gradient says why", () => {
  for (const { name, vjp } of PRIMITIVES) assert(typeof vjp === "function" || vjp.reason.length > 0, name);
});

Deno.test("op table: names are unique, among cases and among primitives", () => {
  assertEquals(repeated(OP_CASES.map(({ name }) => name)), []);
  assertEquals(repeated(PRIMITIVES.map(({ name }) => name)), []);
});

Deno.test("op table: differentiable arguments are floats", () => {
  for (const { name, inputs, differentiable } of OP_CASES) {
    for (const argument of differentiable) assertEquals(inputs[argument].dtype, "f32", name);
  }
});

function repeated(names: readonly string[]): string[] {
  return names.filter((name, i) => names.indexOf(name) !== i);
}
