/**
 * Normal random numbers by the million: the cipher and the method of Box and Muller in 128-bit WebAssembly, four
 * numbers at a time, for {@link HostRng.fillNormal}.
 */
import { encodeModule, type Instruction, type WasmType } from "../../kernels/codegen/wasm_encoder.ts";
import { KEY_PARITY, ROTATIONS } from "./threefry.ts";

/** How many numbers a call draws at most: they, and the list of doubtful ones, fit a page of memory. */
export const NORMALS_PER_CALL = 8192;

// Where things lie in memory, in bytes: how many groups are doubtful, the deviation (twice), their numbers, the values.
const DOUBTFUL = 0, DEVIATION = 16, LIST = 1024, VALUES = 32768;

/** Logarithms and cosines are closer than this share to those of JavaScript, with much to spare. */
const MARGIN = 2 ** -44;

/** Draws numbers. */
export interface NormalProgram {
  /**
   * Draws `deviation` times the normal numbers of a stream from the `first` on, a multiple of 4 and below 2^31.
   * @param keys The seed and the stream.
   * @param count At most 8,192.
   * @returns The numbers, until the next call, and the first indices of groups of four of which some may round to the
   *     other neighbour in f32.
   */
  draw(
    keys: readonly [number, number],
    first: number,
    count: number,
    deviation: number,
  ): { readonly values: Float32Array; readonly doubtful: Int32Array };
}

/** The program, or none where WebAssembly with 128-bit vectors is missing or forbidden. */
export function compileNormals(): NormalProgram | undefined {
  let memory: WebAssembly.Memory, run: (key0: number, key1: number, counter: number, end: number) => void;
  try {
    memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
    const module = new WebAssembly.Module(normalModule());
    run = new WebAssembly.Instance(module, { m: { m: memory } }).exports.draw as typeof run;
  } catch {
    return undefined;
  }
  const numbers = new Int32Array(memory.buffer), deviations = new Float64Array(memory.buffer, DEVIATION, 2);
  return {
    draw: ([key0, key1], first, count, deviation) => {
      numbers[DOUBTFUL / 4] = 0;
      deviations.fill(deviation);
      run(key0, key1, 2 * first, 4 * Math.ceil(count / 4));
      const doubtful = numbers.slice(LIST / 4, LIST / 4 + numbers[DOUBTFUL / 4]);
      return { values: new Float32Array(memory.buffer, VALUES, count), doubtful };
    },
  };
}

// Parameters and locals of the function.
const [KEY0, KEY1, COUNTER, COUNT] = [0, 1, 2, 3], AT = 4, KEYS = [5, 6, 7], X = 8, Y = 9, NEXT_X = 10, NEXT_Y = 11;
const U = 12, S = 13, Z = 14, LARGEST = 15, VALUE = 16, LOW = 17, HIGH = 18, LOW_HALF = 19, HIGH_HALF = 20;
const LOCALS: readonly WasmType[] = ["i32", ...Array<WasmType>(16).fill("v128")];

const get = (local: number): Instruction => ["local.get", local];
const set = (local: number): Instruction => ["local.set", local];
const op = (name: string): Instruction => [name];
const doubles = (value: number): Instruction => ["v128.const_f64x2", value];
/** Both lanes as 64 bits. */
const bits = (value: bigint): Instruction => doubles(new Float64Array(BigInt64Array.of(value).buffer)[0]);

/** Assigns what instructions leave to a local. */
const assign = (local: number, ...code: readonly Instruction[]): Instruction[] => [...code, set(local)];

