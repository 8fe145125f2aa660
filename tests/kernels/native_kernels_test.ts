/**
 * Kernels printed as C against their meaning, for vectors of 4, 8 and 16 lanes where the processor has them.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { DeviceError } from "../../core/errors.ts";
import { makeVar } from "../../core/index_expr.ts";
import { preludeOf } from "../../kernels/devices/native/c_prelude.ts";
import { functionText, KERNEL_NAME, printNativeKernel } from "../../kernels/devices/native/print_kernel.ts";
import { nativeTarget } from "../../kernels/devices/native/target.ts";
import { FunctionWriter } from "../../kernels/codegen/function_writer.ts";
import { CLanguage } from "../../kernels/devices/native/c_language.ts";
import { checkOperands, KERNEL_CASES } from "./kernel_cases.ts";
import { NativeLibrary, nativeTargets } from "./native_harness.ts";
import { contractKernel } from "./print_cases.ts";
import { runReference } from "./print_harness.ts";
import { B0, checkTrial, operandWords, trialsOf } from "./try_operations.ts";

const TARGETS = nativeTargets();
const AVX512 = ["__AVX512F__", "__AVX512DQ__", "__AVX512BW__", "__AVX512VL__", "__AVX2__", "__FMA__"];

function macrosOf(...names: string[]): string {
  return names.map((name) => `#define ${name} 1\n`).join("");
}

Deno.test("native: kernels of every kind mean the same in C, for all widths of this machine", async () => {
  const cases = Object.values(KERNEL_CASES).flatMap((make) => make());
  // Compiling takes longest: all at once.
  await Promise.all(TARGETS.map(async (target) => {
    const printed = cases.map(({ kernel }) => printNativeKernel(kernel, target));
    for (const { text } of printed) assertEquals(text.split(KERNEL_NAME).length, 2, "the name stands there once");
    using library = await NativeLibrary.open(printed.map(({ text }) => text), target);
    cases.forEach(({ label, kernel, data, allowance, loops }, number) => {
      const { scratchBytes } = printed[number], name = `${label}, ${target.instructions}`;
      const found = library.run(number, data, { scratchBytes, threads: 1, loops });
      checkOperands(name, found, runReference(kernel, data, loops), allowance);
      const shared = library.run(number, data, { scratchBytes, threads: 3, loops });
      shared.forEach((elements, at) => assertEquals(elements, found[at], `${name}: three threads give what one gives`));
    });
  }));
  const widths = TARGETS.map(({ instructions, lanes }) => `${lanes} lanes of ${instructions}`).join(", ");
  console.log(`native: ${cases.length} kernels, ${widths}`);
});

Deno.test("native: each operation means the same in C as on the host, for one lane and for all", async () => {
  await Promise.all(TARGETS.map(async (target) => {
    const trials = trialsOf(target);
    const texts = trials.map(({ body }) => {
      const w = new FunctionWriter([B0], target, new CLanguage());
      body(w);
      return functionText(w.finish());
    });
    using library = await NativeLibrary.open(texts, target);
    trials.forEach((trial, number) => {
      const [words] = library.run(number, [operandWords()], { scratchBytes: 0, threads: 1 });
      checkTrial(trial, target.lanes, words as Int32Array);
    });
  }));
});

Deno.test("native: equal kernels give equal text, whatever was printed before", () => {
  const target = nativeTarget(macrosOf(...AVX512)),
    kernel = () => contractKernel({ m: 50, n: 40, k: 300, fused: true });
  const first = printNativeKernel(kernel(), target);
  // Variables are numbered, and their numbers are about to have more digits.
  for (let made = 0; made < 20000; made++) makeVar("x", 2);
  assertEquals(printNativeKernel(kernel(), target), first);
});

Deno.test("native: a target is found in a compiler's macros", () => {
  const cases: [readonly string[], number, string][] = [
    [AVX512, 16, "AVX-512"],
    [AVX512.slice(1), 8, "AVX2"],
    [["__AVX2__"], 4, "128-bit vectors"],
    [["__aarch64__", "__ARM_NEON"], 4, "NEON"],
    [[], 4, "128-bit vectors"],
  ];
  for (const [names, lanes, instructions] of cases) {
    const target = nativeTarget(macrosOf(...names), { threads: 2 });
    assertEquals([target.lanes, target.instructions, target.threads], [lanes, instructions, 2]);
    assert(preludeOf(target).startsWith(`#define LANES ${lanes}\n`));
  }
  assertEquals(nativeTarget(macrosOf(...AVX512), { maxLanes: 8 }).instructions, "AVX2");
  const big = "#define __BYTE_ORDER__ __ORDER_BIG_ENDIAN__\n";
  assertThrows(() => nativeTarget(big), DeviceError, "most significant byte");
});
