/** From a thread program to the words that the runtime interprets. */
import { invariant } from "../../../core/errors.ts";
import type { Call, CountedLoop, Instruction, ThreadProgram } from "../../codegen/thread_program.ts";
import { CALL, DONE, END, LOOP, NEXT, OFFSET_UNIT, TASK } from "./runtime_source.ts";

/** A program as the runtime takes it. */
export interface EncodedProgram {
  /**
   * One after the other: a call (step, function, whether single, number of operands, number of loops, word and offset
   * of each operand, counter of each loop or -1), the begin of a loop (counter, first) or its end (counter, step,
   * the value that ends it, words to go back), the begin of a task (words to its end and behind) or its end, and the
   * end.
   */
  readonly words: Int32Array<ArrayBuffer>;
  readonly counters: number;
  readonly mostOperands: number;
  readonly mostLoops: number;
}

/** Encodes a program. Offsets are counted in units of 256 bytes, so that arenas may be larger than 4 GiB. */
export function encodeProgram({ instructions, counters }: ThreadProgram): EncodedProgram {
  const encoder = new Encoder();
  encoder.tasks(instructions);
  const { words, mostOperands, mostLoops } = encoder;
  return { words: Int32Array.from([...words, END]), counters, mostOperands, mostLoops };
}

class Encoder {
  readonly words: number[] = [];
  mostOperands = 0;
  mostLoops = 0;

  /** Encodes instructions as tasks, if they are worth more than one thread, and what is around them. */
  tasks(instructions: readonly Instruction[]): void {
    for (const task of tasksOf(instructions)) {
      if (task.some(hasBarrier) || !task.some(isShared)) {
        this.#all(task);
        continue;
      }
      const start = this.words.length;
      this.words.push(TASK, 0);
      this.#all(task);
      this.words.push(DONE);
      this.words[start + 1] = this.words.length - start;
    }
  }

  #all(instructions: readonly Instruction[]): void {
    for (const instruction of instructions) {
      if (instruction.kind === "call") this.#call(instruction);
      else if (instruction.kind === "loop") this.#loop(instruction);
      else invariant(false, "a barrier within a task");
    }
  }

  #call({ step, fn, single, operands, counters }: Call): void {
    this.mostOperands = Math.max(this.mostOperands, operands.length);
    this.mostLoops = Math.max(this.mostLoops, counters.length);
    this.words.push(CALL, step, fn, Number(single), operands.length, counters.length);
    for (const { word, offset } of operands) {
      invariant(offset % OFFSET_UNIT === 0, `an operand lies ${offset} bytes behind a word`);
      this.words.push(word, offset / OFFSET_UNIT);
    }
    for (const counter of counters) this.words.push(counter ?? -1);
  }

  #loop(loop: CountedLoop): void {
    const { counter, first, last, body } = loop, by = last < first ? -1 : 1;
    this.words.push(LOOP, counter, first);
    const start = this.words.length;
    if (hasBarrier(loop)) this.tasks(body);
    else this.#all(body);
    this.words.push(NEXT, counter, by, last + by, this.words.length - start);
  }
}

/** Cuts instructions into what lies between barriers and loops that have barriers in them, and these loops. */
function tasksOf(instructions: readonly Instruction[]): Instruction[][] {
  const tasks: Instruction[][] = [[]];
  for (const instruction of instructions) {
    if (instruction.kind === "barrier") tasks.push([]);
    else if (hasBarrier(instruction)) tasks.push([instruction], []);
    else tasks[tasks.length - 1].push(instruction);
  }
  return tasks.filter(({ length }) => length > 0);
}

function hasBarrier(instruction: Instruction): boolean {
  return instruction.kind === "barrier" || (instruction.kind === "loop" && instruction.body.some(hasBarrier));
}

/** Whether any kernel is worth more than one thread. */
function isShared(instruction: Instruction): boolean {
  return instruction.kind === "loop"
    ? instruction.body.some(isShared)
    : instruction.kind === "call" && !instruction.single;
}
