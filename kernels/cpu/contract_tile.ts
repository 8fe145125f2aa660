/** The innermost loops of the tiled contract kernel, as instructions. */
import type { Tile } from "./contract_blocks.ts";
import type { Instruction } from "./wasm_encoder.ts";
import type { Value, Writer } from "./writer.ts";

/** Steps of k in a turn of the loop. Addresses are immediates then, and the loop's own arithmetic is spread over them. */
const UNROLL = 4;

/** Where a tile's operands and its sums lie. Distances are in bytes. */
export interface TilePlace {
  /** The first row at the first k, and the distances between rows and between steps of k. */
  readonly rows: Value;
  readonly rowBytes: number;
  readonly rowStep: number;
  /** The first column at the first k, and the distance between steps of k. Columns are neighbours. */
  readonly columns: Value;
  readonly columnStep: number;
  /** The upper left sum, and the distance between rows of sums. */
  readonly corner: Value;
  readonly cornerStep: number;
  /** Steps of k, and whether their number always divides by four. */
  readonly depth: Value;
  readonly isQuads: boolean;
  /** Whether sums begin with 0; else with what is in memory. */
  readonly isFirst: Value;
}

/** Computes a tile: each sum goes through k in order, whatever the tile. */
export function printTile(w: Writer, { rows, columns }: Tile, place: TilePlace): void {
  const quads = columns / 4;
  const sums = Array.from({ length: rows * quads }, () => w.newLocal("v128"));
  const [atRow, atColumn, left] = [w.newLocal("i32"), w.newLocal("i32"), w.newLocal("i32")];
  const factors = Array.from({ length: quads + 1 }, () => w.newLocal("v128"));
  const offset = (at: number) => place.cornerStep * Math.floor(at / quads) + 16 * (at % quads);
  const clear = sums.flatMap((sum): Instruction[] => [["f32.const", 0], ["f32x4.splat"], ["local.set", sum]]);
  const read = sums.flatMap((sum, at): Instruction[] => [w.push(place.corner), ["v128.load", offset(at)], ["local.set", sum]]);
  const { isFirst } = place;
  const start = isFirst.local === undefined
    ? (isFirst.literal ? clear : read)
    : [w.push(isFirst), ["if"] as Instruction, ...clear, ["else"] as Instruction, ...read, ["end"] as Instruction];
  const step = (at: number): Instruction[] => [
    ...factors.slice(0, quads).flatMap((factor, i): Instruction[] => [
      ["local.get", atColumn],
      ["v128.load", place.columnStep * at + 16 * i],
      ["local.set", factor],
    ]),
    ...Array.from({ length: rows }, (_, row): Instruction[] => [
      ["local.get", atRow],
      ["v128.load32_splat", place.rowBytes * row + place.rowStep * at],
      ["local.set", factors[quads]],
      ...sums.slice(row * quads, (row + 1) * quads).flatMap((sum, i) => multiplyAdd(w, factors[quads], factors[i], sum)),
    ]).flat(),
  ];
  const loop = (steps: number): Instruction[] => [
    ["loop"],
    ...Array.from({ length: steps }, (_, at) => step(at)).flat(),
    ...advance(atColumn, place.columnStep * steps),
    ...advance(atRow, place.rowStep * steps),
    ...[["local.get", left], ["i32.const", 1], ["i32.sub"], ["local.tee", left], ["br_if", 0], ["end"]] as Instruction[],
  ];
  const turns = (steps: number, count: Instruction[]): Instruction[] => [...count, ["local.tee", left], ["if"], ...loop(steps), ["end"]];
  w.emit([
    ...start,
    w.push(place.rows),
    ["local.set", atRow],
    w.push(place.columns),
    ["local.set", atColumn],
    ...turns(UNROLL, [w.push(place.depth), ["i32.const", Math.log2(UNROLL)], ["i32.shr_u"]]),
    ...(place.isQuads ? [] : turns(1, [w.push(place.depth), ["i32.const", UNROLL - 1], ["i32.and"]])),
    ...sums.flatMap((sum, at): Instruction[] => [w.push(place.corner), ["local.get", sum], ["v128.store", offset(at)]]),
  ]);
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
