/**
 * Prints accesses to operands that are larger than one binding: functions that find the piece of an element by
 * comparing. Elements of a buffer are numbered as it is declared, in words, in fours or in pairs of floats of 16 bits;
 * pieces are multiples of 16 bytes, so none lies in two. Loaded for programs that have such operands.
 */
import type { Binding, Writer } from "./print_writer.ts";

/** Operands in pieces. */
export class Pieces {
  /** @param bytes Maximum bytes of a binding, which all pieces of an operand but the last have. */
  constructor(readonly bytes: number) {}

  /** The pieces of an operand; undefined if it is bound as a whole. */
  of(writer: Writer, operand: number): Required<Binding>["piece"][] | undefined {
    const { bytes } = this, count = Math.ceil(writer.bytesOf(operand) / bytes);
    if (count <= 1) return undefined;
    return Array.from({ length: count }, (_, piece) => ({ start: piece * bytes, bytes, name: name(operand, piece) }));
  }

  /** The text of a load; `at` is the number of an element of the buffer. Undefined if the operand is bound as a whole. */
  load(writer: Writer, operand: number, at: string): string | undefined {
    const isAtomic = writer.isAtomic(operand), result = isAtomic ? "u32" : writer.elementType(operand);
    const body = this.#inPiece(writer, operand, (place) => `return ${isAtomic ? `atomicLoad(&${place})` : place};`);
    if (!body) return undefined;
    writer.module(`fn load_b${operand}(at: i32) -> ${result} {\n${body}\n}`);
    return `load_b${operand}(${at})`;
  }

  /** The statement of a store, or of an addition; undefined if the operand is bound as a whole. */
  store(writer: Writer, operand: number, at: string, [operator, value]: readonly [string, string]): string | undefined {
    const body = this.#inPiece(writer, operand, (place) => `${place} = value; return;`);
    if (!body) return undefined;
    writer.module(`fn store_b${operand}(at: i32, value: ${writer.elementType(operand)}) {\n${body}\n}`);
    return `store_b${operand}(${at}, ${operator === "=" ? value : `${this.load(writer, operand, at)} + ${value}`});`;
  }

  /** The statement that replaces the bits of a word outside `kept`; undefined if the operand is bound as a whole. */
  replace(writer: Writer, operand: number, at: string, [kept, bits]: readonly [string, string]): string | undefined {
    const body = this.#inPiece(
      writer,
      operand,
      (place) => `atomicAnd(&${place}, kept); atomicOr(&${place}, bits); return;`,
    );
    if (!body) return undefined;
    writer.module(`fn replace_b${operand}(at: i32, kept: u32, bits: u32) {\n${body}\n}`);
    return `replace_b${operand}(${at}, ${kept}, ${bits});`;
  }

  /** A statement about a place, in the piece that it is in. What is out of bounds stays so, in the first or last one. */
  #inPiece(writer: Writer, operand: number, statement: (place: string) => string): string | undefined {
    const pieces = this.of(writer, operand), { size } = writer.kernel.operands[operand];
    const elementBytes = writer.layouts[operand] === "vector" ? 4 * writer.bytesOf(operand) / size : 4;
    return pieces?.map(({ start, bytes, name }, piece) => {
      const at = piece === 0 ? "at" : `at - ${start / elementBytes}`, text = statement(`${name}[${at}]`);
      return piece === pieces.length - 1 ? `  ${text}` : `  if (at < ${(start + bytes) / elementBytes}) { ${text} }`;
    }).join("\n");
  }
}

function name(operand: number, piece: number): string {
  return piece === 0 ? `b${operand}` : `b${operand}_${piece}`;
}
