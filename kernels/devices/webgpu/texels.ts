/**
 * Copies operands to textures before the kernels that read them there (print_texels.ts): chooses the operands, and plans
 * which textures and copies are needed when a program is loaded.
 */
import { isHalf } from "../../../core/dtype.ts";
import { invariant } from "../../../core/errors.ts";
import { addIndex, constantIndex, type Index, scaleIndex, varIndex } from "../../../core/index_expr.ts";
import { accessesOf, storesOf } from "../../cost.ts";
import type { Kernel } from "../../kernel.ts";
import type { KernelStep, Plan, ValueId } from "../../plan.ts";
import type { Places } from "./bound_kernel.ts";
import type { PoolBuffer } from "./buffers.ts";
import type { CommandList } from "./commands.ts";
import type { GpuContext } from "./context.ts";
import type { TexelPart, TexelRead } from "./print_texels.ts";
import type { WgslKernel } from "./print_writer.ts";

/** How often a kernel loads an operand's elements per launch, and in which form. */
export interface LoadCount {
  readonly vectorLoads: number;
  /** Number of elements loaded, including repeated loads. */
  readonly elements: number;
}

/** Bytes of a row of texels. */
export const TEXEL_ROW_BYTES = 4096;

/** The number of rows that every device supports. */
const MAX_ROWS = 8192;

/**
 * Measured on llvmpipe with two cores: time saved per element fetched from a texture, time to copy an element, and the
 * overhead of a copy and of splitting the pass.
 */
const SAVED_NS = 2.5, COPIED_NS = 0.3, OVERHEAD_NS = 30_000;

/**
 * For each operand of a kernel, how to read it through a texture; undefined if it cannot be, or if that neither pays
 * off nor is required.
 */
export function chooseTexelReads(
  kernel: Kernel,
  loads: readonly LoadCount[],
  always: boolean,
): (TexelRead | undefined)[] {
  return kernel.operands.map(({ dtype, size }, operand) => {
    // A scatter reads what it has just written.
    if (isHalf(dtype) || loads[operand].elements === 0 || (kernel.kind === "scatter" && kernel.target === operand)) {
      return undefined;
    }
    const part = slice(kernel, operand, size, loads[operand].vectorLoads > 0);
    const read: TexelRead = {
      type: dtype === "bool" ? "u32" : dtype,
      width: TEXEL_ROW_BYTES / 4 / part.lanes,
      ...part,
    };
    const pays = always || loads[operand].elements * SAVED_NS > OVERHEAD_NS + read.elements * COPIED_NS;
    return pays && read.elements * 4 <= MAX_ROWS * TEXEL_ROW_BYTES ? read : undefined;
  });
}

/**
 * The range of an operand that a kernel reads for one tuple of loop indices: a moving part if all reads move alike with
 * the loops, otherwise the whole operand.
 */
function slice(
  kernel: Kernel,
  operand: number,
  size: number,
  wantsVectors: boolean,
): Omit<TexelRead, "type" | "width"> {
  const indices = accessesOf(kernel).filter((access) => access.operand === operand && access.mode === "load").map((
    { index },
  ) => index);
  const moving = indices.map((index) => movingPart(kernel, index));
  const whole = constantIndex(0);
  const shared = moving.every(({ key }) => key === moving[0].key) ? moving[0] : whole;
  const isWhole = shared.terms.length === 0;
  const lanes = wantsVectors && shared.terms.every(({ coefficient }) => coefficient % 4 === 0) ? 4 : 1;
  const rests = indices.map((index) => addIndex(index, scaleIndex(shared, -1)));
  let low = Math.min(...rests.map(({ min }) => min)), high = Math.max(...rests.map(({ max }) => max));
  if (isWhole) [low, high] = [Math.max(0, low), Math.min(size - 1, high)];
  low = Math.floor(low / lanes) * lanes;
  return { lanes, start: addIndex(shared, low), elements: Math.ceil(Math.max(1, high + 1 - low) / lanes) * lanes };
}

/** The terms of an index that are loop indices. */
function movingPart({ loops }: Kernel, index: Index): Index {
  return index.terms.reduce((sum, { atom, coefficient }) => {
    const moves = atom.kind === "var" && loops.some(({ id }) => id === atom.variable.id);
    return moves ? addIndex(sum, scaleIndex(varIndex(atom.variable), coefficient)) : sum;
  }, constantIndex(0));
}

