/**
 * Generates the text of one WGSL entry point: nested blocks, bindings placed in the outermost block where their
 * operands are available, and the module-level declarations that the entry point needs (operands, helper functions, the
 * loop uniform).
 *
 * A block is a list of lines until it is closed, so a binding may still be inserted before an enclosing loop:
 * loop-invariant subexpressions are hoisted. Bindings of equal text share a name.
 */
import { isHalf } from "../../../core/dtype.ts";
import { CompileError, invariant } from "../../../core/errors.ts";
import type { Var } from "../../../core/index_expr.ts";
import { storesOf } from "../../cost.ts";
import type { Kernel, Operand } from "../../kernel.ts";
import { bytesOfOperand } from "../../limits.ts";
import { type HelperName, type Helpers, helperSource } from "./helpers.ts";
import { type RegisterType, registerType, typeName } from "./print_literal.ts";
import type { Pieces } from "./print_pieces.ts";
import { partOf, type TexelPart, type TexelRead } from "./print_texels.ts";

/**
 * Maximum number of iterations that software drivers (llvmpipe) run per invocation, summed over all loops, nested ones
 * included. Beyond it, they abort every loop without an error, so printers unroll loops to stay below (print_loops.ts).
 */
export const MAX_TURNS = 65535;

/** What the printer must know about the adapter. */
export interface PrintTarget {
  /** `software` avoids barriers and workgroup memory; `gpu` uses them. */
  readonly style: "software" | "gpu";
  readonly maxWorkgroupsPerDimension: number;
  /** Maximum invocations of a workgroup. */
  readonly maxInvocations: number;
  readonly maxWorkgroupBytes: number;
  /**
   * Which operands are read through textures: those for which it pays off or, for tests, all for which it is possible;
   * see print_texels.ts. Default: none.
   */
  readonly texels?: "worthwhile" | "always";
  /** How operands that are larger than one binding are printed; see print_pieces.ts. Default: there are none. */
  readonly pieces?: Pieces;
}

/**
 * The resource of a binding of group 0: an operand's buffer or a piece of it, or a texture with the range of the operand
 * that it holds.
 */
export interface Binding {
  readonly binding: number;
  readonly operand: number;
  /** A piece of the operand: its first byte, the bytes of all pieces but the last, and its name in the text. */
  readonly piece?: { readonly start: number; readonly bytes: number; readonly name: string };
  readonly texels?: TexelPart;
}

/** A printed kernel. Group 0 holds the operands; group 1 binding 0 the loop uniform, only if `usesLoops`. */
export interface WgslKernel {
  readonly source: string;
  readonly entryPoint: "main";
  readonly workgroups: readonly [number, number, number];
  readonly bindings: readonly Binding[];
  /** Whether group 1 binding 0 (loop indices, NaN and infinity bits) must be bound. */
  readonly usesLoops: boolean;
}

/** How an operand's elements are declared: one at a time, or in fours. */
export type Layout = "scalar" | "vector";

/** A printed value: WGSL text, its type, and the block in which it becomes available. */
export interface Value {
  readonly text: string;
  readonly dtype: RegisterType;
  /** 1 for a scalar, 4 for a vec4 with one lane per point. */
  readonly width: 1 | 4;
  /** Depth of the outermost block in which the text is valid. */
  readonly depth: number;
  /** Whether the text is a name, a component or a literal, which is free to repeat. */
  readonly atomic: boolean;
}

interface Block {
  readonly header: string;
  /** How often the block runs per invocation. */
  readonly trips: number;
  readonly lines: string[];
  readonly names: Map<string, string>;
  /** Memoized values of expressions, which become invalid when the block ends; see print_expr.ts. */
  readonly memo: Map<string, Value>;
}

/** How often operands are read and written in each form; determines their declarations. */
export interface AccessCount {
  vectorAccesses: number;
  /** The vector accesses that are loads. */
  vectorLoads: number;
  scalarLoads: number;
  scalarStores: number;
  /** Number of elements that one invocation loads, over all iterations of its loops. */
  elements: number;
}

/** Writes the entry point of one kernel. */
export class Writer {
  readonly accesses: readonly AccessCount[];
  /** Which operands are read through textures. */
  readonly texels: readonly (TexelRead | undefined)[];
  usesLoops = false;
  /** Invocations per launch, known once the kernel is printed. */
  invocations = 0;
  /** Iterations of all loops of an invocation, nested ones included. */
  turns = 0;
  #blocks: Block[] = [newBlock("", 1)];
  #helpers = new Map<string, string>();
  readonly #sources: Partial<Helpers>;
  #names = new Map<number, { name: string; depth: number }>();
  #reserved = new Set<string>();
  #count = 0;
  #module: string[] = [];

