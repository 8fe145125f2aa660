/**
 * Prints row kernels. Reductions of the same dependency level share a pass over the row; element stores are the last
 * pass.
 *
 * A {@link RowShape} assigns the work: the lanes of a vec4 run along the row (rows contiguous in memory), or across the
 * space (columns), or there are none; a row is computed by one invocation, or by a team of a workgroup that combines
 * its partial results in a tree. Rows short enough to be unrolled stay in registers between passes, because the loads
 * of all passes are then the same binding.
 */
import type { Index, Var } from "../../../core/index_expr.ts";
import { addIndex, constantIndex, makeVar, scaleIndex, varIndex } from "../../../core/index_expr.ts";
import { isFloat } from "../../../core/dtype.ts";
import type { RowKernel, Store } from "../../kernel.ts";
import { SHORT_SUM } from "../../long_sums.ts";
import { Evaluator } from "./print_expr.ts";
import type { Env } from "./print_index.ts";
import { BlockSums, closeCounted, type Counted, openCounted } from "./print_loops.ts";
import { typeName } from "./print_literal.ts";
import { accumulate, declareAccumulator, joinAcrossLanes, joinAcrossTeam, partialOf } from "./print_reduce.ts";
import type { Accumulator, Team } from "./print_reduce.ts";
import { nanWitnesses } from "../../codegen/nan_witness.ts";
import { levelsOf, type Reduce } from "../../codegen/row_levels.ts";
import { chooseRowShape } from "./row_shape.ts";
import type { RowShape } from "./row_shape.ts";
import { foldWorkgroups } from "./print_space.ts";
import type { Value, WgslKernel, Writer } from "./print_writer.ts";

/** The state that the passes of a kernel share. */
interface Context {
  readonly kernel: RowKernel;
  readonly writer: Writer;
  readonly evaluator: Evaluator;
  readonly shape: RowShape;
  /** The point, or group of points, of this invocation. */
  readonly group: Index;
  readonly member?: Var;
  readonly team?: Team;
  /** Whether an extreme need not propagate NaN. */
  readonly isWitnessed: (extreme: Reduce) => boolean;
  /** The condition under which the invocation may store; undefined if it always may. */
  readonly stores?: string;
}

/** Prints a row kernel. */
export function printRow(kernel: RowKernel, writer: Writer): WgslKernel {
  const evaluator = new Evaluator(writer, [...kernel.rowStores, ...kernel.elementStores]);
  const shape = chooseRowShape(kernel, evaluator, writer.target);
  const size = shape.team * shape.rowsPerGroup;
  const launch = foldWorkgroups(Math.ceil(shape.walk.groups / shape.rowsPerGroup), writer.target);
  const context = {
    kernel,
    writer,
    evaluator,
    shape,
    isWitnessed: nanWitnesses(kernel),
    ...placeInvocation(writer, shape, launch.group, launch.launched),
  };
  for (const level of levelsOf(kernel)) printPass(context, level);
  const rowEnv = evaluator.env(
    shape.walk.replace(context.group),
    shape.lanes === "space" ? shape.walk.lane : undefined,
  );
  const rowValues = kernel.rowStores.map(({ value }) => writer.bound(evaluator.value(value, rowEnv)));
  if (kernel.elementStores.length > 0) printElements(context);
  printRowStores(context, rowValues, rowEnv);
  return writer.finish(size, launch.workgroups);
}

/** Declares the invocation's points and, in a team, its member index. */
function placeInvocation(
  writer: Writer,
  shape: RowShape,
  group: string,
  launched: number,
): Pick<Context, "group" | "member" | "team" | "stores"> {
  const { team, rowsPerGroup, walk, columns } = shape;
  const isExact = launched * rowsPerGroup === walk.groups;
  const row = makeVar("id", walk.groups);
  if (team === 1) {
    writer.line(`let id = i32(${group} * ${rowsPerGroup}u + local);`);
    if (!isExact) writer.line(`if (id >= ${walk.groups}) { return; }`);
    writer.declare(row, "id");
    return { group: varIndex(row) };
  }
  // Members of a team are adjacent invocations or, where adjacent invocations should read adjacent columns, a stride
  // apart.
  const [memberText, rowText] = columns
    ? [`local / ${rowsPerGroup}u`, `local % ${rowsPerGroup}u`]
    : [`local % ${team}u`, `local / ${team}u`];
  writer.line(`let member = i32(${memberText});`);
  writer.line(`let slot = i32(${rowText});`);
  writer.line(`let place = i32(${group}) * ${rowsPerGroup} + slot;`);
  // All invocations must reach barriers: those beyond the space repeat the last row and do not store.
  writer.line(isExact ? "let id = place;" : `let id = min(place, ${walk.groups - 1});`);
  writer.declare(row, "id");
  const member = makeVar("member", team);
  writer.declare(member, "member");
  const stride = columns ? rowsPerGroup : 1;
  return {
    group: varIndex(row),
    member,
    stores: isExact ? undefined : `place < ${walk.groups}`,
    team: {
      size: team,
      stride,
      self: "i32(local)",
      first: columns ? "slot" : `slot * ${team}`,
      member: "member",
      workgroupSize: team * rowsPerGroup,
    },
  };
}

/** One unrolled step along the row. */
interface Step {
  readonly env: Env;
  /** Whether the step, or each lane of it, is within the row; absent if always. */
  readonly live?: Value;
  /** The same as conditions on stores: of the whole step, and of each lane. */
  readonly guard?: string;
  readonly liveLane?: (lane: number) => string | undefined;
}

/** Number of iterations along the row. */
function turnsOf({ kernel: { row: { extent } }, shape: { team, unroll, lanes } }: Context): number {
  const items = lanes === "row" ? Math.ceil(extent / 4) : extent;
  return Math.ceil(items / (team * unroll));
}

