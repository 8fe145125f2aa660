/**
 * A language of kernels whose lines are functions: what a printer writes runs right here, in vectors of any width. It
 * says what each operation means, and shows that printers know neither a width nor a machine.
 */
import {
  isOperation,
  type Language,
  type LoopHead,
  type Operand,
  type Operation,
} from "../../kernels/codegen/language.ts";
import type { OpName } from "../../kernels/codegen/operations.ts";
import { type PrintedKernel, printKernel } from "../../kernels/codegen/print_kernel.ts";
import type { Target } from "../../kernels/codegen/target.ts";
import type { WrittenFunction } from "../../kernels/codegen/function_writer.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import type { Elements } from "./print_harness.ts";

/** Machines with 4, 8 and 16 lanes, with tiles that fit their registers. */
export const TARGETS: readonly Target[] = [
  {
    lanes: 4,
    fused: false,
    gathers: false,
    tiles: [{ wide: { rows: 6, columns: 8 }, narrow: { rows: 8, columns: 4 } }],
  },
  {
    lanes: 8,
    fused: true,
    gathers: true,
    tiles: [{ wide: { rows: 6, columns: 16 }, narrow: { rows: 8, columns: 8 } }],
  },
  {
    lanes: 16,
    fused: false,
    gathers: true,
    tiles: [
      { wide: { rows: 6, columns: 64 }, narrow: { rows: 12, columns: 16 } },
      { wide: { rows: 12, columns: 32 }, narrow: { rows: 12, columns: 16 } },
    ],
    fewRows: 64,
  },
];

/** The lanes of a vector, as floats, integers and doubles. */
export class Lanes {
  readonly i: Int32Array;
  readonly f: Float32Array;
  readonly d: Float64Array;

  constructor(width: number) {
    this.i = new Int32Array(width);
    this.f = new Float32Array(this.i.buffer);
    this.d = new Float64Array(this.i.buffer);
  }
}

type Cell = number | Lanes;

/** A call in progress. */
export interface Frame {
  readonly locals: Cell[];
  readonly i: Int32Array;
  readonly f: Float32Array;
}

/** A line of code. */
export type HostLine = (frame: Frame) => void;

/** A rule for one element: whether it takes floats or integers, what it gives, and how. */
interface Rule {
  readonly takes: "f" | "i";
  readonly gives: "f" | "i" | "mask";
  readonly fn: (x: number, y: number, z: number) => number;
}

const float = (fn: Rule["fn"]): Rule => ({ takes: "f", gives: "f", fn });
const integer = (fn: Rule["fn"]): Rule => ({ takes: "i", gives: "i", fn });
const test = (takes: "f" | "i", fn: (x: number, y: number) => boolean): Rule => ({
  takes,
  gives: "mask",
  fn: (x, y) => Number(fn(x, y)),
});
const saturate = (x: number, low: number, high: number) => Number.isNaN(x) ? 0 : Math.min(high, Math.max(low, x));

/** The nearest whole number, of two the even one. */
function nearest(x: number): number {
  return Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x);
}

