/** Capabilities of the WebAssembly engine. */
import { encodeModule, type Instruction } from "../../codegen/wasm_encoder.ts";
import { hasWorkers } from "./worker.ts";

/** The detected capabilities. */
export interface CpuFeatures {
  /** 128-bit SIMD, which the cpu device requires. */
  readonly simd: boolean;
  /** `f32x4.relaxed_madd`: a multiply-add that may round once. */
  readonly relaxed: boolean;
  /** Whether memory can be shared with workers. */
  readonly shared: boolean;
  /** Whether this thread may block; the main thread of a browser may not. */
  readonly blocking: boolean;
  /** Number of CPU cores. */
  readonly processors: number;
}

/** Detects the capabilities of the engine. */
export function findFeatures(): CpuFeatures {
  const one: Instruction[] = [["f32.const", 1], ["f32x4.splat"]];
  return {
    simd: validates([...one, ["drop"]]),
    relaxed: validates([...one, ...one, ...one, ["f32x4.relaxed_madd"], ["drop"]]),
    shared: typeof SharedArrayBuffer === "function" && hasWorkers() && canShare(),
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
  // Browsers hide or refuse shared memory unless the page is cross-origin isolated.
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
