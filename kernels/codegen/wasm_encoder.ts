/**
 * A small assembler for WebAssembly: represents instructions as data, and writes them as a binary module or as text.
 *
 * Supports only what the printers of devices and random numbers use. See https://webassembly.github.io/spec/core/binary/.
 */
import { invariant } from "../../core/errors.ts";

/** The WebAssembly type of a local. */
export type WasmType = "i32" | "f32" | "v128";

/**
 * The immediates of an opcode: none, integers, a float, a double for two lanes, or a memory access (byte offset, then
 * lane if any).
 */
type Immediates =
  | "none"
  | "index"
  | "float"
  | "doubles"
  | "memory"
  | "halfMemory"
  | "memoryLane"
  | "lane"
  | "shuffle"
  | "block";

/** Opcodes as `prefix * 0x10000 + code`. */
const OPCODES: ReadonlyMap<string, readonly [code: number, immediates: Immediates]> = new Map(opcodes());

function* opcodes(): Generator<[string, readonly [number, Immediates]]> {
  const list = function* (
    prefix: number,
    immediates: Immediates,
    text: string,
  ): Generator<[string, readonly [number, Immediates]]> {
    for (const item of text.trim().split(/\s+/)) {
      const [name, code] = item.split("=");
      yield [name, [prefix * 0x10000 + Number(`0x${code}`), immediates]];
    }
  };
  yield* list(0, "block", "block=02 loop=03 if=04");
  yield* list(0, "none", "else=05 end=0b return=0f drop=1a select=1b");
  yield* list(0, "index", "br=0c br_if=0d call=10 local.get=20 local.set=21 local.tee=22 i32.const=41");
  yield* list(0, "float", "f32.const=43");
  yield* list(0, "memory", "i32.load=28 f32.load=2a i32.store=36 f32.store=38");
  yield* list(
    0,
    "none",
    "i32.eqz=45 i32.eq=46 i32.ne=47 i32.lt_s=48 i32.lt_u=49 i32.gt_s=4a i32.gt_u=4b i32.le_s=4c i32.le_u=4d i32.ge_s=4e i32.ge_u=4f",
  );
  yield* list(0, "none", "f32.eq=5b f32.ne=5c f32.lt=5d f32.gt=5e f32.le=5f f32.ge=60");
  yield* list(
    0,
    "none",
    "i32.add=6a i32.sub=6b i32.mul=6c i32.div_s=6d i32.div_u=6e i32.rem_s=6f i32.rem_u=70 i32.and=71 i32.or=72 i32.xor=73",
  );
  yield* list(
    0,
    "none",
    "i32.shl=74 i32.shr_s=75 i32.shr_u=76 f32.abs=8b f32.neg=8c f32.floor=8e f32.trunc=8f f32.nearest=90 f32.sqrt=91",
  );
  yield* list(0, "none", "f32.add=92 f32.sub=93 f32.mul=94 f32.div=95 f32.min=96 f32.max=97 f32.copysign=98");
  yield* list(0, "none", "f32.convert_i32_s=b2 f32.convert_i32_u=b3 i32.reinterpret_f32=bc f32.reinterpret_i32=be");
  yield* list(0xfc, "none", "i32.trunc_sat_f32_s=0 i32.trunc_sat_f32_u=1");
  yield* list(0xfd, "memory", "v128.load=0 v128.load32_splat=9 v128.store=b v128.load32_zero=5c");
  yield* list(0, "halfMemory", "i32.load16_u=2f i32.store16=3b");
  yield* list(0xfd, "halfMemory", "v128.load16x4_u=4");
  yield* list(0xfd, "memoryLane", "v128.load32_lane=56 v128.store32_lane=5a v128.store64_lane=5b");
  yield* list(0xfd, "none", "i16x8.narrow_i32x4_u=86");
  yield* list(0xfd, "shuffle", "i8x16.shuffle=d");
  yield* list(0xfd, "lane", "i32x4.extract_lane=1b i32x4.replace_lane=1c f32x4.extract_lane=1f f32x4.replace_lane=20");
  yield* list(
    0xfd,
    "none",
    "i32x4.splat=11 f32x4.splat=13 i32x4.eq=37 i32x4.ne=38 i32x4.lt_s=39 i32x4.lt_u=3a i32x4.gt_s=3b i32x4.gt_u=3c i32x4.le_s=3d",
  );
  yield* list(
    0xfd,
    "none",
    "i32x4.le_u=3e i32x4.ge_s=3f i32x4.ge_u=40 f32x4.eq=41 f32x4.ne=42 f32x4.lt=43 f32x4.gt=44 f32x4.le=45 f32x4.ge=46",
  );
  yield* list(
    0xfd,
    "none",
    "v128.not=4d v128.and=4e v128.andnot=4f v128.or=50 v128.xor=51 v128.bitselect=52 v128.any_true=53 f32x4.floor=68 f32x4.trunc=69",
  );
  yield* list(
    0xfd,
    "none",
    "f32x4.nearest=6a i32x4.abs=a0 i32x4.neg=a1 i32x4.all_true=a3 i32x4.shl=ab i32x4.shr_s=ac i32x4.shr_u=ad i32x4.add=ae",
  );
  yield* list(
    0xfd,
    "none",
    "i32x4.sub=b1 i32x4.mul=b5 i32x4.min_s=b6 i32x4.min_u=b7 i32x4.max_s=b8 i32x4.max_u=b9 f32x4.abs=e0 f32x4.neg=e1 f32x4.sqrt=e3",
  );
  yield* list(
    0xfd,
    "none",
    "f32x4.add=e4 f32x4.sub=e5 f32x4.mul=e6 f32x4.div=e7 f32x4.min=e8 f32x4.max=e9 f32x4.pmin=ea f32x4.pmax=eb",
  );
  yield* list(
    0xfd,
    "none",
    "i32x4.trunc_sat_f32x4_s=f8 i32x4.trunc_sat_f32x4_u=f9 f32x4.convert_i32x4_s=fa f32x4.convert_i32x4_u=fb f32x4.relaxed_madd=105",
  );
  yield* list(0xfd, "doubles", "v128.const_f64x2=c");
  yield* list(
    0xfd,
    "none",
    "f32x4.demote_f64x2_zero=5e f64x2.promote_low_f32x4=5f f64x2.nearest=94 f64x2.add=f0 f64x2.sub=f1 f64x2.mul=f2 f64x2.div=f3",
  );
  yield* list(0xfd, "none", "f64x2.abs=ec f64x2.sqrt=ef f64x2.convert_low_i32x4_u=ff i64x2.shr_u=cd i64x2.add=ce");
  yield* list(
    0xfe,
    "memory",
    "memory.atomic.notify=0 memory.atomic.wait32=1 i32.atomic.load=10 i32.atomic.store=17 i32.atomic.rmw.add=1e",
  );
  // An i64 constant occurs only as the timeout of a wait.
  yield* list(0, "index", "i64.const=42");
}

