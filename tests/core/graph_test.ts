import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { Graph, isParameter, type Tensor } from "../../core/graph.ts";
import { printGraph } from "../../core/print.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import { verify } from "../../core/verify.ts";
import { add, exp, mul, neg, sum, tanh } from "../../ops/mod.ts";

Deno.test("equal applications are one node", () => {
  trace((x: Tensor) => {
    assertStrictEquals(mul(exp(x), 2), mul(exp(x), 2));
    assert(mul(x, 2) !== mul(x, 3));
    assert(mul(x, 0) !== mul(x, -0), "0 and -0 are different constants");
    return x;
  }, [spec([3])]);
});

Deno.test("graphs print and compare by structure, not by history", () => {
  const f = (x: Tensor, w: Tensor): Tensor => sum(tanh(mul(x, w)));
  const g = (x: Tensor, w: Tensor): Tensor => {
    neg(exp(x)); // never used
    return f(x, w);
  };
  const specs = [spec([2, 3]), spec([2, 3])] as const;
  const a = trace(f, [...specs]).graph, b = trace(g, [...specs]).graph;
  assertEquals(a.key, b.key);
  assertEquals(
    printGraph(a),
    "([0]: f32[2, 3], [1]: f32[2, 3]) {\n  %0: f32[2, 3] = mul([0], [1])\n  %1: f32[2, 3] = tanh(%0)\n  %2: f32[] = sum(%1) {axes: [0, 1]}\n} -> (%2)",
  );
});

Deno.test("simplify shares what marks kept apart and drops what is dead", () => {
  const { graph } = trace((x: Tensor) => add(mul(x, 1), add(mul(x, 0.5), mul(x, 0.5))), [spec([4])]);
  const simplified = simplify(graph);
  assert(simplified.nodes.length < graph.nodes.length);
  assert(simplified.inputs.every(isParameter));
  assertEquals(simplify(simplified).key, simplified.key);
});

Deno.test("the verifier finds a parameter that is no input and an operand that is not made", () => {
  const { graph } = trace((x: Tensor, y: Tensor) => add(x, y), [spec([2]), spec([2])]);
  verify(graph);
  assertThrows(() => verify(new Graph([graph.inputs[0]], graph.outputs)), Error, "is no input of the graph");
});

Deno.test("tensors of another trace and results that are no tensors are refused", () => {
  let kept: Tensor | undefined;
  trace((x: Tensor) => kept = exp(x), [spec([2])]);
  assertThrows(() => trace((x: Tensor) => add(x, kept!), [spec([2])]), Error, "belongs to another trace");
  assertThrows(() => trace((_x: Tensor) => kept, [spec([2])]), Error, "belongs to another trace");
  assertThrows(() => trace((_x: Tensor) => 3, [spec([2])]), Error, "Cannot use number as a program's result");
  assertThrows(
    () => trace((x: Tensor) => (x as unknown as number) + 1, [spec([2])]),
    Error,
    "Cannot read the value of a tensor",
  );
});