/** The module; its function draws numbers `counter / 2` and those that follow it. */
function normalModule(): Uint8Array<ArrayBuffer> {
  const code: Instruction[] = [
    ...assign(KEYS[0], get(KEY0), op("i32x4.splat")),
    ...assign(KEYS[1], get(KEY1), op("i32x4.splat")),
    ...assign(KEYS[2], ["i32.const", KEY_PARITY], op("i32x4.splat"), get(KEYS[0]), op("v128.xor")),
    ...assign(KEYS[2], get(KEYS[2]), get(KEYS[1]), op("v128.xor")),
    op("loop"),
    ...cipher(),
    ...half(false),
    ...half(true),
    // The lower half's two numbers, then the upper half's.
    ...[[LOW, LOW_HALF], [HIGH, HIGH_HALF]].flatMap(([whole, lower]) =>
      assign(whole, get(lower), get(whole), ["i8x16.shuffle", 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23])
    ),
    ...[get(AT), ["i32.const", 2], op("i32.shl"), get(LOW), ["v128.store", VALUES]] as Instruction[],
    ...[get(LOW), get(HIGH), op("f32x4.ne"), op("v128.any_true"), op("if")],
    ...note(),
    op("end"),
    ...assign(AT, get(AT), ["i32.const", 4], op("i32.add")),
    ...[get(AT), get(COUNT), op("i32.lt_u"), ["br_if", 0], op("end")] as Instruction[],
  ];
  const draw = { parameters: ["key0", "key1", "counter", "count"], locals: LOCALS, code };
  return encodeModule({ shared: false, functions: [draw], exports: new Map([["draw", 0]]) });
}

/** Appends `AT` to the list. */
function note(): Instruction[] {
  const count: Instruction[] = [["i32.const", 0], ["i32.load", DOUBTFUL]];
  return [
    ...[...count, ["i32.const", 2], op("i32.shl"), get(AT), ["i32.store", LIST]] as Instruction[],
    ...[["i32.const", 0], ...count, ["i32.const", 1], op("i32.add"), ["i32.store", DOUBTFUL]] as Instruction[],
  ];
}

/** Encrypts the counters of four numbers: the even ones to X and Y, the odd ones to NEXT_X and NEXT_Y. */
function cipher(): Instruction[] {
  const counters: Instruction[] = [get(COUNTER), get(AT), ["i32.const", 1], op("i32.shl"), op("i32.add")];
  const code: Instruction[] = [
    ...assign(X, ...counters, op("i32x4.splat"), ...lanes(0, 2, 4, 6), op("i32x4.add"), get(KEYS[0]), op("i32x4.add")),
    ...assign(NEXT_X, get(X), ...lanes(1, 1, 1, 1), op("i32x4.add")),
    ...[Y, NEXT_Y].flatMap((y) => assign(y, get(KEYS[1]))),
  ];
  for (let injection = 1; injection <= 5; injection++) {
    for (const distance of ROTATIONS[(injection - 1) % 2]) {
      for (const [x, y] of [[X, Y], [NEXT_X, NEXT_Y]]) {
        code.push(...assign(x, get(x), get(y), op("i32x4.add")));
        const shifted = (name: string, by: number): Instruction[] => [get(y), ["i32.const", by], op(name)];
        const rotated = [...shifted("i32x4.shl", distance), ...shifted("i32x4.shr_u", 32 - distance), op("v128.or")];
        code.push(...assign(y, ...rotated, get(x), op("v128.xor")));
      }
    }
    for (const [x, y] of [[X, Y], [NEXT_X, NEXT_Y]]) {
      const number: Instruction[] = [["i32.const", injection], op("i32x4.splat"), op("i32x4.add")];
      code.push(...assign(x, get(x), get(KEYS[injection % 3]), op("i32x4.add")));
      code.push(...assign(y, get(y), get(KEYS[(injection + 1) % 3]), op("i32x4.add"), ...number));
    }
  }
  return code;
}

/** Four 32-bit integers. */
function lanes(...values: readonly [number, number, number, number]): Instruction[] {
  return [
    ["i32.const", values[0]],
    op("i32x4.splat"),
    ...values.flatMap((value, lane): Instruction[] =>
      value === values[0] ? [] : [["i32.const", value], ["i32x4.replace_lane", lane]]
    ),
  ];
}

