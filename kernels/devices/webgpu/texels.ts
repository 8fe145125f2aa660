/**
 * Copies operands to textures before the kernels that read them there (print_texels.ts): plans which textures and
 * copies are needed when a program is loaded.
 */
import { invariant } from "../../../core/errors.ts";
import { storesOf } from "../../cost.ts";
import type { KernelStep, Plan, ValueId } from "../../plan.ts";
import { type CommandList, MAX_LOOP_DEPTH } from "./commands.ts";
import { TEXEL_ROW_BYTES, type TexelPart } from "./print_texels.ts";
import type { WgslKernel } from "./print_writer.ts";

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
function firstElement({ first, strides }: TexelPart, { tuple, tuples }: CommandList, dispatch: number): number {
  return strides.reduce((at, stride, loop) => at + stride * tuples[tuple[dispatch] * MAX_LOOP_DEPTH + loop], first);
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
