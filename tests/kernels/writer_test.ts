/** Operations, and where a writer places them. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { FunctionWriter } from "../../kernels/codegen/function_writer.ts";
import { bits, compare, convert, foldLanes, joinLanes, laneOf, transposed } from "../../kernels/codegen/lanes.ts";
import { repeatInBlocks } from "../../kernels/codegen/loops.ts";
import type { Value, Writer } from "../../kernels/codegen/writer.ts";
import { toWasm } from "../../kernels/devices/wasm/print_kernel.ts";
import { encodeModule, type Instruction, printFunction } from "../../kernels/codegen/wasm_encoder.ts";
import { WasmLanguage } from "../../kernels/devices/wasm/wasm_language.ts";
import { HostLanguage } from "./host_language.ts";
import { B0, checkTrial, onHost, operandWords, targetOf, trialsOf } from "./try_operations.ts";

/** A function of the address `b0`, in WebAssembly. */
function wasmFunction(body: (w: Writer) => void) {
  const w = new FunctionWriter<Instruction>([B0], targetOf(4), new WasmLanguage(true));
  body(w);
  return toWasm(w.finish());
}

Deno.test("writer: each operation means the same in WebAssembly as on the host, for one lane and for all", () => {
  for (const trial of trialsOf(targetOf(4))) {
    const fn = wasmFunction(trial.body);
    const bytes = encodeModule({ shared: false, functions: [fn], exports: new Map([["fn", 0]]) });
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536 }), words = new Int32Array(memory.buffer);
    words.set(operandWords());
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { m: { m: memory } });
    (exports.fn as (address: number) => void)(0);
    checkTrial(trial, 4, words);
  }
});

Deno.test("writer: lanes are joined, taken apart, folded and transposed, whatever their number", () => {
  for (const lanes of [4, 8, 16]) {
    const words = Int32Array.from({ length: 1024 }, (_, at) => at < lanes * lanes ? at : 0), out = 4 * lanes * lanes;
    const square = onHost(lanes, words, (w) => {
      const b0 = w.parameter("b0");
      const rows = Array.from({ length: lanes }, (_, row) => w.op("lanes.load", [b0], [4 * lanes * row]));
      transposed(w, rows).forEach((row, at) => w.effect("lanes.store", [b0, row], [out + 4 * lanes * at]));
    }).subarray(lanes * lanes, 2 * lanes * lanes);
    square.forEach((value, at) => assertEquals(value, (at % lanes) * lanes + Math.floor(at / lanes)));
    const [sum, order, truths] = onHost(lanes, words, (w) => {
      const b0 = w.parameter("b0"), row: Value = { ...w.op("lanes.load", [b0], [4]), dtype: "i32" };
      w.effect("i32.store", [b0, ...foldLanes(w, [row], ([x], [y]) => [w.op("i32.add", [x, y])])], [0]);
      const joined = joinLanes(w, Array.from({ length: lanes }, (_, lane) => laneOf(w, row, lanes - 1 - lane)));
      w.effect("i32.store", [b0, laneOf(w, joined, 1)], [4]);
      const isOdd = compare(w, "ne", bits(w, "and", row, w.literal(1, "i32")), w.literal(0, "i32"));
      const again = joinLanes(w, Array.from({ length: lanes }, (_, lane) => laneOf(w, isOdd, lane)));
      const numbers = convert(w, again, "i32");
      w.effect("i32.store", [b0, ...foldLanes(w, [numbers], ([x], [y]) => [w.op("i32.add", [x, y])])], [
        8,
      ]);
    });
    // Elements 1 to W: their sum, the last but one, and how many are odd.
    assertEquals([sum, order, truths], [lanes * (lanes + 1) / 2, lanes - 1, lanes / 2]);
  }
});

/** Lines of a function's text, by what they are. */
function countOf(text: string, name: string): number {
  return text.split("\n").filter((line) => line.trim().startsWith(name)).length;
}