  /**
   * @param layouts How the operands' buffers are declared.
   * @param parts The helpers that may be called, and which operands are read through textures; none by default.
   */
  constructor(
    readonly kernel: Kernel,
    readonly target: PrintTarget,
    readonly layouts: readonly Layout[],
    { helpers, texels = [] }: {
      readonly helpers: Partial<Helpers>;
      readonly texels?: readonly (TexelRead | undefined)[];
    },
  ) {
    this.texels = texels;
    this.#sources = helpers;
    this.accesses = kernel.operands.map(() => ({
      vectorAccesses: 0,
      vectorLoads: 0,
      scalarLoads: 0,
      scalarStores: 0,
      elements: 0,
    }));
  }

  /** Depth of the innermost open block. */
  get depth(): number {
    return this.#blocks.length - 1;
  }

  /** Memoized values at a depth. */
  memo(depth: number): Map<string, Value> {
    return this.#blocks[depth].memo;
  }

  /** Adds a statement to the innermost block. */
  line(text: string, depth = this.depth): void {
    this.#blocks[depth].lines.push(text);
  }

  /** Adds a declaration at module scope, such as workgroup memory, once. */
  module(text: string): void {
    if (!this.#module.includes(text)) this.#module.push(text);
  }

  /** Reserves names that a printer chose itself. */
  reserve(names: readonly string[]): void {
    for (const name of names) this.#reserved.add(name);
  }

  /** A fresh name. */
  fresh(prefix: string): string {
    const name = `${prefix}${this.#count++}`;
    return this.#reserved.has(name) ? this.fresh(prefix) : name;
  }

  /** Opens a block, such as `for (...)`. */
  open(header: string, trips = 1): void {
    this.#blocks.push(newBlock(header, trips));
    if (header.startsWith("for")) this.turns += this.#blocks.reduce((product, block) => product * block.trips, 1);
  }

  /**
   * Opens the loop `for name in 0 .. turns - 1`. Software drivers fully unroll short loops, which makes compilation ten
   * times as long without any speedup, so the bound is hidden from them (`id` is never negative).
   */
  openLoop(name: string, turns: number): void {
    const isHidden = this.target.style === "software" && turns <= 64;
    const bound = isHidden ? this.bind(`${turns} + min(id, 0)`, 0, "turns") : `${turns}`;
    this.open(`for (var ${name} = 0; ${name} < ${bound}; ${name}++)`, turns);
  }

  /** Closes the innermost block. What was hoisted out of it is placed before it. */
  close(): void {
    const block = this.#blocks.pop();
    invariant(block && this.#blocks.length > 0, "a block was closed that was not open");
    this.line([`${block.header} {`.trimStart(), ...block.lines.map(indent), "}"].join("\n"));
  }

  /** Declares the name of a loop variable, which is available in the innermost open block. */
  declare(variable: Var, name: string, depth = this.depth): void {
    this.#names.set(variable.id, { name, depth });
  }

  /** The name of a declared variable, or of an enclosing loop's. */
  variable(variable: Var): { name: string; depth: number } {
    const known = this.#names.get(variable.id);
    if (known) return known;
    const position = this.kernel.loops.findIndex((loop) => loop.id === variable.id);
    invariant(position >= 0, `the kernel reads variable ${variable.name}, which nothing defines`);
    if (position > 3) throw new CompileError("More than four nested loops around one kernel: unnest a scan");
    this.usesLoops = true;
    const name = this.bind(`i32(loops.index.${"xyzw"[position]})`, 0, "loop");
    this.#names.set(variable.id, { name, depth: 0 });
    return { name, depth: 0 };
  }

  /** Binds a text to a name in the block at `depth`, once. */
  bind(text: string, depth: number, prefix = "t"): string {
    for (let at = depth; at >= 0; at--) {
      const name = this.#blocks[at].names.get(text);
      if (name) return name;
    }
    const name = this.fresh(prefix);
    this.#blocks[depth].names.set(text, name);
    this.line(`let ${name} = ${text};`, depth);
    return name;
  }

  /** Binds a load of a number of elements of an operand, and counts it. */
  bindLoad(text: string, depth: number, operand: number, width: number): string {
    const before = this.#count, name = this.bind(text, depth, "x");
    if (this.#count > before) {
      this.accesses[operand].elements += this.#blocks.slice(0, depth + 1).reduce(
        (product, { trips }) => product * trips,
        width,
      );
    }
    return name;
  }

  /** The value with a given name. */
  bound(value: Value, prefix?: string): Value {
    return value.atomic ? value : { ...value, text: this.bind(value.text, value.depth, prefix), atomic: true };
  }

  /** The name of a helper function for a width, declared on first use. */
  helper(helper: HelperName, width: 1 | 4): string {
    const name = width === 1 ? helper : `${helper}_vec4`;
    if (!this.#helpers.has(name)) {
      this.#helpers.set(name, helperSource(helper, { name, width, helpers: this.#sources }));
    }
    return name;
  }

  /** The whole module. */
  finish(workgroupSize: number, workgroups: readonly [number, number, number]): WgslKernel {
    invariant(this.depth === 0, "a block was left open");
    if (this.target.style === "software" && this.turns > MAX_TURNS) {
      throw new CompileError(
        `Cannot print a ${this.kernel.kind} kernel (${
          this.kernel.origins.join(", ")
        }) for a software driver: its loops take ${this.turns} turns, and drivers end ` +
          `them after ${MAX_TURNS}; split the tensor`,
      );
    }
    const head: string[] = [];
    this.invocations = workgroups.reduce((product, extent) => product * extent, workgroupSize);
    const bindings = this.#bindings();
    for (const { binding, operand, texels, piece } of bindings) {
      const name = piece?.name ?? `b${operand}`, element = this.elementType(operand);
      const type = texels && `texture_2d<${wordOf(this.kernel.operands[operand])}>`;
      if (texels) head.push(`@group(0) @binding(${binding}) var texels${operand}: ${type};`);
      else head.push(`@group(0) @binding(${binding}) var<storage, read_write> ${name}: array<${element}>;`);
    }
    if (this.usesLoops) {
      head.push(
        "",
        "struct Loops { index: vec4<u32>, nan_bits: u32, infinity_bits: u32 }",
        "@group(1) @binding(0) var<uniform> loops: Loops;",
      );
    }
    if (this.#module.length > 0) head.push("", ...this.#module);
    for (const name of [...this.#helpers.keys()].sort()) head.push("", this.#helpers.get(name)!);
    const body = this.#blocks[0].lines.map(indent).join("\n");
    const builtins = "@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32";
    const entry = `@compute @workgroup_size(${workgroupSize})\nfn main(${builtins}) {\n${body}\n}\n`;
    return {
      source: [...head, "", entry].join("\n"),
      entryPoint: "main",
      workgroups,
      bindings,
      usesLoops: this.usesLoops,
    };
  }

  /**
   * How the elements of an operand's buffer are declared: floats of 16 bits in pairs, atomic where invocations may store
   * the halves of one.
   */
  elementType(operand: number): string {
    const of = this.kernel.operands[operand], isVector = this.layouts[operand] === "vector";
    if (!isHalf(of.dtype)) return typeName(wordOf(of), isVector ? 4 : 1);
    return isVector ? "vec2<u32>" : this.isAtomic(operand) ? "atomic<u32>" : "u32";
  }

  /** Bytes of an operand. */
  bytesOf(operand: number): number {
    return bytesOfOperand(this.kernel.operands[operand]);
  }

  /** Whether elements of two bytes are stored one at a time. */
  isAtomic(operand: number): boolean {
    const { dtype, access } = this.kernel.operands[operand];
    return isHalf(dtype) && this.layouts[operand] === "scalar" && access !== "read";
  }

  /** A buffer for each operand that is not read through textures only, followed by the textures. */
  #bindings(): Binding[] {
    const { kernel } = this, { operands } = kernel;
    const stored = new Set(storesOf(kernel).map(({ operand }) => operand));
    const reads = operands.map((_, operand) => this.texels[operand]);
    const buffers = reads.flatMap((read, operand): Omit<Binding, "binding">[] => {
      if (read && !stored.has(operand)) return [];
      return this.target.pieces?.of(this, operand)?.map((piece) => ({ operand, piece })) ?? [{ operand }];
    });
    const textures = reads.flatMap((read, operand) => (read ? [{ operand, texels: partOf(kernel, read) }] : []));
    return [...buffers, ...textures].map((found, binding): Binding => ({ binding, ...found }));
  }
}

/** The type of a word of an operand's buffer, or of a texel. */
function wordOf({ dtype }: Operand): Exclude<RegisterType, "bool"> {
  return dtype === "bool" ? "u32" : registerType(dtype) as Exclude<RegisterType, "bool">;
}

function newBlock(header: string, trips: number): Block {
  return { header, trips, lines: [], names: new Map(), memo: new Map() };
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, "  ");
}
