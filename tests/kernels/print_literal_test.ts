import { assert, assertEquals } from "@std/assert";
import { floatLiteral } from "../../kernels/devices/webgpu/print_literal.ts";

const GREATEST = (2 - 2 ** -23) * 2 ** 127;

Deno.test("literals read back as the number itself, and none is beyond the greatest f32", () => {
  const words = new Uint32Array(1), floats = new Float32Array(words.buffer);
  for (let i = 0, bits = 1; i < 20000; i++, bits = (Math.imul(bits, 1664525) + 1013904223) >>> 0) {
    // The greatest floats, the least ones, and others of every size.
    words[0] = i < 100 ? 0x7f7fffff - i : i < 200 ? i - 100 : bits;
    const [value] = floats;
    if (!Number.isFinite(value)) continue;
    for (const signed of [value, -value]) {
      const read = Number(floatLiteral(signed, ""));
      assertEquals(Math.fround(read), signed);
      assert(Math.abs(read) <= GREATEST, `${signed} is written as ${read}`);
    }
  }
});
