/** The register-tiled contract kernel: the fast form on software adapters, and for small shapes everywhere. */
import type { Expr } from "../../core/expr.ts";
import type { Index } from "../../core/index_expr.ts";
import { addIndex, constantIndex, makeVar, scaleIndex, varIndex } from "../../core/index_expr.ts";
import type { ContractKernel } from "../kernel.ts";
import type { RegisterTile } from "./contract_tile.ts";
import { convert, Evaluator, joinLanes, LANES, splat } from "./print_expr.ts";
import type { Env } from "./print_expr.ts";
import { assign, pointsOf, unflatten } from "../lane_index.ts";
import { typeName } from "./print_math.ts";
import { startFlat, workgroupSizeFor } from "./print_space.ts";
import type { Value, WgslKernel, Writer } from "./print_writer.ts";

/** Where an invocation's tile is, and what it is made of. */
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
  const rowTile = makeVar("rows", Math.ceil(kernel.m.extent / tile.rows)), columnTile = makeVar("columns", Math.ceil(kernel.n.extent / tile.columns));
  const space = [...kernel.batch, rowTile, columnTile];
  const invocations = pointsOf(space);
  const size = workgroupSizeFor(invocations, writer.target.style === "gpu" ? 64 : 8);
  const { id, launch } = startFlat(writer, invocations, size);
  const place = unflatten(varIndex(id), space);
  const batch = new Map<number, Index>();
  assign(batch, kernel.batch, place.slice(0, -2));
  const rowBase = scaleIndex(place[space.length - 2], tile.rows), columnBase = scaleIndex(place[space.length - 1], tile.columns);
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

/** The dtype sums are kept in. */
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

/** The loop over k. */
function accumulateTile(context: TileContext): void {
  const { kernel, writer } = context;
  const { extent } = kernel.k;
  const depth = extent % 4 === 0 ? 4 : 1;
  if (extent === 0) return;
  let turn: Index = constantIndex(0);
  const turns = extent / depth;
  if (turns > 1) {
    writer.openLoop("k", turns);
    const variable = makeVar("k", turns);
    writer.declare(variable, "k");
    turn = varIndex(variable);
  }
  const base = scaleIndex(turn, depth);
  const lhs = lhsScalars(context, base, depth), rhs = rhsQuads(context, base, depth);
  for (let step = 0; step < depth; step++) multiplyAdd(context, (row) => lhs[row][step], (quad) => rhs[quad][step]);
  if (turns > 1) writer.close();
}

/** Adds the outer product of a column of lhs scalars and a row of rhs quads. */
export function multiplyAdd({ writer, tile }: TileContext, lhs: (row: number) => string, rhs: (quad: number) => string): void {
  for (let row = 0; row < tile.rows; row++) {
    for (let quad = 0; quad < tile.columns / 4; quad++) writer.line(`${cell(row, quad)} += ${lhs(row)} * ${rhs(quad)};`);
  }
}

/** Values of lhs as scalar texts, by row and step of k. Lanes run along k or along m, whichever takes fewer loads. */
function lhsScalars(context: TileContext, base: Index, depth: number): string[][] {
  const { kernel, evaluator, tile, rowBase } = context;
  const rows = Array.from({ length: tile.rows }, (_, row) => row);
  const lane = makeVar("lane", 4);
  const at = (row: Index, k: Index, withLane: boolean) => operandEnv(context, [kernel.m.id, row], [kernel.k.id, k], withLane ? lane : undefined);
  const alongK = at(rowBase, addIndex(base, varIndex(lane)), true), alongM = at(addIndex(rowBase, varIndex(lane)), base, true);
  const costK = depth === 4 ? evaluator.cost([kernel.lhs], [], alongK) : 4;
  const costM = tile.rows % 4 === 0 ? evaluator.cost([kernel.lhs], [], alongM) : Infinity;
  if (costM < costK) {
    const quads = Array.from(
      { length: tile.rows / 4 },
      (_, quad) =>
        Array.from(
          { length: depth },
          (_, step) => operand(context, kernel.lhs, at(addIndex(addIndex(rowBase, 4 * quad), varIndex(lane)), addIndex(base, step), true)),
        ),
    );
    return rows.map((row) => Array.from({ length: depth }, (_, step) => component(quads[row >> 2][step], row & 3)));
  }
  if (depth === 4) {
    const values = rows.map((row) => operand(context, kernel.lhs, at(addIndex(rowBase, row), addIndex(base, varIndex(lane)), true)));
    return values.map((value) => [0, 1, 2, 3].map((step) => component(value, step)));
  }
  return rows.map((row) => [operand(context, kernel.lhs, at(addIndex(rowBase, row), base, false)).text]);
}

