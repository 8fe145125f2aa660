/** WebAssembly as a kernel language: 128-bit SIMD, W = 4. */
import { invariant } from "../../../core/errors.ts";
import { isOperation, type Language, type LoopHead, type Operand, type Operation } from "../../codegen/language.ts";
import { OP_NAMES, type OpName } from "../../codegen/operations.ts";
import type { Instruction } from "../../codegen/wasm_encoder.ts";

/** Operations whose name is not `f32`, `f32x4`, `i32` or `i32x4` followed by their own. */
const SCALARS: Readonly<Partial<Record<OpName, string>>> = {
  "address.add": "i32.add",
  "address.sub": "i32.sub",
  "bits.and": "i32.and",
  "bits.or": "i32.or",
  "bits.xor": "i32.xor",
  "select": "select",
  "f32.from_i32": "f32.convert_i32_s",
  "f32.from_u32": "f32.convert_i32_u",
  "i32.from_f32": "i32.trunc_sat_f32_s",
  "u32.from_f32": "i32.trunc_sat_f32_u",
  "i32.reinterpret": "i32.reinterpret_f32",
  "f32.reinterpret": "f32.reinterpret_i32",
  "u16.load": "i32.load16_u",
  "u16.store": "i32.store16",
};

/** See {@link SCALARS}; on vectors, or converting from or to them. */
const VECTORS: Readonly<Partial<Record<OpName, string>>> = {
  "bits.and": "v128.and",
  "bits.or": "v128.or",
  "bits.xor": "v128.xor",
  "select": "select",
  "blend": "v128.bitselect",
  "f32.from_i32": "f32x4.convert_i32x4_s",
  "f32.from_u32": "f32x4.convert_i32x4_u",
  "i32.from_f32": "i32x4.trunc_sat_f32x4_s",
  "u32.from_f32": "i32x4.trunc_sat_f32x4_u",
  "f32.madd": "f32x4.relaxed_madd",
  "f32.extract": "f32x4.extract_lane",
  "i32.extract": "i32x4.extract_lane",
  "f32.replace": "f32x4.replace_lane",
  "i32.replace": "i32x4.replace_lane",
  "f32.demote": "f32x4.demote_f64x2_zero",
  "any": "v128.any_true",
  "shuffle": "i8x16.shuffle",
  "lanes.load": "v128.load",
  "lanes.load_splat": "v128.load32_splat",
  "lanes.store": "v128.store",
  "lanes.store_lane": "v128.store32_lane",
  "lanes.load_u16": "v128.load16x4_u",
  "lanes.store_u16": "v128.store64_lane",
  "f64.const": "v128.const_f64x2",
  "f64.promote_low": "f64x2.promote_low_f32x4",
};

const SCALAR_OPCODES: ReadonlyMap<OpName, string> = new Map(OP_NAMES.map((op) => [op, SCALARS[op] ?? op]));
const VECTOR_OPCODES: ReadonlyMap<OpName, string> = new Map(
  OP_NAMES.map((op) => [op, VECTORS[op] ?? op.replace(/^([fi]32)\./, "$1x4.").replace(/^f64\./, "f64x2.")]),
);

function opcodeOf({ op, args, width }: Operation): string {
  // An operation from a vector to one lane, such as an extraction, takes the vector first.
  const isVector = width > 1 || (args.length > 0 && args[0].width > 1);
  return (isVector ? VECTOR_OPCODES : SCALAR_OPCODES).get(op)!;
}

/** The byte indices of a vector's lanes. */
function bytesOf(lanes: readonly number[]): number[] {
  return lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte));
}

/** Prints operations as stack machine instructions. */
export class WasmLanguage implements Language<Instruction> {
  /** @param relaxed Whether the relaxed multiply-add is available. */
  constructor(readonly relaxed: boolean) {}

  /** Pushes a value. */
  #push(out: Instruction[], operand: Operand): void {
    if (isOperation(operand)) return this.#operate(out, operand);
    const { local, literal, dtype } = operand;
    if (local !== undefined) out.push(["local.get", local]);
    else out.push(dtype === "f32" ? ["f32.const", literal] : ["i32.const", literal]);
  }

  #operate(out: Instruction[], operation: Operation): void {
    const { op, args, immediates } = operation;
    invariant(op !== "f32.madd" || this.relaxed, "a multiply-add is printed for an engine without one");
    // The four low halves of a vector become its lower half, which is then stored.
    if (op === "lanes.store_u16") {
      this.#push(out, args[0]);
      for (let half = 0; half < 2; half++) this.#push(out, args[1]);
      out.push(["i16x8.narrow_i32x4_u"], ["v128.store64_lane", ...immediates, 0]);
      return;
    }
    for (const arg of args) this.#push(out, arg);
    out.push([opcodeOf(operation), ...(op === "shuffle" ? bytesOf(immediates) : immediates)]);
  }

  /** `local = value`. */
  assign(out: Instruction[], local: number, value: Operand): void {
    this.#push(out, value);
    out.push(["local.set", local]);
  }

  /** An operation with side effects and no result. */
  effect(out: Instruction[], operation: Operation): void {
    this.#operate(out, operation);
  }

  /** A loop that tests its condition before the first iteration and after each. */
  loop(out: Instruction[], { counter, start, end, step }: LoopHead, body: readonly Instruction[]): void {
    this.#push(out, start);
    out.push(["local.tee", counter]);
    this.#push(out, end);
    out.push(["i32.lt_s"], ["if"], ["loop"]);
    for (const instruction of body) out.push(instruction);
    out.push(["local.get", counter], ["i32.const", step], ["i32.add"], ["local.tee", counter]);
    this.#push(out, end);
    out.push(["i32.lt_s"], ["br_if", 0], ["end"], ["end"]);
  }

  /** A loop that counts down to 0. */
  countdown(out: Instruction[], left: number, turns: Operand, body: readonly Instruction[]): void {
    this.#push(out, turns);
    out.push(["local.tee", left], ["if"], ["loop"]);
    for (const instruction of body) out.push(instruction);
    out.push(["local.get", left], ["i32.const", 1], ["i32.sub"], ["local.tee", left], ["br_if", 0], ["end"], ["end"]);
  }

  /** A body that runs if a condition holds. */
  when(out: Instruction[], condition: Operand, body: readonly Instruction[]): void {
    this.#push(out, condition);
    out.push(["if"]);
    for (const instruction of body) out.push(instruction);
    out.push(["end"]);
  }
}
