/** The register-tiled contract kernel: the faster form on software adapters, and for small shapes on all adapters. */
import type { Expr } from "../../../core/expr.ts";
import type { Index, Var } from "../../../core/index_expr.ts";
import {
  addIndex,
  constantIndex,
  divIndex,
  makeVar,
  modIndex,
  scaleIndex,
  varIndex,
} from "../../../core/index_expr.ts";
import type { ContractKernel } from "../../kernel.ts";
import { SHORT_PRODUCT } from "../../long_sums.ts";
import type { RegisterTile } from "./contract_tile.ts";
import { Evaluator } from "./print_expr.ts";
import type { Env } from "./print_index.ts";
import { convert, joinLanes, LANES, splat } from "./print_value.ts";
import { assign, pointsOf, unflatten } from "../../codegen/lane_index.ts";
import type { Tile } from "../../mask_range.ts";
import { openMaskedLoop } from "./print_mask.ts";
import { BlockSums, closeCounted, type Counted, openCounted } from "./print_loops.ts";
import { typeName } from "./print_literal.ts";
import { startFlat, workgroupSizeFor } from "./print_space.ts";
import type { Value, WgslKernel, Writer } from "./print_writer.ts";

/** The position and contents of an invocation's tile. */
export interface TileContext {
  readonly kernel: ContractKernel;
  readonly writer: Writer;
  readonly evaluator: Evaluator;
  readonly tile: RegisterTile;
  /** Values of the batch variables. */
  readonly batch: ReadonlyMap<number, Index>;
  /** First row and first column. */
  readonly rowBase: Index;
  readonly columnBase: Index;
}

/** Prints a contract kernel whose invocations keep `tile.rows` x `tile.columns` outputs each. */
export function printRegisters(kernel: ContractKernel, writer: Writer, tile: RegisterTile): WgslKernel {
  const evaluator = new Evaluator(writer, kernel.stores, [kernel.lhs, kernel.rhs]);
  const rowTile = makeVar("rows", Math.ceil(kernel.m.extent / tile.rows)),
    columnTile = makeVar("columns", Math.ceil(kernel.n.extent / tile.columns));
  const space = [...kernel.batch, rowTile, columnTile];
  const invocations = pointsOf(space);
  const size = workgroupSizeFor(invocations, writer.target.style === "gpu" ? 64 : 8);
  const { id, launch } = startFlat(writer, invocations, size);
  const place = unflatten(varIndex(id), space);
  const batch = new Map<number, Index>();
  assign(batch, kernel.batch, place.slice(0, -2));
  const rowBase = scaleIndex(place[space.length - 2], tile.rows),
    columnBase = scaleIndex(place[space.length - 1], tile.columns);
  const context: TileContext = { kernel, writer, evaluator, tile, batch, rowBase, columnBase };
  declareTile(context);
  accumulateTile(context);
  storeTile(context);
  return writer.finish(size, launch.workgroups);
}

/** Name of the accumulator of one row and four columns. */
function cell(row: number, quad: number): string {
  return `c${row}_${quad}`;
}

/** The dtype in which sums are accumulated. */
export function accumulatorType(kernel: ContractKernel): "f32" | "i32" | "u32" {
  const { dtype } = kernel.lhs;
  return dtype === "i32" || dtype === "u32" ? dtype : "f32";
}

/** Declares the accumulators. */
export function declareTile({ writer, tile, kernel }: TileContext): void {
  const type = typeName(accumulatorType(kernel), 4);
  for (let row = 0; row < tile.rows; row++) {
    for (let quad = 0; quad < tile.columns / 4; quad++) writer.line(`var ${cell(row, quad)} = ${type}(0);`);
  }
}

/**
 * Unroll factor of the loop over k. On software adapters it is 1 unless operands are loaded by vec4s along k: as fast,
 * and compiles faster.
 */
function stepsOf({ kernel, evaluator, tile, writer }: TileContext): number {
  if (kernel.k.extent % 4 !== 0) return 1;
  const { lhsAlongK, rhsAlongK } = lanesOf(kernel, evaluator);
  return writer.target.style === "software" && !lhsAlongK && !rhsAlongK && tile.rows % 4 === 0 ? 1 : 4;
}