/** Values of rhs as vec4 texts along n, by quad and step of k. Lanes run along n, or along k and are transposed in registers. */
function rhsQuads(context: TileContext, base: Index, depth: number): string[][] {
  const { kernel, evaluator, tile, columnBase } = context;
  const quads = Array.from({ length: tile.columns / 4 }, (_, quad) => quad);
  const lane = makeVar("lane", 4);
  const at = (column: Index, k: Index) => operandEnv(context, [kernel.n.id, column], [kernel.k.id, k], lane);
  const alongN = at(addIndex(columnBase, varIndex(lane)), base), alongK = at(columnBase, addIndex(base, varIndex(lane)));
  if (depth === 4 && evaluator.cost([kernel.rhs], [], alongK) < evaluator.cost([kernel.rhs], [], alongN)) {
    const columns = Array.from(
      { length: tile.columns },
      (_, column) => operand(context, kernel.rhs, at(addIndex(columnBase, column), addIndex(base, varIndex(lane)))),
    );
    return quads.map((quad) =>
      [0, 1, 2, 3].map((step) => {
        const parts = [0, 1, 2, 3].map((at) => columns[4 * quad + at]).map((value) => ({ ...value, text: component(value, step), width: 1 as const }));
        return context.writer.bound(joinLanes(parts)).text;
      })
    );
  }
  return quads.map((quad) =>
    Array.from(
      { length: depth },
      (_, step) =>
        context.writer.bound(splat(operand(context, kernel.rhs, at(addIndex(addIndex(columnBase, 4 * quad), varIndex(lane)), addIndex(base, step))))).text,
    )
  );
}

function operandEnv({ evaluator, batch }: TileContext, outer: [number, Index], inner: [number, Index], lane: ReturnType<typeof makeVar> | undefined): Env {
  return evaluator.env(new Map([...batch, outer, inner]), lane);
}

/** An operand's value, as the accumulator's type, under a name. */
function operand({ evaluator, writer, kernel }: TileContext, expr: Expr, env: Env): Value {
  return writer.bound(convert(evaluator.value(expr, env), accumulatorType(kernel)));
}

function component(value: Value, lane: number): string {
  return value.width === 1 ? value.text : `${value.text}.${LANES[lane]}`;
}

/** Evaluates and writes the stores of a tile, with lanes along n or, for stores that are contiguous along m, along m. */
export function storeTile(context: TileContext): void {
  const { kernel, evaluator, tile, rowBase, columnBase } = context;
  const lane = makeVar("lane", 4);
  const at = (row: Index, column: Index, accumulator: Value) =>
    evaluator.env(new Map([...context.batch, [kernel.m.id, row], [kernel.n.id, column]]), lane, accumulator);
  const sums: Value = { text: "", dtype: accumulatorType(kernel), width: 4, depth: 0, atomic: true };
  const alongN = evaluator.cost([], kernel.stores, at(rowBase, addIndex(columnBase, varIndex(lane)), sums));
  const alongM = tile.rows % 4 === 0 ? evaluator.cost([], kernel.stores, at(addIndex(rowBase, varIndex(lane)), columnBase, sums)) : Infinity;
  const isTransposed = alongM < alongN;
  const [lines, quads] = isTransposed ? [tile.columns, tile.rows / 4] : [tile.rows, tile.columns / 4];
  forEachQuad(context, { lines, quads, isTransposed }, (line, quad, sum) => {
    if (isTransposed) {
      const rows = addIndex(rowBase, 4 * quad), column = addIndex(columnBase, line);
      const env = at(addIndex(rows, varIndex(lane)), column, sum);
      storeQuad(context, env, { quad: rows, extent: kernel.m.extent }, { line: column, extent: kernel.n.extent });
    } else {
      const columns = addIndex(columnBase, 4 * quad), row = addIndex(rowBase, line);
      const env = at(row, addIndex(columns, varIndex(lane)), sum);
      storeQuad(context, env, { quad: columns, extent: kernel.n.extent }, { line: row, extent: kernel.m.extent });
    }
  });
}

/** Calls `visit` for the accumulators of a tile, four at a time. All are unrolled: an array indexed in a loop takes a software driver longer to compile. */
function forEachQuad(
  { writer, kernel }: TileContext,
  { lines, quads, isTransposed }: { lines: number; quads: number; isTransposed: boolean },
  visit: (line: number, quad: number, sum: Value) => void,
): void {
  const dtype = accumulatorType(kernel);
  for (let line = 0; line < lines; line++) {
    for (let quad = 0; quad < quads; quad++) {
      const cells = [0, 1, 2, 3].map((row) => `${cell(4 * quad + row, line >> 2)}.${LANES[line & 3]}`);
      const text = isTransposed ? writer.bind(`${typeName(dtype, 4)}(${cells.join(", ")})`, 0, "sum") : cell(line, quad);
      visit(line, quad, { text, dtype, width: 4, depth: 0, atomic: true });
    }
  }
}

/** Stores four outputs along the lanes, if the line they are on and they themselves exist. */
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