/** Two of the four numbers, rounded to f32 after the margin was taken away and added. */
function half(isUpper: boolean): Instruction[] {
  return [
    ...assign(U, doubles(1), ...fraction(X, Y, isUpper), op("f64x2.sub")),
    ...assign(LARGEST, ...logarithm(), doubles(-2), op("f64x2.mul"), op("f64x2.sqrt")),
    ...assign(LARGEST, get(LARGEST), ["i32.const", 0], ["v128.load", DEVIATION], op("f64x2.mul")),
    ...assign(VALUE, get(LARGEST), ...cosine(fraction(NEXT_X, NEXT_Y, isUpper)), op("f64x2.mul")),
    ...assign(LARGEST, get(LARGEST), doubles(MARGIN), op("f64x2.mul")),
    ...assign(isUpper ? LOW : LOW_HALF, get(VALUE), get(LARGEST), op("f64x2.sub"), op("f32x4.demote_f64x2_zero")),
    ...assign(isUpper ? HIGH : HIGH_HALF, get(VALUE), get(LARGEST), op("f64x2.add"), op("f32x4.demote_f64x2_zero")),
  ];
}

/** 53 of 64 random bits as numbers in [0, 1). */
function fraction(x: number, y: number, isUpper: boolean): Instruction[] {
  const upper: Instruction = ["i8x16.shuffle", 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];
  const part = (word: number, bits: number, scale: number): Instruction[] => [
    ...(isUpper ? [get(word), get(word), upper] : [get(word)]),
    ...[["i32.const", bits], op("i32x4.shr_u")] as Instruction[],
    ...[op("f64x2.convert_low_i32x4_u"), doubles(scale), op("f64x2.mul")],
  ];
  return [...part(x, 5, 2 ** -27), ...part(y, 6, 2 ** -53), op("f64x2.add")];
}

/**
 * The natural logarithm of U in (0, 1]: `k ln 2 + log m` with m between the roots of 1/2 and 2, by the series of
 * `log((1 + s) / (1 - s))`, exact near 1.
 */
function logarithm(): Instruction[] {
  const ONE = 0x3ff0000000000000n, ROOT = 0x3fe6a09e00000000n, MANTISSA = 0x000fffffffffffffn;
  // An integer below 2^52 in the mantissa of 2^52.
  const WHOLE = 0x4330000000000000n;
  const mantissa = [get(Z), bits(MANTISSA), op("v128.and"), bits(ROOT), op("i64x2.add")];
  const series = Array.from({ length: 11 }, (_, i) => 2 / (2 * i + 1));
  return [
    ...assign(Z, get(U), bits(ONE - ROOT), op("i64x2.add")),
    ...assign(U, get(Z), ["i32.const", 52], op("i64x2.shr_u"), bits(WHOLE), op("v128.or")),
    ...assign(U, get(U), doubles(2 ** 52 + 1023), op("f64x2.sub"), doubles(Math.LN2), op("f64x2.mul")),
    ...assign(S, ...mantissa),
    ...assign(S, get(S), doubles(1), op("f64x2.sub"), get(S), doubles(1), op("f64x2.add"), op("f64x2.div")),
    ...assign(Z, get(S), get(S), op("f64x2.mul")),
    ...[...polynomial(Z, series), get(S), op("f64x2.mul"), get(U), op("f64x2.add")],
  ];
}

/** `cos(2 pi t)` for t in [0, 1): the sine of what the angle lacks to a quarter turn. */
function cosine(turns: readonly Instruction[]): Instruction[] {
  // The series of `sin(2 pi s) / s` in s^2; the next term would add 2^-52.
  const series = [2 * Math.PI];
  for (let k = 2; series.length < 10; k += 2) series.push(-series.at(-1)! * (2 * Math.PI) ** 2 / (k * (k + 1)));
  return [
    ...assign(S, ...turns, doubles(0.5), op("f64x2.sub"), op("f64x2.abs"), doubles(0.25), op("f64x2.sub")),
    ...assign(Z, get(S), get(S), op("f64x2.mul")),
    ...[...polynomial(Z, series), get(S), op("f64x2.mul")],
  ];
}

/** `c[0] + c[1] x + c[2] x^2 + ...` */
function polynomial(x: number, coefficients: readonly number[]): Instruction[] {
  return coefficients.reduceRight<Instruction[]>(
    (code, c) => code.length ? [...code, get(x), op("f64x2.mul"), doubles(c), op("f64x2.add")] : [doubles(c)],
    [],
  );
}
