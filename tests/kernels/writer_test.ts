/** Operations, and where a writer places them. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { FunctionWriter } from "../../kernels/codegen/function_writer.ts";
import { bits, compare, convert, foldLanes, joinLanes, laneOf, transposed } from "../../kernels/codegen/lanes.ts";
import { repeatInBlocks } from "../../kernels/codegen/loops.ts";
import { OP_NAMES, type OpName } from "../../kernels/codegen/operations.ts";
import type { Target } from "../../kernels/codegen/target.ts";
import type { Value, Writer } from "../../kernels/codegen/writer.ts";
import { TILES } from "../../kernels/devices/wasm/print_kernel.ts";
import { encodeModule, type Instruction, printFunction } from "../../kernels/devices/wasm/wasm_encoder.ts";
import { WasmLanguage } from "../../kernels/devices/wasm/wasm_language.ts";
import { callOnHost, HostLanguage, type HostLine } from "./host_language.ts";

function targetOf(lanes: number): Target {
  return { lanes, fused: true, tiles: TILES };
}

/** A function of the address `b0`, in WebAssembly. */
function wasmFunction(body: (w: Writer) => void) {
  const w = new FunctionWriter<Instruction>(["b0"], targetOf(4), new WasmLanguage(true));
  body(w);
  const { parameters, locals, code } = w.finish();
  return { parameters, locals: locals.map((type) => (type === "lanes" ? "v128" : type)), code };
}

/** Runs a function of the address 0 on the host: `words` of memory, then as it left them. */
function onHost(lanes: number, words: Int32Array, body: (w: Writer) => void): Int32Array {
  const w = new FunctionWriter<HostLine>(["b0"], targetOf(lanes), new HostLanguage(lanes));
  body(w);
  const memory = new ArrayBuffer(Math.max(words.byteLength, 4096));
  new Int32Array(memory).set(words);
  return callOnHost(w.finish(), memory, 0).i;
}

const SPECIAL = [0, -0, 1, -1, 0.5, -2.5, 3.5, 1e-40, 3e38, -3e38, 5e9, -5e9, Infinity, -Infinity, NaN, 7];
const INTEGERS = [0, 1, -1, 7, -7, 2147483647, -2147483648, 65536, 5, 3, -3, 100, -100, 12, 31, 2];

/** Operations that memory has, or that are tried by their users in the tests of kernels. */
const UNTRIED: ReadonlySet<string> = new Set(["lanes.load", "lanes.load_splat", "f32.demote"]);
const ONE_LANE = /^i32\.(div|rem)|copysign|eqz|reinterpret/, ALL_LANES = /\.(pmin|pmax|madd|neg|min_|max_)/;

/** Writes what an operation gives of operands in memory behind them. */
function tryOperation(w: Writer, op: OpName, isWide: boolean): void {
  const b0 = w.parameter("b0"), width = isWide ? w.lanes : 1, isFloat = op.startsWith("f32") && !/from|reint/.test(op);
  const takesFloats = isFloat || op.endsWith("from_f32") || op === "i32.reinterpret";
  const type = takesFloats ? "f32" : "i32", region = takesFloats ? 0 : 64;
  for (let start = 0; start < 16; start += width) {
    const operands = [0, 1, 2].map((by): Value => {
      const at = region + 4 * ((start + 4 * by) % 16);
      return isWide ? { ...w.op("lanes.load", [b0], [at]), dtype: type } : w.op(`${type}.load`, [b0], [at]);
    });
    const count = /madd|blend/.test(op) ? 3 : /abs|neg|floor|trunc|nearest|sqrt|eqz|from|reint/.test(op) ? 1 : 2;
    let args = operands.slice(0, count);
    if (/sh[lr]/.test(op)) args = [operands[0], w.literal(5, "i32")];
    // Divisors that are 0, and quotients that overflow, are not asked for.
    if (/i32.(div|rem)/.test(op)) {
      args = [
        operands[0],
        w.op("bits.or", [w.op("bits.and", [operands[1], w.literal(62, "i32")]), w.literal(1, "i32")]),
      ];
    }
    const result = w.op(op, args), out = 256 + 4 * start;
    if (result.width > 1) w.effect("lanes.store", [b0, result], [out]);
    else w.effect(result.dtype === "f32" ? "f32.store" : "i32.store", [b0, result], [out]);
  }
}

Deno.test("writer: each operation means the same in WebAssembly as on the host, for one lane and for all", () => {
  const words = new Int32Array(128);
  new Float32Array(words.buffer).set(SPECIAL);
  words.set(INTEGERS, 16);
  let tried = 0;
  for (const op of OP_NAMES.filter((op) => /^(f32|i32|u32|bits)\./.test(op) || op === "blend")) {
    if (UNTRIED.has(op) || /load|store|splat|extract|replace/.test(op)) continue;
    for (const isWide of [false, true]) {
      if (isWide ? ONE_LANE.test(op) : ALL_LANES.test(op) && op !== "f32.neg" || op === "blend") continue;
      const fn = wasmFunction((w) => tryOperation(w, op, isWide));
      const bytes = encodeModule({ shared: false, functions: [fn], exports: new Map([["fn", 0]]) });
      const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536 });
      new Int32Array(memory.buffer).set(words);
      const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { m: { m: memory } });
      (exports.fn as (address: number) => void)(0);
      const found = new Int32Array(memory.buffer, 256, 16);
      const wanted = onHost(4, words, (w) => tryOperation(w, op, isWide)).subarray(64, 80);
      for (let at = 0; at < 16; at++) {
        const [x, y] = [found, wanted].map((all) => new Float32Array(all.buffer, all.byteOffset, 16)[at]);
        const same = found[at] === wanted[at] || (op.startsWith("f32") && Number.isNaN(x) && Number.isNaN(y));
        assert(
          same,
          `${op} of ${isWide ? "vectors" : "one lane"}: result ${at} is ${x} (${found[at]}), on the host ${y} (${
            wanted[at]
          })`,
        );
      }
      tried++;
    }
  }
  assert(tried > 60, `${tried} operations were tried`);
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
      w.effect("i32.store", [b0, foldLanes(w, (lane) => laneOf(w, row, lane), (x, y) => w.op("i32.add", [x, y]))], [0]);
      const joined = joinLanes(w, Array.from({ length: lanes }, (_, lane) => laneOf(w, row, lanes - 1 - lane)));
      w.effect("i32.store", [b0, laneOf(w, joined, 1)], [4]);
      const isOdd = compare(w, "ne", bits(w, "and", row, w.literal(1, "i32")), w.literal(0, "i32"));
      const again = joinLanes(w, Array.from({ length: lanes }, (_, lane) => laneOf(w, isOdd, lane)));
      const numbers = convert(w, again, "i32");
      w.effect("i32.store", [b0, foldLanes(w, (lane) => laneOf(w, numbers, lane), (x, y) => w.op("i32.add", [x, y]))], [
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
  const w = new FunctionWriter(["b0"], targetOf(4), new HostLanguage(4));
  assertThrows(() => w.parameter("b1"), Error, "a function has no parameter b1");
  const plain = new FunctionWriter(["b0"], targetOf(4), new WasmLanguage(false));
  const x = plain.op("f32.splat", [plain.literal(1, "f32")]);
  assertThrows(() => plain.op("f32.madd", [x, x, x]), Error, "a multiply-add is printed for an engine without one");
});
