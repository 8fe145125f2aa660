/** The texts of a plan's distinct kernels. */
import type { KernelFunction } from "../../codegen/thread_program.ts";
import type { Kernel } from "../../kernel.ts";
import { kernelKey } from "../../kernel_key.ts";
import { printNativeKernel } from "./print_kernel.ts";
import type { NativeTarget } from "./target.ts";

/** Threads write scratch memory all the time: no two of them on one pair of cache lines. */
const SCRATCH_ALIGNMENT = 128;

/** Prints kernels, equal ones once. */
export class KernelTexts {
  /** The texts, all different. */
  readonly texts: string[] = [];
  readonly #target: NativeTarget;
  readonly #byKey = new Map<string, KernelFunction>();
  readonly #byText = new Map<string, number>();
  #scratchBytes = 0;

  constructor(target: NativeTarget) {
    this.#target = target;
  }

  /** Bytes of scratch memory that each thread needs for any of them. */
  get scratchBytes(): number {
    return Math.ceil(this.#scratchBytes / SCRATCH_ALIGNMENT) * SCRATCH_ALIGNMENT;
  }

  /** A kernel's function; its number is that of its text. */
  functionOf(kernel: Kernel): KernelFunction {
    const key = kernelKey(kernel);
    let known = this.#byKey.get(key);
    if (!known) this.#byKey.set(key, known = this.#print(kernel));
    return known;
  }

  #print(kernel: Kernel): KernelFunction {
    const { text, scratchBytes, division } = printNativeKernel(kernel, this.#target);
    this.#scratchBytes = Math.max(this.#scratchBytes, scratchBytes);
    // Kernels that differ in what no code depends on, such as the sizes of operands, are one text.
    let fn = this.#byText.get(text);
    if (fn === undefined) this.#byText.set(text, fn = this.texts.push(text) - 1);
    return { fn, division };
  }
}
