/** Prints loads and stores: of one element or of aligned fours, from buffers and from textures. */
import { addIndex, constantIndex, divIndex, type Index, scaleIndex } from "../../../core/index_expr.ts";
import { type Half, isHalf } from "../../../core/dtype.ts";
import { isAligned, type LaneForm } from "../../codegen/lane_index.ts";
import type { Store } from "../../kernel.ts";
import { atLane, type Env, IndexPrinter } from "./print_index.ts";
import { registerType } from "./print_literal.ts";
import { joinLanes, LANES, splat, storable } from "./print_value.ts";
import type { Value } from "./print_writer.ts";

/** Prints the memory accesses of one kernel into its writer. */
export abstract class AccessPrinter extends IndexPrinter {
  /** Cost in instructions: one for an aligned vec4 or a scalar, otherwise four. */
  protected override loadCost(operand: number, index: Index, env: Env): number {
    return this.#isWide(operand, this.index(index, env), env) ? 1 : 4;
  }

  protected override storeCost({ operand, index }: Store, env: Env): number {
    return this.loadCost(operand, index, env);
  }

  /** Whether an access is one instruction for all lanes. */
  #isWide(operand: number, index: Index, env: Env): boolean {
    const form = this.form(index, env);
    return form !== undefined &&
      (form.step === 0 || (form.step === 1 && this.#canBeVector(operand) && isAligned(form.base, 4)));
  }

  #canBeVector(operand: number): boolean {
    return this.writer.kernel.operands[operand].size % 4 === 0;
  }

  /** Loads one element, or one for each lane. */
  protected load(operand: number, source: Index, env: Env): Value {
    const texels = this.writer.texels[operand];
    const index = this.index(texels ? addIndex(source, scaleIndex(texels.start, -1)) : source, env);
    const form = this.form(index, env);
    const vector = this.#vectorLoad(operand, form, env);
    if (vector) return vector;
    if (form?.step === 0) return this.#scalarLoad(operand, this.scalar(this.#inside(operand, form.base), env));
    const lanes = [0, 1, 2, 3].map((lane) =>
      this.#scalarLoad(operand, this.scalar(this.#inside(operand, atLane(index, env, lane)), env, lane))
    );
    return this.writer.bound(joinLanes(lanes), "x");
  }

