/** What the machine's WebAssembly engine can do. */
import { encodeModule, type Instruction } from "./wasm_encoder.ts";

/** What was found. */
export interface CpuFeatures {
  /** SIMD of 128 bits, without which there is no cpu device. */
  readonly simd: boolean;
  /** `f32x4.relaxed_madd`: a multiply-add that the machine may round once. */
  readonly relaxed: boolean;
  /** Whether a memory can be shared with workers. */
  readonly shared: boolean;
  /** Whether this thread may sleep; the main thread of a browser may not. */
  readonly blocking: boolean;
  /** Processors. */
  readonly processors: number;
}

/** Asks the engine. */
export function findFeatures(): CpuFeatures {
  const one: Instruction[] = [["f32.const", 1], ["f32x4.splat"]];
  return {
    simd: validates([...one, ["drop"]]),
    relaxed: validates([...one, ...one, ...one, ["f32x4.relaxed_madd"], ["drop"]]),
    shared: typeof SharedArrayBuffer === "function" && typeof Worker === "function" && canShare(),
    blocking: canBlock(),
    processors: globalThis.navigator?.hardwareConcurrency ?? 1,
  };
}

function validates(code: readonly Instruction[]): boolean {
  return WebAssembly.validate(
    encodeModule({ shared: false, functions: [{ parameters: [], locals: [], code }], exports: new Map() }),
  );
}

function canShare(): boolean {
  // Browsers hide or refuse shared memory unless the page is isolated from other origins.
  if ((globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === false && "document" in globalThis) {
    return false;
  }
  try {
    return new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer instanceof SharedArrayBuffer;
  } catch {
    return false;
  }
}

function canBlock(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 0);
    return true;
  } catch {
    return false;
  }
}