/** The loop over k. */
function accumulateTile(context: TileContext): void {
  const { kernel, writer } = context;
  const { extent } = kernel.k;
  const depth = stepsOf(context);
  if (extent === 0) return;
  let turn: Index = constantIndex(0);
  const turns = extent / depth,
    sums = longSums(context, turns, depth),
    loop: Counted = { name: "k", turns, block: sums?.block };
  const masked = openMaskedLoop({
    ...loop,
    kernel,
    writer,
    evaluator: context.evaluator,
    tile: tileSides(context),
    size: { ...context.tile, depth },
  });
  if (masked) turn = varIndex(masked);
  else if (turns > 1) turn = varIndex(openCounted(writer, loop));
  const base = scaleIndex(turn, depth);
  const lhs = lhsScalars(context, base, depth), rhs = rhsQuads(context, base, depth);
  for (let step = 0; step < depth; step++) multiplyAdd(context, (row) => lhs[row][step], (quad) => rhs[quad][step]);
  if (masked || turns > 1) closeCounted(writer, loop, () => sums?.flush());
  sums?.finish();
}

/** Block sums in addition to the accumulators, for long k: `turns` iterations of `depth` steps each. */
export function longSums({ kernel, writer, tile }: TileContext, turns: number, depth: number): BlockSums | undefined {
  const dtype = accumulatorType(kernel), type = typeName(dtype, 4);
  if (dtype !== "f32" || turns * depth <= SHORT_PRODUCT) return undefined;
  const cells = Array.from(
    { length: tile.rows * tile.columns / 4 },
    (_, at) => cell(Math.floor(4 * at / tile.columns), at % (tile.columns / 4)),
  );
  return new BlockSums(writer, cells.map((name) => ({ name, type })), turns, depth);
}

/** The extents of an invocation's tile. */
function tileSides({ kernel, tile, batch, rowBase, columnBase }: TileContext): Tile {
  const sides = new Map([...batch].map(([id, start]) => [id, { start, size: 1 }]));
  return sides.set(kernel.m.id, { start: rowBase, size: tile.rows }).set(kernel.n.id, {
    start: columnBase,
    size: tile.columns,
  });
}

/** Whether to load operands by vec4s along k rather than along m and n, whichever takes fewer loads. */
function lanesOf(
  { batch, m, n, k, lhs, rhs }: ContractKernel,
  evaluator: Evaluator,
): { lhsAlongK: boolean; rhsAlongK: boolean } {
  const cost = (expr: Expr, along: Var, across: Var): number => {
    const lane = makeVar("lane", 4), quad = makeVar("quad", Math.max(1, Math.ceil(along.extent / 4)));
    const plain = [...batch, across].map((variable) => [variable.id, varIndex(variable)] as const);
    const moving = addIndex(scaleIndex(varIndex(quad), 4), varIndex(lane));
    return evaluator.cost([expr], [], evaluator.env(new Map([...plain, [along.id, moving]]), lane));
  };
  return { lhsAlongK: cost(lhs, k, m) <= cost(lhs, m, k), rhsAlongK: cost(rhs, k, n) < cost(rhs, n, k) };
}

/** Accumulates the outer product of a column of lhs scalars and a row of rhs quads. */
export function multiplyAdd(
  { writer, tile }: TileContext,
  lhs: (row: number) => string,
  rhs: (quad: number) => string,
): void {
  for (let row = 0; row < tile.rows; row++) {
    for (let quad = 0; quad < tile.columns / 4; quad++) {
      writer.line(`${cell(row, quad)} += ${lhs(row)} * ${rhs(quad)};`);
    }
  }
}

/** Values of lhs as scalar texts, by row and step of k. Lanes run along k or along m, whichever takes fewer loads. */
function lhsScalars(context: TileContext, base: Index, depth: number): string[][] {
  const { kernel, evaluator, tile, rowBase } = context;
  const rows = Array.from({ length: tile.rows }, (_, row) => row);
  const lane = makeVar("lane", 4);
  const at = (row: Index, k: Index, withLane: boolean) =>
    operandEnv(context, [kernel.m.id, row], [kernel.k.id, k], withLane ? lane : undefined);
  const alongK = at(rowBase, addIndex(base, varIndex(lane)), true),
    alongM = at(addIndex(rowBase, varIndex(lane)), base, true);
  const costK = depth === 4 ? evaluator.cost([kernel.lhs], [], alongK) : 4;
  const costM = tile.rows % 4 === 0 ? evaluator.cost([kernel.lhs], [], alongM) : Infinity;
  if (costM < costK) {
    const quads = Array.from(
      { length: tile.rows / 4 },
      (_, quad) =>
        Array.from(
          { length: depth },
          (_, step) =>
            operand(
              context,
              kernel.lhs,
              at(addIndex(addIndex(rowBase, 4 * quad), varIndex(lane)), addIndex(base, step), true),
            ),
        ),
    );
    return rows.map((row) => Array.from({ length: depth }, (_, step) => component(quads[row >> 2][step], row & 3)));
  }
  if (depth === 4) {
    const values = rows.map((row) =>
      operand(context, kernel.lhs, at(addIndex(rowBase, row), addIndex(base, varIndex(lane)), true))
    );
    return values.map((value) => [0, 1, 2, 3].map((step) => component(value, step)));
  }
  return rows.map((row) => [operand(context, kernel.lhs, at(addIndex(rowBase, row), base, false)).text]);
}

