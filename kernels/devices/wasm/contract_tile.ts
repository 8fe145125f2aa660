/** The innermost loops of the tiled contract kernel, as instructions. */
import type { Tile } from "./contract_blocks.ts";
import type { Instruction } from "./wasm_encoder.ts";
import type { Value, Writer } from "./writer.ts";

/**
 * Steps of k in a turn of the loop. Addresses are immediates then, and the loop's own arithmetic is spread over them.
 */
const UNROLL = 4;

/** Where a tile's operands lie. Distances are in bytes. */
export interface TileSteps {
  /** The first row at the first k, and the distances between rows and between steps of k. */
  readonly rows: Value;
  readonly rowBytes: number;
  readonly rowStep: number;
  /** The first column at the first k, and the distance between steps of k. Columns are neighbours. */
  readonly columns: Value;
  readonly columnStep: number;
  /** Steps of k, and whether their number always divides by four. */
  readonly depth: Value;
  readonly isQuads: boolean;
}

/** A tile's sums, in registers: each goes through k in order, whatever the tile. */
export class TileSums {
  readonly #quads: number;
  readonly #sums: readonly number[];
  readonly #factors: readonly number[];

  /** Prints into a writer. */
  constructor(readonly w: Writer, readonly tile: Tile) {
    this.#quads = tile.columns / 4;
    this.#sums = Array.from({ length: tile.rows * this.#quads }, () => w.newLocal("v128"));
    this.#factors = Array.from({ length: this.#quads + 1 }, () => w.newLocal("v128"));
  }

  /** Sets the sums to 0. */
  clear(): void {
    this.w.emit(this.#sums.flatMap((sum): Instruction[] => [["f32.const", 0], ["f32x4.splat"], ["local.set", sum]]));
  }

  /** Adds products of some steps. */
  add(place: TileSteps): void {
    const { w } = this, [atRow, atColumn, left] = [w.newLocal("i32"), w.newLocal("i32"), w.newLocal("i32")];
    const loop = (steps: number): Instruction[] => [
      ["loop"],
      ...Array.from({ length: steps }, (_, at) => this.#step(place, at, atRow, atColumn)).flat(),
      ...advance(atColumn, place.columnStep * steps),
      ...advance(atRow, place.rowStep * steps),
      ...[["local.get", left], ["i32.const", 1], ["i32.sub"], ["local.tee", left], ["br_if", 0], [
        "end",
      ]] as Instruction[],
    ];
    const turns = (
      steps: number,
      count: Instruction[],
    ): Instruction[] => [...count, ["local.tee", left], ["if"], ...loop(steps), ["end"]];
    w.emit([
      w.push(place.rows),
      ["local.set", atRow],
      w.push(place.columns),
      ["local.set", atColumn],
      ...turns(UNROLL, [w.push(place.depth), ["i32.const", Math.log2(UNROLL)], ["i32.shr_u"]]),
      ...(place.isQuads ? [] : turns(1, [w.push(place.depth), ["i32.const", UNROLL - 1], ["i32.and"]])),
    ]);
  }

  /**
   * Stores the sums, added to what is in memory unless they are the first.
   * @param corner The address of the upper left sum.
   * @param pitch Bytes between rows of sums.
   */
  store(corner: Value, pitch: number, isFirst: Value): void {
    const { w } = this;
    const offset = (at: number) => pitch * Math.floor(at / this.#quads) + 16 * (at % this.#quads);
    const plus = (
      sum: number,
      at: number,
    ): Instruction[] => [w.push(corner), ["v128.load", offset(at)], ["local.get", sum], ["f32x4.add"], [
      "local.set",
      sum,
    ]];
    const isAlone = isFirst.local === undefined && isFirst.literal !== 0;
    if (!isAlone) w.emit([w.push(isFirst), ["i32.eqz"], ["if"], ...this.#sums.flatMap(plus), ["end"]]);
    w.emit(
      this.#sums.flatMap((sum, at): Instruction[] => [w.push(corner), ["local.get", sum], ["v128.store", offset(at)]]),
    );
  }

  #step({ columnStep, rowBytes, rowStep }: TileSteps, at: number, atRow: number, atColumn: number): Instruction[] {
    const { w, tile: { rows } } = this, quads = this.#quads, factors = this.#factors;
    return [
      ...factors.slice(0, quads).flatMap((factor, i): Instruction[] => [
        ["local.get", atColumn],
        ["v128.load", columnStep * at + 16 * i],
        ["local.set", factor],
      ]),
      ...Array.from({ length: rows }, (_, row): Instruction[] => [
        ["local.get", atRow],
        ["v128.load32_splat", rowBytes * row + rowStep * at],
        ["local.set", factors[quads]],
        ...this.#sums.slice(row * quads, (row + 1) * quads).flatMap((sum, i) =>
          multiplyAdd(w, factors[quads], factors[i], sum)
        ),
      ]).flat(),
    ];
  }
}

function multiplyAdd(w: Writer, x: number, y: number, sum: number): Instruction[] {
  const factors: Instruction[] = [["local.get", x], ["local.get", y]];
  const both: Instruction[] = w.target.relaxed
    ? [...factors, ["local.get", sum], ["f32x4.relaxed_madd"]]
    : [...factors, ["f32x4.mul"], ["local.get", sum], ["f32x4.add"]];
  return [...both, ["local.set", sum]];
}

function advance(local: number, bytes: number): Instruction[] {
  return [["local.get", local], ["i32.const", bytes], ["i32.add"], ["local.set", local]];
}
