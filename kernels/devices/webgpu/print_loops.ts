/**
 * Loops of many turns, as WGSL: sums in blocks (long_sums.ts), and steps unrolled where a driver would end the loop
 * early.
 */
import { addIndex, type Index, makeVar, scaleIndex, type Var, varIndex } from "../../../core/index_expr.ts";
import { MAX_TERMS, SUM_BLOCK } from "../../long_sums.ts";
import { MAX_TURNS, type PrintTarget, type Writer } from "./print_writer.ts";

/** A loop over `start .. end - 1`. Default: `0 .. turns - 1`. */
export interface Counted {
  /** What its variable is called. */
  readonly name: string;
  /** Most turns. */
  readonly turns: number;
  readonly start?: string;
  readonly end?: string;
  /** Turns of a block, after each of which something is to be done; undefined for a plain loop. */
  readonly block?: number;
}

/** Opens a loop, and gives its variable. */
export function openCounted(writer: Writer, { name, turns, start, end = `${turns}`, block }: Counted): Var {
  if (block !== undefined) {
    writer.open(`for (var block = ${start ?? 0}; block < ${end}; block += ${block})`, Math.ceil(turns / block));
    const stop = start === undefined && turns % block === 0 ? `block + ${block}` : `min(block + ${block}, ${end})`;
    writer.open(`for (var ${name} = block; ${name} < ${stop}; ${name}++)`, block);
  } else if (start === undefined) writer.openLoop(name, turns);
  else writer.open(`for (var ${name} = ${start}; ${name} < ${end}; ${name}++)`, turns);
  const variable = makeVar(name, turns);
  writer.declare(variable, name);
  return variable;
}

/** Closes a loop; `flush` prints what is to be done after each block. */
export function closeCounted(writer: Writer, { block }: Counted, flush: () => void): void {
  writer.close();
  if (block === undefined) return;
  flush();
  writer.close();
}

/** Variables that sum a block of terms each, and what earlier blocks summed. */
export class BlockSums {
  readonly #isDeep: boolean;

  /**
   * Declares what is beside the variables.
   * @param names The variables, which start with 0, and their WGSL types.
   * @param turns Turns of the loop, each of which adds one term or a few.
   * @param turnTerms Terms that a turn adds to a variable, one after another.
   */
  constructor(
    readonly writer: Writer,
    readonly names: readonly { readonly name: string; readonly type: string }[],
    turns: number,
    readonly turnTerms = 1,
  ) {
    this.#isDeep = turns * turnTerms > MAX_TERMS;
    for (const { name, type } of names) {
      writer.line(`var ${name}_total = ${type}(0);`);
      if (this.#isDeep) writer.line(`var ${name}_earlier = ${type}(0);`);
    }
  }

  /** Turns of a block. */
  get block(): number {
    return Math.max(1, SUM_BLOCK / this.turnTerms);
  }

  /** What all finished blocks of a variable summed. */
  textOf(name: string): string {
    return this.#isDeep ? `(${name}_earlier + ${name}_total)` : `${name}_total`;
  }

  /** Adds the blocks, and starts the next ones with 0. */
  flush(): void {
    const { writer, names } = this;
    for (const { name, type } of names) writer.line(`${name}_total += ${name}; ${name} = ${type}(0);`);
    if (!this.#isDeep) return;
    const turns = Math.max(1, MAX_TERMS / this.turnTerms);
    writer.open(`if (block % ${turns} == ${turns - this.block})`);
    for (const { name, type } of names) writer.line(`${name}_earlier += ${name}_total; ${name}_total = ${type}(0);`);
    writer.close();
  }

  /** Puts the sums of all blocks in the place of the variables, which have been flushed. */
  finish(): void {
    for (const { name } of this.names) this.writer.line(`${name} = ${this.textOf(name)};`);
  }
}

/** Steps that a turn of a loop takes, so that the turns of all are no more than a driver gives. A power of two. */
export function stepsPerTurn(steps: number, { style }: PrintTarget, isInBlocks = false): number {
  if (style !== "software") return 1;
  let each = 1;
  const turnsOf = (each: number) => steps / each + (isInBlocks ? steps / Math.max(each, SUM_BLOCK) : 0) + each;
  while (turnsOf(each) > MAX_TURNS - SUM_BLOCK) each *= 2;
  return each;
}

/**
 * Runs `body` for the steps `0 .. extent - 1` in order.
 * @param each Steps that a turn takes; see {@link stepsPerTurn}.
 * @param sums What is flushed after each block.
 */
export function overSteps(
  writer: Writer,
  { name, extent, each, sums }: {
    readonly name: string;
    readonly extent: number;
    readonly each: number;
    readonly sums?: BlockSums;
  },
  body: (step: Index) => void,
): void {
  const loop: Counted = { name, turns: Math.floor(extent / each), block: sums?.block },
    turn = varIndex(openCounted(writer, loop));
  if (each === 1) body(turn);
  for (let part = 0; each > 1 && part < each; part++) {
    // A block of its own: names of one step would hide what the next one reads anew.
    writer.open("");
    body(addIndex(scaleIndex(turn, each), part));
    writer.close();
  }
  closeCounted(writer, loop, () => sums?.flush());
  const rest = extent % each;
  if (rest === 0) return;
  const last = openCounted(writer, { name, turns: rest });
  body(addIndex(varIndex(last), extent - rest));
  writer.close();
}
