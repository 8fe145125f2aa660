/** Kernels with their bindings: buffer ranges, textures and bind groups. */
import { invariant } from "../../../core/errors.ts";
import type { KernelStep, Plan, ValueId } from "../../plan.ts";
import type { PoolBuffer } from "./buffers.ts";
import type { GpuContext } from "./context.ts";
import type { Binding, WgslKernel } from "./print_wgsl.ts";

/** A compiled kernel: its pipeline and bindings. */
export interface CompiledKernel {
  readonly wgsl: WgslKernel;
  readonly shader: number;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/**
 * Where an operand is bound: in a buffer of the program, or in the buffer of an input or output (by slot: inputs first,
 * then outputs).
 */
export interface Place {
  readonly buffer: GPUBuffer | number;
  readonly offset: number;
  readonly size: number;
}

/** The resource of a binding: a range of a buffer, or a texture. */
type Resource = Place | GPUTextureView;

/** Maximum number of cached bind groups per kernel: launches in a loop cycle through few combinations of buffers. */
const GROUPS_KEPT = 64;

/** The location of a plan's values. */
export class Places {
  constructor(
    readonly plan: Plan,
    readonly arena: readonly GPUBuffer[],
    readonly constants: ReadonlyMap<ValueId, PoolBuffer>,
  ) {}

  /** The location of a value. */
  of(id: ValueId): Place {
    const { values, offsets, bufferBytes, inputs } = this.plan;
    const value = values[id];
    const { storage } = value;
    // A shader may access whole vec4s; all memory is padded to 256 bytes.
    const size = Math.ceil(value.sizeBytes / 16) * 16;
    switch (storage.kind) {
      case "input":
        return { buffer: storage.position, offset: 0, size };
      case "output":
        return { buffer: inputs.length + storage.position, offset: 0, size };
      case "constant":
        return { buffer: this.constants.get(id)!.gpu, offset: 0, size };
      case "temporary": {
        const offset = offsets.get(id);
        invariant(offset !== undefined, `${value.label} has no place in the arena`);
        const cut = bufferBytes === Infinity ? 0 : Math.floor(offset / bufferBytes);
        return { buffer: this.arena[cut], offset: cut === 0 ? offset : offset - cut * bufferBytes, size };
      }
      case "alias": {
        const base = this.of(storage.of);
        return { ...base, offset: base.offset + storage.byteOffset, size };
      }
    }
  }
}

/** A place, or a piece of it. */
function partOf(place: Place, piece: Binding["piece"]): Place {
  if (!piece) return place;
  const { offset, size } = place, { start, bytes } = piece;
  return { ...place, offset: offset + start, size: Math.min(bytes, size - start) };
}

/** A kernel step on a device: what to dispatch, and with which bind group. */
export class BoundKernel {
  readonly pipeline: GPUComputePipeline;
  readonly workgroups: readonly [number, number, number];
  /** Whether there is nothing to compute. */
  readonly isEmpty: boolean;
  /** The slots that it accesses; empty if the bind group never changes. */
  readonly slots: readonly number[];
  readonly #layout: GPUBindGroupLayout;
  readonly #bindings: readonly { readonly binding: number; readonly resource: Resource }[];
  readonly #groups = new Map<string, GPUBindGroup>();

  /** @param viewOf The texture of a binding that reads one. */
  constructor(
    readonly context: GpuContext,
    step: KernelStep,
    { wgsl, pipeline, layout }: CompiledKernel,
    { places, viewOf }: { readonly places: Places; readonly viewOf: (binding: number) => GPUTextureView },
  ) {
    this.pipeline = pipeline;
    this.workgroups = wgsl.workgroups;
    this.isEmpty = wgsl.workgroups.includes(0);
    this.#layout = layout;
    this.#bindings = wgsl.bindings.map(({ binding, operand, texels, piece }) => ({
      binding,
      resource: texels ? viewOf(binding) : partOf(places.of(step.operands[operand]), piece),
    }));
    const buffers = this.#bindings.flatMap(({ resource }) => ("buffer" in resource ? [resource.buffer] : []));
    this.slots = [...new Set(buffers.filter((buffer) => typeof buffer === "number"))];
  }

  /** Number of cached bind groups. */
  get groupCount(): number {
    return this.#groups.size;
  }

  /** The bind group for the buffers in the slots, created on first use. */
  group(slots: readonly PoolBuffer[]): GPUBindGroup {
    const groups = this.#groups, key = this.slots.map((slot) => slots[slot].id).join();
    let group = groups.get(key);
    if (group) {
      if (groups.size > 1) {
        // Most recently used last.
        groups.delete(key);
        groups.set(key, group);
      }
      return group;
    }
    const entries = this.#bindings.map(({ binding, resource }): GPUBindGroupEntry => {
      if (!("buffer" in resource)) return { binding, resource };
      const { buffer, offset, size } = resource;
      return { binding, resource: { buffer: typeof buffer === "number" ? slots[buffer].gpu : buffer, offset, size } };
    });
    group = this.context.createBindGroup(this.#layout, entries);
    groups.set(key, group);
    if (groups.size > GROUPS_KEPT) {
      groups.delete(groups.keys().next().value!);
      this.context.dropBindGroups(1);
    }
    return group;
  }
}