/** A texture to make. */
export interface TexelTexture {
  readonly format: GPUTextureFormat;
  readonly width: number;
  readonly height: number;
}

/** A copy of a part of a value to a texture; `startByte` of the value maps to the first texel. */
export interface TexelCopy {
  readonly texture: number;
  readonly value: ValueId;
  readonly startByte: number;
  readonly endByte: number;
}

/** The textures of a program and when they are filled. */
export interface TexelPlan {
  readonly textures: readonly TexelTexture[];
  /** For each kernel step, the textures of its bindings. */
  readonly bound: readonly ReadonlyMap<number, number>[];
  /** For each dispatch, the copies that precede it. */
  readonly copies: ReadonlyMap<number, readonly TexelCopy[]>;
}

/** A texture being planned: a value in a format, from its first dispatch to its last. */
interface Demand extends TexelTexture {
  readonly first: number;
  last: number;
  texture: number;
}

/** A texel binding of a kernel step. */
interface Use {
  readonly binding: number;
  readonly value: ValueId;
  readonly read: TexelPart;
  readonly demand: string;
}

/** Plans the textures of a program. `kernels` are the printed kernels of its steps. */
export function planTexels(plan: Plan, commands: CommandList, kernels: readonly WgslKernel[]): TexelPlan {
  const uses = commands.steps.map((step, i) => usesOf(plan, step, kernels[i]));
  const demands = collectDemands(commands, uses);
  const textures = placeDemands([...demands.values()]);
  const bound = uses.map((list) =>
    new Map(list.map(({ binding, demand }) => [binding, demands.get(demand)?.texture ?? 0]))
  );
  const versions = new Map<ValueId, number>(), contents: string[] = textures.map(() => "");
  const written = commands.steps.map(({ kernel, operands }) =>
    new Set(storesOf(kernel).map(({ operand }) => baseOf(plan, operands[operand])))
  );
  const copies = new Map<number, TexelCopy[]>();
  commands.sequence.forEach((number, dispatch) => {
    const needed: TexelCopy[] = [];
    for (const { value, read, demand } of uses[number]) {
      const { texture } = demands.get(demand)!;
      const startByte = 4 * firstElement(read, commands, dispatch);
      const base = baseOf(plan, value);
      const content = `${value}:${startByte}:${read.elements}:${versions.get(base) ?? 0}`;
      if (contents[texture] === content) continue;
      contents[texture] = content;
      needed.push({ texture, value, startByte, endByte: startByte + 4 * read.elements });
    }
    if (needed.length > 0) copies.set(dispatch, needed);
    for (const base of written[number]) versions.set(base, (versions.get(base) ?? 0) + 1);
  });
  return { textures, bound, copies };
}

function usesOf(plan: Plan, { operands }: KernelStep, { bindings }: WgslKernel): Use[] {
  const names = new Set<string>();
  return bindings.flatMap(({ binding, operand, texels: read }): Use[] => {
    if (!read) return [];
    let demand = `${operands[operand]}:${read.type}:${read.lanes}:${rowsOf(read)}`;
    // Two bindings of one step never share a texture: they may read different parts.
    while (names.has(demand)) demand += "+";
    names.add(demand);
    invariant(plan.values[operands[operand]], "an operand is no value");
    return [{ binding, value: operands[operand], read, demand }];
  });
}

/** Number of texel rows, rounded up to a power of two so that more values can share textures. */
function rowsOf({ elements }: TexelPart): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, Math.ceil(4 * elements / TEXEL_ROW_BYTES))));
}

const FORMATS = {
  f32: ["r32float", "rgba32float"],
  i32: ["r32sint", "rgba32sint"],
  u32: ["r32uint", "rgba32uint"],
} as const;

function collectDemands({ sequence }: CommandList, uses: readonly (readonly Use[])[]): Map<string, Demand> {
  const demands = new Map<string, Demand>();
  sequence.forEach((number, dispatch) => {
    for (const { read, demand } of uses[number]) {
      const known = demands.get(demand);
      if (known) known.last = dispatch;
      else {
        const format = FORMATS[read.type][read.lanes === 4 ? 1 : 0];
        demands.set(demand, {
          format,
          width: TEXEL_ROW_BYTES / 4 / read.lanes,
          height: rowsOf(read),
          first: dispatch,
          last: dispatch,
          texture: -1,
        });
      }
    }
  });
  return demands;
}

