/** What docs/numerics.md says of `mod`: how far off it may be, and on which side. */
import { assertEquals } from "@std/assert";
import { requestDevice } from "../../mod.ts";
import * as ops from "../../ops/mod.ts";
import { uniformGenerator } from "../numeric.ts";
import { runOnce } from "./edges.ts";

const COUNT = 20_000;
const next = uniformGenerator(5);
const signed = (size: number): number => (next() - 0.5) * 2 * size;
/** Dividends of up to a million divisors, many next to a multiple. */
const DIVISORS = Float32Array.from({ length: COUNT }, () => signed(10 ** (6 * next() - 3)) || 1);
const DIVIDENDS = DIVISORS.map((y, i) => i % 3 === 0 ? y * Math.round(signed(50)) : y * signed(10 ** (6 * next())));
const WHOLE_DIVIDENDS = Float32Array.from({ length: COUNT }, () => Math.round(signed(4e6)));
const WHOLE_DIVISORS = Float32Array.from({ length: COUNT }, () => Math.round(signed(2000)) || 7);

const floorMod = (x: number, y: number): number => x % y === 0 ? 0 : x % y < 0 === y < 0 ? x % y : x % y + y;

for (const kind of ["reference", "cpu", "webgpu"] as const) {
  Deno.test(`mod: is off by 2^-22 of the greater operand at most, has the divisor's sign, is exact for whole numbers, on ${kind}`, async () => {
    using device = await requestDevice({ kind });
    const [rests] = await runOnce(device, (x, y) => [ops.mod(x, y)], [DIVIDENDS, DIVISORS]);
    const wrong: string[] = [];
    rests.data.forEach((rest, i) => {
      const x = DIVIDENDS[i], y = DIVISORS[i], away = Math.abs(rest - floorMod(x, y));
      const onCircle = Math.min(away, Math.abs(Math.abs(y) - away));
      const isInside = rest === 0 || ((rest < 0) === (y < 0) && Math.abs(rest) <= Math.abs(y));
      if (onCircle > 2 ** -22 * Math.max(Math.abs(x), Math.abs(y)) || !isInside) wrong.push(`${x} mod ${y} is ${rest}`);
    });
    assertEquals(wrong.slice(0, 5), []);
    const [whole] = await runOnce(device, (x, y) => [ops.mod(x, y)], [WHOLE_DIVIDENDS, WHOLE_DIVISORS]);
    assertEquals([...whole.data], Array.from(WHOLE_DIVIDENDS, (x, i) => floorMod(x, WHOLE_DIVISORS[i]) + 0));
  });
}
