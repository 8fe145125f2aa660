/**
 * The contract kernel for GPUs: a workgroup loads tiles of both operands into workgroup memory, from which each
 * invocation computes its part of the output tile.
 *
 * Tiles are stored as vec4s along the contiguous axis of the operand, so that they are loaded and stored by whole
 * vec4s: `[row][k / 4]` or `[k][row / 4]` for lhs, `[k][column / 4]` or `[column][k / 4]` for rhs. Tiles along k are
 * padded by one vec4 per line to avoid bank conflicts. Steps of k beyond the end are zero in both operands.
 */
import type { Expr } from "../../../core/expr.ts";
import type { Index, Var } from "../../../core/index_expr.ts";
import { addIndex, divIndex, makeVar, modIndex, scaleIndex, varIndex } from "../../../core/index_expr.ts";
import type { ContractKernel } from "../../kernel.ts";
import type { WorkgroupTile } from "./contract_tile.ts";
import { accumulatorType, declareTile, longSums, multiplyAdd, storeTile } from "./print_contract_registers.ts";
import type { TileContext } from "./print_contract_registers.ts";
import { Evaluator } from "./print_expr.ts";
import { convert, LANES, splat } from "./print_value.ts";
import { assign, pointsOf, unflatten } from "../../codegen/lane_index.ts";
import { openMaskedLoop } from "./print_mask.ts";
import { closeCounted, type Counted, openCounted } from "./print_loops.ts";
import { typeName } from "./print_literal.ts";
import { foldWorkgroups } from "./print_space.ts";
import type { WgslKernel, Writer } from "./print_writer.ts";

/** Prints a contract kernel whose workgroups keep `tile.rows` x `tile.columns` outputs each. */
export function printWorkgroupTiles(kernel: ContractKernel, writer: Writer, tile: WorkgroupTile): WgslKernel {
  const evaluator = new Evaluator(writer, kernel.stores, [kernel.lhs, kernel.rhs]);
  const { each } = tile;
  const across = tile.columns / each.columns, size = across * (tile.rows / each.rows);
  const rowTile = makeVar("rows", Math.ceil(kernel.m.extent / tile.rows)),
    columnTile = makeVar("columns", Math.ceil(kernel.n.extent / tile.columns));
  const space = [...kernel.batch, rowTile, columnTile];
  const tiles = pointsOf(space);
  const launch = foldWorkgroups(tiles, writer.target);
  writer.line(`let id = i32(${launch.group});`);
  // Uniform across the workgroup, so barriers may follow.
  if (launch.launched > tiles) writer.line(`if (id >= ${tiles}) { return; }`);
  writer.line("let member = i32(local);");
  const id = makeVar("id", tiles), member = makeVar("member", size);
  writer.declare(id, "id");
  writer.declare(member, "member");
  const place = unflatten(varIndex(id), space);
  const batch = new Map<number, Index>();
  assign(batch, kernel.batch, place.slice(0, -2));
  const corner = {
    row: scaleIndex(place[space.length - 2], tile.rows),
    column: scaleIndex(place[space.length - 1], tile.columns),
  };
  const context: TileContext = {
    kernel,
    writer,
    evaluator,
    tile: each,
    batch,
    rowBase: addIndex(corner.row, scaleIndex(divIndex(varIndex(member), across), each.rows)),
    columnBase: addIndex(corner.column, scaleIndex(modIndex(varIndex(member), across), each.columns)),
  };
  declareTile(context);
  if (kernel.k.extent > 0) accumulateThroughMemory(context, tile, corner, { member, size });
  storeTile(context);
  return writer.finish(size, launch.workgroups);
}

/** One operand's tile in workgroup memory. */
interface SharedTile {
  readonly name: string;
  readonly expr: Expr;
  /** The operand's own axis (m or n), its first index in the tile, and the tile's extent along it. */
  readonly axis: Var;
  readonly base: Index;
  readonly extent: number;
  /** Whether vec4s run along k. */
  readonly alongK: boolean;
  /** Number of vec4s from one line to the next. */
  readonly stride: number;
}

/** The loop over k: load tiles, wait, multiply, wait. */
function accumulateThroughMemory(
  context: TileContext,
  tile: WorkgroupTile,
  corner: { row: Index; column: Index },
  team: { member: Var; size: number },
): void {
  const { kernel, writer } = context;
  const turns = Math.ceil(kernel.k.extent / tile.depth);
  const lhs = sharedTile(
    context,
    "lhs",
    { expr: kernel.lhs, axis: kernel.m, base: corner.row, extent: tile.rows },
    tile.depth,
  );
  const rhs = sharedTile(context, "rhs", {
    expr: kernel.rhs,
    axis: kernel.n,
    base: corner.column,
    extent: tile.columns,
  }, tile.depth);
  const sums = longSums(context, turns, tile.depth), loop: Counted = { name: "turn", turns, block: sums?.block };
  const turn = openMaskedTurns(context, tile, corner, loop) ?? openCounted(writer, { ...loop, start: "0" });
  const start = scaleIndex(varIndex(turn), tile.depth);
  for (const shared of [lhs, rhs]) fillTile(context, shared, { start, depth: tile.depth, ...team });
  writer.line("workgroupBarrier();");
  writer.open(`for (var quad = 0; quad < ${tile.depth / 4}; quad++)`);
  multiplyTiles(context, lhs, rhs, tile.columns / tile.each.columns);
  writer.close();
  writer.line("workgroupBarrier();");
  closeCounted(writer, loop, () => sums?.flush());
  sums?.finish();
}