/** Assigns textures to demands; demands whose lifetimes do not overlap may share one. */
function placeDemands(demands: readonly Demand[]): TexelTexture[] {
  const textures: (TexelTexture & { last: number })[] = [];
  for (const demand of demands) {
    const { format, width, height, first, last } = demand;
    demand.texture = textures.findIndex((texture) =>
      texture.format === format && texture.height === height && texture.last < first
    );
    if (demand.texture < 0) demand.texture = textures.push({ format, width, height, last }) - 1;
    else textures[demand.texture].last = last;
  }
  return textures;
}

function baseOf({ values }: Plan, id: ValueId): ValueId {
  const { storage } = values[id];
  return storage.kind === "alias" ? storage.of : id;
}

/** The element in the first texel at a dispatch. */
function firstElement({ first, strides }: TexelPart, commands: CommandList, dispatch: number): number {
  const { tuple, tuples, tupleSize } = commands;
  return strides.reduce((at, stride, loop) => at + stride * tuples[tuple[dispatch] * tupleSize + loop], first);
}

/** A rectangle of texels and the byte of the value at its first texel. */
export interface TexelRectangle {
  readonly byte: number;
  readonly origin: [number, number];
  readonly size: [number, number];
}

/**
 * Splits a copy into rectangles: the remainder of a row, whole rows, the start of a row. Omits what lies outside the
 * value's `sizeBytes`.
 */
export function rectanglesOf(
  { startByte, endByte }: Pick<TexelCopy, "startByte" | "endByte">,
  sizeBytes: number,
  texelBytes: number,
): TexelRectangle[] {
  const width = TEXEL_ROW_BYTES / texelBytes;
  const rectangles: TexelRectangle[] = [];
  let texel = (Math.max(0, startByte) - startByte) / texelBytes;
  const end = (Math.min(sizeBytes, endByte) - startByte) / texelBytes;
  while (texel < end) {
    const x = texel % width, rows = x === 0 ? Math.floor((end - texel) / width) : 0;
    const size: [number, number] = rows > 0 ? [width, rows] : [Math.min(width - x, end - texel), 1];
    rectangles.push({ byte: startByte + texel * texelBytes, origin: [x, (texel - x) / width], size });
    texel += size[0] * size[1];
  }
  return rectangles;
}

/** The textures of a loaded program. */
export class ProgramTexels {
  readonly #context: GpuContext;
  readonly #plan: TexelPlan;
  readonly #places: Places;
  readonly #textures: readonly GPUTexture[];
  readonly #views: readonly GPUTextureView[];

  constructor(
    context: GpuContext,
    { plan, commands, kernels, places }: {
      readonly plan: Plan;
      readonly commands: CommandList;
      readonly kernels: readonly WgslKernel[];
      readonly places: Places;
    },
  ) {
    this.#context = context;
    this.#places = places;
    this.#plan = planTexels(plan, commands, kernels);
    this.#textures = this.#plan.textures.map(({ format, width, height }) =>
      context.createTexture(format, width, height)
    );
    this.#views = this.#textures.map((texture) => texture.createView());
  }

  /** The texture of a binding of a kernel step. */
  viewOf(step: number, binding: number): GPUTextureView {
    return this.#views[this.#plan.bound[step].get(binding)!];
  }

  /** What must be copied before a dispatch; undefined where nothing must. */
  copiesBefore(dispatch: number): readonly TexelCopy[] | undefined {
    return this.#plan.copies.get(dispatch);
  }

  /** Copies a part of a value to its texture. */
  copy(encoder: GPUCommandEncoder, copy: TexelCopy, slots: readonly PoolBuffer[]): void {
    const { width } = this.#plan.textures[copy.texture], texture = this.#textures[copy.texture];
    const { buffer, offset, size } = this.#places.of(copy.value);
    const source = typeof buffer === "number" ? slots[buffer].gpu : buffer;
    for (const { byte, origin, size: [columns, rows] } of rectanglesOf(copy, size, TEXEL_ROW_BYTES / width)) {
      encoder.copyBufferToTexture({ buffer: source, offset: offset + byte, bytesPerRow: TEXEL_ROW_BYTES }, {
        texture,
        origin,
      }, [columns, rows]);
    }
  }

  /** Frees the textures. */
  dispose(): void {
    for (const texture of this.#textures) this.#context.destroyTexture(texture);
  }
}