/** Opens the loop along the row (omitted for a single iteration), runs `body` for its steps, and closes it. */
function alongRow(context: Context, body: (steps: Step[]) => void, sums?: BlockSums): void {
  const { kernel, writer, evaluator, shape, group, member } = context, { team, unroll, lanes, walk } = shape;
  const { extent } = kernel.row;
  if (extent === 0) return;
  const items = lanes === "row" ? Math.ceil(extent / 4) : extent;
  const turns = turnsOf(context), loop: Counted = { name: "s", turns, block: sums?.block };
  const turn = turns > 1 ? varIndex(openCounted(writer, loop)) : constantIndex(0);
  const steps = Array.from({ length: unroll }, (_, part): Step => {
    const item = addIndex(scaleIndex(addIndex(scaleIndex(turn, unroll), part), team), member ? varIndex(member) : 0);
    const lane = shape.rowLane;
    const at = lanes === "row" ? addIndex(scaleIndex(item, 4), varIndex(lane!)) : item;
    const env = evaluator.env(walk.replace(group).set(kernel.row.id, at), lane ?? walk.lane);
    return { env, ...liveness(item) };
  });
  body(steps);
  if (turns > 1) closeCounted(writer, loop, () => sums?.flush());

  function liveness(item: Index): Omit<Step, "env"> {
    const isPartial = lanes === "row" && extent % 4 !== 0;
    if (item.max < items && !isPartial) return {};
    const plain = evaluator.env(new Map());
    if (!isPartial) {
      const text = `${writer.bound(evaluator.scalar(item, plain), "n").text} < ${items}`;
      return { live: { text: `(${text})`, dtype: "bool", width: 1, depth: writer.depth, atomic: true }, guard: text };
    }
    if (item.max < items - 1) return {};
    const base = writer.bound(evaluator.scalar(scaleIndex(item, 4), plain), "n").text;
    const text = `((${base} + vec4<i32>(0, 1, 2, 3)) < vec4<i32>(${extent}))`;
    return {
      live: { text, dtype: "bool", width: 4, depth: writer.depth, atomic: false },
      liveLane: (lane) => `${base} < ${extent - lane}`,
    };
  }
}

/** Computes the reductions of one level in a single pass. */
function printPass(context: Context, level: readonly Reduce[]): void {
  const { writer, evaluator, shape, kernel, team } = context;
  const width = shape.lanes === "none" ? 1 : 4;
  const accumulators = level.map((expr): Accumulator =>
    declareAccumulator(writer, evaluator, { expr, width, seeksNaN: !context.isWitnessed(expr) })
  );
  const long = turnsOf(context) > SHORT_SUM
    ? accumulators.filter(({ combine, dtype }) => combine === "sum" && isFloat(dtype))
    : [];
  const named = long.map(({ name, dtype }) => ({ name, type: typeName(dtype, width) }));
  const sums = long.length === 0 ? undefined : new BlockSums(writer, named, turnsOf(context));
  alongRow(context, (steps) => {
    for (const accumulator of accumulators) {
      const parts = steps.map(({ env, live }) => ({
        value: evaluator.value(accumulator.expr.body, env),
        place: accumulator.place === undefined ? undefined : evaluator.indexValue(varIndex(kernel.row), "i32", env),
        live,
      }));
      accumulate(writer, evaluator, accumulator, parts);
    }
  }, sums);
  sums?.finish();
  let partials = accumulators.map((accumulator) => {
    const partial = partialOf(writer, accumulator);
    return shape.lanes === "row" ? joinAcrossLanes(writer, accumulator, partial) : partial;
  });
  if (team) partials = joinAcrossTeam(writer, accumulators, partials, team);
  accumulators.forEach(({ expr }, at) => {
    const { value, place } = partials[at];
    evaluator.reductions.set(expr.id, place ?? value);
  });
}

/**
 * Writes the element stores. All values of a step are computed before any is stored, since operands may be updated in
 * place.
 */
function printElements(context: Context): void {
  const { writer, evaluator, kernel, stores } = context;
  if (stores) writer.open(`if (${stores})`);
  alongRow(context, (steps) => {
    for (const { env, guard, liveLane } of steps) {
      const values = kernel.elementStores.map(({ value }) => writer.bound(evaluator.value(value, env)));
      if (guard) writer.open(`if (${guard})`);
      kernel.elementStores.forEach((store, at) =>
        evaluator.store(store, values[at], env, liveLane ?? spaceTail(context))
      );
      if (guard) writer.close();
    }
  });
  if (stores) writer.close();
}

/** Writes the stores of per-row results, by the first member of a team. */
function printRowStores(context: Context, values: readonly Value[], env: Env): void {
  const { kernel, writer, evaluator, team, stores } = context;
  if (kernel.rowStores.length === 0) return;
  const conditions = [...(stores ? [stores] : []), ...(team ? ["member == 0"] : [])];
  if (conditions.length > 0) writer.open(`if (${conditions.map((text) => `(${text})`).join(" && ")})`);
  kernel.rowStores.forEach((store: Store, at) => evaluator.store(store, values[at], env, spaceTail(context)));
  if (conditions.length > 0) writer.close();
}

/** Guards the lanes of an incomplete last group of columns. */
function spaceTail({ evaluator, writer, shape, group }: Context): ((lane: number) => string | undefined) | undefined {
  const { tail } = shape.walk;
  if (shape.lanes !== "space" || tail === undefined) return undefined;
  const { text } = writer.bound(evaluator.scalar(scaleIndex(group, 4), evaluator.env(new Map())), "n");
  return (lane) => (lane === 0 ? undefined : `${text} < ${tail - lane}`);
}
