/** Functions that are compiled when they are called, once for each type of their arguments. */
import { CompileError, DeviceError } from "../core/errors.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import type { SpecsOf } from "../core/trace.ts";
import { type ArgumentType, typeOfArgument, typeOfStatic } from "./argument_types.ts";
import { checkDevice, compile } from "./compile.ts";
import type { Device } from "./device.ts";
import type { DeviceResult, HostResult, Program, ProgramArguments } from "./program.ts";
import { checkFunction } from "../core/describe.ts";

/** Options of {@link jit}. */
export interface JitOptions {
  /**
   * Positions of arguments that are not tensors: numbers, texts, truth values, functions, records and lists of these.
   * The function gets them as they are, and each value of theirs (each function) has a program of its own.
   */
  readonly staticArguments?: readonly number[];
  /** As for `compile`: positions of arguments whose device arrays the caller gives up at each call. */
  readonly donate?: readonly number[];
  /**
   * Maximum number of programs to compile. Default: 32. One more is an error that says which argument keeps changing its type:
   * each program costs compile time and memory.
   */
  readonly maxPrograms?: number;
}

const JIT_OPTIONS = optionNames<JitOptions>({ staticArguments: true, donate: true, maxPrograms: true });
const MAX_PROGRAMS = 32;

/** A function that compiles itself. Made by {@link jit}. */
export interface Jitted<Args extends readonly unknown[], R> {
  /**
   * Runs the function and waits for its results on the host, as {@link Program.run} does. Compiles it before if the
   * arguments are of types that it has not met.
   */
  (...args: ProgramArguments<Args>): Promise<HostResult<R>>;
  /**
   * The same with results that stay in device memory, as {@link Program.launch} does: the promise is kept once the
   * program is compiled and launched. The caller disposes of the results.
   */
  launch(...args: ProgramArguments<Args>): Promise<DeviceResult<R>>;
  /** The program for arguments like these, compiled if necessary: for its `explain()`, its `peakBytes`, its sources. */
  programFor(...args: ProgramArguments<Args>): Promise<Program<Args, R>>;
  /** How many programs were compiled, or are being compiled. */
  readonly programCount: number;
  /** Frees all programs. Results that were returned stay; later calls throw. */
  dispose(): void;
  /** {@link Jitted.dispose}, at the end of a block that holds the function with `using`. */
  [Symbol.dispose](): void;
}

/**
 * Compiles a function when it is called, with shapes and dtypes taken from the arguments, and keeps the program for
 * later calls with arguments of the same types.
 *
 * Numbers are f32 and truth values bool; lists and nested lists of them are tensors (`[[1, 2], [3, 4]]` is f32[2, 2]); a
 * Float32Array, Int32Array or Uint32Array has one axis and its own dtype; results of runs and device arrays have their
 * type. Records and lists of such are trees, an empty list is a tree without leaves. Calls with the same types that
 * come before the program is ready wait for one compilation.
 * @param device Where it shall run.
 * @param fn A function of trees of tensors that returns a tree of tensors. Called once for each type.
 * @returns A function to be called with arrays; {@link Jitted} says what else it has.
 * @throws {ShapeError | DTypeError | CompileError | DeviceError} from calls: arguments without a type, named by their
 * place; what `compile` and `Program.run` throw; more programs than `maxPrograms`.
 * @example
 * ```ts
 * import { jit, requestDevice, type Tensor } from "@mneme/titans";
 * import { matmul, mul } from "@mneme/titans/ops";
 *
 * const device = await requestDevice({ kind: "reference" });
 * const scaled = jit(device, (x: Tensor, y: Tensor, factor: number) => mul(matmul(x, y), factor), {
 *   staticArguments: [2],
 * });
 * const result = await scaled([[1, 2], [3, 4]], [[1], [1]], 10);
 * if (String(result.toNested()) !== "30,70") throw new Error(`30 and 70 were expected, not ${result.toNested()}`);
 * device.dispose();
 * ```
 */
export function jit<Args extends readonly unknown[], R>(
  device: Device,
  fn: (...args: Args) => R,
  options: JitOptions = {},
): Jitted<Args, R> {
  checkOptions("jit", options, JIT_OPTIONS);
  checkDevice("call jit for", device);
  checkFunction("call jit with", fn);
  const { staticArguments = [], maxPrograms = MAX_PROGRAMS } = options;
  for (const position of staticArguments) requireCount("a static argument", position, 0);
  requireCount("maxPrograms", maxPrograms, 1);
  const cache = new ProgramCache(device, fn, options);
  const jitted = async (...args: ProgramArguments<Args>): Promise<HostResult<R>> =>
    (await cache.programFor(args)).run(...cache.dynamic(args));
  return Object.defineProperties(jitted, {
    launch: {
      value: async (...args: ProgramArguments<Args>) => (await cache.programFor(args)).launch(...cache.dynamic(args)),
    },
    programFor: { value: (...args: ProgramArguments<Args>) => cache.programFor(args) },
    programCount: { get: () => cache.size },
    dispose: { value: () => cache.dispose() },
    [Symbol.dispose]: { value: () => cache.dispose() },
  }) as Jitted<Args, R>;
}

