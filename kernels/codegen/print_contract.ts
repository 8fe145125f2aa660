/**
 * Prints contract kernels: large ones with packed tiles; those with few rows or columns, and those of integers, element
 * by element.
 */
import { addIndex, makeVar, scaleIndex, varIndex } from "../../core/index_expr.ts";
import type { Index } from "../../core/index_expr.ts";
import type { ContractKernel } from "../kernel.ts";
import { SHORT_SUM, SUM_BLOCK } from "../long_sums.ts";
import { BlockSum } from "./block_sum.ts";
import { convert, f, foldLanes, i, multiplyAdd, splat } from "./lanes.ts";
import { repeat, repeatInBlocks } from "./loops.ts";
import { printTiles } from "./print_contract_tiles.ts";
import type { Env, Evaluator } from "./evaluator.ts";
import { chooseWalk, type Division, overWalk, scalarWalk } from "./walk.ts";
import type { Local, Value } from "./writer.ts";

/** Minimum extents of a product for which packing pays off. */
const MIN_TILED = 4;

/** Prints a contract kernel. */
export function printContract(kernel: ContractKernel, evaluator: Evaluator): Division {
  const { m, n, k, lhs } = kernel;
  const isLarge = Math.min(m.extent, n.extent, k.extent) >= MIN_TILED &&
    Math.max(m.extent, n.extent) >= evaluator.writer.lanes;
  return isLarge && lhs.dtype === "f32" ? printTiles(kernel, evaluator) : printDirect(kernel, evaluator);
}

/** Computes one output or W contiguous ones at a time; lanes run along k if that reads memory better. */
function printDirect(kernel: ContractKernel, evaluator: Evaluator): Division {
  const { batch, m, n, k, lhs, rhs, stores } = kernel;
  const w = evaluator.writer, { lanes } = w, space = [...batch, m, n];
  const dtype = lhs.dtype === "f32" ? "f32" : lhs.dtype === "u32" ? "u32" : "i32";
  const plain = scalarWalk(space), across = chooseWalk(evaluator, space, [lhs, rhs], stores);
  const kLane = makeVar("lane", lanes), groups = Math.floor(k.extent / lanes);
  const alongK = plain.replace(varIndex(makeVar("group", Math.max(2, plain.groups)))).set(
    k.id,
    addIndex(scaleIndex(varIndex(makeVar("item", Math.max(2, groups))), lanes), varIndex(kLane)),
  );
  const group = varIndex(makeVar("group", Math.max(2, across.groups)));
  const costK = evaluator.cost([lhs, rhs], [], evaluator.env(alongK, kLane));
  const costAcross = across.lane
    ? evaluator.cost([lhs, rhs], [], evaluator.env(across.replace(group), across.lane))
    : Infinity;
  const walksK = k.extent >= 2 * lanes && costK < costAcross;
  return overWalk(w, walksK ? plain : across, (replace, { lane }) => {
    const width = lane ? lanes : 1;
    const add = (local: Local, env: Env) => {
      const before = w.read(local);
      const [x, y] = [lhs, rhs].map((factor) => convert(w, evaluator.value(factor, env), dtype));
      const sum: Value = dtype === "f32" ? multiplyAdd(w, x, y, before) : i(w, "add", before, i(w, "mul", x, y));
      w.assign(local, splat(w, sum, local.width));
    };
    const fresh = (width: number) => {
      const local = w.newLocal({ dtype, width });
      w.assign(local, splat(w, w.literal(0, dtype), width));
      return local;
    };
    /** Accumulates iterations over k in a local, in blocks if there are many. */
    const addUp = (turns: number, local: Local, envAt: (turn: Index) => Env) => {
      const body = (turn: Index) => add(local, envAt(turn));
      if (dtype !== "f32" || turns <= SHORT_SUM) return repeat(w, turns, body);
      const sum = new BlockSum(w, local, turns);
      repeatInBlocks(w, { turns, block: SUM_BLOCK }, { body, flush: (first) => sum.flush(first) });
      sum.finish();
    };
    const sum = fresh(width), whole = walksK ? lanes * groups : 0;
    if (walksK) {
      const partial = fresh(lanes);
      addUp(
        groups,
        partial,
        (turn) => evaluator.env(new Map(replace).set(k.id, addIndex(scaleIndex(turn, lanes), varIndex(kLane))), kLane),
      );
      const all = w.read(partial), plus = dtype === "f32" ? f : i;
      w.assign(sum, foldLanes(w, [all], ([x], [y]) => [plus(w, "add", x, y)])[0]);
    }
    addUp(
      k.extent - whole,
      sum,
      (turn) => evaluator.env(new Map(replace).set(k.id, addIndex(turn, whole)), lane),
    );
    const env = evaluator.env(replace, lane, w.read(sum));
    const values = stores.map(({ value }) => evaluator.value(value, env));
    stores.forEach((store, at) => evaluator.store(store, values[at], env));
  });
}
