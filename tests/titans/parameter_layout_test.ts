/** Where parameters lie in the flat vector: each by itself, and stacked in runs. */
import { assert, assertEquals } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { compile, requestDevice } from "../../kernels/mod.ts";
import { spec } from "../../core/trace.ts";
import type { MapTree } from "../../core/tree.ts";
import {
  matrix,
  type Parameter,
  PARAMETER_ALIGNMENT,
  ParameterLayout,
  table,
  vector,
} from "../../titans/nn/parameters.ts";

interface Tree {
  readonly embedding: Tensor;
  readonly blocks: readonly { readonly gain: Tensor; readonly out: Tensor }[];
}

const block = { gain: vector([7], 1), out: matrix([3, 5]) };
const TREE: MapTree<Tree, Tensor, Parameter> = { embedding: table([4, 3], 1), blocks: [block, block, block, block] };
const plain = new ParameterLayout<Tree>(TREE);
const stacked = new ParameterLayout<Tree>(TREE, {
  list: "blocks",
  runs: [{ first: 0, count: 1 }, { first: 1, count: 3 }],
});

Deno.test("by name, stacked parameters are those of a layout without runs, in the same order", () => {
  const described = (layout: ParameterLayout<Tree>) => layout.entries.map(({ offset: _, ...entry }) => entry);
  assertEquals(described(stacked), described(plain));
  assertEquals(stacked.size, plain.size);
  assertEquals(stacked.decayEnd, plain.decayEnd);
  assertEquals(stacked.initialize(3), plain.initialize(3));
  assertEquals(stacked.unpack(stacked.pack(plain.initialize(3))), plain.initialize(3));
});

Deno.test("stacked parameters start at multiples of 64 elements, overlap nowhere, and decay where they should", () => {
  const order = [...stacked.entries].sort((a, b) => a.offset - b.offset);
  order.forEach(({ name, offset, size, parameter: { decay } }, i) => {
    assertEquals(offset % PARAMETER_ALIGNMENT, 0, name);
    assert(offset + size <= (order[i + 1]?.offset ?? stacked.size), name);
    assertEquals(offset < stacked.decayEnd, decay, name);
  });
});

Deno.test("a run is one element of the tree, with a leading axis for its own elements", async () => {
  using device = await requestDevice({ kind: "reference" });
  const arrays = plain.initialize(5), flat = stacked.pack(arrays);
  const program = await compile(device, (flat: Tensor) => {
    const tree = stacked.unflatten(flat);
    return { tree, again: stacked.flatten(tree) };
  }, [spec([stacked.size])]);
  const { tree, again } = await program.run(flat);
  assertEquals(tree.blocks.map(({ out }) => out.shape), [[3, 5], [3, 3, 5]]);
  assertEquals([...tree.embedding.data], [...arrays.embedding]);
  assertEquals([...tree.blocks[0].out.data], [...arrays["blocks.0.out"]]);
  for (const name of ["gain", "out"] as const) {
    assertEquals([...tree.blocks[1][name].data], [1, 2, 3].flatMap((i) => [...arrays[`blocks.${i}.${name}`]]));
  }
  assertEquals([...again.data], [...flat]);
});

Deno.test("a tree may be a list from the top", () => {
  const layout = new ParameterLayout([vector([2], 1), [vector([3], 2)]]);
  assertEquals(layout.entries.map(({ name, offset }) => [name, offset]), [[".0", 0], [".1.0", 64]]);
});