function requireCount(what: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least) return;
  throw new CompileError(`Cannot call jit with ${value} as ${what}: it must be a whole number from ${least} on`);
}

/** The programs of a function, by the types of its arguments. */
class ProgramCache<Args extends readonly unknown[], R> {
  readonly #programs = new Map<string, Promise<Program<Args, R>>>();
  /** Of each argument the keys of the types that it came as. */
  readonly #seen: Set<string>[] = [];
  readonly #static: ReadonlySet<number>;
  readonly #functions = new WeakMap<object, number>();
  #functionCount = 0;
  readonly #name: string;
  #disposed = false;

  constructor(readonly device: Device, readonly fn: (...args: Args) => R, readonly options: JitOptions) {
    this.#static = new Set(options.staticArguments);
    this.#name = fn.name || "a function";
  }

  get size(): number {
    return this.#programs.size;
  }

  /** Arguments as the programs take them: nothing in place of those that are not tensors. */
  dynamic(args: ProgramArguments<Args>): ProgramArguments<Args> {
    if (this.#static.size === 0) return args;
    return (args as readonly unknown[]).map((arg, at) => (this.#static.has(at) ? [] : arg)) as ProgramArguments<Args>;
  }

  // Not async: what is wrong with the arguments, and what is in the cache, is found in the order of the calls.
  programFor(args: ProgramArguments<Args>): Promise<Program<Args, R>> {
    if (this.#disposed) {
      return Promise.reject(new DeviceError(`Cannot run ${this.#name}: its programs were disposed`, "disposed"));
    }
    let types: readonly ArgumentType[];
    try {
      types = (args as readonly unknown[]).map((arg, at) =>
        this.#static.has(at) ? typeOfStatic(arg, at, (fn) => this.#numberOf(fn)) : typeOfArgument(arg, at)
      );
    } catch (error) {
      return Promise.reject(error);
    }
    const key = types.map((type) => type.key).join(";");
    let program = this.#programs.get(key);
    if (!program) {
      program = this.#compile(types, args);
      this.#programs.set(key, program);
      // One that could not be compiled is tried again.
      program.catch(() => this.#programs.delete(key));
    }
    return program;
  }

  async #compile(types: readonly ArgumentType[], args: ProgramArguments<Args>): Promise<Program<Args, R>> {
    this.#count(types);
    const given: readonly unknown[] = args, { device, fn, options: { donate } } = this;
    const traced = (...symbolic: readonly unknown[]): R =>
      fn(...symbolic.map((tensors, at) => (this.#static.has(at) ? given[at] : tensors)) as unknown as Args);
    const specs = types.map(({ specs }) => specs) as unknown as SpecsOf<Args>;
    const program = await compile<Args, R>(device, traced, specs, { donate });
    if (!this.#disposed) return program;
    program.dispose();
    throw new DeviceError(`Cannot run ${this.#name}: it was disposed while it was compiled`, "disposed");
  }

  #numberOf(fn: object): number {
    let number = this.#functions.get(fn);
    if (number === undefined) this.#functions.set(fn, number = this.#functionCount++);
    return number;
  }

  #count(types: readonly ArgumentType[]): void {
    const { maxPrograms = MAX_PROGRAMS } = this.options;
    types.forEach(({ key }, at) => (this.#seen[at] ??= new Set()).add(key));
    if (this.#programs.size < maxPrograms) return;
    const varying = this.#seen.reduce((most, keys, at) => (keys.size > this.#seen[most].size ? at : most), 0);
    const keys = [...this.#seen[varying]], MOST = 3;
    const shown = keys.slice(0, MOST).map((key) => (key.length > 40 ? `${key.slice(0, 40)}...` : key)).join(", ");
    throw new CompileError(
      `Cannot compile ${this.#name} for types that are new again: there are ${maxPrograms} programs of it, since argument ${varying} came as ${shown}${
        keys.length > MOST ? ` and ${keys.length - MOST} more` : ""
      }; pad to a few shapes, pass what changes as a tensor, or set maxPrograms`,
    );
  }

  dispose(): void {
    this.#disposed = true;
    for (const program of this.#programs.values()) program.then((ready) => ready.dispose(), () => {});
    this.#programs.clear();
  }
}
