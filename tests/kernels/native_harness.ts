/** Compiles C texts and calls what is in them, for tests and micro-benchmarks of the native device's kernels. */
import { C_FLAGS, preludeOf } from "../../kernels/devices/native/c_prelude.ts";
import { KERNEL_NAME } from "../../kernels/devices/native/print_kernel.ts";
import { type NativeTarget, nativeTarget } from "../../kernels/devices/native/target.ts";
import { askCompiler, compilerCommands, type Toolchain } from "../../kernels/devices/native/toolchain.ts";
import type { Elements } from "./print_harness.ts";

/** Bytes that can be read before the first and after the last operand. */
const MARGIN = 256;

const TOOLCHAIN = await findToolchain();

async function findToolchain(): Promise<Toolchain> {
  const reasons: string[] = [];
  for (const command of compilerCommands()) {
    try {
      return await askCompiler(command);
    } catch (error) {
      reasons.push((error as Error).message);
    }
  }
  throw new Error(`No C compiler can be used (${reasons.join("; ")}): run \`deno task setup:compiler\``);
}

/** The targets of 4, 8 and 16 lanes that this machine has. */
export function nativeTargets(): NativeTarget[] {
  const targets = [4, 8, 16].map((maxLanes) => nativeTarget(TOOLCHAIN.macros, { maxLanes }));
  return targets.filter(({ lanes }, at) => targets.findIndex((other) => other.lanes === lanes) === at);
}

/** Where objects are compiled. */
const FOLDER = ".scratch";

/** The arguments of a kernel in memory: what it does is seen in `views`. */
interface Arguments {
  readonly views: readonly Elements[];
  /** The memory that they lie in, aligned to 64 bytes, and what comes after them. */
  readonly memory: Uint8Array<ArrayBuffer>;
  readonly scratch: Uint8Array<ArrayBuffer>;
  /** Where in the memory each begins. */
  readonly offsets: BigInt64Array<ArrayBuffer>;
  readonly loops: Int32Array<ArrayBuffer>;
}

/** A NaN. */
const UNWRITTEN = 0x7fc00000;

/** Copies operands to memory of which nothing else is written, with NaN around them. */
function place(data: readonly Elements[], scratchBytes: number, loops: readonly number[]): Arguments {
  const sizes = data.map(({ byteLength }) => Math.ceil(byteLength / 64) * 64 + MARGIN);
  const bytes = sizes.reduce((sum, size) => sum + size, 2 * MARGIN) + scratchBytes;
  // Memories of WebAssembly begin at pages.
  const { buffer } = new WebAssembly.Memory({ initial: Math.ceil(bytes / 65536) });
  new Uint32Array(buffer).fill(UNWRITTEN);
  let at = MARGIN;
  const places = sizes.map((size) => (at += size) - size);
  const views = data.map((elements, i) => {
    const view = new (elements.constructor as Float32ArrayConstructor)(buffer, places[i], elements.length);
    view.set(elements as Float32Array);
    return view as Elements;
  });
  return {
    views,
    memory: new Uint8Array(buffer),
    scratch: new Uint8Array(buffer, at),
    offsets: BigInt64Array.from(places, BigInt),
    loops: Int32Array.from(loops),
  };
}

/** @throws {Error} if anything but the views, which lie one after the other, was written. */
function checkMargins(memory: Uint8Array<ArrayBuffer>, views: readonly ArrayBufferView[]): void {
  const words = new Uint32Array(memory.buffer);
  let at = 0;
  for (const { byteOffset, byteLength } of [...views, { byteOffset: memory.byteLength, byteLength: 0 }]) {
    const written = words.subarray(at, Math.floor(byteOffset / 4)).findIndex((word) => word !== UNWRITTEN);
    if (written >= 0) throw new Error(`A kernel has written ${4 * written} bytes behind an operand`);
    at = Math.ceil((byteOffset + byteLength) / 4);
  }
}

/** Of a function that calls a kernel with operands at offsets: pointers are made in C, which takes no permission. */
const SIGNATURE = {
  parameters: ["i64", "i64", "buffer", "buffer", "buffer", "i64", "buffer"],
  result: "void",
} as const;

/** A kernel, and the function that calls it. */
function withCaller(text: string, at: number): string {
  return `${text.replace(KERNEL_NAME, `kernel${at}`)}
void k${at}(i64 thread, i64 threads, char *scratch, char *memory, const i64 *offsets, i64 count, const i32 *loops) {
  char *operands[64];
  for (i64 i = 0; i < count; i++) operands[i] = memory + offsets[i];
  kernel${at}(thread, threads, scratch, operands, loops);
}`;
}

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
    Deno.mkdirSync(FOLDER, { recursive: true });
    const folder = Deno.makeTempDirSync({ dir: FOLDER });
    try {
      const source = [preludeOf(target), ...texts.map(withCaller)].join("\n");
      Deno.writeTextFileSync(`${folder}/kernels.c`, source);
      const files = ["-shared", "-o", `${folder}/kernels.so`, `${folder}/kernels.c`, "-lm"];
      const { command: [command, ...own], machine } = TOOLCHAIN,
        args = [...own, ...machine, ...C_FLAGS, ...flags, ...files];
      const { success, stderr } = await new Deno.Command(command, { args }).output();
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
    const { views, memory, scratch, offsets, loops: indices } = place(data, scratchBytes, loops);
    const kernel = this.#library.symbols[`k${number}`], count = BigInt(data.length);
    for (let thread = 0; thread < threads; thread++) {
      kernel(BigInt(thread), BigInt(threads), scratch, memory, offsets, count, indices);
    }
    checkMargins(memory, [...views, scratch.subarray(0, scratchBytes)]);
    return views;
  }

  /** Unloads the functions. */
  [Symbol.dispose](): void {
    this.#library.close();
  }
}
