/** From a thread program to the words that the runtime interprets. */
import { invariant } from "../../../core/errors.ts";
import type { Instruction, ThreadProgram } from "../../codegen/thread_program.ts";
import { CALL, END, LOOP, NEXT, OFFSET_UNIT } from "./runtime_source.ts";

/** A program as the runtime takes it. */
export interface EncodedProgram {
  /**
   * One after the other: a call (step, function, whether single, number of operands, number of loops, word and offset of
   * each operand, counter of each loop or -1), the begin of a loop (counter, first) or its end (counter, step,
   * the value that ends it, words to go back), and the end.
   */
  readonly words: Int32Array<ArrayBuffer>;
  readonly counters: number;
  readonly mostOperands: number;
  readonly mostLoops: number;
}

/** Encodes a program. Offsets are counted in units of 256 bytes, so that arenas may be larger than 4 GiB. */
export function encodeProgram({ instructions, counters }: ThreadProgram): EncodedProgram {
  const words: number[] = [];
  let mostOperands = 0, mostLoops = 0;
  const encode = (list: readonly Instruction[]): void => {
    for (const instruction of list) {
      switch (instruction.kind) {
        case "barrier":
          // The runtime begins no kernel before all threads have finished the one before.
          break;
        case "call": {
          const { step, fn, single, operands, counters } = instruction;
          mostOperands = Math.max(mostOperands, operands.length);
          mostLoops = Math.max(mostLoops, counters.length);
          words.push(CALL, step, fn, Number(single), operands.length, counters.length);
          for (const { word, offset } of operands) {
            invariant(offset % OFFSET_UNIT === 0, `an operand lies ${offset} bytes behind a word`);
            words.push(word, offset / OFFSET_UNIT);
          }
          for (const counter of counters) words.push(counter ?? -1);
          break;
        }
        case "loop": {
          const { counter, first, last, body } = instruction, by = last < first ? -1 : 1;
          words.push(LOOP, counter, first);
          const start = words.length;
          encode(body);
          words.push(NEXT, counter, by, last + by, words.length - start);
          break;
        }
      }
    }
  };
  encode(instructions);
  words.push(END);
  return { words: Int32Array.from(words), counters, mostOperands, mostLoops };
}
