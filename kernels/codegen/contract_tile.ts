/** The innermost loop of the tiled contract kernel, which accumulates a tile of sums in registers. */
import type { Tile } from "./target.ts";
import type { Local, Operand, Operation, Value, Writer } from "./writer.ts";

/** Where a tile's operands are in memory. All strides are in bytes. */
export interface TileSteps {
  /** Address of the first row at the first k, and the strides between rows and between steps of k. */
  readonly rows: Value;
  readonly rowBytes: number;
  readonly rowStep: number;
  /** Address of the first column at the first k, and the stride between steps of k. Columns are contiguous. */
  readonly columns: Value;
  readonly columnStep: number;
  /** Number of steps of k, and whether it is always a multiple of the unroll factor. */
  readonly depth: Value;
  readonly isWhole: boolean;
}

/** A tile of sums in registers. Each sum accumulates in increasing order of k, whatever the tile's shape. */
export class TileSums {
  readonly #vectors: number;
  readonly #sums: readonly Local[];
  readonly #factors: readonly Local[];

  /**
   * Prints into a writer.
   * @param unroll Steps of k in a turn of the loop, which amortize its own arithmetic: a power of two.
   */
  constructor(readonly w: Writer, readonly tile: Tile, readonly unroll: number) {
    const vector = () => w.newLocal({ dtype: "f32", width: w.lanes });
    this.#vectors = tile.columns / w.lanes;
    this.#sums = Array.from({ length: tile.rows * this.#vectors }, vector);
    this.#factors = Array.from({ length: this.#vectors + 1 }, vector);
  }

  /** Sets the sums to 0. */
  clear(): void {
    const { w } = this;
    for (const sum of this.#sums) w.assign(sum, w.operation("f32.splat", [w.literal(0, "f32")]));
  }

  /** Accumulates the products of a range of k. */
  add(place: TileSteps): void {
    const { w, unroll } = this;
    const scalar = (dtype: "address" | "i32") => w.newLocal({ dtype, width: 1 });
    const atRow = scalar("address"), atColumn = scalar("address"), left = scalar("i32");
    const turns = (steps: number, count: Operation) =>
      w.countdown(left, count, () => {
        for (let at = 0; at < steps; at++) this.#step(place, at, w.now(atRow), w.now(atColumn));
        this.#advance(atColumn, place.columnStep * steps);
        this.#advance(atRow, place.rowStep * steps);
      });
    w.assign(atRow, place.rows);
    w.assign(atColumn, place.columns);
    turns(unroll, w.operation("i32.shr_u", [place.depth, w.literal(Math.log2(unroll), "i32")]));
    if (!place.isWhole) turns(1, w.operation("bits.and", [place.depth, w.literal(unroll - 1, "i32")]));
  }

  /**
   * Stores the sums, adding them to memory unless this is the first part of k.
   * @param corner Address of the top left sum.
   * @param pitch Bytes between rows of sums.
   */
  store(corner: Value, pitch: number, isFirst: Value): void {
    const { w } = this, vectors = this.#vectors;
    const offset = (at: number) => pitch * Math.floor(at / vectors) + 4 * w.lanes * (at % vectors);
    const isAlone = isFirst.local === undefined && isFirst.literal !== 0;
    if (!isAlone) {
      w.when(w.operation("i32.eqz", [isFirst]), () => {
        this.#sums.forEach((sum, at) => {
          w.assign(sum, w.operation("f32.add", [w.operation("lanes.load", [corner], [offset(at)]), w.now(sum)]));
        });
      });
    }
    this.#sums.forEach((sum, at) => w.effect("lanes.store", [corner, w.now(sum)], [offset(at)]));
  }

  #step({ columnStep, rowBytes, rowStep }: TileSteps, at: number, row: Value, column: Value): void {
    const { w, tile: { rows } } = this, vectors = this.#vectors, bytes = 4 * w.lanes;
    const factors = this.#factors.slice(0, vectors), broadcast = this.#factors[vectors];
    factors.forEach((factor, i) =>
      w.assign(factor, w.operation("lanes.load", [column], [columnStep * at + bytes * i]))
    );
    for (let number = 0; number < rows; number++) {
      w.assign(broadcast, w.operation("lanes.load_splat", [row], [rowBytes * number + rowStep * at]));
      factors.forEach((factor, i) => {
        const sum = this.#sums[number * vectors + i];
        w.assign(sum, this.#multiplyAdd(w.now(broadcast), w.now(factor), w.now(sum)));
      });
    }
  }

  #multiplyAdd(x: Operand, y: Operand, sum: Operand): Operation {
    const { w } = this;
    return w.target.fused
      ? w.operation("f32.madd", [x, y, sum])
      : w.operation("f32.add", [w.operation("f32.mul", [x, y]), sum]);
  }

  #advance(local: Local, bytes: number): void {
    const { w } = this;
    w.assign(local, w.operation("address.add", [w.now(local), w.literal(bytes, "i32")]));
  }
}