  /**
   * An index to load from. A masked load may be out of bounds, which is harmless at run time; but WGSL rejects constant
   * indices out of bounds, so those are clamped to the first element.
   */
  #inside(operand: number, index: Index): Index {
    const count = this.writer.texels[operand]?.elements ?? this.writer.kernel.operands[operand].size;
    return index.terms.length === 0 && (index.constant < 0 || index.constant >= count) ? constantIndex(0) : index;
  }

  /** A vec4 load if four lanes are four contiguous elements, in increasing or decreasing order. */
  #vectorLoad(operand: number, form: LaneForm | undefined, env: Env): Value | undefined {
    if (!form || Math.abs(form.step) !== 1 || !this.#canBeVector(operand)) return undefined;
    const base = form.step === 1 ? form.base : addIndex(form.base, -3);
    if (!isAligned(base, 4)) return undefined;
    const texels = this.writer.texels[operand];
    this.writer.accesses[operand].vectorAccesses++;
    this.writer.accesses[operand].vectorLoads++;
    if (texels ? texels.lanes === 1 : this.writer.layouts[operand] !== "vector") return undefined;
    const offset = this.scalar(divIndex(this.#inside(operand, base), 4), env);
    const text = texels ? this.#texel(operand, offset) : this.#element(operand, offset.text);
    const loaded = this.#isHalf(operand)
      ? this.#widened(operand, this.writer.bindLoad(text, offset.depth, operand, 4), 4, offset.depth)
      : this.#stored(text, operand, 4, offset.depth);
    return form.step === 1 ? loaded : { ...loaded, text: `${loaded.text}.wzyx` };
  }

  /** The texel with a given index. */
  #texel(operand: number, number: Value): string {
    const { text } = this.writer.bound(number, "n");
    const { width } = this.writer.texels[operand]!;
    return `textureLoad(texels${operand}, vec2<i32>(${text} & ${width - 1}, ${text} >> ${Math.log2(width)}u), 0)`;
  }

  #scalarLoad(operand: number, offset: Value): Value {
    const texels = this.writer.texels[operand];
    if (texels?.lanes === 1) return this.#stored(`${this.#texel(operand, offset)}.x`, operand, 1, offset.depth);
    if (texels) {
      const { text } = this.writer.bound(offset, "n");
      const texel = this.#texel(operand, { ...offset, text: `(${text} >> 2u)`, atomic: false });
      return this.#stored(`${texel}[${text} & 3]`, operand, 1, offset.depth);
    }
    if (this.#isHalf(operand)) return this.#halfLoad(operand, offset);
    if (this.writer.layouts[operand] === "scalar") {
      return this.#stored(this.#element(operand, offset.text), operand, 1, offset.depth);
    }
    this.writer.accesses[operand].scalarLoads++;
    const { text } = this.writer.bound(offset, "n");
    return this.#stored(`${this.#element(operand, `${text} >> 2u`)}[${text} & 3]`, operand, 1, offset.depth);
  }

  /** The load of an element of a buffer. */
  #element(operand: number, at: string): string {
    const { writer } = this, inPiece = writer.target.pieces?.load(writer, operand, at), place = `b${operand}[${at}]`;
    return inPiece ?? (writer.isAtomic(operand) ? `atomicLoad(&${place})` : place);
  }

  /** Stores an element of a buffer, or adds to it. */
  #assign(operand: number, at: string, operator: string, value: string): void {
    const { writer } = this, inPiece = writer.target.pieces?.store(writer, operand, at, [operator, value]);
    writer.line(inPiece ?? `b${operand}[${at}] ${operator} ${value};`);
  }

  /** Binds a loaded value to a name, so that the load happens before later stores. */
  #stored(text: string, operand: number, width: 1 | 4, depth: number): Value {
    const dtype = registerType(this.writer.kernel.operands[operand].dtype);
    const zero = width === 1 ? "0u" : "vec4<u32>(0u)";
    const name = this.writer.bindLoad(dtype === "bool" ? `(${text} != ${zero})` : text, depth, operand, width);
    return { text: name, dtype, width, depth, atomic: true };
  }

  #isHalf(operand: number): boolean {
    return isHalf(this.writer.kernel.operands[operand].dtype);
  }

  /** One float of 16 bits, of the pair that it lies in. */
  #halfLoad(operand: number, offset: Value): Value {
    if (this.writer.layouts[operand] === "vector") this.writer.accesses[operand].scalarLoads++;
    const { at, half, shift } = this.#pairOf(operand, offset);
    const text = `${this.#element(operand, at)}${half} >> ${shift}`;
    return this.#widened(operand, this.writer.bindLoad(text, offset.depth, operand, 1), 1, offset.depth);
  }

  /** The element in which a pair of floats of 16 bits is, the pair in it, and the position of one's bits in the pair. */
  #pairOf(operand: number, offset: Value): { at: string; half: string; shift: string } {
    const { text } = this.writer.bound(offset, "n"), shift = `(u32(${text} & 1) << 4u)`;
    return this.writer.layouts[operand] === "vector"
      ? { at: `${text} >> 2u`, half: `[(${text} >> 1u) & 1]`, shift }
      : { at: `${text} >> 1u`, half: "", shift };
  }

  /** The f32 of one loaded element, in the low half of a word, or of four, in two words. */
  #widened(operand: number, name: string, width: 1 | 4, depth: number): Value {
    const dtype = this.writer.kernel.operands[operand].dtype as Half;
    const bits = width === 1
      ? `${name} & 0xffffu`
      : `vec4<u32>(${name}.x & 0xffffu, ${name}.x >> 16u, ${name}.y & 0xffffu, ${name}.y >> 16u)`;
    const text = this.writer.bind(`${this.writer.helper(`f32_of_${dtype}_u32`, width)}(${bits})`, depth, "x");
    return { text, dtype: "f32", width, depth, atomic: true };
  }

  /** The bits of one or four values. */
  #bitsOf(operand: number, { text, width, depth }: Value): string {
    const dtype = this.writer.kernel.operands[operand].dtype as Half;
    return this.writer.bind(`${this.writer.helper(`bits_of_${dtype}_f32`, width)}(${text})`, depth, "h");
  }

  /**
   * Stores a value that was computed before. `live` is the condition under which a lane exists, if it may not; `+=`
   * accumulates.
   */
  store(store: Store, value: Value, env: Env, live?: (lane: number) => string | undefined, operator = "="): void {
    const { operand } = store;
    const index = this.index(store.index, env);
    const form = this.form(index, env);
    const access = this.writer.accesses[operand];
    const isWide = form?.step === 1 && !live && this.#canBeVector(operand) && isAligned(form.base, 4);
    if (isWide) access.vectorAccesses++;
    if (isWide && this.writer.layouts[operand] === "vector") {
      const offset = this.scalar(divIndex(form.base, 4), env);
      if (this.#isHalf(operand)) {
        const bits = this.#bitsOf(operand, splat(value));
        const pairs = `vec2<u32>(${bits}.x | (${bits}.y << 16u), ${bits}.z | (${bits}.w << 16u))`;
        return this.#assign(operand, offset.text, "=", pairs);
      }
      return this.#assign(operand, offset.text, operator, storable(splat(value)).text);
    }
    if (!isWide) access.scalarStores++;
    if (!env.lane) return this.#storeScalar(operand, this.scalar(index, env), value, operator);
    const whole = this.writer.bound(value);
    for (let lane = 0; lane < 4; lane++) {
      const guard = live?.(lane);
      const offset = this.scalar(index, env, lane);
      const part = whole.width === 4 ? { ...whole, text: `${whole.text}.${LANES[lane]}`, width: 1 as const } : whole;
      if (guard) this.writer.open(`if (${guard})`);
      this.#storeScalar(operand, offset, part, operator);
      if (guard) this.writer.close();
    }
  }

  #storeScalar(operand: number, offset: Value, value: Value, operator: string): void {
    if (this.#isHalf(operand)) return this.#storeHalf(operand, offset, value);
    if (this.writer.layouts[operand] === "scalar") {
      return this.#assign(operand, offset.text, operator, storable(value).text);
    }
    // A draft, as below.
    const { text } = this.writer.bound(offset, "n");
    this.writer.line(`b${operand}[${text} >> 2u][${text} & 3] ${operator} ${storable(value).text};`);
  }

  /** Stores one float of 16 bits. Another invocation may store the other half of its pair, but no other this one. */
  #storeHalf(operand: number, offset: Value, value: Value): void {
    const bits = this.#bitsOf(operand, value), { at, half, shift } = this.#pairOf(operand, offset), { writer } = this;
    const place = `b${operand}[${at}]${half}`, kept = `~(0xffffu << ${shift})`, moved = `${bits} << ${shift}`;
    if (writer.layouts[operand] === "vector") {
      // A draft: the operand will be declared in another way, because an element of it is stored by itself.
      return writer.line(`${place} = ${bits};`);
    }
    writer.line(
      writer.target.pieces?.replace(writer, operand, at, [kept, moved]) ??
        `atomicAnd(&${place}, ${kept});\natomicOr(&${place}, ${moved});`,
    );
  }
}