/** The bounds are uniform across the workgroup. */
function openMaskedTurns(
  { kernel, writer, evaluator, batch }: TileContext,
  size: WorkgroupTile,
  corner: { row: Index; column: Index },
  loop: Counted,
): Var | undefined {
  const sides = new Map([...batch].map(([id, start]) => [id, { start, size: 1 }]));
  sides.set(kernel.m.id, { start: corner.row, size: size.rows }).set(kernel.n.id, {
    start: corner.column,
    size: size.columns,
  });
  return openMaskedLoop({ ...loop, kernel, writer, evaluator, tile: sides, size });
}

function sharedTile(
  context: TileContext,
  name: string,
  part: Pick<SharedTile, "expr" | "axis" | "base" | "extent">,
  depth: number,
): SharedTile {
  const { evaluator, kernel, batch, writer } = context;
  const lane = makeVar("lane", 4), quad = makeVar("quad", Math.max(1, Math.ceil(kernel.k.extent / 4)));
  const moving = addIndex(scaleIndex(varIndex(quad), 4), varIndex(lane));
  const cost = (axis: Index, k: Index) =>
    evaluator.cost([part.expr], [], evaluator.env(new Map([...batch, [part.axis.id, axis], [kernel.k.id, k]]), lane));
  const alongK = cost(part.base, moving) <= cost(addIndex(part.base, varIndex(lane)), varIndex(kernel.k));
  const stride = alongK ? depth / 4 + 1 : part.extent / 4;
  const type = typeName(accumulatorType(kernel), 4);
  writer.module(`var<workgroup> ${name}_tile: array<${type}, ${alongK ? part.extent * stride : depth * stride}>;`);
  return { ...part, name: `${name}_tile`, alongK, stride };
}

/** Loads a tile: each invocation loads its share of vec4s, with zeros beyond the end of k. */
function fillTile(
  { kernel, writer, evaluator, batch }: TileContext,
  shared: SharedTile,
  { start, depth, member, size }: { start: Index; depth: number; member: Var; size: number },
): void {
  const lane = makeVar("lane", 4);
  const perLine = shared.alongK ? depth / 4 : shared.extent / 4;
  const vectors = depth * shared.extent / 4;
  const dtype = accumulatorType(kernel);
  for (let part = 0; part * size < vectors; part++) {
    const item = addIndex(varIndex(member), part * size);
    const line = divIndex(item, perLine), quad = scaleIndex(modIndex(item, perLine), 4);
    const along = addIndex(quad, varIndex(lane));
    const k = addIndex(start, shared.alongK ? along : line);
    const env = evaluator.env(
      new Map([...batch, [shared.axis.id, addIndex(shared.base, shared.alongK ? line : along)], [kernel.k.id, k]]),
      lane,
    );
    let text = splat(convert(evaluator.value(shared.expr, env), dtype)).text;
    if (kernel.k.extent % depth !== 0) {
      const step = evaluator.indexValue(varIndex(kernel.k), "i32", env);
      text = `select(${typeName(dtype, 4)}(0), ${text}, ${splat(step).text} < vec4<i32>(${kernel.k.extent}))`;
    }
    const offset = evaluator.scalar(addIndex(scaleIndex(line, shared.stride), modIndex(item, perLine)), env);
    writer.line(`${shared.name}[${offset.text}] = ${text};`);
  }
}

/** Multiplies four steps of k from workgroup memory. */
function multiplyTiles(context: TileContext, lhs: SharedTile, rhs: SharedTile, across: number): void {
  const { writer, tile } = context;
  const row = writer.bind(`member / ${across} * ${tile.rows}`, 0, "n"),
    column = writer.bind(`member % ${across} * ${tile.columns}`, 0, "n");
  const read = (shared: SharedTile, first: string, count: number): string[] =>
    Array.from({ length: shared.alongK ? count : 4 }, (_, at) => {
      const index = shared.alongK
        ? `(${first} + ${at}) * ${shared.stride} + quad`
        : `(quad * 4 + ${at}) * ${shared.stride} + ${first} / 4`;
      const name = writer.fresh("v");
      writer.line(`let ${name} = ${shared.name}[${index}];`);
      return name;
    });
  const a = read(lhs, row, tile.rows), b = read(rhs, column, tile.columns);
  const lhsAt = (
    line: number,
    step: number,
  ) => (lhs.alongK ? `${a[line]}.${LANES[step]}` : `${a[step]}.${LANES[line]}`);
  for (let step = 0; step < 4; step++) {
    const type = typeName(accumulatorType(context.kernel), 4);
    const quad = rhs.alongK
      ? writer.bind(`${type}(${b.map((name) => `${name}.${LANES[step]}`).join(", ")})`, writer.depth, "v")
      : b[step];
    multiplyAdd(context, (line) => lhsAt(line, step), () => quad);
  }
}