/** An opcode's name with its immediates. */
export type Instruction = readonly [op: string, ...immediates: number[]];

/** A growable byte buffer. */
export class Bytes {
  #data = new Uint8Array(1024);
  #view = new DataView(this.#data.buffer);
  length = 0;

  #reserve(count: number): void {
    if (this.length + count <= this.#data.length) return;
    const grown = new Uint8Array(Math.max(2 * this.#data.length, this.length + count));
    grown.set(this.#data.subarray(0, this.length));
    this.#data = grown;
    this.#view = new DataView(grown.buffer);
  }

  /** One byte. */
  byte(value: number): void {
    this.#reserve(1);
    this.#data[this.length++] = value;
  }

  /** Appends bytes unchanged. */
  bytes(values: Uint8Array): void {
    this.#reserve(values.length);
    this.#data.set(values, this.length);
    this.length += values.length;
  }

  /** An unsigned 32-bit integer, LEB128. */
  unsigned(value: number): void {
    let rest = value >>> 0;
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.byte(rest);
  }

  /** A signed 32-bit integer, LEB128. */
  signed(value: number): void {
    let rest = value | 0;
    while (rest < -64 || rest > 63) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>= 7;
    }
    this.byte(rest & 0x7f);
  }

  /** A 32-bit float. */
  float(value: number): void {
    this.#reserve(4);
    this.#view.setFloat32(this.length, value, true);
    this.length += 4;
  }

  /** A 64-bit float. */
  double(value: number): void {
    this.#reserve(8);
    this.#view.setFloat64(this.length, value, true);
    this.length += 8;
  }

  /** A name: its length, then its bytes. */
  name(text: string): void {
    const encoded = new TextEncoder().encode(text);
    this.unsigned(encoded.length);
    this.bytes(encoded);
  }

  /** A copy of the bytes written so far. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#data.slice(0, this.length);
  }
}

const TYPE_BYTES: Readonly<Record<WasmType, number>> = { i32: 0x7f, f32: 0x7d, v128: 0x7b };

/** A function of a module. All parameters are i32; it returns nothing. */
export interface WasmFunction {
  /** Names of the parameters, for the text format. */
  readonly parameters: readonly string[];
  /** Types of the locals after the parameters. */
  readonly locals: readonly WasmType[];
  readonly code: readonly Instruction[];
}

/** The locals and code of a function, as encoded in the code section. */
export function encodeBody({ locals, code }: WasmFunction): Uint8Array<ArrayBuffer> {
  const out = new Bytes();
  const runs: [WasmType, number][] = [];
  for (const type of locals) {
    const last = runs[runs.length - 1];
    if (last?.[0] === type) last[1]++;
    else runs.push([type, 1]);
  }
  out.unsigned(runs.length);
  for (const [type, count] of runs) {
    out.unsigned(count);
    out.byte(TYPE_BYTES[type]);
  }
  for (const instruction of code) encodeInstruction(out, instruction);
  out.byte(0x0b);
  return out.finish();
}

function encodeInstruction(out: Bytes, instruction: Instruction): void {
  const op = instruction[0], known = OPCODES.get(op);
  invariant(known, `the WebAssembly instruction ${op} is unknown`);
  const code = known[0], immediates = known[1];
  if (code >= 0x10000) {
    out.byte(code >>> 16);
    out.unsigned(code & 0xffff);
  } else {
    out.byte(code);
  }
  switch (immediates) {
    case "block":
      return out.byte(0x40);
    case "index":
      return op.endsWith(".const") ? out.signed(instruction[1]) : out.unsigned(instruction[1]);
    case "float":
      return out.float(instruction[1]);
    case "doubles":
      out.double(instruction[1]);
      return out.double(instruction[1]);
    case "memory":
    case "halfMemory":
    case "memoryLane":
      // Atomics require natural alignment; for other accesses, it is a hint, which is always true: 4 bytes, or 2.
      out.unsigned(immediates === "halfMemory" || op === "v128.store64_lane" ? 1 : 2);
      out.unsigned(instruction[1]);
      if (immediates === "memoryLane") out.byte(instruction[2]);
      return;
    case "lane":
    case "shuffle":
      for (let at = 1; at < instruction.length; at++) out.byte(instruction[at] as number);
  }
}

/** A module that imports its memory as `m.m`. */
export interface WasmModule {
  readonly shared: boolean;
  readonly functions: readonly WasmFunction[];
  /** Names of exported functions, by index. */
  readonly exports: ReadonlyMap<string, number>;
  /** Functions that were already encoded by {@link encodeBody}. */
  readonly bodies?: ReadonlyMap<WasmFunction, Uint8Array>;
}

/** Encodes a module. */
export function encodeModule({ shared, functions, exports, bodies }: WasmModule): Uint8Array<ArrayBuffer> {
  const out = new Bytes();
  out.bytes(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
  const section = (id: number, write: (body: Bytes) => void): void => {
    const body = new Bytes();
    write(body);
    out.byte(id);
    out.unsigned(body.length);
    out.bytes(body.finish());
  };
  const arities = [...new Set(functions.map(({ parameters }) => parameters.length))];
  section(1, (body) => {
    body.unsigned(arities.length);
    for (const arity of arities) {
      body.byte(0x60);
      body.unsigned(arity);
      for (let i = 0; i < arity; i++) body.byte(TYPE_BYTES.i32);
      body.unsigned(0);
    }
  });
  section(2, (body) => {
    body.unsigned(1);
    body.name("m");
    body.name("m");
    body.byte(2);
    body.byte(shared ? 3 : 1);
    body.unsigned(1);
    body.unsigned(MAX_PAGES);
  });
  section(3, (body) => {
    body.unsigned(functions.length);
    for (const { parameters } of functions) body.unsigned(arities.indexOf(parameters.length));
  });
  section(7, (body) => {
    body.unsigned(exports.size);
    for (const [name, number] of exports) {
      body.name(name);
      body.byte(0);
      body.unsigned(number);
    }
  });
  section(10, (body) => {
    body.unsigned(functions.length);
    for (const fn of functions) {
      const code = bodies?.get(fn) ?? encodeBody(fn);
      body.unsigned(code.length);
      body.bytes(code);
    }
  });
  return out.finish();
}

/** Maximum memory size in pages of 64 KiB: 4 GiB. */
export const MAX_PAGES = 65536;

/** A function as text, one instruction per line, in stack machine order. */
export function printFunction({ parameters, locals, code }: WasmFunction): string {
  const name = (number: number): string => (number < parameters.length ? `$${parameters[number]}` : `$${number}`);
  const lines = [`(func ${parameters.map((parameter) => `(param $${parameter} i32)`).join(" ")}`];
  locals.forEach((type, i) => lines.push(`  (local $${parameters.length + i} ${type})`));
  let depth = 1;
  for (const [op, ...values] of code) {
    if (op === "end" || op === "else") depth--;
    const texts = op.startsWith("local.") ? values.map(name) : values.map(String);
    lines.push("  ".repeat(depth) + [op, ...texts].join(" "));
    if (op === "block" || op === "loop" || op === "if" || op === "else") depth++;
  }
  return `${lines.join("\n")})\n`;
}