/**
 * Values of rhs as vec4 texts along n, by quad and step of k. Lanes run along n, or along k and are transposed in
 * registers.
 */
function rhsQuads(context: TileContext, base: Index, depth: number): string[][] {
  const { kernel, evaluator, tile, columnBase } = context;
  const quads = Array.from({ length: tile.columns / 4 }, (_, quad) => quad);
  const lane = makeVar("lane", 4);
  const at = (column: Index, k: Index) => operandEnv(context, [kernel.n.id, column], [kernel.k.id, k], lane);
  const alongN = at(addIndex(columnBase, varIndex(lane)), base),
    alongK = at(columnBase, addIndex(base, varIndex(lane)));
  if (depth === 4 && evaluator.cost([kernel.rhs], [], alongK) < evaluator.cost([kernel.rhs], [], alongN)) {
    const columns = Array.from(
      { length: tile.columns },
      (_, column) => operand(context, kernel.rhs, at(addIndex(columnBase, column), addIndex(base, varIndex(lane)))),
    );
    return quads.map((quad) =>
      [0, 1, 2, 3].map((step) => {
        const parts = [0, 1, 2, 3].map((at) => columns[4 * quad + at]).map((value) => ({
          ...value,
          text: component(value, step),
          width: 1 as const,
        }));
        return context.writer.bound(joinLanes(parts)).text;
      })
    );
  }
  return quads.map((quad) =>
    Array.from(
      { length: depth },
      (_, step) =>
        context.writer.bound(
          splat(
            operand(
              context,
              kernel.rhs,
              at(addIndex(addIndex(columnBase, 4 * quad), varIndex(lane)), addIndex(base, step)),
            ),
          ),
        ).text,
    )
  );
}

function operandEnv(
  { evaluator, batch }: TileContext,
  outer: [number, Index],
  inner: [number, Index],
  lane: ReturnType<typeof makeVar> | undefined,
): Env {
  return evaluator.env(new Map([...batch, outer, inner]), lane);
}

/** Binds an operand's value, converted to the accumulator's type, to a name. */
function operand({ evaluator, writer, kernel }: TileContext, expr: Expr, env: Env): Value {
  return writer.bound(convert(evaluator.value(expr, env), accumulatorType(kernel)));
}

function component(value: Value, lane: number): string {
  return value.width === 1 ? value.text : `${value.text}.${LANES[lane]}`;
}

/** Evaluates and writes the stores of a tile, with lanes along n, or along m for stores that are contiguous along m. */
export function storeTile(context: TileContext): void {
  const { kernel, evaluator, tile, rowBase, columnBase } = context;
  const lane = makeVar("lane", 4);
  const at = (row: Index, column: Index, accumulator: Value) =>
    evaluator.env(new Map([...context.batch, [kernel.m.id, row], [kernel.n.id, column]]), lane, accumulator);
  const sums: Value = { text: "", dtype: accumulatorType(kernel), width: 4, depth: 0, atomic: true };
  const alongN = evaluator.cost([], kernel.stores, at(rowBase, addIndex(columnBase, varIndex(lane)), sums));
  const alongM = tile.rows % 4 === 0
    ? evaluator.cost([], kernel.stores, at(addIndex(rowBase, varIndex(lane)), columnBase, sums))
    : Infinity;
  const isTransposed = alongM < alongN;
  const [lines, quads] = isTransposed ? [tile.columns, tile.rows / 4] : [tile.rows, tile.columns / 4];
  const eachQuad = context.writer.target.style === "software" && lines * quads > 2 ? loopOverQuads : forEachQuad;
  eachQuad(context, { lines, quads, isTransposed }, (line, quad, sum) => {
    if (isTransposed) {
      const rows = addIndex(rowBase, scaleIndex(quad, 4)), column = addIndex(columnBase, line);
      const env = at(addIndex(rows, varIndex(lane)), column, sum);
      storeQuad(context, env, { quad: rows, extent: kernel.m.extent }, { line: column, extent: kernel.n.extent });
    } else {
      const columns = addIndex(columnBase, scaleIndex(quad, 4)), row = addIndex(rowBase, line);
      const env = at(row, addIndex(columns, varIndex(lane)), sum);
      storeQuad(context, env, { quad: columns, extent: kernel.n.extent }, { line: row, extent: kernel.m.extent });
    }
  });
}

