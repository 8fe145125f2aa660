import { assertLess } from "@std/assert";
import { compile, grad, requestDevice, spec, type Tensor } from "../../mod.ts";
import { mul, rotaryEmbedding, sum } from "../../ops/mod.ts";
import { random } from "../numeric.ts";

const T = 5, K = 64;
const x = Float32Array.from(random([T, K]).data);

function rotated(offset: number): number[] {
  const half = K / 2;
  return Array.from(x, (_, at) => {
    const t = Math.floor(at / K), i = at % K % half, isFirst = at % K < half;
    const angle = (offset + t) * 10000 ** (-i / half), first = x[t * K + i], second = x[t * K + half + i];
    return isFirst
      ? first * Math.cos(angle) - second * Math.sin(angle)
      : second * Math.cos(angle) + first * Math.sin(angle);
  });
}

const worst = (found: ArrayLike<number>, right: readonly number[]) =>
  right.reduce((most, value, i) => Math.max(most, Math.abs(value - found[i])), 0);

for (const kind of ["reference", "cpu", "webgpu"] as const) {
  Deno.test(`rotaryEmbedding: positions of millions are turned as exactly as the first ones, on ${kind}`, async () => {
    using device = await requestDevice({ kind });
    const run = await compile(device, (x: Tensor, offset: Tensor) => rotaryEmbedding(x, { offset }), [
      spec([T, K]),
      spec([], "i32"),
    ]);
    for (const offset of [0, 11, 4094, 99_999, 1_000_003, 2 ** 24 - T, -7, -100_000]) {
      assertLess(worst((await run.run(x, offset)).data, rotated(offset)), 5e-6, `offset ${offset}`);
    }
    const fixed = await compile(
      device,
      (x: Tensor) => [2043, 2044, 1_000_003].map((offset) => rotaryEmbedding(x, { offset })),
      [spec([T, K])],
    );
    (await fixed.run(x)).forEach(({ data }, at) =>
      assertLess(worst(data, rotated([2043, 2044, 1_000_003][at])), at === 0 ? 6e-4 : 5e-6, `number ${at}`)
    );
    for (const program of [run, fixed]) program.dispose();
  });
}

Deno.test("rotaryEmbedding: the gradient in an offset of millions is that of the angles", async () => {
  using device = await requestDevice({ kind: "reference" });
  const loss = (offset: Tensor, x: Tensor, w: Tensor) => sum(mul(w, rotaryEmbedding(x, { offset })));
  const program = await compile(device, grad(loss), [spec([]), spec([T, K]), spec([T, K])]);
  const w = Float32Array.from(random([T, K], -1, 1, 4).data), at = 1_000_000, h = 1e-4;
  const along = (offset: number) => rotated(offset).reduce((total, value, i) => total + value * w[i], 0);
  const found = (await program.run(at, x, w) as { data: ArrayLike<number> }).data[0];
  assertLess(Math.abs(found - (along(at + h) - along(at - h)) / (2 * h)), 1e-4);
});
