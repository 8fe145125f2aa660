import { assertLess } from "@std/assert";
import { compile, requestDevice, spec, type Tensor } from "../../mod.ts";
import { cos, sin } from "../../ops/mod.ts";
import { uniformGenerator } from "../numeric.ts";
import { fromBits, ulpDistance } from "./f32.ts";

/**
 * Numbers of every size, evenly over their exponents, and those nearest to multiples of a quarter turn, where almost
 * everything cancels.
 */
function samples(): Float32Array {
  const next = uniformGenerator(5), values: number[] = [];
  for (let i = 0; i < 8000; i++) {
    values.push(fromBits(Math.floor(next() * 0x7f800000)), -fromBits(Math.floor(next() * 0x7f800000)));
  }
  for (let i = 0; i < 8000; i++) values.push((next() - 0.5) * 16, (next() - 0.5) * 20000, (next() - 0.5) * 1e10);
  for (let n = 1; n < 8000; n++) values.push(n * Math.PI / 2, -n * 977 * Math.PI / 2, n * 1e7 * Math.PI / 2);
  return Float32Array.from(values);
}

for (const kind of ["cpu", "webgpu"] as const) {
  Deno.test(`sine and cosine: right to 2.5 units in the last place and within -1 .. 1, however large the argument, on ${kind}`, async () => {
    using device = await requestDevice({ kind });
    const x = samples();
    const program = await compile(device, (x: Tensor) => [sin(x), cos(x)], [spec([x.length])]);
    const results = await program.run(x);
    [Math.sin, Math.cos].forEach((exact, at) =>
      results[at].data.forEach((result, i) => {
        const distance = ulpDistance(result, exact(x[i]));
        assertLess(distance, 2.5, `${exact.name}(${x[i]}) is ${result}, expected ${exact(x[i])}`);
        assertLess(Math.abs(result), 1 + 1e-9);
      })
    );
    program.dispose();
    // One number alone takes another way through the printers.
    const single = await compile(device, (x: Tensor) => [sin(x), cos(x)], [spec([])]);
    for (const value of [0.5, 5999, 6001, -1e10, Math.fround(3e38), Math.fround(22 * Math.PI)]) {
      const [s, c] = await single.run(value);
      assertLess(ulpDistance(s.data[0], Math.sin(value)) + ulpDistance(c.data[0], Math.cos(value)), 4.5, `${value}`);
    }
    single.dispose();
  });
}