/** The accumulators of a tile in fours: `quads` on each line. */
interface QuadGrid {
  readonly lines: number;
  readonly quads: number;
  /** Whether the tile is traversed by columns. */
  readonly isTransposed: boolean;
}

type VisitQuad = (line: Index, quad: Index, sum: Value) => void;

/** Calls `visit` for the accumulators of a tile, four at a time, as unrolled code. */
function forEachQuad(context: TileContext, grid: QuadGrid, visit: VisitQuad): void {
  const { writer } = context, dtype = accumulatorType(context.kernel);
  for (let line = 0; line < grid.lines; line++) {
    for (let quad = 0; quad < grid.quads; quad++) {
      const cells = quadText(context, grid, line, quad),
        text = grid.isTransposed ? writer.bind(cells, 0, "sum") : cells;
      visit(constantIndex(line), constantIndex(quad), { text, dtype, width: 4, depth: 0, atomic: true });
    }
  }
}

/**
 * The same as a loop. A software driver takes 2 ms or more to compile each memory access of an epilogue; selecting an
 * accumulator at run time is almost free.
 */
function loopOverQuads(context: TileContext, grid: QuadGrid, visit: VisitQuad): void {
  const { writer, kernel } = context, count = grid.lines * grid.quads;
  const number = makeVar("quad", count);
  writer.openLoop("quad", count);
  writer.declare(number, "quad");
  const text = writer.fresh("sum");
  writer.line(`var ${text} = ${quadText(context, grid, 0, 0)};`);
  for (let at = 1; at < count; at++) {
    writer.line(
      `${text} = select(${text}, ${
        quadText(context, grid, Math.floor(at / grid.quads), at % grid.quads)
      }, quad == ${at});`,
    );
  }
  const sum: Value = { text, dtype: accumulatorType(kernel), width: 4, depth: writer.depth, atomic: true };
  visit(divIndex(varIndex(number), grid.quads), modIndex(varIndex(number), grid.quads), sum);
  writer.close();
}

function quadText({ kernel }: TileContext, { isTransposed }: QuadGrid, line: number, quad: number): string {
  if (!isTransposed) return cell(line, quad);
  const cells = [0, 1, 2, 3].map((row) => `${cell(4 * quad + row, line >> 2)}.${LANES[line & 3]}`);
  return `${typeName(accumulatorType(kernel), 4)}(${cells.join(", ")})`;
}

/** Stores four outputs along the lanes, guarded if their line or they themselves may be out of bounds. */
function storeQuad(
  { kernel, writer, evaluator }: TileContext,
  env: Env,
  { quad, extent }: { quad: Index; extent: number },
  { line, extent: lines }: { line: Index; extent: number },
): void {
  const text = (index: Index) => writer.bound(evaluator.scalar(index, env), "n").text;
  const values = kernel.stores.map(({ value }) => writer.bound(evaluator.value(value, env)));
  const guards: string[] = [];
  if (line.max >= lines) guards.push(`${text(line)} < ${lines}`);
  if (quad.max >= extent) guards.push(`${text(quad)} < ${extent}`);
  const base = extent % 4 === 0 ? "" : text(quad);
  const live = extent % 4 === 0 ? undefined : (lane: number) => (lane === 0 ? undefined : `${base} < ${extent - lane}`);
  if (guards.length > 0) writer.open(`if (${guards.map((guard) => `(${guard})`).join(" && ")})`);
  kernel.stores.forEach((store, at) => evaluator.store(store, values[at], env, live));
  if (guards.length > 0) writer.close();
}