const ELEMENTWISE: Readonly<Partial<Record<OpName, Rule>>> = {
  "f32.add": float((x, y) => x + y),
  "f32.sub": float((x, y) => x - y),
  "f32.mul": float((x, y) => x * y),
  "f32.div": float((x, y) => x / y),
  "f32.abs": float(Math.abs),
  "f32.neg": float((x) => -x),
  "f32.floor": float(Math.floor),
  "f32.trunc": float(Math.trunc),
  "f32.nearest": float(nearest),
  "f32.sqrt": float(Math.sqrt),
  "f32.min": float((x, y) => Math.min(x, y)),
  "f32.max": float((x, y) => Math.max(x, y)),
  "f32.pmin": float((x, y) => (y < x ? y : x)),
  "f32.pmax": float((x, y) => (x < y ? y : x)),
  "f32.copysign": float((x, y) => (y < 0 || Object.is(y, -0) ? -Math.abs(x) : Math.abs(x))),
  "f32.madd": float((x, y, z) => x * y + z),
  "f32.eq": test("f", (x, y) => x === y),
  "f32.ne": test("f", (x, y) => x !== y),
  "f32.lt": test("f", (x, y) => x < y),
  "f32.gt": test("f", (x, y) => x > y),
  "f32.le": test("f", (x, y) => x <= y),
  "f32.ge": test("f", (x, y) => x >= y),
  "address.add": integer((x, y) => x + y),
  "address.sub": integer((x, y) => x - y),
  "i32.add": integer((x, y) => x + y),
  "i32.sub": integer((x, y) => x - y),
  "i32.mul": integer(Math.imul),
  "i32.div_s": integer((x, y) => Math.trunc(x / y)),
  "i32.rem_s": integer((x, y) => x % y),
  "i32.neg": integer((x) => -x),
  "i32.min_s": integer((x, y) => Math.min(x, y)),
  "i32.max_s": integer((x, y) => Math.max(x, y)),
  "i32.min_u": integer((x, y) => Math.min(x >>> 0, y >>> 0)),
  "i32.max_u": integer((x, y) => Math.max(x >>> 0, y >>> 0)),
  "i32.eq": test("i", (x, y) => x === y),
  "i32.ne": test("i", (x, y) => x !== y),
  "i32.lt_s": test("i", (x, y) => x < y),
  "i32.gt_s": test("i", (x, y) => x > y),
  "i32.le_s": test("i", (x, y) => x <= y),
  "i32.ge_s": test("i", (x, y) => x >= y),
  "i32.lt_u": test("i", (x, y) => x >>> 0 < y >>> 0),
  "i32.gt_u": test("i", (x, y) => x >>> 0 > y >>> 0),
  "i32.le_u": test("i", (x, y) => x >>> 0 <= y >>> 0),
  "i32.ge_u": test("i", (x, y) => x >>> 0 >= y >>> 0),
  "i32.eqz": test("i", (x) => x === 0),
  "bits.and": integer((x, y) => x & y),
  "bits.or": integer((x, y) => x | y),
  "bits.xor": integer((x, y) => x ^ y),
  "blend": integer((x, y, mask) => (x & mask) | (y & ~mask)),
  "f32.from_i32": { takes: "i", gives: "f", fn: (x) => x },
  "f32.from_u32": { takes: "i", gives: "f", fn: (x) => x >>> 0 },
  "i32.from_f32": { takes: "f", gives: "i", fn: (x) => Math.trunc(saturate(x, -(2 ** 31), 2 ** 31 - 1)) },
  "u32.from_f32": { takes: "f", gives: "i", fn: (x) => Math.trunc(saturate(x, 0, 2 ** 32 - 1)) },
};

/** Operations whose second operand is a scalar. */
const BY_SCALAR: Readonly<Partial<Record<OpName, (x: number, by: number) => number>>> = {
  "i32.div_u": (x, by) => Math.trunc((x >>> 0) / (by >>> 0)),
  "i32.rem_u": (x, by) => (x >>> 0) % (by >>> 0),
  "i32.shl": (x, by) => x << by,
  "i32.shr_s": (x, by) => x >> by,
  "i32.shr_u": (x, by) => x >>> by,
};

const DOUBLES: Readonly<Partial<Record<OpName, (x: number, y: number) => number>>> = {
  "f64.add": (x, y) => x + y,
  "f64.sub": (x, y) => x - y,
  "f64.mul": (x, y) => x * y,
  "f64.nearest": nearest,
};

const words = new Int32Array(1), floats = new Float32Array(words.buffer);

