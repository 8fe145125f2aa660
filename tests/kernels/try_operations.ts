/** Tries each operation of the writer on special values, for the tests of languages: it must mean the same in all. */
import { assert } from "@std/assert";
import { FunctionWriter, type Parameter } from "../../kernels/codegen/function_writer.ts";
import { OP_NAMES, type OpName } from "../../kernels/codegen/operations.ts";
import type { Target } from "../../kernels/codegen/target.ts";
import type { Value, Writer } from "../../kernels/codegen/writer.ts";
import { TILES } from "../../kernels/devices/wasm/print_kernel.ts";
import { callOnHost, HostLanguage, type HostLine } from "./host_language.ts";

/** The only parameter of functions that are tried: the address of their memory. */
export const B0: Parameter = { name: "b0", type: "address" };

/** A machine with that many lanes. */
export function targetOf(lanes: number, gathers = false): Target {
  return { lanes, fused: true, gathers, tiles: [TILES] };
}

/** Runs a function of the address 0 on the host: `words` of memory, then as it left them. */
export function onHost(lanes: number, words: Int32Array, body: (w: Writer) => void): Int32Array {
  const w = new FunctionWriter<HostLine>([B0], targetOf(lanes, true), new HostLanguage(lanes));
  body(w);
  const memory = new ArrayBuffer(Math.max(words.byteLength, 4096));
  new Int32Array(memory).set(words);
  return callOnHost(w.finish(), memory, 0).i;
}

const SPECIAL = [0, -0, 1, -1, 0.5, -2.5, 3.5, 1e-40, 3e38, -3e38, 5e9, -5e9, Infinity, -Infinity, NaN, 7];
const INTEGERS = [0, 1, -1, 7, -7, 2147483647, -2147483648, 65536, 5, 3, -3, 100, -100, 12, 31, 2];

/** Words of memory that operations are tried on. Results follow at byte 256. */
export function operandWords(): Int32Array<ArrayBuffer> {
  const words = new Int32Array(128);
  new Float32Array(words.buffer).set(SPECIAL);
  words.set(INTEGERS, 16);
  return words;
}

/** Operations that memory has, or that are tried by their users in the tests of kernels. */
const UNTRIED: ReadonlySet<string> = new Set(["lanes.load", "lanes.load_splat", "f32.demote"]);
const ONE_LANE = /^i32\.(div|rem)_s|copysign|eqz|reinterpret/, ALL_LANES = /\.(pmin|pmax|madd|neg|min_|max_|ramp)/;
/** What only some targets have. */
const GATHERS = /ramp|gather|scatter/, BY_SCALAR = /sh[lr]|(div|rem)_u/;

/** An operation of one lane, or of all. */
export interface Trial {
  readonly op: OpName;
  readonly isWide: boolean;
  readonly body: (w: Writer) => void;
}

/** All that can be tried on a target. */
export function trialsOf({ fused, gathers }: Pick<Target, "fused" | "gathers">): Trial[] {
  const tried = OP_NAMES.filter((op) =>
    (/^(f32|i32|u32|bits)\./.test(op) || op === "blend" || /gather|scatter/.test(op)) && !UNTRIED.has(op) &&
    !/load|store|splat|extract|replace/.test(op) && (fused || op !== "f32.madd") && (gathers || !GATHERS.test(op))
  );
  const trials = tried.flatMap((op) =>
    [false, true].flatMap((isWide): Trial[] => {
      const isNarrow = !ALL_LANES.test(op) && !GATHERS.test(op) && op !== "blend" || op === "f32.neg";
      if (isWide ? ONE_LANE.test(op) || /(div|rem)_u/.test(op) && !gathers : !isNarrow) return [];
      return [{ op, isWide, body: (w) => tryOperation(w, op, isWide) }];
    })
  );
  assert(trials.length > 60, `${trials.length} operations are tried`);
  return trials;
}

/** Checks what a trial left in memory. @throws at the first result that differs from the host's. */
export function checkTrial({ op, isWide, body }: Trial, lanes: number, words: Int32Array): void {
  const found = words.subarray(64, 80), wanted = onHost(lanes, operandWords(), body).subarray(64, 80);
  for (let at = 0; at < 16; at++) {
    const [x, y] = [found, wanted].map((all) => new Float32Array(all.buffer, all.byteOffset, 16)[at]);
    const same = found[at] === wanted[at] || (op.startsWith("f32") && Number.isNaN(x) && Number.isNaN(y));
    const what = `${op} of ${isWide ? `${lanes} lanes` : "one lane"}`;
    assert(same, `${what}: result ${at} is ${x} (${found[at]}), on the host ${y} (${wanted[at]})`);
  }
}

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
    if (BY_SCALAR.test(op)) args = [operands[0], w.literal(5, "i32")];
    if (op === "blend") args[2] = w.op("i32.lt_s", [args[2], args[0]]);
    // Divisors that are 0, and quotients that overflow, are not asked for.
    if (/i32.(div|rem)_s/.test(op)) {
      args = [
        operands[0],
        w.op("bits.or", [w.op("bits.and", [operands[1], w.literal(62, "i32")]), w.literal(1, "i32")]),
      ];
    }
    const out = 256 + 4 * start;
    if (GATHERS.test(op)) {
      // Lanes in reverse order.
      const reversed = w.op("i32.sub", [w.op("i32.splat", [w.literal(w.lanes - 1, "i32")]), w.op("i32.ramp", [], [1])]);
      if (op === "lanes.scatter") {
        w.effect(op, [b0, reversed, operands[0]], [out]);
        continue;
      }
      args = op === "lanes.gather" ? [b0, reversed] : [];
    }
    const result = op === "i32.ramp" ? w.op(op, [], [-3]) : w.op(op, args, op === "lanes.gather" ? [4 * start] : []);
    if (result.width > 1) w.effect("lanes.store", [b0, result], [out]);
    else w.effect(result.dtype === "f32" ? "f32.store" : "i32.store", [b0, result], [out]);
  }
}
