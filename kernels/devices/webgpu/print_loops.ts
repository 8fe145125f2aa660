/**
 * Loops with many iterations in WGSL: block-wise sums (long_sums.ts), and unrolling where a driver would otherwise
 * abort the loop early.
 */
import { addIndex, type Index, makeVar, scaleIndex, type Var, varIndex } from "../../../core/index_expr.ts";
import { MAX_TERMS, SUM_BLOCK } from "../../long_sums.ts";
import { MAX_TURNS, type PrintTarget, type Writer } from "./print_writer.ts";

/** A loop over `start .. end - 1`. Default: `0 .. turns - 1`. */
export interface Counted {
  /** Name of the loop variable. */
  readonly name: string;
  /** Maximum number of iterations. */
  readonly turns: number;
  readonly start?: string;
  readonly end?: string;
  /** Iterations per block, if something is to be done after each block; undefined for a plain loop. */
  readonly block?: number;
}

/** Opens a loop and returns its variable. */
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

/** Variables that accumulate a block of terms each, and the totals of earlier blocks. */
export class BlockSums {
  readonly #isDeep: boolean;

  /**
   * Declares the totals.
   * @param names The variables, which start at 0, and their WGSL types.
   * @param turns Iterations of the loop.
   * @param turnTerms Terms that an iteration adds to a variable, one after another.
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

  /** Iterations per block. */
  get block(): number {
    return Math.max(1, SUM_BLOCK / this.turnTerms);
  }

  /** The total of all finished blocks of a variable. */
  textOf(name: string): string {
    return this.#isDeep ? `(${name}_earlier + ${name}_total)` : `${name}_total`;
  }

  /** Adds the blocks to the totals and resets them to 0. */
  flush(): void {
    const { writer, names } = this;
    for (const { name, type } of names) writer.line(`${name}_total += ${name}; ${name} = ${type}(0);`);
    if (!this.#isDeep) return;
    const turns = Math.max(1, MAX_TERMS / this.turnTerms);
    writer.open(`if (block % ${turns} == ${turns - this.block})`);
    for (const { name, type } of names) writer.line(`${name}_earlier += ${name}_total; ${name}_total = ${type}(0);`);
    writer.close();
  }

  /** Stores the totals in the variables, which have been flushed. */
  finish(): void {
    for (const { name } of this.names) this.writer.line(`${name} = ${this.textOf(name)};`);
  }
}

/**
 * The number of steps that an iteration must unroll for the total number of iterations to stay within a driver's limit.
 * A power of two.
 */
export function stepsPerTurn(steps: number, { style }: PrintTarget, isInBlocks = false): number {
  if (style !== "software") return 1;
  let each = 1;
  const turnsOf = (each: number) => steps / each + (isInBlocks ? steps / Math.max(each, SUM_BLOCK) : 0) + each;
  while (turnsOf(each) > MAX_TURNS - SUM_BLOCK) each *= 2;
  return each;
}

/**
 * Runs `body` for the steps `0 .. extent - 1` in order.
 * @param each Steps per iteration; see {@link stepsPerTurn}.
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
    // In a block of its own, so that names of one step do not shadow what the next one loads again.
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