/** Operations that are neither elementwise nor memory, given evaluated operands. */
function rearrange(op: OpName, args: readonly Cell[], immediates: readonly number[], width: number): Cell {
  const [first, second] = args, [lane] = immediates, result = new Lanes(width);
  const vector = first as Lanes;
  switch (op) {
    case "select":
      return args[2] ? first : second;
    case "f32.splat":
      result.f.fill(first as number);
      return result;
    case "i32.splat":
      result.i.fill(first as number);
      return result;
    case "f32.extract":
      return vector.f[lane];
    case "i32.extract":
      return vector.i[lane];
    case "f32.replace":
      result.i.set(vector.i);
      result.f[lane] = second as number;
      return result;
    case "i32.replace":
      result.i.set(vector.i);
      result.i[lane] = second as number;
      return result;
    case "shuffle":
      immediates.forEach((from, to) =>
        result.i[to] = from < width ? vector.i[from] : (second as Lanes).i[from - width]
      );
      return result;
    case "i32.ramp":
      result.i.forEach((_, at) => result.i[at] = at * lane);
      return result;
    case "any":
      return Number(vector.i.some((bits) => bits !== 0));
    case "i32.reinterpret":
      floats[0] = first as number;
      return words[0];
    case "f32.reinterpret":
      words[0] = first as number;
      return floats[0];
    case "f64.const":
      result.d.fill(lane);
      return result;
    case "f64.promote_low":
      result.d.set(vector.f.subarray(0, width / 2));
      return result;
    case "f32.demote":
      result.f.set(vector.d);
      return result;
    default:
      throw new Error(`the host has no operation ${op}`);
  }
}

function elementwise({ takes, gives, fn }: Rule, args: readonly Cell[], width: number): Cell {
  if (width === 1) {
    const value = fn(...(args as [number, number, number]));
    return gives === "f" ? Math.fround(value) : value | 0;
  }
  const result = new Lanes(width), [x, y = x, z = x] = (args as Lanes[]).map((lanes) => lanes[takes]);
  for (let lane = 0; lane < width; lane++) {
    const value = fn(x[lane], y[lane], z[lane]);
    if (gives === "f") result.f[lane] = value;
    else result.i[lane] = gives === "mask" ? -value : value;
  }
  return result;
}

/** Lines that run on the host. */
export class HostLanguage implements Language<HostLine> {
  constructor(readonly lanes: number) {}

  #value(operand: Operand): (frame: Frame) => Cell {
    if (isOperation(operand)) return this.#operate(operand);
    const { local, literal } = operand;
    return local === undefined ? () => literal : ({ locals }) => locals[local];
  }

  #operate({ op, args, immediates, width }: Operation): (frame: Frame) => Cell {
    const values = args.map((arg) => this.#value(arg)), rule = ELEMENTWISE[op], lanes = this.lanes;
    if (rule) {
      const operands = Math.max(width, ...args.map((arg) => arg.width));
      return (frame) => elementwise(rule, values.map((value) => value(frame)), operands);
    }
    const by = BY_SCALAR[op], double = DOUBLES[op];
    if (by || double) {
      return (frame) => {
        const [x, y] = values.map((value) => value(frame)), result = new Lanes(lanes);
        if (by && typeof x === "number") return by(x, y as number) | 0;
        if (by) (x as Lanes).i.forEach((value, lane) => result.i[lane] = by(value, y as number));
        else (x as Lanes).d.forEach((value, at) => result.d[at] = double!(value, (y as Lanes | undefined)?.d[at] ?? 0));
        return result;
      };
    }
    if (op === "lanes.gather") {
      const [address, indices] = values, [offset] = immediates;
      return (frame) => {
        const first = wordOf(address(frame), offset), result = new Lanes(lanes);
        (indices(frame) as Lanes).i.forEach((index, lane) => result.i[lane] = frame.i[first + index]);
        return result;
      };
    }
    if (op === "u16.load" || op === "lanes.load_u16") {
      return (frame) => {
        const at = halfOf(values[0](frame), immediates[0]), halves = new Uint16Array(frame.i.buffer);
        if (op === "u16.load") return halves[at];
        const result = new Lanes(lanes);
        result.i.set(halves.subarray(at, at + lanes));
        return result;
      };
    }
    if (op.endsWith("load") || op.endsWith("load_splat")) return this.#load(op, values[0], immediates[0]);
    return (frame) => rearrange(op, values.map((value) => value(frame)), immediates, lanes);
  }

  #load(op: OpName, address: (frame: Frame) => Cell, offset: number): (frame: Frame) => Cell {
    return (frame) => {
      const at = wordOf(address(frame), offset);
      if (op === "i32.load") return frame.i[at];
      if (op === "f32.load") return frame.f[at];
      const result = new Lanes(this.lanes);
      if (op === "lanes.load") result.i.set(frame.i.subarray(at, at + this.lanes));
      else result.i.fill(frame.i[at]);
      return result;
    };
  }

  /** `local = value`. */
  assign(out: HostLine[], local: number, value: Operand): void {
    const evaluate = this.#value(value);
    out.push((frame) => frame.locals[local] = evaluate(frame));
  }

  /** A store. */
  effect(out: HostLine[], { op, args, immediates: [offset, lane] }: Operation): void {
    const [address, value, scattered] = args.map((arg) => this.#value(arg));
    out.push((frame) => {
      const stored = value(frame);
      if (op === "u16.store" || op === "lanes.store_u16") {
        const halves = new Uint16Array(frame.i.buffer);
        return halves.set(stored instanceof Lanes ? stored.i : [stored as number], halfOf(address(frame), offset));
      }
      const at = wordOf(address(frame), offset);
      if (op === "lanes.scatter") {
        const { i } = scattered(frame) as Lanes;
        return (stored as Lanes).i.forEach((index, lane) => frame.i[at + index] = i[lane]);
      }
      if (op === "f32.store") frame.f[at] = stored as number;
      else if (op === "i32.store") frame.i[at] = stored as number;
      else if (op === "lanes.store") frame.i.set((stored as Lanes).i, at);
      else frame.i[at] = (stored as Lanes).i[lane];
    });
  }

  /** A loop with a counter. */
  loop(out: HostLine[], { counter, start, end, step }: LoopHead, body: readonly HostLine[]): void {
    const first = this.#value(start), stop = this.#value(end);
    out.push((frame) => {
      for (let at = first(frame) as number; at < (stop(frame) as number); at += step) {
        frame.locals[counter] = at;
        for (const line of body) line(frame);
      }
    });
  }

  /** A loop that counts down. */
  countdown(out: HostLine[], left: number, turns: Operand, body: readonly HostLine[]): void {
    const count = this.#value(turns);
    out.push((frame) => {
      for (let rest = count(frame) as number; rest > 0; rest--) {
        frame.locals[left] = rest;
        for (const line of body) line(frame);
      }
    });
  }

  /** A branch. */
  when(out: HostLine[], condition: Operand, body: readonly HostLine[]): void {
    const holds = this.#value(condition);
    out.push((frame) => {
      if (holds(frame)) { for (const line of body) line(frame); }
    });
  }
}

