/** Compiles C texts and calls what is in them, for tests and micro-benchmarks of the native device's kernels. */
import { C_FLAGS, preludeOf } from "../../kernels/devices/native/c_prelude.ts";
import { KERNEL_NAME } from "../../kernels/devices/native/print_kernel.ts";
import { type NativeTarget, nativeTarget } from "../../kernels/devices/native/target.ts";
import type { Elements } from "./print_harness.ts";

/** Bytes that can be read before the first and after the last operand. */
const MARGIN = 256;

/** The machine's macros; undefined if there is no C compiler. */
function predefinedMacros(): string | undefined {
  try {
    const args = ["-march=native", "-dM", "-E", "-x", "c", "/dev/null"];
    return new TextDecoder().decode(new Deno.Command("cc", { args }).outputSync().stdout);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

const MACROS = predefinedMacros();

/** The targets of 4, 8 and 16 lanes that this machine has; undefined if there is no C compiler. */
export function nativeTargets(): NativeTarget[] | undefined {
  if (MACROS === undefined) return undefined;
  const targets = [4, 8, 16].map((maxLanes) => nativeTarget(MACROS, { maxLanes }));
  return targets.filter(({ lanes }, at) => targets.findIndex((other) => other.lanes === lanes) === at);
}

/** The arguments of a kernel in memory: what it does is seen in `views`. */
interface Arguments {
  readonly views: readonly Elements[];
  readonly scratch: Uint8Array<ArrayBuffer>;
  readonly operands: BigUint64Array<ArrayBuffer>;
  readonly loops: Int32Array<ArrayBuffer>;
}

/** Copies operands to memory of which nothing else is written, with NaN around them. */
function place(data: readonly Elements[], scratchBytes: number, loops: readonly number[]): Arguments {
  const sizes = data.map(({ byteLength }) => Math.ceil(byteLength / 64) * 64 + MARGIN);
  const memory = new ArrayBuffer(sizes.reduce((sum, size) => sum + size, 2 * MARGIN) + scratchBytes + 64);
  new Float32Array(memory).fill(NaN);
  const start = Deno.UnsafePointer.value(Deno.UnsafePointer.of(new Uint8Array(memory)));
  let at = MARGIN + Number(-start & 63n);
  const places = sizes.map((size) => (at += size) - size);
  const views = data.map((elements, i) => {
    const view = new (elements.constructor as Float32ArrayConstructor)(memory, places[i], elements.length);
    view.set(elements as Float32Array);
    return view as Elements;
  });
  return {
    views,
    scratch: new Uint8Array(memory, at),
    operands: BigUint64Array.from([0, ...places], (offset) => start + BigInt(offset)).slice(1),
    loops: Int32Array.from(loops),
  };
}

/** A function with the signature of kernels. */
const SIGNATURE = { parameters: ["i64", "i64", "buffer", "buffer", "buffer"], result: "void" } as const;

/** C functions, compiled and loaded together. */
export class NativeLibrary implements Disposable {
  readonly #library: Deno.DynamicLibrary<Record<string, typeof SIGNATURE>>;

  private constructor(folder: string, count: number) {
    const symbols = Object.fromEntries(Array.from({ length: count }, (_, at) => [`k${at}`, SIGNATURE]));
    this.#library = Deno.dlopen(`${folder}/kernels.so`, symbols);
  }

  /** Compiles functions, each with the name {@link KERNEL_NAME}. @throws with what the compiler says. */
  static async open(
    texts: readonly string[],
    target: NativeTarget,
    flags: readonly string[] = [],
  ): Promise<NativeLibrary> {
    const folder = Deno.makeTempDirSync();
    try {
      const source = [preludeOf(target), ...texts.map((text, at) => text.replace(KERNEL_NAME, `k${at}`))].join("\n");
      Deno.writeTextFileSync(`${folder}/kernels.c`, source);
      const files = ["-shared", "-o", `${folder}/kernels.so`, `${folder}/kernels.c`, "-lm"];
      const args = ["-march=native", ...C_FLAGS, ...flags, ...files];
      const { success, stderr } = await new Deno.Command("cc", { args }).output();
      if (!success) throw new Error(new TextDecoder().decode(stderr));
      return new NativeLibrary(folder, texts.length);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  }

  /** Runs a function on copies of operands, each thread's share after the other. */
  run(
    number: number,
    data: readonly Elements[],
    { scratchBytes, threads, loops = [] }: { scratchBytes: number; threads: number; loops?: readonly number[] },
  ): readonly Elements[] {
    const { views, scratch, operands, loops: indices } = place(data, scratchBytes, loops);
    for (let thread = 0; thread < threads; thread++) {
      this.#library.symbols[`k${number}`](BigInt(thread), BigInt(threads), scratch, operands, indices);
    }
    return views;
  }

  /** Unloads the functions. */
  [Symbol.dispose](): void {
    this.#library.close();
  }
}
