/** A WebAssembly linear memory. */
import { HostMemory, PAGE } from "../host_memory/memory.ts";
import { MAX_PAGES } from "../../codegen/wasm_encoder.ts";

/** The memory of a cpu device. */
export class CpuMemory extends HostMemory {
  readonly wasm: WebAssembly.Memory;

  /** @param poison Whether to fill memory with NaN on allocation. */
  constructor(readonly shared: boolean, poison: boolean) {
    super("cpu", MAX_PAGES * PAGE, poison);
    this.wasm = new WebAssembly.Memory({ initial: 1, maximum: MAX_PAGES, shared });
  }

  /** A new object whenever the memory has grown. */
  get buffer(): ArrayBufferLike {
    return this.wasm.buffer;
  }

  protected grow(bytes: number): void {
    this.wasm.grow(bytes / PAGE);
  }

  protected get limitInWords(): string {
    return "WebAssembly has at most 4096 MiB";
  }
}