function wordOf(address: Cell, offset: number): number {
  const bytes = (address as number) + offset;
  if (bytes % 4 !== 0 || bytes < 0) throw new Error(`an access at byte ${bytes}`);
  return bytes / 4;
}

function halfOf(address: Cell, offset: number): number {
  const bytes = (address as number) + offset;
  if (bytes % 2 !== 0 || bytes < 0) throw new Error(`an access at byte ${bytes}`);
  return bytes / 2;
}

/** Calls a function that was written. Memory starts at address 0. */
export function callOnHost({ code }: WrittenFunction<HostLine>, memory: ArrayBuffer, ...args: number[]): Frame {
  const frame: Frame = { locals: args, i: new Int32Array(memory), f: new Float32Array(memory) };
  for (const line of code) line(frame);
  return frame;
}

/** Prints a kernel for a machine of vectors of any width, and runs it, each thread's share after the other. */
export function runOnHost(
  kernel: Kernel,
  data: readonly Elements[],
  { target, threads, loops = [] }: { target: Target; threads: number; loops?: readonly number[] },
): Elements[] {
  const { fn, scratchBytes }: PrintedKernel<HostLine> = printKernel(kernel, target, new HostLanguage(target.lanes));
  let end = 4096;
  const addresses = data.map(({ byteLength }) => {
    const address = end;
    end += Math.ceil(byteLength / 256) * 256 + 256;
    return address;
  });
  // Whatever is not written is NaN.
  const memory = new ArrayBuffer(end + scratchBytes + 256);
  new Float32Array(memory).fill(NaN);
  const views = data.map((elements, i) =>
    new (elements.constructor as Float32ArrayConstructor)(memory, addresses[i], elements.length)
  );
  views.forEach((view, i) => view.set(data[i] as Float32Array));
  for (let thread = 0; thread < threads; thread++) {
    callOnHost(fn, memory, thread, threads, end, ...addresses, ...loops);
  }
  return views;
}