Deno.test("writer: what does not change in a loop stands in front of it, once", () => {
  const text = printFunction(wasmFunction((w) => {
    const b0 = w.parameter("b0"), range = { start: w.literal(0, "i32"), end: w.literal(9, "i32"), extent: 9 };
    w.loop(range, (at) => {
      const [{ atom }] = at.terms;
      assert(atom.kind === "var");
      const counter = w.variable(atom.variable);
      for (let time = 0; time < 2; time++) {
        const fixed = w.op("i32.mul", [b0, b0]), moving = w.op("bits.xor", [fixed, counter]);
        w.effect("i32.store", [b0, moving], [0]);
        w.fresh("i32.load", [b0], [0]);
      }
    });
  }));
  const [before, inside] = text.split("loop");
  assertEquals([countOf(before, "i32.mul"), countOf(inside, "i32.mul")], [1, 0]);
  // What depends on the counter stays, once; what is fresh is done each time.
  assertEquals([countOf(before, "i32.xor"), countOf(inside, "i32.xor"), countOf(inside, "i32.load")], [0, 1, 2]);
});

Deno.test("writer: a value of an inner block is not taken for one of another block", () => {
  const fn = wasmFunction((w) => {
    const b0 = w.parameter("b0"), range = { start: w.literal(0, "i32"), end: w.literal(3, "i32"), extent: 3 };
    for (let time = 0; time < 2; time++) {
      w.loop(range, () => {
        const loaded = w.fresh("i32.load", [b0], [0]);
        w.effect("i32.store", [b0, w.op("i32.add", [loaded, w.literal(1, "i32")])], [0]);
      });
    }
  });
  assertEquals(countOf(printFunction(fn), "i32.load"), 2);
});

Deno.test("writer: an exception is branched to in front of the loop that asks for it, for one lane and for all", () => {
  const values = [1, 2, -3, 4, 5, 6, 7, 8];
  for (const lanes of [1, 8]) {
    const words = new Int32Array(64);
    new Float32Array(words.buffer).set(values);
    const memory = onHost(8, words, (w) => {
      const b0 = w.parameter("b0"), range = { start: w.literal(0, "i32"), end: w.literal(2, "i32"), extent: 2 };
      w.loop(range, () => {
        const x = lanes === 1 ? w.op("f32.load", [b0], [8]) : w.op("lanes.load", [b0], [0]);
        const isNegative = compare(w, "lt", x, w.literal(0, "f32"));
        const [size] = w.unless(isNegative, [x], [x], ([x]) => [w.op("f32.abs", [x])]);
        w.effect(lanes === 1 ? "f32.store" : "lanes.store", [b0, size], [128]);
      });
    });
    const found = Array.from(new Float32Array(memory.buffer, 128, lanes));
    assertEquals(found, lanes === 1 ? [3] : values.map(Math.abs));
  }
});

Deno.test("writer: blocks of turns are flushed in order, the last one where it ends", () => {
  for (const [turns, block] of [[10, 4], [8, 4], [9, 3]]) {
    const memory = onHost(4, new Int32Array(64), (w) => {
      const b0 = w.parameter("b0"), count = w.newLocal({ dtype: "i32", width: 1 });
      w.assign(count, w.literal(0, "i32"));
      const flush = (first: Value) => {
        const place = w.op("i32.add", [b0, w.op("i32.mul", [first, w.literal(4, "i32")])]);
        w.effect("i32.store", [place, w.read(count)], [0]);
      };
      repeatInBlocks(w, { turns, block }, {
        body: () => w.assign(count, w.op("i32.add", [w.read(count), w.literal(1, "i32")])),
        flush,
      });
    });
    for (let first = 0; first < turns; first += block) assertEquals(memory[first], Math.min(first + block, turns));
  }
});

Deno.test("writer: a countdown takes its turns, and none if there are none", () => {
  for (const turns of [0, 1, 5]) {
    const [found] = onHost(4, Int32Array.of(0, turns), (w) => {
      const b0 = w.parameter("b0"), left = w.newLocal({ dtype: "i32", width: 1 });
      w.countdown(left, w.operation("i32.load", [b0], [4]), () => {
        w.effect("i32.store", [b0, w.fresh("i32.add", [w.fresh("i32.load", [b0], [0]), w.now(left)])], [0]);
      });
    });
    assertEquals(found, turns * (turns + 1) / 2);
  }
});

Deno.test("writer: what nobody defined is refused", () => {
  const w = new FunctionWriter([B0], targetOf(4), new HostLanguage(4));
  assertThrows(() => w.parameter("b1"), Error, "a function has no parameter b1");
  const plain = new FunctionWriter([B0], targetOf(4), new WasmLanguage(false));
  const x = plain.op("f32.splat", [plain.literal(1, "f32")]);
  assertThrows(() => plain.op("f32.madd", [x, x, x]), Error, "a multiply-add is printed for an engine without one");
});
