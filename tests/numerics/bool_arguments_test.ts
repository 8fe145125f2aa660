import { assertEquals } from "@std/assert";
import { compile, requestDevice, spec, type Tensor } from "../../mod.ts";
import { cast, equal, full, logicalNot, sum } from "../../ops/mod.ts";

const KINDS: Readonly<Record<string, Uint32Array | Float64Array | number[]>> = {
  "a Uint32Array": Uint32Array.of(2, 0, 1, 4294967295),
  "a Float64Array": Float64Array.of(-0.5, 0, 1, NaN),
  "a list of numbers": [7, -0, 1, NaN],
};

for (const kind of ["reference", "cpu", "webgpu"] as const) {
  Deno.test(`bool arguments: whatever is not 0 is true, on ${kind}`, async () => {
    using device = await requestDevice({ kind });
    const program = await compile(
      device,
      (x: Tensor) => [x, cast(x, "f32"), equal(x, full([4], 1, "bool")), logicalNot(x), sum(cast(x, "i32"))],
      [spec([4], "bool")],
    );
    const right = [[1, 0, 1, 1], [1, 0, 1, 1], [1, 0, 1, 1], [0, 1, 0, 0], [3]];
    for (const [name, data] of Object.entries(KINDS)) {
      assertEquals((await program.run(data)).map(({ data }) => [...data]), right, name);
      if (Array.isArray(data)) continue;
      const uploaded = device.upload(data, { shape: [4], dtype: "bool" });
      assertEquals((await program.run(uploaded)).map(({ data }) => [...data]), right, `${name}, uploaded`);
    }
    program.dispose();
  });
}
